"""变更: what is to change in an institution's entry. Proposing it pauses new sales at once; it holds once an officer has confirmed it.

A campus that is added is an address that changes from nothing: it waits for an officer in the same way. A longer lease waits too, but
pauses nothing: until it is confirmed sales are held against the old end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.banking import service as banking
from app.errors import Conflict, NotFound, Refused
from app.ids import uuid7
from app.registry import institutions, rules
from app.registry.models import Campus, Institution, InstitutionChange
from app.registry.rules import CampusDraft
from app.security import InstitutionStaff, SupervisionStaff

ChangeKind = Literal["legal_representative", "address", "campus_address", "settlement_account"]
"""What `propose` takes; a `lease` comes by `change_lease`."""

_WORDS: dict[str, str] = {
    "legal_representative": "变更法定代表人",
    "address": "变更地址",
    "campus_address": "变更校区地址",
    "settlement_account": "变更结算账户",
}
_NEW_CAMPUS = "新增校区"
_OWN_ROOMS = "自有房屋"
"""Stands for no end of a lease where a change says what shall be."""
_OPEN_ZH = {word: f"{word}，待监管部门核实" for word in (*_WORDS.values(), _NEW_CAMPUS)}
_DECIDED_ZH = "变更已核定，正在核实监管账户资金是否足额"
"""What parents read while changes pause the sales; an officer's own reason stands before it."""


@dataclass(frozen=True, slots=True)
class ChangeDraft:
    """What shall stand in the entry instead, and why; `campus_id` for a campus's address."""

    kind: ChangeKind
    new_value: str
    reason: str
    campus_id: UUID | None = None


async def propose(
    session: AsyncSession, proposer: InstitutionStaff | SupervisionStaff, institution_id: UUID, draft: ChangeDraft
) -> InstitutionChange:
    """Write down a change that the institution wants, or that an officer learned of, and pause the institution's sales.

    A settlement account is used for nothing before it is confirmed; the supervised account, which holds the parents' money, cannot be
    changed here. Raises BadInput naming the field, NotFound, Conflict("registry.change_waiting") while one of the kind is undecided,
    Conflict("registry.change_unchanged"), Refused("registry.institution_closed").
    """
    institution = await _to_change(session, institution_id)
    draft = replace(draft, reason=rules.reason(draft.reason), new_value=_cleaned(draft))
    old_value = await _present(session, institution, draft)
    if draft.new_value == old_value:
        raise Conflict("registry.change_unchanged", "与现有登记相同，没有变化", field="new_value")
    return await _wait(session, proposer, institution, draft, old_value)


async def add_campus(session: AsyncSession, staff: InstitutionStaff, draft: CampusDraft) -> Campus:
    """Enter one more campus of an institution, and pause its sales until an officer has confirmed the new address and coverage.

    Raises BadInput naming the field, Refused("registry.too_many_campuses", "registry.institution_closed"),
    Conflict("registry.change_waiting") while the address of a campus is undecided.
    """
    institution = await _to_change(session, staff.institution_id)
    campus = await institutions.enter_campus(session, staff, draft)
    await _wait(session, staff, institution, ChangeDraft("campus_address", campus.address, _NEW_CAMPUS, campus.id), None)
    return campus


async def change_lease(
    session: AsyncSession, staff: InstitutionStaff, campus_id: UUID, ends_on: date | None, reason: str
) -> InstitutionChange | None:
    """Say on which day a campus's lease ends; None where the rooms are owned.

    A first day and an earlier one hold at once. A later one, or none any more, takes away a limit of what may be sold: it waits for an
    officer and is returned, and needs a reason. Raises BadInput naming the field, NotFound("registry.campus_not_found"),
    Conflict("registry.change_waiting") while a longer lease of this campus is undecided, Refused("registry.institution_closed").
    """
    ends_on = rules.check_lease(ends_on, clock.today())
    institution = await _to_change(session, staff.institution_id)
    campus = await institutions.own_campus(session, institution.id, campus_id)
    before = campus.lease_ends_on
    if before is None or (ends_on is not None and ends_on <= before):
        await institutions.set_lease(session, staff, campus, ends_on)
        return None
    if not reason.strip():
        raise rules.refuse("reason", "延长租期须填写理由，由监管部门核定")
    said = {
        "kind": "lease",
        "campus_id": campus.id,
        "old_value": before.isoformat(),
        "new_value": ends_on.isoformat() if ends_on else _OWN_ROOMS,
        "reason": rules.reason(reason),
    }
    return await _write_down(session, staff, institution, said)


async def _to_change(session: AsyncSession, institution_id: UUID) -> Institution:
    institution = await institutions.lock(session, institution_id)
    if institution.status == "closed":
        raise Refused("registry.institution_closed", "机构已关闭，不能变更")
    return institution


async def _wait(
    session: AsyncSession,
    proposer: InstitutionStaff | SupervisionStaff,
    institution: Institution,
    draft: ChangeDraft,
    old_value: str | None,
) -> InstitutionChange:
    """Write a clean draft down for the officers and pause a locked institution's sales."""
    said = {
        "kind": draft.kind,
        "campus_id": draft.campus_id,
        "old_value": old_value,
        "new_value": draft.new_value,
        "reason": draft.reason,
    }
    proposed = await _write_down(session, proposer, institution, said)
    await _tell(session, institution)
    return proposed


