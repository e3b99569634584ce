"""Pages of the parent end, phone first. Here: the home page; the steps of the story stand in modules of their own."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app import clock
from app.contracts import queries as contracts
from app.contracts.home import NEWS, FamilyHome, home_of
from app.contracts.notices import notices_of
from app.contracts.rescheduling import changes_for_guardian
from app.db import District
from app.portals.edge import Home, ParentCaller, snapshot
from app.portals.pages import render
from app.portals.parent import (
    attending,
    documents,
    enrolling,
    families,
    paying,
    privacy,
    refunding,
    rescheduling,
    signing,
    timetable,
    trials,
    ways,
)
from app.registry import family_queries

router = APIRouter(prefix="/parent", include_in_schema=False)

_CHANGES_SHOWN = 3
_MOST_UNPAID = 20


@router.get("")
async def home_page(request: Request, caller: ParentCaller, home: Home) -> Response:
    """What waits for the parent, what is in escrow, what comes next."""
    family = await home_of(home, caller.guardian_id)
    return render(request, "parent/home.html", family=family, waits=await _what_waits(home, caller.guardian_id, family))


async def _what_waits(home: District, guardian_id: UUID, family: FamilyHome) -> dict[str, Sequence[object]]:
    """What few families have, each looked up only where there is some."""
    found: dict[str, Sequence[object]] = {"waiting": (), "notices": (), "changes": (), "invitations": ()}
    if not (family.due or family.paused or family.changed or family.invited):
        return found
    async with snapshot(home) as session:
        if family.due:
            found["waiting"] = await contracts.contracts_to_pay(session, guardian_id, limit=_MOST_UNPAID)
        if family.paused:
            found["notices"] = await notices_of(session, guardian_id)
        if family.changed:
            changes = await changes_for_guardian(session, guardian_id, limit=_CHANGES_SHOWN)
            found["changes"] = [change for change in changes if change.changed_at > clock.now() - NEWS]
        if family.invited:
            found["invitations"] = await family_queries.invitations_to(session, guardian_id)
    return found


for steps in (signing, enrolling, documents, paying, attending, rescheduling, refunding, families, privacy, trials, timetable, ways):
    router.include_router(steps.router)
