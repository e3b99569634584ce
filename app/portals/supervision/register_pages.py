"""机构档案 at the supervision end: the page of an institution's entry, its decisions, and the list of changes that wait."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import District
from app.errors import DomainError
from app.portals.bank_desk import ask_balance, check_change
from app.portals.edge import Home, Read, SupervisionCaller, snapshot
from app.portals.fields import PageByTime, PathId, listed
from app.portals.pages import render, see_other
from app.portals.staff import carry_out, carry_out_or_show, typed_date, typed_whole
from app.portals.supervision.registers import ChangeState
from app.registry import changes, institutions, teachers
from app.registry import institution_queries as registry
from app.registry.changes import ChangeDraft, ChangeKind
from app.registry.institutions import CheckDraft, CheckResult, Status
from app.registry.rules import Licence
from app.supervision.coverage import confirm_coverage, coverage_of

router = APIRouter(prefix="/supervision", include_in_schema=False)

Words = Annotated[str, Form(max_length=2000)]
_FEW = 100


def _page_of(institution_id: object) -> str:
    return f"/supervision/institutions/{institution_id}/entry"


@router.get("/institutions/{institution_id}/entry")
async def entry_page(request: Request, institution_id: PathId, caller: SupervisionCaller, session: Read) -> Response:
    """The entry, and everything that an officer can decide about it."""
    return await _entry_page(request, session, institution_id)


@router.post("/institutions/{institution_id}/status")
async def set_status(
    institution_id: PathId, caller: SupervisionCaller, home: Home, status: Annotated[Status, Form()], reason: Words = ""
) -> Response:
    """Suspend, reopen or close."""

    async def act(session: AsyncSession) -> None:
        await institutions.set_status(session, caller, institution_id, status, reason)

    return await carry_out(home, act, back=_page_of(institution_id), done="机构状态已更新")


@router.post("/institutions/{institution_id}/listing")
async def set_listing(
    institution_id: PathId,
    caller: SupervisionCaller,
    home: Home,
    listing: Annotated[Literal["white", "black", "none"], Form()],
    reason: Words = "",
) -> Response:
    """Put it on a list, or take it off."""

    async def act(session: AsyncSession) -> None:
        await institutions.set_listing(session, caller, institution_id, None if listing == "none" else listing, reason)

    return await carry_out(home, act, back=_page_of(institution_id), done="名单已更新")


@router.post("/institutions/{institution_id}/yearly-checks")
async def record_check(
    request: Request,
    institution_id: PathId,
    caller: SupervisionCaller,
    home: Home,
    result: Annotated[CheckResult, Form()],
    year: Words = "",
    note: Words = "",
) -> Response:
    """Record a year's check."""

    async def act(session: AsyncSession) -> None:
        draft = CheckDraft(typed_whole(year, "year", "年度", 0, 9999), result, note)
        await institutions.record_yearly_check(session, caller, institution_id, draft)

    typed = {"year": year, "result": result, "note": note}
    return await _carry_out(request, home, institution_id, act, "年检结果已登记", typed)


@router.post("/institutions/{institution_id}/licence")
async def renew_licence(
    request: Request,
    institution_id: PathId,
    caller: SupervisionCaller,
    home: Home,
    licence_no: Words = "",
    licence_issuer: Words = "",
    licence_scope: Words = "",
    licence_from_on: Words = "",
    licence_to_on: Words = "",
    reason: Words = "",
) -> Response:
    """Record a renewed licence."""

    async def act(session: AsyncSession) -> None:
        from_on = typed_date(licence_from_on, "licence_from_on", "许可证起始日期")
        to_on = typed_date(licence_to_on, "licence_to_on", "许可证截止日期")
        licence = Licence(licence_no, licence_issuer, licence_scope, from_on, to_on)
        await institutions.renew_licence(session, caller, institution_id, licence, reason)

    typed = {"licence_no": licence_no, "licence_issuer": licence_issuer, "licence_scope": licence_scope}
    typed |= {"licence_from_on": licence_from_on, "licence_to_on": licence_to_on, "licence_reason": reason}
    return await _carry_out(request, home, institution_id, act, "许可证已更新", typed)


@router.post("/institutions/{institution_id}/pause")
async def pause(institution_id: PathId, caller: SupervisionCaller, home: Home, reason: Words = "") -> Response:
    """Pause new sales."""

    async def act(session: AsyncSession) -> None:
        await institutions.pause_sales(session, caller, institution_id, reason)

    return await carry_out(home, act, back=_page_of(institution_id), done="已暂停招生收费，家长可以看到公告")


@router.post("/institutions/{institution_id}/resume")
async def resume(request: Request, institution_id: PathId, caller: SupervisionCaller, home: Home, reason: Words = "") -> Response:
    """Confirm coverage, by the bank's word of now, and let it sell again."""
    await ask_balance(request, home, institution_id)

    async def act(session: AsyncSession) -> None:
        await confirm_coverage(session, caller, institution_id, reason)

    return await carry_out(home, act, back=_page_of(institution_id), done="资金覆盖已确认，恢复招生收费")


