"""机构档案 at the supervision end: an institution's entry, its lists, yearly checks, pauses of sales, changes and teachers, in JSON."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from app.portals.bank_desk import ask_balance, check_change
from app.portals.edge import Home, Once, Read, SupervisionCaller
from app.portals.entries import ChangeInput, ChangeItem, CheckItem, EntryView, LicenceFields, TeacherItem
from app.portals.fields import Listed, PageByTime, PathId, Text, listed
from app.portals.supervision.views import ReasonInput
from app.registry import changes, institutions, teachers
from app.registry import institution_queries as registry
from app.registry.changes import ChangeDraft
from app.registry.institutions import CheckDraft, CheckResult, Listing, Status
from app.supervision.coverage import confirm_coverage

router = APIRouter(prefix="/api/v1/supervision", tags=["supervision"])

ChangeState = Literal["proposed", "confirmed", "refused"]


class StatusInput(ReasonInput):
    """What an institution's status shall be; `closed` is for good."""

    status: Status


class ListingInput(ReasonInput):
    """Which list an institution shall stand on; null takes it off."""

    listing: Listing | None


class CheckInput(BaseModel):
    """One year's 年检 result; a later one of the same year replaces it."""

    year: Annotated[int, Field(strict=True, ge=2000, le=2199)]
    result: CheckResult
    note: Text


class LicenceInput(LicenceFields):
    """A renewed licence, and where it was seen."""

    reason: Text


class ServingInput(ReasonInput):
    """Whether a teacher serves at a school (在职中小学教师)."""

    serving: Annotated[bool, Field(strict=True)]


class AbroadInput(ReasonInput):
    """Whether a teacher is a foreigner who is abroad (在境外的外籍人员)."""

    abroad: Annotated[bool, Field(strict=True)]


class ContactView(BaseModel):
    """Whom to call, in clear; the look-up stands in the audit trail."""

    name: str
    phone: str


class Resumed(BaseModel):
    """That an institution sells again, and the figures that were confirmed (fen, basis points)."""

    institution_id: UUID
    escrow_fen: int
    old_stock_fen: int = Field(description="Of old contracts, whose cash never came: left out")
    due_fen: int = Field(description="What the bank has to hold: `escrow_fen` less `old_stock_fen`")
    reported_fen: int | None
    coverage_bps: int | None = Field(description="Of the whole escrow. Null where there is nothing to cover")
    due_bps: int | None = Field(description="Of what is due, at least 10000. Null where nothing is")


@router.get("/institutions/{institution_id}/entry", summary="An institution's whole entry")
async def institution_entry(institution_id: PathId, caller: SupervisionCaller, session: Read) -> EntryView:
    """With its lists, yearly checks and latest changes; contact and account numbers are masked."""
    return EntryView.of(await registry.entry(session, institution_id))


@router.post("/institutions/{institution_id}/status", summary="Suspend, reopen or close an institution")
async def set_status(institution_id: PathId, body: StatusInput, caller: SupervisionCaller, once: Once) -> EntryView:
    """Its money goes on its ways all the same."""
    async with once.transaction() as session:
        await institutions.set_status(session, caller, institution_id, body.status, body.reason)
        return await once.answer(EntryView.of(await registry.entry(session, institution_id)))


@router.post("/institutions/{institution_id}/listing", summary="Put an institution on the white or the black list")
async def set_listing(institution_id: PathId, body: ListingInput, caller: SupervisionCaller, once: Once) -> EntryView:
    """An institution on the black list sells nothing new."""
    async with once.transaction() as session:
        await institutions.set_listing(session, caller, institution_id, body.listing, body.reason)
        return await once.answer(EntryView.of(await registry.entry(session, institution_id)))


@router.post("/institutions/{institution_id}/yearly-checks", status_code=201, summary="Record a year's check")
async def record_check(institution_id: PathId, body: CheckInput, caller: SupervisionCaller, once: Once) -> CheckItem:
    """年检."""
    async with once.transaction() as session:
        draft = CheckDraft(body.year, body.result, body.note)
        recorded = await institutions.record_yearly_check(session, caller, institution_id, draft)
        return await once.answer(CheckItem.model_validate(recorded))


@router.put("/institutions/{institution_id}/licence", summary="Record a renewed licence")
async def renew_licence(institution_id: PathId, body: LicenceInput, caller: SupervisionCaller, once: Once) -> EntryView:
    """办学许可证."""
    async with once.transaction() as session:
        await institutions.renew_licence(session, caller, institution_id, body.draft(), body.reason)
        return await once.answer(EntryView.of(await registry.entry(session, institution_id)))


@router.post("/institutions/{institution_id}/pause", summary="Pause an institution's new sales")
async def pause_sales(institution_id: PathId, body: ReasonInput, caller: SupervisionCaller, once: Once) -> EntryView:
    """Its families read the reason."""
    async with once.transaction() as session:
        await institutions.pause_sales(session, caller, institution_id, body.reason)
        return await once.answer(EntryView.of(await registry.entry(session, institution_id)))