async def _write_down(
    session: AsyncSession,
    proposer: InstitutionStaff | SupervisionStaff,
    institution: Institution,
    said: Mapping[str, object],
) -> InstitutionChange:
    state = {"status": "proposed", "proposed_at": clock.now(), "proposed_by": proposer.staff_id}
    proposed: InstitutionChange | None = await session.scalar(
        insert(InstitutionChange)
        .values(id=uuid7(), institution_id=institution.id, **said, **state)
        .on_conflict_do_nothing()
        .returning(InstitutionChange)
    )
    if proposed is None:
        raise Conflict("registry.change_waiting", "同一事项的变更正在等待核定")
    facts = {"change": str(proposed.id), "kind": proposed.kind}
    await audit.record(session, proposer.actor, "registry.change_proposed", f"institution:{institution.id}", proposed.reason, **facts)
    return proposed


async def confirm(session: AsyncSession, officer: SupervisionStaff, change_id: UUID, reason: str) -> InstitutionChange:
    """Let a change hold from now on; sales that it paused stay paused until coverage is confirmed too.

    Payouts that were drafted before a new settlement account go where they were meant to go. Whether the bank knows that account
    under the institution's name is asked before, with no transaction open.
    Raises BadInput, NotFound("registry.change_not_found", "registry.campus_not_found" once it is closed),
    Conflict("registry.change_decided", "banking.account_taken").
    """
    change, institution = await _decide(session, officer, change_id, "confirmed", reason)
    match change.kind:
        case "legal_representative":
            institution.legal_representative = change.new_value
        case "address":
            institution.address = change.new_value
        case "campus_address":
            assert change.campus_id is not None
            campus = await institutions.own_campus(session, change.institution_id, change.campus_id)
            campus.address = change.new_value
        case "lease":
            assert change.campus_id is not None
            campus = await institutions.own_campus(session, change.institution_id, change.campus_id)
            ends_on = None if change.new_value == _OWN_ROOMS else date.fromisoformat(change.new_value)
            await institutions.set_lease(session, officer, campus, ends_on, change.decision_reason)
        case "settlement_account":
            await banking.replace_settlement_account(session, change.institution_id, change.new_value)
    return change


async def refuse(session: AsyncSession, officer: SupervisionStaff, change_id: UUID, reason: str) -> InstitutionChange:
    """Leave the entry as it is; a campus that was added is closed.

    Raises BadInput, NotFound("registry.change_not_found"), Conflict("registry.change_decided"), Refused("registry.campus_in_use") where
    classes are to be taught at the campus that was added.
    """
    change, _ = await _decide(session, officer, change_id, "refused", reason)
    if change.kind == "campus_address" and change.old_value is None:
        campus = await session.get_one(Campus, change.campus_id)
        if campus.closed_at is None:
            await institutions.shut(session, officer, campus)
    return change


async def _decide(
    session: AsyncSession, officer: SupervisionStaff, change_id: UUID, status: str, reason: str
) -> tuple[InstitutionChange, Institution]:
    reason = rules.reason(reason)
    known = await session.get(InstitutionChange, change_id)
    if known is None:
        raise NotFound("registry.change_not_found", "没有这项变更")
    institution = await institutions.lock(session, known.institution_id)
    change = await session.get_one(InstitutionChange, change_id, with_for_update={"key_share": True}, populate_existing=True)
    if change.status != "proposed":
        raise Conflict("registry.change_decided", "该变更已经核定")
    change.status, change.decided_at, change.decided_by, change.decision_reason = status, clock.now(), officer.staff_id, reason
    facts = {"change": str(change_id), "kind": change.kind}
    await audit.record(session, officer.actor, f"registry.change_{status}", f"institution:{institution.id}", reason, **facts)
    if change.kind != "lease":
        await _tell(session, institution)
    return change, institution


async def _tell(session: AsyncSession, institution: Institution) -> None:
    """Say anew why a locked institution's sales are paused: an officer's own reason, then each change that is still open."""
    query = select(InstitutionChange.kind, InstitutionChange.campus_id, InstitutionChange.old_value)
    query = query.where(institutions.pausing(institution.id))
    still_open = await session.execute(query.order_by(InstitutionChange.proposed_at, InstitutionChange.id))
    told = [_OPEN_ZH[_NEW_CAMPUS if campus and old is None else _WORDS[kind]] for kind, campus, old in still_open]
    own = (institution.sales_pause_reason or "").split("；")
    while own and own[-1] in (*_OPEN_ZH.values(), _DECIDED_ZH, ""):
        own.pop()
    institutions.mark_paused(institution, "；".join([*own, *told]) or _DECIDED_ZH)


def _cleaned(draft: ChangeDraft) -> str:
    if draft.kind == "campus_address" and draft.campus_id is None:
        raise rules.refuse("campus_id", "请选择校区")
    if draft.kind != "campus_address" and draft.campus_id is not None:
        raise rules.refuse("campus_id", "只有变更校区地址时选择校区")
    match draft.kind:
        case "legal_representative":
            return rules.clean_text(draft.new_value, "new_value", "法定代表人", 40)
        case "settlement_account":
            return rules.account_no(draft.new_value, "new_value", "结算账户账号")
        case _:
            return rules.clean_text(draft.new_value, "new_value", "地址", 200)


async def _present(session: AsyncSession, institution: Institution, draft: ChangeDraft) -> str | None:
    match draft.kind:
        case "legal_representative":
            return institution.legal_representative
        case "address":
            return institution.address
        case "campus_address":
            assert draft.campus_id is not None
            return (await institutions.own_campus(session, institution.id, draft.campus_id)).address
        case "settlement_account":
            return (await banking.account_of(session, institution.id, "settlement")).account_no