@router.post("/institutions/{institution_id}/contact")
async def contact(request: Request, institution_id: PathId, caller: SupervisionCaller, home: Home, reason: Words = "") -> Response:
    """Show whom to call, once, on a page of its own."""
    try:
        async with home.transaction() as session:
            found = await institutions.reveal_contact(session, caller, institution_id, reason)
    except DomainError as refused:
        return see_other(_page_of(institution_id), refused.message_zh, "danger")
    return render(request, "supervision/contact.html", contact=found, back=_page_of(institution_id))


@router.post("/institutions/{institution_id}/changes")
async def record_change(
    request: Request,
    institution_id: PathId,
    caller: SupervisionCaller,
    home: Home,
    kind: Annotated[ChangeKind, Form()],
    new_value: Words = "",
    reason: Words = "",
) -> Response:
    """Record a change that an officer learned of."""

    async def act(session: AsyncSession) -> None:
        await changes.propose(session, caller, institution_id, ChangeDraft(kind, new_value, reason))

    typed = {"kind": kind, "new_value": new_value, "change_reason": reason}
    return await _carry_out(request, home, institution_id, act, "变更已记录，暂停招生收费", typed)


@router.get("/changes")
async def change_list(
    request: Request,
    caller: SupervisionCaller,
    session: Read,
    paging: PageByTime,
    show: Annotated[ChangeState | Literal["all"], Query()] = "proposed",
) -> Response:
    """Changes of all institutions, those that wait first."""
    found = await registry.changes(session, status=None if show == "all" else show, after=paging.after, limit=paging.more)
    page = listed(found, [(each.proposed_at, each.id) for each in found], paging)
    return render(request, "supervision/changes.html", page=page, show=show)


@router.post("/changes/{change_id}/{decision}")
async def decide_change(
    request: Request,
    change_id: PathId,
    decision: Literal["confirm", "refuse"],
    caller: SupervisionCaller,
    home: Home,
    reason: Words = "",
) -> Response:
    """Let a change hold, or leave the entry as it is."""
    async with snapshot(home) as reading:
        back = _page_of((await registry.change(reading, change_id)).institution_id)
    if decision == "confirm":
        try:
            await check_change(request, home, change_id)
        except DomainError as refused:
            return see_other(back, refused.message_zh, "danger")

    async def act(session: AsyncSession) -> None:
        await (changes.confirm if decision == "confirm" else changes.refuse)(session, caller, change_id, reason)

    return await carry_out(home, act, back=back, done="变更已核定" if decision == "confirm" else "变更已退回")


@router.post("/teachers/{teacher_id}/serving")
async def mark_serving(
    teacher_id: PathId,
    caller: SupervisionCaller,
    home: Home,
    institution_id: Annotated[PathId, Form()],
    serving: Annotated[Literal["yes", "no"], Form()],
    reason: Words = "",
) -> Response:
    """Mark a serving school teacher, or take the mark back."""

    async def act(session: AsyncSession) -> None:
        await teachers.mark_serving(session, caller, teacher_id, serving == "yes", reason)

    return await carry_out(home, act, back=_page_of(institution_id), done="教师标记已更新")


@router.post("/teachers/{teacher_id}/abroad")
async def mark_abroad(
    teacher_id: PathId,
    caller: SupervisionCaller,
    home: Home,
    institution_id: Annotated[PathId, Form()],
    abroad: Annotated[Literal["yes", "no"], Form()],
    reason: Words = "",
) -> Response:
    """Mark a foreigner who is abroad, or take the mark back."""

    async def act(session: AsyncSession) -> None:
        await teachers.mark_abroad(session, caller, teacher_id, abroad == "yes", reason)

    return await carry_out(home, act, back=_page_of(institution_id), done="教师标记已更新")


async def _carry_out(
    request: Request,
    home: District,
    institution_id: UUID,
    act: Callable[[AsyncSession], Awaitable[None]],
    done: str,
    typed: Mapping[str, str],
) -> Response:
    """Do it, or show the entry again with what was typed and what is wrong."""

    async def again(session: AsyncSession, refused: DomainError) -> Response:
        return await _entry_page(request, session, institution_id, refused, typed)

    return await carry_out_or_show(home, act, again, back=_page_of(institution_id), done=done)


async def _entry_page(
    request: Request,
    session: AsyncSession,
    institution_id: UUID,
    error: DomainError | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    entry = await registry.entry(session, institution_id)
    coverage = await coverage_of(session, institution_id)
    return render(
        request,
        "supervision/entry.html",
        error.status if error else 200,
        entry=entry,
        money=coverage.money,
        coverage=coverage,
        teachers=await registry.teachers(session, institution_id, limit=_FEW),
        waiting=[each for each in entry.changes if each.status == "proposed"],
        error=error,
        typed=typed or {},
    )
