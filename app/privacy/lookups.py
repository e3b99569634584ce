"""Officers see a child's or a guardian's data only through a reasoned look-up, and its family sees that it happened.

Least privilege and a log for staff access: 未成年人网络保护条例; the yearly audit reads the same log.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.audit import clean_reason
from app.contracts.families import contracts_of
from app.contracts.models import Contract
from app.crypto import mask_name
from app.errors import BadInput, NotFound, TooManyAttempts
from app.ids import uuid7
from app.privacy.models import CASES, SHOWN, PersonalLookup
from app.registry import families
from app.registry.models import Guardian, Guardianship, Student
from app.registry.queries import PAGE, Cursor
from app.security import Staff, SupervisionStaff

SHORTEST_REASON = 6
MOST_A_DAY = 50
"""Look-ups by one officer within 24 hours: nobody's work needs more, and a curious one is stopped."""


@dataclass(frozen=True, slots=True)
class LookupDraft:
    """What an officer asks: by contract number, whom to show, for which case, and why."""

    contract_no: str
    shown: str
    case_kind: str
    case_no: str
    reason: str


@dataclass(frozen=True, slots=True)
class Disclosed:
    """What a look-up shows, once: empty where it was not asked for. `guardians` are phones, the contracting one first."""

    lookup_id: UUID
    contract_no: str
    student_name: str
    birth_month: str
    guardians: list[str]


@dataclass(frozen=True, slots=True)
class LookupView:
    """A look-up as the log shows it, without what was seen."""

    id: UUID
    at: datetime
    staff_name: str
    contract_no: str
    student_name_masked: str
    shown: str
    case_kind: str
    case_no: str
    reason: str

    @property
    def staff_name_masked(self) -> str:
        """The officer's name as families see it."""
        return mask_name(self.staff_name)


async def look_up(session: AsyncSession, officer: SupervisionStaff, draft: LookupDraft) -> Disclosed:
    """Show an officer in clear who stands behind a contract, and log it in the same transaction.

    Raises BadInput "privacy.shown", "privacy.case", "privacy.case_no" or "reason.invalid" naming the field,
    NotFound "contracts.not_found", TooManyAttempts "privacy.too_many_lookups".
    """
    draft = _checked(draft)
    contract = await session.scalar(select(Contract).where(Contract.contract_no == draft.contract_no))
    if contract is None:
        raise NotFound("contracts.not_found", "没有这份合同", field="contract_no")
    if await _within_a_day(session, PersonalLookup.staff_id == officer.staff_id) >= MOST_A_DAY:
        raise TooManyAttempts("privacy.too_many_lookups", f"一天内最多查看 {MOST_A_DAY} 次")
    logged = PersonalLookup(
        id=uuid7(),
        at=clock.now(),
        staff_id=officer.staff_id,
        student_id=contract.student_id,
        contract_id=contract.id,
        shown=draft.shown,
        case_kind=draft.case_kind,
        case_no=draft.case_no,
        reason=draft.reason,
    )
    session.add(logged)
    facts = {"shown": draft.shown, "case_kind": draft.case_kind, "case_no": draft.case_no}
    await audit.record(session, officer.actor, "privacy.looked_up", f"contract:{contract.id}", draft.reason, **facts)
    return await _disclosed(session, logged, contract)


async def lookups_within_a_day(session: AsyncSession) -> int:
    """How many look-ups all officers together made in the last 24 hours."""
    return await _within_a_day(session)


async def lookups(session: AsyncSession, after: Cursor | None = None, limit: int = PAGE) -> list[LookupView]:
    """Every look-up of the district, the newest first; `after` is (at, id) of the last one seen."""
    return await _views(session, [], after, limit)


async def lookups_of_guardian(session: AsyncSession, guardian_id: UUID, after: Cursor | None = None, limit: int = PAGE) -> list[LookupView]:
    """Look-ups about contracts that the guardian signed or that are their children's, the newest first."""
    return await _views(session, [PersonalLookup.contract_id.in_(contracts_of(guardian_id))], after, limit)


async def _within_a_day(session: AsyncSession, *criteria: ColumnElement[bool]) -> int:
    lately = PersonalLookup.at > clock.now() - timedelta(days=1)
    return await session.scalar(select(func.count()).select_from(PersonalLookup).where(lately, *criteria)) or 0


def _checked(draft: LookupDraft) -> LookupDraft:
    if draft.shown not in SHOWN:
        raise BadInput("privacy.shown", "请选择要查看的内容", field="shown")
    if draft.case_kind not in CASES:
        raise BadInput("privacy.case", "请选择事由", field="case_kind")
    case_no = " ".join(draft.case_no.split())
    if not 2 <= len(case_no) <= 40 or not case_no.isprintable():
        raise BadInput("privacy.case_no", "请填写案件编号或名称，2 至 40 字", field="case_no")
    reason = clean_reason(draft.reason)
    if len(reason) < SHORTEST_REASON:
        raise BadInput("reason.invalid", f"请写明查看的理由，至少 {SHORTEST_REASON} 字", field="reason")
    return LookupDraft(draft.contract_no.strip().upper(), draft.shown, draft.case_kind, case_no, reason)


async def _disclosed(session: AsyncSession, logged: PersonalLookup, contract: Contract) -> Disclosed:
    student = await session.get_one(Student, contract.student_id)
    named, called = logged.shown in ("student", "both"), logged.shown in ("guardians", "both")
    answering = select(Guardianship.guardian_id).where(Guardianship.student_id == student.id)
    chosen = (Guardian.id == contract.guardian_id) | Guardian.id.in_(answering)
    guardians = await session.scalars(select(Guardian).where(chosen).order_by(Guardian.id != contract.guardian_id, Guardian.id))
    return Disclosed(
        lookup_id=logged.id,
        contract_no=contract.contract_no,
        student_name=families.name_of(student) if named else "",
        birth_month=families.birth_month_of(student) if named else "",
        guardians=[families.phone_of(guardian) or families.ERASED for guardian in guardians] if called else [],
    )


async def _views(session: AsyncSession, criteria: list[ColumnElement[bool]], after: Cursor | None, limit: int) -> list[LookupView]:
    if after is not None:
        criteria.append(tuple_(PersonalLookup.at, PersonalLookup.id) < after)
    rows = await session.execute(
        select(PersonalLookup, Contract.contract_no, Student, Staff.display_name)
        .join(Contract, Contract.id == PersonalLookup.contract_id)
        .join(Student, Student.id == PersonalLookup.student_id)
        .outerjoin(Staff, Staff.id == PersonalLookup.staff_id)
        .where(*criteria)
        .order_by(PersonalLookup.at.desc(), PersonalLookup.id.desc())
        .limit(min(limit, PAGE))
    )
    return [_view(row) for row in rows]


def _view(row: Any) -> LookupView:
    logged, contract_no, student, staff_name = row
    return LookupView(
        id=logged.id,
        at=logged.at,
        staff_name=staff_name or "—",
        contract_no=contract_no,
        student_name_masked=families.masked_name(student),
        shown=logged.shown,
        case_kind=logged.case_kind,
        case_no=logged.case_no,
        reason=logged.reason,
    )
