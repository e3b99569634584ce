"""机构库: entering institutions and keeping their entries: licence, status, lists, yearly checks, campuses, pauses of sales."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock, sealing
from app.banking import service as banking
from app.errors import Conflict, NotFound, Refused
from app.ids import uuid7
from app.ledger import service as ledger
from app.registry import rules
from app.registry.models import (
    Campus,
    ClassSession,
    Institution,
    InstitutionApplication,
    InstitutionChange,
    InstitutionListing,
    YearlyCheck,
)
from app.registry.rules import CampusDraft, Contact, InstitutionDraft, Licence
from app.security import InstitutionStaff, SupervisionStaff

Status = Literal["approved", "suspended", "closed"]
Listing = Literal["white", "black"]
CheckResult = Literal["passed", "conditional", "failed"]

_MOVES: dict[str, set[str]] = {"approved": {"suspended", "closed"}, "suspended": {"approved", "closed"}, "closed": set()}
_EARLIEST_YEAR = 2000


@dataclass(frozen=True, slots=True)
class CheckDraft:
    """One year's 年检 result."""

    year: int
    result: CheckResult
    note: str


async def create_institution(session: AsyncSession, draft: InstitutionDraft, institution_id: UUID | None = None) -> Institution:
    """Enter an approved institution, open its book, its campuses and its two bank accounts.

    Raises BadInput naming the field, Conflict("registry.institution_known") for a credit code that is already entered,
    Conflict("banking.account_taken") for a bank account that is bound already.
    """
    draft = rules.check_institution(draft, clock.today())
    institution_id = institution_id or uuid7()
    await ledger.open_book(session, institution_id)
    entered: Institution | None = await session.scalar(
        insert(Institution)
        .values(
            id=institution_id,
            credit_code=draft.credit_code,
            name=draft.name,
            kind=draft.kind,
            stage=draft.stage,
            for_profit=draft.for_profit,
            address=draft.address,
            legal_representative=draft.legal_representative,
            status="approved",
            created_at=clock.now(),
            **(_licence_columns(draft.licence) if draft.licence else {}),
            **(sealed_contact("institution", institution_id, draft.contact) if draft.contact else {}),
        )
        .on_conflict_do_nothing(index_elements=[Institution.credit_code])
        .returning(Institution)
    )
    if entered is None:
        raise Conflict("registry.institution_known", "该统一社会信用代码的机构已经登记", field="credit_code")
    _add_campuses(session, institution_id, draft.campuses)
    await session.flush()
    await banking.open_accounts(session, institution_id, draft.connection, draft.name, draft.supervised_no, draft.settlement_no)
    return entered


def check_may_sell(institution: Institution) -> None:
    """Let an institution sell new lessons. Raises Refused("registry.blacklisted", "registry.sales_paused")."""
    if institution.listing == "black":
        raise Refused("registry.blacklisted", "该机构已列入黑名单，不得招生收费")
    if institution.sales_paused_at is not None:
        raise Refused("registry.sales_paused", f"该机构暂停招生收费：{institution.sales_pause_reason}")


def may_sell() -> ColumnElement[bool]:
    """Institutions that may sell now."""
    return (Institution.status == "approved") & Institution.sales_paused_at.is_(None) & Institution.listing.is_distinct_from("black")


async def lock(session: AsyncSession, institution_id: UUID) -> Institution:
    """An institution as it stands now, locked. Raises NotFound("registry.institution_not_found")."""
    chosen = select(Institution).where(Institution.id == institution_id).with_for_update(key_share=True)
    found: Institution | None = await session.scalar(chosen, execution_options={"populate_existing": True})
    if found is None:
        raise NotFound("registry.institution_not_found", "没有这家机构")
    return found


