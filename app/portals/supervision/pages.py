"""Pages of the supervision end; the decisions that their forms ask for stand in `decisions`."""

from collections import defaultdict
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import queries as contracts
from app.errors import NotFound
from app.ledger import queries as ledger
from app.ledger.check import check_books
from app.lessons import queries as lessons
from app.payments import queries as payments
from app.portals.edge import Home, Read, SupervisionCaller
from app.portals.fields import Moment, PageById, PageByTime, Paging, PathId, listed
from app.portals.pages import render
from app.portals.staff import bar
from app.portals.supervision import facts
from app.portals.supervision.live import feed_of
from app.portals.supervision.views import BookItem
from app.registry import queries as registry
from app.settlement import queries as settlement
from app.supervision import queries

router = APIRouter(prefix="/supervision", include_in_schema=False)

_FEW = 6
_LIVE = 12
_MOST_FINDINGS = 100


@router.get("")
async def home(request: Request, caller: SupervisionCaller, district: Home, session: Read) -> Response:
    """The district live: totals and coverage, alerts, movements."""
    # Before the snapshot: what happens in between is shown, and told once more.
    heads = await feed_of(request, district).heads()
    return render(request, "supervision/home.html", heads=heads, **await _money(session), **await _alerts(session))


@router.get("/live/money")
async def live_money(request: Request, caller: SupervisionCaller, session: Read) -> Response:
    """The part of the dashboard that every movement changes."""
    return render(request, "supervision/live_money.html", **await _money(session))


@router.get("/live/alerts")
async def live_alerts(request: Request, caller: SupervisionCaller, session: Read) -> Response:
    """The part of the dashboard that every alert changes."""
    return render(request, "supervision/live_alerts.html", **await _alerts(session))


@router.get("/institutions")
async def institutions(request: Request, caller: SupervisionCaller, session: Read, paging: PageByTime) -> Response:
    """All institutions with their money."""
    found = await queries.institutions(session, paging.after, paging.more)
    page = listed(found, [(each.created_at, each.id) for each in found], paging)
    return render(request, "supervision/institutions.html", page=page)


@router.get("/institutions/{institution_id}")
async def institution(request: Request, institution_id: PathId, caller: SupervisionCaller, session: Read) -> Response:
    """One institution: its money, its alarm lines, what happened lately."""
    found, lines = await queries.institution(session, institution_id)
    return render(
        request,
        "supervision/institution.html",
        institution=found,
        lines=lines,
        bar=_bar(found.money),
        alerts=await queries.alerts(session, institution_id=institution_id, limit=_FEW),
        payouts=await settlement.payouts_of_institution(session, institution_id, limit=_FEW),
        movements=await queries.movements_of(session, institution_id, limit=_LIVE),
        headline=facts.headline,
    )


@router.get("/alerts")
async def alerts(
    request: Request, caller: SupervisionCaller, session: Read, paging: PageById, show: Annotated[Literal["open", "all"], Query()] = "open"
) -> Response:
    """Alerts, those not resolved first."""
    found = await queries.alerts(session, open_only=show == "open", before=paging.after, limit=paging.more)
    page = listed(found, [each.id for each in found], paging)
    return render(request, "supervision/alerts.html", page=page, show=show, headline=facts.headline)


@router.get("/alerts/{alert_id}")
async def alert(request: Request, alert_id: PathId, caller: SupervisionCaller, session: Read) -> Response:
    """One alert with its facts, and what an officer can do about it."""
    found = await queries.alert(session, alert_id)
    reference = found.facts.get("reference")
    payout = await settlement.payout_by_no(session, reference) if reference else None
    return render(request, "supervision/alert.html", alert=found, facts=facts.told(found.facts), payout=payout)


@router.get("/payouts")
async def payouts(
    request: Request, caller: SupervisionCaller, session: Read, show: Annotated[Literal["held", "all"], Query()] = "held", cursor: str = ""
) -> Response:
    """Held payouts with the rule that held them, oldest first; or all of them, newest first."""
    return await (_held_payouts if show == "held" else _all_payouts)(request, session, cursor)


@router.get("/payouts/{payout_id}")
async def payout(request: Request, payout_id: PathId, caller: SupervisionCaller, session: Read, paging: PageById) -> Response:
    """A payout: its lessons, what was decided about it, and the decision that it waits for."""
    found = await settlement.payout(session, payout_id)
    lines = await settlement.lines_of(session, payout_id, paging.after, paging.more)
    return render(
        request,
        "supervision/payout.html",
        payout=found,
        page=listed(lines, [line.release_id for line in lines], paging),
        clearances=await queries.clearances(session, found.payout_no),
    )
