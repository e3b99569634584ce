"""Pages of the institution end."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound
from app.ledger import codes
from app.ledger import queries as ledger
from app.lessons import queries as lesson_queries
from app.lessons import service as lessons
from app.portals.edge import Home, InstitutionCaller, Read
from app.portals.fields import PageById, PageByNumber, PageByTime, PathId, PathNo, listed
from app.portals.institution import classes
from app.portals.pages import render
from app.portals.staff import bar, carry_out
from app.refunds import queries as refunds
from app.registry import queries as registry
from app.settlement import queries as settlement

router = APIRouter(prefix="/institution", include_in_schema=False)

Shown = Literal["due", "coming", "cancelled", "delivered"]
_FEW = 5


@router.get("")
async def home(request: Request, caller: InstitutionCaller, session: Read) -> Response:
    """Where the money is, and what waits to be done."""
    own = caller.institution_id
    balance = await settlement.balance(session, own)
    shares = [
        ("监管余额", balance.escrow_fen, "blue"),
        ("应付款", balance.payable_fen, "green"),
        ("付款中", balance.outgoing_fen, "yellow"),
    ]
    return render(
        request,
        "institution/home.html",
        institution=await registry.institution(session, own),
        balance=balance,
        bar=bar(shares),
        due=await registry.class_sessions(session, own, status="scheduled", ended=True, limit=_FEW),
        coming=await registry.class_sessions(session, own, status="scheduled", ended=False, limit=_FEW),
        payouts=await settlement.payouts_of_institution(session, own, limit=_FEW),
        disputes=await lesson_queries.disputes(session, "opened", own, limit=_FEW),
    )


@router.get("/class-sessions")
async def class_sessions(
    request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime, show: Annotated[Shown, Query()] = "due"
) -> Response:
    """Those whose attendance is due, those to come, those that wait for their replacement, those delivered."""
    planned = show in ("due", "coming")
    found = await registry.class_sessions(
        session,
        caller.institution_id,
        status="scheduled" if planned else show,
        after=paging.after,
        limit=paging.more,
        ended=show == "due" if planned else None,
        newest_first=show == "delivered",
    )
    page = listed(found, [(each.starts_at, each.id) for each in found], paging)
    return render(request, "institution/class_sessions.html", page=page, show=show)


@router.post("/class-sessions/{class_session_id}/delivery")
async def deliver(
    class_session_id: PathId, caller: InstitutionCaller, home: Home, attended: Annotated[list[UUID] | None, Form()] = None
) -> Response:
    """Mark it delivered, with who came."""

    async def act(session: AsyncSession) -> None:
        await lessons.deliver(session, caller, class_session_id, attended or [])

    return await carry_out(home, act, back=f"/institution/class-sessions/{class_session_id}", done="已登记上课，等待家长确认或付款")


@router.get("/payouts")
async def payouts(request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """All payouts."""
    found = await settlement.payouts_of_institution(session, caller.institution_id, paging.after, paging.more)
    page = listed(found, [(each.drafted_at, each.id) for each in found], paging)
    return render(request, "institution/payouts.html", page=page)


@router.get("/payouts/{payout_id}")
async def payout(request: Request, payout_id: PathId, caller: InstitutionCaller, session: Read, paging: PageById) -> Response:
    """A payout and the lessons that it pays."""
    found = await settlement.payout(session, payout_id, caller.institution_id)
    lines = await settlement.lines_of(session, payout_id, paging.after, paging.more)
    return render(request, "institution/payout.html", payout=found, page=listed(lines, [line.release_id for line in lines], paging))


@router.get("/refunds")
async def refund_list(request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """Refunds out of the institution's escrow."""
    found = await refunds.refunds_of_institution(session, caller.institution_id, paging.after, paging.more)
    page = listed(found, [(each.approved_at, each.id) for each in found], paging)
    return render(request, "institution/refunds.html", page=page)


@router.get("/refunds/{refund_no}")
async def refund(request: Request, refund_no: PathNo, caller: InstitutionCaller, session: Read) -> Response:
    """A refund and the lessons that it gives back."""
    return render(request, "institution/refund.html", refund=await refunds.refund_of_institution(session, caller.institution_id, refund_no))


@router.get("/statement")
async def statement(request: Request, caller: InstitutionCaller, session: Read, paging: PageByNumber) -> Response:
    """What the institution is owed, line by line with its running balance."""
    try:
        lines = await ledger.statement_back(session, caller.institution_id, codes.PAYABLE, paging.after, paging.more)
    except NotFound:
        # The ledger account opens with its first line.
        lines = []
    return render(
        request,
        "institution/statement.html",
        balance=await settlement.balance(session, caller.institution_id),
        page=listed(lines, [line.version for line in lines], paging),
    )


router.include_router(classes.router)