async def pause_sales(session: AsyncSession, officer: SupervisionStaff, institution_id: UUID, reason: str) -> Institution:
    """Stop new sales; parents read the reason. Raises BadInput, NotFound, Conflict("registry.sales_paused_already")."""
    reason = rules.reason(reason)
    institution = await lock(session, institution_id)
    if institution.sales_paused_at is not None:
        raise Conflict("registry.sales_paused_already", "该机构已经暂停招生")
    mark_paused(institution, reason)
    await _record(session, officer, institution_id, "registry.sales_paused", reason)
    return institution


def mark_paused(institution: Institution, reason: str) -> None:
    """Pause a locked institution's sales, or tell another reason of a pause that stands; parents read it."""
    institution.sales_paused_at = institution.sales_paused_at or clock.now()
    institution.sales_pause_reason = reason


async def resume_sales(
    session: AsyncSession, officer: SupervisionStaff, institution: Institution, reason: str, **facts: int | None
) -> None:
    """Let a locked institution sell again; `facts` are the figures that the officer confirmed.

    Raises BadInput, Conflict("registry.sales_not_paused"), Refused("registry.change_undecided") while a change that pauses sales waits.
    """
    reason = rules.reason(reason)
    if institution.sales_paused_at is None:
        raise Conflict("registry.sales_not_paused", "该机构没有暂停招生")
    if await session.scalar(select(InstitutionChange.id).where(pausing(institution.id)).limit(1)):
        raise Refused("registry.change_undecided", "还有变更事项没有核定，不能恢复招生")
    institution.sales_paused_at = institution.sales_pause_reason = None
    _sells_again(institution)
    await _record(session, officer, institution.id, "registry.sales_resumed", reason, **facts)


def pausing(institution_id: UUID) -> ColumnElement[bool]:
    """The waiting changes of an institution that pause its sales: all but a longer lease, since the old one goes on to hold."""
    own = InstitutionChange.institution_id == institution_id
    return own & (InstitutionChange.status == "proposed") & (InstitutionChange.kind != "lease")


def _sells_again(institution: Institution) -> None:
    """One obstacle of a locked institution is gone; it sells again where that was the last."""
    if institution.status == "approved" and institution.sales_paused_at is None and institution.listing != "black":
        institution.sells_again_at = clock.now()


async def set_status(session: AsyncSession, officer: SupervisionStaff, institution_id: UUID, status: Status, reason: str) -> Institution:
    """Suspend an institution, let it open again, or close it for good; its money goes on its ways all the same.

    Raises BadInput, NotFound, Conflict("registry.status_refused") for a step that does not exist.
    """
    reason = rules.reason(reason)
    institution = await lock(session, institution_id)
    if status not in _MOVES[institution.status]:
        raise Conflict("registry.status_refused", "机构的当前状态不允许这样变更", status=institution.status)
    before, institution.status = institution.status, status
    if before == "suspended":
        _sells_again(institution)
    await _record(session, officer, institution_id, "registry.status_changed", reason, before=before, after=status)
    return institution


async def set_listing(
    session: AsyncSession, officer: SupervisionStaff, institution_id: UUID, listing: Listing | None, reason: str
) -> Institution:
    """Put an institution on the white or the black list, or take it off (None). Raises BadInput, NotFound, Conflict."""
    reason = rules.reason(reason)
    institution = await lock(session, institution_id)
    if listing == institution.listing:
        raise Conflict("registry.listing_unchanged", "名单状态没有变化")
    before, institution.listing = institution.listing, listing
    if before == "black":
        _sells_again(institution)
    values = {"listing": listing, "reason": reason, "decided_at": clock.now(), "decided_by": officer.staff_id}
    session.add(InstitutionListing(id=uuid7(), institution_id=institution_id, **values))
    await _record(session, officer, institution_id, "registry.listing_changed", reason, listing=listing)
    return institution


