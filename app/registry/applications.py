"""入库申请: an institution asks to be entered; an officer approves or refuses with a reason."""

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock, security
from app.db import district_of
from app.errors import Conflict, NotFound, TooManyAttempts
from app.ids import number, uuid7
from app.registry import institutions, rules
from app.registry.models import Institution, InstitutionApplication
from app.registry.rules import CampusDraft, InstitutionDraft, Licence
from app.security import SupervisionStaff

MOST_AN_HOUR = 200
"""Applications that a district takes within an hour: anybody may apply, so it bounds what strangers can leave here."""
_RESERVED = "sample-"
"""User names that a live district must not have."""


@dataclass(frozen=True, slots=True)
class ApplicationDraft:
    """An institution, and its first member of staff with the hash of the password that they chose."""

    institution: InstitutionDraft
    username: str
    staff_name: str
    password_hash: str


async def apply(session: AsyncSession, draft: ApplicationDraft) -> InstitutionApplication:
    """Take an application. Nothing else comes into being, and no credit code is taken by it.

    Raises BadInput naming the field, Conflict("registry.institution_known"), TooManyAttempts("registry.too_many_applications").
    """
    asked = rules.check_application(draft.institution, clock.today())
    username = security.staff_username(draft.username)
    if username.startswith(_RESERVED):
        raise rules.refuse("username", f"用户名不能以 {_RESERVED} 开头")
    staff_name = rules.clean_text(draft.staff_name, "staff_name", "管理员姓名", 40)
    if await session.scalar(select(Institution.id).where(Institution.credit_code == asked.credit_code)):
        raise Conflict("registry.institution_known", "该统一社会信用代码的机构已经登记", field="credit_code")
    recent = InstitutionApplication.applied_at > clock.now() - timedelta(hours=1)
    if (await session.scalar(select(func.count()).select_from(InstitutionApplication).where(recent)) or 0) >= MOST_AN_HOUR:
        raise TooManyAttempts("registry.too_many_applications", "当前提交申请的人太多，请一小时后再试")
    assert asked.contact is not None
    application_id = uuid7()
    application = InstitutionApplication(
        id=application_id,
        application_no=number("A", district_of(session)),
        credit_code=asked.credit_code,
        name=asked.name,
        facts=_facts(asked),
        username=username,
        staff_name=staff_name,
        password_hash=draft.password_hash,
        status="applied",
        applied_at=clock.now(),
        **institutions.sealed_contact("institution_application", application_id, asked.contact),
    )
    session.add(application)
    await session.flush()
    return application


async def approve(session: AsyncSession, officer: SupervisionStaff, application_id: UUID, reason: str) -> Institution:
    """Enter the institution, its book, its bank accounts and its first member of staff.

    Whether the bank knows the accounts under the institution's name is asked before, with no transaction open.
    Raises BadInput naming the field (also for a licence that ran out meanwhile), NotFound("registry.application_not_found"),
    Conflict("registry.application_decided", "registry.institution_known", "banking.account_taken").
    """
    reason = rules.reason(reason)
    application = await _undecided(session, application_id)
    draft = draft_of(application)
    rules.check_application(draft, clock.today())
    entered = await institutions.create_institution(session, draft, application_id)
    assert application.password_hash is not None
    staff = await security.admit_staff(session, application.username, application.password_hash, application.staff_name, entered.id)
    application.username = staff.username
    await _decide(session, officer, application, "approved", reason)
    return entered


async def refuse(session: AsyncSession, officer: SupervisionStaff, application_id: UUID, reason: str) -> InstitutionApplication:
    """End an application; the applicant reads the reason and may apply again.

    Raises BadInput, NotFound("registry.application_not_found"), Conflict("registry.application_decided").
    """
    reason = rules.reason(reason)
    application = await _undecided(session, application_id)
    await _decide(session, officer, application, "refused", reason)
    return application


def draft_of(application: InstitutionApplication) -> InstitutionDraft:
    """What was applied for; the contact is gone once the application is decided."""
    facts: dict[str, Any] = dict(application.facts)
    licence, campuses = facts.pop("licence"), facts.pop("campuses")
    return InstitutionDraft(
        credit_code=application.credit_code,
        name=application.name,
        licence=Licence(**licence | {day: date.fromisoformat(licence[day]) for day in ("from_on", "to_on")}),
        campuses=[CampusDraft(**each | {"lease_ends_on": _day(each["lease_ends_on"])}) for each in campuses],
        contact=institutions.contact_of(application),
        **facts,
    )


async def _undecided(session: AsyncSession, application_id: UUID) -> InstitutionApplication:
    application = await session.get(InstitutionApplication, application_id, with_for_update={"key_share": True}, populate_existing=True)
    if application is None:
        raise NotFound("registry.application_not_found", "没有这份申请")
    if application.status != "applied":
        raise Conflict("registry.application_decided", "该申请已有决定")
    return application


async def _decide(session: AsyncSession, officer: SupervisionStaff, application: InstitutionApplication, status: str, reason: str) -> None:
    application.status, application.decided_at, application.decided_by = status, clock.now(), officer.staff_id
    application.decision_reason = reason
    # What was only needed for the decision goes with it.
    application.password_hash = application.contact_name_enc = application.contact_phone_enc = None
    await audit.record(session, officer.actor, f"registry.application_{status}", f"application:{application.application_no}", reason)


def _facts(draft: InstitutionDraft) -> dict[str, Any]:
    facts = asdict(draft)
    for elsewhere in ("credit_code", "name", "contact"):
        del facts[elsewhere]
    facts["licence"] |= {day: facts["licence"][day].isoformat() for day in ("from_on", "to_on")}
    for campus in facts["campuses"]:
        campus["lease_ends_on"] = campus["lease_ends_on"] and campus["lease_ends_on"].isoformat()
    return facts


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