@router.post("/institutions/{institution_id}/resume", summary="Confirm coverage and let an institution sell again")
async def resume_sales(
    institution_id: PathId, body: ReasonInput, request: Request, caller: SupervisionCaller, home: Home, once: Once
) -> Resumed:
    """The bank is asked for the balance first. Refused while a change waits, or while the bank holds less than is due: the parents' money,
    but for what old contracts (存量) never brought. What a debit took is not left out.
    """
    await ask_balance(request, home, institution_id)
    async with once.transaction() as session:
        confirmed = await confirm_coverage(session, caller, institution_id, body.reason)
        answer = Resumed(
            institution_id=institution_id,
            escrow_fen=confirmed.money.escrow_fen,
            old_stock_fen=confirmed.old_stock_fen,
            due_fen=confirmed.due_fen,
            reported_fen=confirmed.money.reported_fen,
            coverage_bps=confirmed.money.coverage_bps,
            due_bps=confirmed.due_bps,
        )
        return await once.answer(answer)


@router.post("/institutions/{institution_id}/contact", summary="Look up whom to call")
async def look_up_contact(institution_id: PathId, body: ReasonInput, caller: SupervisionCaller, home: Home) -> ContactView:
    """Who looked, and why, is kept."""
    async with home.transaction() as session:
        found = await institutions.reveal_contact(session, caller, institution_id, body.reason)
    return ContactView(name=found.name, phone=found.phone)


@router.get("/changes", summary="Changes of entries, newest first")
async def listed_changes(
    caller: SupervisionCaller, session: Read, paging: PageByTime, status: Annotated[ChangeState | None, Query()] = None
) -> Listed[ChangeItem]:
    """Those that wait for a decision are `status=proposed`."""
    found = await registry.changes(session, status=status, after=paging.after, limit=paging.more)
    return listed([ChangeItem.model_validate(each) for each in found], [(each.proposed_at, each.id) for each in found], paging)


@router.post("/institutions/{institution_id}/changes", status_code=201, summary="Record a change that an officer learned of")
async def record_change(institution_id: PathId, body: ChangeInput, caller: SupervisionCaller, once: Once) -> EntryView:
    """It pauses new sales, as if the institution had asked for it."""
    async with once.transaction() as session:
        draft = ChangeDraft(body.kind, body.new_value, body.reason, body.campus_id)
        await changes.propose(session, caller, institution_id, draft)
        return await once.answer(EntryView.of(await registry.entry(session, institution_id)))


@router.post("/changes/{change_id}/confirm", summary="Let a change hold")
async def confirm_change(
    change_id: PathId, body: ReasonInput, request: Request, caller: SupervisionCaller, home: Home, once: Once
) -> EntryView:
    """Of a new settlement account the bank is asked first whose it is. Sales that it paused stay paused until coverage is confirmed."""
    await check_change(request, home, change_id)
    async with once.transaction() as session:
        decided = await changes.confirm(session, caller, change_id, body.reason)
        return await once.answer(EntryView.of(await registry.entry(session, decided.institution_id)))


@router.post("/changes/{change_id}/refuse", summary="Leave the entry as it is")
async def refuse_change(change_id: PathId, body: ReasonInput, caller: SupervisionCaller, once: Once) -> EntryView:
    """Sales that it paused stay paused until coverage is confirmed. A campus that was added is closed."""
    async with once.transaction() as session:
        decided = await changes.refuse(session, caller, change_id, body.reason)
        return await once.answer(EntryView.of(await registry.entry(session, decided.institution_id)))


@router.get("/institutions/{institution_id}/teachers", summary="An institution's teachers in the order of entry")
async def listed_teachers(institution_id: PathId, caller: SupervisionCaller, session: Read, paging: PageByTime) -> Listed[TeacherItem]:
    """Also those who have left."""
    found = await registry.teachers(session, institution_id, paging.after, paging.more)
    return listed([TeacherItem.model_validate(each) for each in found], [(each.created_at, each.id) for each in found], paging)


@router.post("/teachers/{teacher_id}/serving", summary="Mark a serving school teacher")
async def mark_serving(teacher_id: PathId, body: ServingInput, caller: SupervisionCaller, once: Once) -> TeacherItem:
    """No class can be filed with one."""
    async with once.transaction() as session:
        marked = await teachers.mark_serving(session, caller, teacher_id, body.serving, body.reason)
        return await once.answer(TeacherItem.model_validate(await registry.teacher(session, marked.institution_id, teacher_id)))


@router.post("/teachers/{teacher_id}/abroad", summary="Mark a foreigner who is abroad")
async def mark_abroad(teacher_id: PathId, body: AbroadInput, caller: SupervisionCaller, once: Once) -> TeacherItem:
    """No class of a school subject can be filed or sold with one."""
    async with once.transaction() as session:
        marked = await teachers.mark_abroad(session, caller, teacher_id, body.abroad, body.reason)
        return await once.answer(TeacherItem.model_validate(await registry.teacher(session, marked.institution_id, teacher_id)))
