"""机构档案 at the institution end: its entry, the changes it asks for, its campuses and its contact, in JSON and as pages."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import District
from app.errors import BadInput, Conflict, DomainError, Refused
from app.portals.edge import Home, InstitutionCaller, Once, Read, Write
from app.portals.entries import CampusFields, CampusItem, ChangeInput, ChangeItem, ContactFields, EntryView
from app.portals.fields import NOBODY, CalendarDate, Listed, PageByTime, PathId, Text, listed
from app.portals.pages import render, see_other
from app.portals.staff import carry_out, carry_out_or_show, typed_date
from app.registry import changes, institutions
from app.registry import institution_queries as registry
from app.registry.changes import ChangeDraft, ChangeKind
from app.registry.rules import CampusDraft, Contact
from app.security import InstitutionStaff

api = APIRouter(prefix="/api/v1/institution/profile", tags=["institution"])
pages = APIRouter(prefix="/institution/profile", include_in_schema=False)

Typed = Annotated[str, Form(max_length=1000)]
_PAGE = "/institution/profile"


class LeaseInput(BaseModel):
    """The last day of a campus's lease; null for rooms of its own. A later end than before, or none any more, needs a reason."""

    ends_on: CalendarDate | None
    reason: Text | None = None


class LeaseItem(CampusItem):
    """A campus as it stands now."""

    change_id: UUID | None = Field(description="The change that waits for an officer, until when the lease stays as it is; null: it holds")


@api.get("", summary="The institution's own entry")
async def profile(caller: InstitutionCaller, session: Read) -> EntryView:
    """Contact and account numbers are masked."""
    return EntryView.of(await registry.entry(session, caller.institution_id))


@api.get("/changes", summary="Changes that were proposed, newest first")
async def own_changes(caller: InstitutionCaller, session: Read, paging: PageByTime) -> Listed[ChangeItem]:
    """With what was decided about them."""
    found = await registry.changes(session, institution_id=caller.institution_id, after=paging.after, limit=paging.more)
    return listed([ChangeItem.model_validate(each) for each in found], [(each.proposed_at, each.id) for each in found], paging)


@api.post("/changes", status_code=201, summary="Ask for a change of the entry")
async def propose(body: ChangeInput, caller: InstitutionCaller, once: Once) -> ChangeItem:
    """New sales pause at once, until an officer has decided and confirmed that the parents' money is covered."""
    async with once.transaction() as session:
        draft = ChangeDraft(body.kind, body.new_value, body.reason, body.campus_id)
        proposed = await changes.propose(session, caller, caller.institution_id, draft)
        waiting = await registry.changes(session, institution_id=caller.institution_id, status="proposed")
        return await once.answer(ChangeItem.model_validate(next(each for each in waiting if each.id == proposed.id)))


@api.put("/contact", status_code=204, summary="Name whom officers call")
async def set_contact(body: ContactFields, caller: InstitutionCaller, session: Write) -> None:
    """Kept sealed; officers see it in clear only for a reason that is kept."""
    await institutions.set_contact(session, caller, body.draft())


@api.post("/campuses", status_code=201, summary="Enter a campus")
async def add_campus(body: CampusFields, caller: InstitutionCaller, session: Write) -> CampusItem:
    """New sales pause at once, until an officer has confirmed the address and that the parents' money is covered."""
    return CampusItem.model_validate(await changes.add_campus(session, caller, body.draft()))


@api.put("/campuses/{campus_id}/lease", summary="Say how long a campus is leased")
async def set_lease(campus_id: PathId, body: LeaseInput, caller: InstitutionCaller, session: Write) -> LeaseItem:
    """What ends sooner holds at once. A later end, or none, is a change that an officer confirms; it pauses no sales."""
    waiting = await changes.change_lease(session, caller, campus_id, body.ends_on, body.reason or "")
    campus = CampusItem.model_validate(await institutions.own_campus(session, caller.institution_id, campus_id))
    return LeaseItem(**campus.model_dump(), change_id=waiting and waiting.id)


@api.delete("/campuses/{campus_id}", status_code=204, summary="Close a campus")
async def close_campus(campus_id: PathId, caller: InstitutionCaller, session: Write) -> None:
    """No class can be filed there any more."""
    await institutions.close_campus(session, caller, campus_id)


