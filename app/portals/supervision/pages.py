"""Pages of the supervision end; the decisions that their forms ask for stand in `decisions`."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import queries as contracts
from app.errors import NotFound
from app.ledger.check import check_books
from app.lessons import queries as lessons
from app.payments import queries as payments
from app.portals.edge import Home, Read, SupervisionCaller
from app.portals.fields import Moment, PageById, PageByTime, Paging, PathId, listed
from app.portals.pages import render
from app.portals.payouts import PayoutState
from app.portals.staff import Segment, bar
from app.portals.supervision import decisions, facts
from app.portals.supervision.api import listed_books
from app.portals.supervision.live import feed_of
from app.privacy import lookups
from app.refunds import queries as refunds
from app.settlement import queries as settlement
from app.supervision import queries

router = APIRouter(prefix="/supervision", include_in_schema=False)
router.include_router(decisions.router)

_FEW = 6
_LIVE = 12
_BOOKS = 20
_FRESH = timedelta(seconds=5)
"""How long a new row stands out on the dashboard."""


@router.get("")
async def home(request: Request, caller: SupervisionCaller, district: Home, session: Read) -> Response:
    """The district live: totals and coverage, alerts, movements."""
    # Before the snapshot: what happens in between is shown, and told once more.
    heads = await feed_of(request, district).heads()
    return render(
        request,
        "supervision/home.html",
        heads=heads,
        **await _counts(session),
        **await _money(session),
        **await _alerts(session),
        **await _waiting(session),
    )


@router.get("/live/counts")
async def live_counts(request: Request, caller: SupervisionCaller, session: Read) -> Response:
    """How much waits for an officer, of each kind: it changes with either."""
    return render(request, "supervision/live_counts.html", **await _counts(session))


@router.get("/live/money")
async def live_money(request: Request, caller: SupervisionCaller, session: Read) -> Response:
    """The part of the dashboard that every movement changes."""
    return render(request, "supervision/live_money.html", **await _money(session))


@router.get("/live/alerts")
async def live_alerts(request: Request, caller: SupervisionCaller, session: Read) -> Response:
    """The part of the dashboard that every alert changes."""
    return render(request, "supervision/live_alerts.html", **await _alerts(session))


@router.get("/live/waiting")
async def live_waiting(request: Request, caller: SupervisionCaller, session: Read) -> Response:
    """What waits for an officer besides alerts: it changes with either."""
    return render(request, "supervision/live_waiting.html", **await _waiting(session))


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
    source = facts.line_source(found.rule, found.facts)
    return render(request, "supervision/alert.html", alert=found, facts=facts.told(found.facts), line_source=source, payout=payout)


@router.get("/payouts")
async def payouts(
    request: Request,
    caller: SupervisionCaller,
    session: Read,
    paging: PageByTime,
    show: Annotated[PayoutState | Literal["all"], Query()] = "held",
) -> Response:
    """Payouts of all institutions; those that wait for an officer first."""
    found = await settlement.payouts_of_district(session, None if show == "all" else show, after=paging.after, limit=paging.more)
    page = listed(found, [(each.drafted_at, each.id) for each in found], paging)
    return render(request, "supervision/payouts.html", page=page, show=show)


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


@router.get("/disputes")
async def disputes(
    request: Request,
    caller: SupervisionCaller,
    session: Read,
    paging: PageByTime,
    show: Annotated[Literal["opened", "all"], Query()] = "opened",
) -> Response:
    """Disputed lessons, those that wait for a ruling first."""
    found = await lessons.disputes(session, "opened" if show == "opened" else None, after=paging.after, limit=paging.more)
    page = listed(found, [(each.opened_at, each.id) for each in found], paging)
    return render(request, "supervision/disputes.html", page=page, show=show)


@router.get("/disputes/{lesson_id}")
async def dispute(request: Request, lesson_id: PathId, caller: SupervisionCaller, session: Read) -> Response:
    """One dispute, and the ruling that it waits for."""
    return render(request, "supervision/dispute.html", dispute=await lessons.dispute_of(session, lesson_id))


@router.get("/books")
async def books(request: Request, caller: SupervisionCaller, session: Read, paging: PageByTime) -> Response:
    """Trial balance of every book."""
    return await _books_page(request, session, paging)


@router.post("/books/check")
async def check(request: Request, caller: SupervisionCaller, district: Home) -> Response:
    """Hold every invariant against every book, and say which rows break one."""
    async with district.reading() as session:
        findings = await check_books(session)
    async with district.reading() as session:
        return await _books_page(request, session, Paging(None, _BOOKS), findings=findings, checked_at=clock.now())


@router.get("/contracts")
async def contract(request: Request, caller: SupervisionCaller, session: Read, no: Annotated[str, Query(max_length=40)] = "") -> Response:
    """Look a contract up by its number; children's names are not shown here."""
    number = no.strip().upper()
    if not number:
        return render(request, "supervision/contract.html", number="", contract=None, payments=[])
    try:
        found = await contracts.contract_by_no(session, number)
    except NotFound:
        return render(request, "supervision/contract.html", status=404, number=number, contract=None, payments=[])
    paid = await payments.payments_of_contract(session, found.id)
    refunded = await refunds.refunds_of_contract(session, found.id)
    return render(request, "supervision/contract.html", number=number, contract=found, payments=paid, refunds=refunded)


async def _counts(session: AsyncSession) -> dict[str, Any]:
    return {"waiting": await queries.waiting(session), "lookups": await lookups.lookups_within_a_day(session)}


async def _money(session: AsyncSession) -> dict[str, Any]:
    found = await queries.overview(session)
    return {
        "overview": found,
        "bar": _bar(found.money),
        "movements": await queries.movements(session, limit=_LIVE),
        "fresh_from": clock.now() - _FRESH,
    }


async def _alerts(session: AsyncSession) -> dict[str, Any]:
    return {"alerts": await queries.alerts(session, open_only=True, limit=_FEW), "headline": facts.headline}


async def _waiting(session: AsyncSession) -> dict[str, Any]:
    return {
        "held": await queries.held_payouts(session, limit=_FEW),
        "disputes": await queries.open_disputes(session, limit=_FEW),
    }


def _bar(money: queries.Money) -> list[Segment]:
    return bar(
        [
            ("监管余额", money.escrow_fen, "blue"),
            ("应付机构", money.payable_fen, "green"),
            ("付款中", money.outgoing_fen, "yellow"),
            ("挂账", money.suspense_fen, "grey"),
        ]
    )


async def _books_page(request: Request, session: AsyncSession, paging: Paging[Moment], **context: Any) -> Response:
    page = await listed_books(session, paging)
    return render(request, "supervision/books.html", page=page, **({"findings": None, "checked_at": None} | context))
