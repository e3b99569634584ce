"""Everything about a family as a file for itself (个人信息保护法 45): read out of one snapshot while it is sent."""

import csv
import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.clock import SHANGHAI
from app.contracts import queries as contracts
from app.contracts.accepting import document_of
from app.contracts.queries import ContractView
from app.contracts.views import LessonView
from app.db import District
from app.ledger.sheets import never_a_formula
from app.lessons.models import Trial
from app.lessons.queries import disputes_of_contract
from app.money import plain
from app.payments import queries as payments
from app.privacy import lookups
from app.refunds import queries as refunds
from app.registry import families, family_queries
from app.registry.models import Guardian
from app.registry.queries import Cursor
from app.security import Parent, PrincipalSession

_SHAPE = "tuition-escrow-family/1"
_HEADINGS = ("合同编号", "机构", "班级", "孩子", "课时", "上课时间", "课费（元）", "状态")
_SECRET = {"code", "cashier_url"}

Rows = Callable[[Cursor | None], Awaitable[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of file: the end of its name, its media type, and how it is written out of a fresh session."""

    suffix: str
    media_type: str
    parts: Callable[[AsyncSession, UUID], AsyncGenerator[bytes]]


async def record(session: AsyncSession, parent: Parent, form: Form) -> None:
    """Enter in the audit trail that a guardian took their data."""
    await audit.record(session, parent.actor, "privacy.exported", f"guardian:{parent.guardian_id}", form=form.suffix)


async def stream(district: District, guardian_id: UUID, form: Form) -> AsyncGenerator[bytes]:
    """The file in parts; memory does not grow with the family's history. Close it early, or its snapshot stays open."""
    async with district.reading() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
        async with aclosing(form.parts(session, guardian_id)) as parts:
            async for part in parts:
                yield part


async def as_json(session: AsyncSession, guardian_id: UUID) -> AsyncGenerator[bytes]:
    """One JSON object: the guardian, the children in clear, then each list as far as it goes."""
    guardian = await session.get_one(Guardian, guardian_id)
    head = {
        "format": _SHAPE,
        "made_at": clock.now(),
        "guardian": {"id": guardian.id, "phone": families.phone_of(guardian), "created_at": guardian.created_at},
        "children": await _children(session, guardian_id),
        "sign_ins": await _sign_ins(session, guardian_id),
        "trials": await _trials(session, guardian_id),
    }
    yield to_json(head)[:-1]
    lists: dict[str, tuple[Rows, str]] = {
        "contracts": (lambda after: contracts.contracts_of_guardian(session, guardian_id, after), "created_at"),
        "payments": (lambda after: payments.payments_of_guardian(session, guardian_id, after), "created_at"),
        "refunds": (lambda after: refunds.refunds_of_guardian(session, guardian_id, after), "approved_at"),
        "lookups": (lambda after: lookups.lookups_of_guardian(session, guardian_id, after), "at"),
    }
    for name, (rows, at) in lists.items():
        yield f',"{name}":['.encode()
        async for number, row in _every(rows, at):
            more = await _of_contract(session, guardian_id, row.id) if name == "contracts" else {}
            yield (b"," if number else b"") + to_json(_told(row) | more)
        yield b"]"
    yield b"}\n"


def as_csv(called: Callable[[str], str]) -> Form:
    """A row for each lesson, whose state has the name by which it is `called`."""
    return Form("csv", "text/csv; charset=utf-8", partial(_as_csv, called))


async def _as_csv(called: Callable[[str], str], session: AsyncSession, guardian_id: UUID) -> AsyncGenerator[bytes]:
    """It begins with a byte order mark, without which Excel takes Chinese for Latin."""
    names = {child.id: families.name_of(child) for child in await families.children_of(session, guardian_id)}
    yield "\ufeff".encode() + _written([_HEADINGS])

    async def rows(after: Cursor | None) -> list[ContractView]:
        return await contracts.contracts_of_guardian(session, guardian_id, after)

    async for _, contract in _every(rows, "created_at"):
        yield _written([[*_cells(contract, lesson, names), called(lesson.status)] for lesson in contract.lessons])


JSON = Form("json", "application/json", as_json)


async def _every(rows: Rows, at: str) -> AsyncGenerator[tuple[int, Any]]:
    """Every row of a paged list with its position."""
    after, number = None, 0
    while page := await rows(after):
        for row in page:
            yield number, row
            number += 1
        after = (getattr(page[-1], at), page[-1].id)


def _told(row: Any) -> dict[str, Any]:
    """A view without what opens a payment for whoever has it."""
    return {name: value for name, value in asdict(row).items() if name not in _SECRET}


async def _children(session: AsyncSession, guardian_id: UUID) -> list[dict[str, Any]]:
    return [
        {
            "id": child.id,
            "name": families.name_of(child),
            "birth_month": families.birth_month_of(child),
            "stage": families.stage_of(child, clock.today()),
            "consent_version": child.consent_version,
            "hidden_at": child.hidden_at,
            "created_at": child.created_at,
            "guardians": [asdict(each) for each in await family_queries.guardians_of_child(session, child.id)],
            "consents": [asdict(each) for each in await family_queries.consents_of_child(session, child.id)],
            "invitations": [asdict(each) for each in await family_queries.open_invitations_of_child(session, child.id)],
        }
        for child in await families.children_of(session, guardian_id)
    ]


async def _of_contract(session: AsyncSession, guardian_id: UUID, contract_id: UUID) -> dict[str, Any]:
    document = await document_of(session, guardian_id, contract_id)
    said = {"text": document.text, "sha256": document.sha256.hex(), "accepted_at": document.accepted_at} if document else None
    return {"document": said, "disputes": await disputes_of_contract(session, contract_id)}


async def _sign_ins(session: AsyncSession, guardian_id: UUID) -> list[dict[str, Any]]:
    opened = select(PrincipalSession.created_at, PrincipalSession.expires_at, PrincipalSession.ended_at)
    rows = await session.execute(opened.where(PrincipalSession.guardian_id == guardian_id).order_by(PrincipalSession.created_at))
    return [dict(row._mapping) for row in rows]


async def _trials(session: AsyncSession, guardian_id: UUID) -> list[dict[str, Any]]:
    columns = (Trial.class_id, Trial.student_id, Trial.status, Trial.booked_at, Trial.rating, Trial.comment, Trial.rated_at)
    rows = await session.execute(select(*columns).where(Trial.guardian_id == guardian_id).order_by(Trial.booked_at))
    return [dict(row._mapping) for row in rows]


def _cells(contract: ContractView, lesson: LessonView, names: dict[UUID, str]) -> list[str]:
    starts = lesson.starts_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")
    child = names.get(lesson.student_id, lesson.student_name_masked)
    told = (contract.contract_no, contract.institution_name, contract.class_name, child, str(lesson.number), starts)
    return [*(never_a_formula(each) for each in told), plain(lesson.price_fen)]


def _written(rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
