"""The canonical text of a contract (校外培训服务合同): the same facts give the same text, and its hash is what the guardian accepts.

The terms name no family, so what is common to a class stands once; the lines about the parties follow them in each contract.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from app.clock import SHANGHAI, business_date
from app.contracts.rules import SEAT_HELD, SoldCharge
from app.contracts.terms import Way
from app.money import yuan
from app.policy.packs import Pack
from app.registry.models import Campus, Institution, Teacher, TrainingClass

CURRENT = "2"
"""The template of new contracts. One that somebody has accepted never changes: a new wording is a new file."""
_TEXTS = Path(__file__).parent / "documents"
_STUDENT = re.compile("^(学员：)(.+)$", re.MULTILINE)
_UNITS = {"day": "日", "workday": "个工作日", "month": "个月"}
_DEADLINES = {
    "refund.before": "开课前申请的，全额退还，在 {}内办结。",
    "refund.after": "开课后申请的，扣除已完成的课时，在 {}内办结。",
    "refund.cooling": "付款之日起 {}内申请的，退还没有上的课时的全部价款。",
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """What is agreed about a class: who teaches it where, what is charged for which lessons, and where the money is kept."""

    institution: Institution
    training_class: TrainingClass
    teacher: Teacher
    campus: Campus | None
    holder: str
    account_no: str
    """Of the supervised account, in full: a parent holds it against what somebody at the counter says."""
    way: Way
    charges: Sequence[SoldCharge]
    pack: Pack
    pays_by: datetime | None = None
    """When (UTC) the seat is free again that is held for a first charge of a later day; None where that is paid at signing."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Who signed for whom, when (UTC), and what the sale was judged by."""

    contract_no: str
    student_name: str
    phone_masked: str
    accepted_at: datetime
    judged_by: str
    findings: Sequence[Mapping[str, Any]]
    """Those that bind; advice is no part of a contract."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A contract's text without its parties, with its SHA-256."""

    template: str
    text: str
    sha256: bytes


def wording_of(agreement: Agreement) -> Wording:
    """The text that is shown before signing."""
    sold = agreement.training_class
    lessons = [lesson for charge in agreement.charges for lesson in charge.lessons]
    text = _environment.get_template(f"{CURRENT}.txt").render(
        template=CURRENT,
        institution=agreement.institution,
        course=sold,
        teacher=agreement.teacher,
        place=_place(agreement),
        lessons=lessons,
        amount_fen=sum(lesson.price_fen for lesson in lessons),
        way=agreement.way,
        charges=agreement.charges,
        pays_by=agreement.pays_by,
        held_minutes=int(SEAT_HELD.total_seconds()) // 60,
        holder=agreement.holder,
        account_no=agreement.account_no,
        final_after_hours=agreement.pack.rule("release.final_after_hours").limits["hour"],
        deadlines=list(_deadlines(agreement.pack, agreement.institution.kind)),
        notice=_stated(agreement.pack, "close.notice", agreement.institution.kind),
    )
    return Wording(CURRENT, text, hashlib.sha256(text.encode()).digest())


def parties_of(parties: Parties, wording: Wording) -> str:
    """The lines that follow the terms in one family's contract."""
    return _environment.get_template(f"{wording.template}-parties.txt").render(
        contract_no=parties.contract_no,
        student_name=parties.student_name,
        phone_masked=parties.phone_masked,
        accepted_at=parties.accepted_at,
        judged_by=parties.judged_by,
        findings=parties.findings,
        text_sha256=wording.sha256.hex(),
    )


def masked_parties(parties: str, name_masked: Callable[[str], str]) -> str:
    """The same lines for the institution, which must not read the child's name; `name_masked` says what stands there instead."""
    masked, lines = _STUDENT.subn(lambda line: line[1] + name_masked(line[2]), parties)
    assert lines == 1
    return f"{masked}机构留存本：学员姓名已遮盖，其余与监护人签订的全文相同\n"


def hash_of(text: str, parties: str) -> bytes:
    """SHA-256 of the whole contract as UTF-8."""
    return hashlib.sha256((text + parties).encode()).digest()


def _place(agreement: Agreement) -> str:
    campus, room = agreement.campus, agreement.training_class.room
    named = (campus.name, campus.address) if campus else (agreement.institution.address,)
    return " ".join(part for part in (*named, room) if part)


def _deadlines(pack: Pack, kind: str) -> Iterator[str]:
    for rule_id, line in _DEADLINES.items():
        if stated := _stated(pack, rule_id, kind):
            yield line.format(stated)


def _stated(pack: Pack, rule_id: str, kind: str) -> str:
    """A rule's time limit in words, empty where no binding rule states one."""
    rule = pack.find(rule_id)
    if rule is None or not rule.binding or not rule.binds(kind):
        return ""
    return "、".join(f"{count} {_UNITS[unit]}" for unit, count in rule.limits.items())


def _day(instant: datetime) -> str:
    return business_date(instant).isoformat()


def _clock(instant: datetime) -> str:
    return instant.astimezone(SHANGHAI).strftime("%H:%M")


def _time(instant: datetime) -> str:
    return instant.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def _build() -> jinja2.Environment:
    built = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEXTS),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    built.filters.update(yuan=yuan, day=_day, clock=_clock, time=_time)
    return built


_environment = _build()