async def record_yearly_check(session: AsyncSession, officer: SupervisionStaff, institution_id: UUID, draft: CheckDraft) -> YearlyCheck:
    """Record a year's 年检 result; a later one of the same year replaces it. Raises BadInput naming the field, NotFound."""
    if not _EARLIEST_YEAR <= draft.year <= clock.today().year:
        raise rules.refuse("year", f"年检年度须为 {_EARLIEST_YEAR} 年至今年")
    if draft.result not in get_args(CheckResult):
        raise rules.refuse("result", "年检结果须为合格、基本合格或不合格")
    note = rules.reason(draft.note)
    institution = await lock(session, institution_id)
    check = YearlyCheck(
        id=uuid7(),
        institution_id=institution.id,
        year=draft.year,
        result=draft.result,
        note=note,
        recorded_at=clock.now(),
        recorded_by=officer.staff_id,
    )
    session.add(check)
    await _record(session, officer, institution_id, "registry.yearly_check_recorded", note, year=draft.year, result=draft.result)
    return check


async def renew_licence(
    session: AsyncSession, officer: SupervisionStaff, institution_id: UUID, licence: Licence, reason: str
) -> Institution:
    """Record an institution's new licence (办学许可证). Raises BadInput naming the field, NotFound."""
    licence, reason = rules.check_licence(licence, clock.today()), rules.reason(reason)
    institution = await lock(session, institution_id)
    for name, value in _licence_columns(licence).items():
        setattr(institution, name, value)
    await _record(session, officer, institution_id, "registry.licence_renewed", reason, to_on=licence.to_on.isoformat())
    return institution


async def set_contact(session: AsyncSession, staff: InstitutionStaff, contact: Contact) -> Institution:
    """Name whom officers call. Raises BadInput naming the field."""
    contact = rules.check_contact(contact)
    institution = await lock(session, staff.institution_id)
    for name, value in sealed_contact("institution", institution.id, contact).items():
        setattr(institution, name, value)
    await audit.record(session, staff.actor, "registry.contact_changed", _subject(institution.id))
    return institution


async def reveal_contact(session: AsyncSession, officer: SupervisionStaff, institution_id: UUID, reason: str) -> Contact:
    """The contact in clear, for an officer with a reason, which the audit trail keeps.

    Raises BadInput, NotFound("registry.institution_not_found", "registry.contact_not_found").
    """
    reason = rules.reason(reason)
    institution = await lock(session, institution_id)
    contact = contact_of(institution)
    if contact is None:
        raise NotFound("registry.contact_not_found", "该机构没有登记联系人")
    await _record(session, officer, institution_id, "registry.contact_seen", reason)
    return contact


async def enter_campus(session: AsyncSession, staff: InstitutionStaff, draft: CampusDraft) -> Campus:
    """Enter one more campus of the caller's locked institution; `changes.add_campus` also pauses its sales.

    Raises BadInput naming the field, Refused("registry.too_many_campuses").
    """
    draft = rules.check_campus(draft, clock.today())
    if len(await campuses(session, staff.institution_id)) >= rules.MAX_CAMPUSES:
        raise Refused("registry.too_many_campuses", f"校区最多登记 {rules.MAX_CAMPUSES} 个")
    [campus] = _add_campuses(session, staff.institution_id, [draft])
    await session.flush()
    await audit.record(session, staff.actor, "registry.campus_entered", f"campus:{campus.id}")
    return campus


async def set_lease(
    session: AsyncSession, who: InstitutionStaff | SupervisionStaff, campus: Campus, ends_on: date | None, reason: str | None = None
) -> None:
    """Write down until when a locked institution leases a campus; `changes.change_lease` says what an officer confirms first."""
    before, campus.lease_ends_on = campus.lease_ends_on, ends_on
    facts = {"before": before and before.isoformat(), "after": ends_on and ends_on.isoformat()}
    await audit.record(session, who.actor, "registry.lease_changed", f"campus:{campus.id}", reason, **facts)


async def close_campus(session: AsyncSession, staff: InstitutionStaff, campus_id: UUID) -> Campus:
    """Close a campus. Raises NotFound("registry.campus_not_found"), Refused("registry.campus_in_use") before its last class session."""
    await lock(session, staff.institution_id)
    campus = await own_campus(session, staff.institution_id, campus_id)
    await shut(session, staff, campus)
    return campus


