"""Pages of the parent end, phone first. Here: the home page; the steps of the story stand in modules of their own."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from app import clock
from app.contracts import queries as contracts
from app.contracts.models import TO_COME
from app.contracts.notices import notices_of
from app.contracts.rescheduling import changes_for_guardian
from app.portals.edge import ParentCaller, Read
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

_SHOWN_AT_HOME = 3
_MOST_UNPAID = 20
_NEWS = timedelta(days=14)
"""How long a changed class session stands on the home page."""


@router.get("")
async def home_page(request: Request, caller: ParentCaller, session: Read) -> Response:
    """What waits for the parent, what is in escrow, what comes next."""
    changes = await changes_for_guardian(session, caller.guardian_id, limit=_SHOWN_AT_HOME)
    return render(
        request,
        "parent/home.html",
        holdings=await contracts.holdings_of_guardian(session, caller.guardian_id),
        waiting=await contracts.contracts_to_pay(session, caller.guardian_id, limit=_MOST_UNPAID),
        children=await family_queries.students(session, caller.guardian_id),
        invitations=await family_queries.invitations_to(session, caller.guardian_id),
        upcoming=await contracts.lessons_of_guardian(session, caller.guardian_id, TO_COME, limit=_SHOWN_AT_HOME),
        notices=await notices_of(session, caller.guardian_id),
        changes=[change for change in changes if change.changed_at > clock.now() - _NEWS],
    )


for steps in (enrolling, signing, documents, paying, attending, rescheduling, refunding, families, privacy, trials, timetable, ways):
    router.include_router(steps.router)
