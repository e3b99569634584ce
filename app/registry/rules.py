"""What may stand in a register: pure checks. Each refusal names its field and says in Chinese what is wrong."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from app.errors import BadInput
from app.money import MAX_FEN
from app.policy.packs import KINDS

MAX_LESSONS = 500
MAX_SEATS = 500
MAX_AGE_YEARS = 25
LONGEST_SESSION = timedelta(hours=12)
FURTHEST_SESSION = timedelta(days=3 * 366)

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@dataclass(frozen=True, slots=True)
class InstitutionDraft:
    """What an institution is entered with. The account numbers are those at the bank behind `connection`."""

    credit_code: str
    name: str
    kind: str
    address: str
    connection: str
    supervised_no: str
    settlement_no: str


@dataclass(frozen=True, slots=True)
class ClassDraft:
    """What a class is opened with. `sessions` are (starts_at, ends_at) pairs of aware instants."""

    teacher_id: UUID
    name: str
    subject: str
    price_fen: int
    lesson_count: int
    seats: int
    sessions: Sequence[tuple[datetime, datetime]]


def refuse(field: str, message_zh: str) -> BadInput:
    """The refusal of one field, to be raised."""
    return BadInput(f"registry.{field}_invalid", message_zh, field=field)


def clean_text(value: str, field: str, name_zh: str, limit: int) -> str:
    """The text in NFC without spaces around it. Raises BadInput unless it has 1 to `limit` visible characters."""
    text = unicodedata.normalize("NFC", value).strip()
    if not 1 <= len(text) <= limit or any(unicodedata.category(char) in _INVISIBLE for char in text):
        raise refuse(field, f"{name_zh}须为 1 至 {limit} 个可见字符")
    return text


def credit_code(value: str) -> str:
    """A unified social credit code in its compact form. Raises BadInput for a wrong length, character or check digit."""
    try:
        return str(uscc.validate(value))
    except ValidationError as wrong:
        raise refuse("credit_code", "统一社会信用代码不正确，应为 18 位且校验码相符") from wrong


def account_no(value: str, field: str, name_zh: str) -> str:
    """A bank account number without spaces and hyphens. Raises BadInput unless it is 6 to 34 digits or capitals."""
    compact = re.sub(r"[ -]", "", value)
    if not re.fullmatch(r"[0-9A-Z]{6,34}", compact):
        raise refuse(field, f"{name_zh}须为 6 至 34 位数字或大写字母")
    return compact


def birth_month(value: str, today: date) -> str:
    """A month `YYYY-MM`. Raises BadInput for another form, the future, or more than 25 years ago."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", value):
        raise refuse("birth_month", "出生年月须写成 2016-09 这样的形式")
    months_ago = (today.year - int(value[:4])) * 12 + today.month - int(value[5:])
    if not 0 <= months_ago <= MAX_AGE_YEARS * 12:
        raise refuse("birth_month", f"出生年月不能晚于本月，也不能早于 {MAX_AGE_YEARS} 年前")
    return value


def check_institution(draft: InstitutionDraft) -> InstitutionDraft:
    """The draft with every field cleaned. Raises BadInput naming the first field that does not hold."""
    if draft.kind not in KINDS:
        raise refuse("kind", "机构类别须为学科、艺术、体育、科技或其他之一")
    supervised_no = account_no(draft.supervised_no, "supervised_no", "监管账户账号")
    settlement_no = account_no(draft.settlement_no, "settlement_no", "结算账户账号")
    if supervised_no == settlement_no:
        raise refuse("settlement_no", "结算账户不能与监管账户相同")
    return InstitutionDraft(
        credit_code=credit_code(draft.credit_code),
        name=clean_text(draft.name, "name", "机构名称", 80),
        kind=draft.kind,
        address=clean_text(draft.address, "address", "地址", 200),
        connection=draft.connection,
        supervised_no=supervised_no,
        settlement_no=settlement_no,
    )


def check_class(draft: ClassDraft, now: datetime) -> ClassDraft:
    """The draft cleaned, its sessions in order of time. Raises BadInput naming the first field that does not hold."""
    if not 1 <= draft.lesson_count <= MAX_LESSONS:
        raise refuse("lesson_count", f"课时数须为 1 至 {MAX_LESSONS}")
    if not 1 <= draft.seats <= MAX_SEATS:
        raise refuse("seats", f"招生名额须为 1 至 {MAX_SEATS}")
    if not draft.lesson_count <= draft.price_fen <= MAX_FEN:
        raise refuse("price_fen", "班级总价须使每课时不少于 0.01 元，且不超过上限")
    return ClassDraft(
        teacher_id=draft.teacher_id,
        name=clean_text(draft.name, "name", "班级名称", 80),
        subject=clean_text(draft.subject, "subject", "课程科目", 40),
        price_fen=draft.price_fen,
        lesson_count=draft.lesson_count,
        seats=draft.seats,
        sessions=check_schedule(draft.sessions, draft.lesson_count, now),
    )


def check_schedule(sessions: Sequence[tuple[datetime, datetime]], lesson_count: int, now: datetime) -> list[tuple[datetime, datetime]]:
    """The sessions in order of time.

    Raises BadInput unless there is one for each lesson, each ends after it starts within 12 hours,
    none lies further off than three years, and no two overlap.
    """
    if len(sessions) != lesson_count:
        raise refuse("sessions", f"课次安排有 {len(sessions)} 次，与课时数 {lesson_count} 不一致")
    if any(instant.tzinfo is None for session in sessions for instant in session):
        raise refuse("sessions", "课次时间须带时区")
    ordered = sorted(sessions)
    for number, (starts_at, ends_at) in enumerate(ordered, start=1):
        if not timedelta(0) < ends_at - starts_at <= LONGEST_SESSION:
            raise refuse("sessions", f"第 {number} 次课的结束时间须晚于开始时间，且不超过 12 小时")
        if abs(starts_at - now) > FURTHEST_SESSION:
            raise refuse("sessions", f"第 {number} 次课的时间离现在超过三年")
    for number, (earlier, later) in enumerate(pairwise(ordered), start=1):
        if later[0] < earlier[1]:
            raise refuse("sessions", f"第 {number} 次课与第 {number + 1} 次课时间重叠")
    return ordered