async def shut(session: AsyncSession, who: InstitutionStaff | SupervisionStaff, campus: Campus) -> None:
    """Close an open campus of a locked institution. Raises Refused("registry.campus_in_use") before its last class session."""
    coming = (ClassSession.campus_id == campus.id, ClassSession.status == "scheduled", ClassSession.ends_at > clock.now())
    if await session.scalar(select(ClassSession.id).where(*coming).limit(1)):
        raise Refused("registry.campus_in_use", "该校区还有未上的课，不能关闭")
    campus.closed_at = clock.now()
    await audit.record(session, who.actor, "registry.campus_closed", f"campus:{campus.id}")


async def own_campus(session: AsyncSession, institution_id: UUID, campus_id: UUID) -> Campus:
    """An open campus of this institution. Raises NotFound("registry.campus_not_found") for an absent, closed or other one alike."""
    campus = await session.get(Campus, campus_id)
    if campus is None or campus.institution_id != institution_id or campus.closed_at is not None:
        raise NotFound("registry.campus_not_found", "没有这个校区", field="campus_id")
    return campus


async def campuses(session: AsyncSession, institution_id: UUID) -> list[Campus]:
    """An institution's open campuses in the order of entry, at most 50."""
    chosen = select(Campus).where(Campus.institution_id == institution_id, Campus.closed_at.is_(None))
    return list(await session.scalars(chosen.order_by(Campus.created_at, Campus.id).limit(rules.MAX_CAMPUSES)))


def licence_of(institution: Institution) -> Licence | None:
    """The institution's licence; None where it was not asked for."""
    if institution.licence_from_on is None or institution.licence_to_on is None:
        return None
    return Licence(
        no=institution.licence_no or "",
        issuer=institution.licence_issuer or "",
        scope=institution.licence_scope or "",
        from_on=institution.licence_from_on,
        to_on=institution.licence_to_on,
    )


def contact_of(row: Institution | InstitutionApplication) -> Contact | None:
    """Whom officers call, in clear: screens show it masked. None where nobody is named."""
    if row.contact_name_enc is None or row.contact_phone_enc is None:
        return None
    table = row.__tablename__
    return Contact(
        sealing.unseal(row.contact_name_enc, table, "contact_name_enc", row.id),
        sealing.unseal(row.contact_phone_enc, table, "contact_phone_enc", row.id),
    )


def sealed_contact(table: Literal["institution", "institution_application"], row_id: UUID, contact: Contact) -> dict[str, bytes]:
    """A contact's columns, sealed for their row."""
    values = {"contact_name_enc": contact.name, "contact_phone_enc": contact.phone}
    return {column: sealing.seal(plain, table, column, row_id) for column, plain in values.items()}


def _licence_columns(licence: Licence) -> dict[str, str | date]:
    return {
        "licence_no": licence.no,
        "licence_issuer": licence.issuer,
        "licence_scope": licence.scope,
        "licence_from_on": licence.from_on,
        "licence_to_on": licence.to_on,
    }


def _add_campuses(session: AsyncSession, institution_id: UUID, drafts: Sequence[CampusDraft]) -> list[Campus]:
    now = clock.now()
    rows = [
        Campus(
            id=uuid7(),
            institution_id=institution_id,
            name=draft.name,
            address=draft.address,
            area_m2=draft.area_m2,
            lease_ends_on=draft.lease_ends_on,
            created_at=now,
        )
        for draft in drafts
    ]
    session.add_all(rows)
    return rows


def _subject(institution_id: UUID) -> str:
    return f"institution:{institution_id}"


async def _record(
    session: AsyncSession, officer: SupervisionStaff, institution_id: UUID, action: str, reason: str, **facts: str | int | None
) -> None:
    await audit.record(session, officer.actor, action, _subject(institution_id), reason, **facts)