@pages.get("")
async def profile_page(request: Request, caller: InstitutionCaller, session: Read) -> Response:
    """The entry, and the forms that ask for changes."""
    return await _page(request, session, caller)


@pages.post("/changes")
async def ask_for_change(
    request: Request,
    caller: InstitutionCaller,
    home: Home,
    kind: Annotated[ChangeKind, Form()],
    new_value: Typed = "",
    reason: Typed = "",
    campus_id: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Ask for a change."""

    async def act(session: AsyncSession) -> None:
        campus = _chosen(campus_id) if kind == "campus_address" else None
        await changes.propose(session, caller, caller.institution_id, ChangeDraft(kind, new_value, reason, campus))

    typed = {"kind": kind, "new_value": new_value, "reason": reason, "campus_id": campus_id}
    return await _carry_out(request, caller, home, act, "变更已提交，核定前暂停招生收费", typed)


@pages.post("/contact")
async def change_contact(
    request: Request, caller: InstitutionCaller, home: Home, contact_name: Typed = "", contact_phone: Typed = ""
) -> Response:
    """Name another contact."""

    async def act(session: AsyncSession) -> None:
        await institutions.set_contact(session, caller, Contact(contact_name, contact_phone))

    return await _carry_out(request, caller, home, act, "联系人已更新", {"contact_name": contact_name, "contact_phone": contact_phone})


@pages.post("/campuses")
async def enter_campus(
    request: Request,
    caller: InstitutionCaller,
    home: Home,
    campus_name: Typed = "",
    campus_address: Typed = "",
    lease_ends_on: Typed = "",
) -> Response:
    """Enter a campus."""

    async def act(session: AsyncSession) -> None:
        lease = typed_date(lease_ends_on, "lease_ends_on", "租赁到期日") if lease_ends_on.strip() else None
        await changes.add_campus(session, caller, CampusDraft(campus_name, campus_address, lease))

    typed = {"campus_name": campus_name, "campus_address": campus_address, "lease_ends_on": lease_ends_on}
    return await _carry_out(request, caller, home, act, "校区已登记，核定前暂停招生收费", typed)


@pages.post("/campuses/{campus_id}/lease")
async def change_lease(campus_id: PathId, caller: InstitutionCaller, home: Home, lease_ends_on: Typed = "", reason: Typed = "") -> Response:
    """Say how long it is leased; an empty field: rooms of its own."""
    try:
        ends_on = typed_date(lease_ends_on, "lease_ends_on", "租赁到期日") if lease_ends_on.strip() else None
        async with home.transaction() as session:
            waiting = await changes.change_lease(session, caller, campus_id, ends_on, reason)
    except (BadInput, Conflict, Refused) as refused:
        return see_other(_PAGE, refused.message_zh, "danger")
    return see_other(_PAGE, "延长租期已提交，监管部门核定前仍按原到期日" if waiting else "租赁期限已更新")


@pages.post("/campuses/{campus_id}/closing")
async def shut_campus(campus_id: PathId, caller: InstitutionCaller, home: Home) -> Response:
    """Close it."""

    async def act(session: AsyncSession) -> None:
        await institutions.close_campus(session, caller, campus_id)

    return await carry_out(home, act, back=_PAGE, done="校区已关闭")


async def _carry_out(
    request: Request,
    caller: InstitutionStaff,
    home: District,
    act: Callable[[AsyncSession], Awaitable[None]],
    done: str,
    typed: Mapping[str, str],
) -> Response:
    """Do it, or show the page again with what was typed and what is wrong."""

    async def again(session: AsyncSession, refused: DomainError) -> Response:
        return await _page(request, session, caller, refused, typed)

    return await carry_out_or_show(home, act, again, back=_PAGE, done=done)


async def _page(
    request: Request,
    session: AsyncSession,
    caller: InstitutionStaff,
    error: DomainError | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    entry = await registry.entry(session, caller.institution_id)
    choices = [("", "不是校区地址"), *((campus.id, campus.name) for campus in entry.campuses)]
    status = error.status if error else 200
    return render(request, "institution/profile.html", status, entry=entry, campuses=choices, error=error, typed=typed or {})


def _chosen(campus_id: str) -> UUID | None:
    """The campus that a form names; None while none is chosen."""
    if not campus_id:
        return None
    try:
        return UUID(campus_id)
    except ValueError:
        return NOBODY
