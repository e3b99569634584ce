"""Pages of the settlement end."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, Response

from app import clock
from app.banking import queries as banking
from app.errors import BadInput, DomainError
from app.ledger import queries as ledger
from app.money import yuan
from app.payments import queries as payments
from app.portals.edge import Home, Read, SettlementCaller
from app.portals.fields import PageById, PageByTime, PathId, PathNo, listed
from app.portals.pages import render, see_other
from app.portals.payouts import PayoutState
from app.portals.settlement.api import reconcile_now
from app.reconciliation import queries as reconciliation
from app.settlement import jobs as settlement_jobs
from app.settlement import queries as settlement
from app.settlement.service import LAST_RUN_NO

router = APIRouter(prefix="/settlement", include_in_schema=False)

_FEW = 8
_DAYS = 31


@router.get("")
async def home(request: Request, caller: SettlementCaller, session: Read) -> Response:
    """What is under way, the form of the next run, the last days' reconciliation."""
    today = clock.today()
    waiting = await payments.unmatched_receipts(session, waiting=True)
    suspense_fen = sum(line.balance_fen for line in await ledger.trial_balance(session) if line.type == "suspense")
    return render(
        request,
        "settlement/home.html",
        today=today,
        next_run_no=await settlement.next_run_no(session, today),
        underway=_underway(await banking.underway(session)),
        suspense_fen=suspense_fen,
        waiting=len(waiting),
        payouts=await settlement.payouts_of_district(session, limit=_FEW),
        days=await reconciliation.days(session, limit=_FEW),
    )


@router.post("/runs")
async def run(
    caller: SettlementCaller,
    home: Home,
    business_date: Annotated[str, Form(max_length=40)] = "",
    run_no: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Draft the payouts of a run; the form names its number, so sending it twice is one run."""
    try:
        business_on, number = _typed_run(business_date, run_no)
        drafted = await settlement_jobs.run_district(home, business_on, number, caller.actor)
    except DomainError as refused:
        return see_other("/settlement", refused.message_zh, "danger")
    total_fen = sum(payout.amount_fen for payout in drafted)
    said = f"第 {number} 批结算：{len(drafted)} 笔，共 {yuan(total_fen)}" if drafted else f"第 {number} 批结算：没有可结算的课费"
    return see_other(f"/settlement/payouts?business_date={business_on}&run_no={number}", said)


@router.get("/payouts")
async def payouts(
    request: Request,
    caller: SettlementCaller,
    session: Read,
    paging: PageByTime,
    show: Annotated[PayoutState | Literal["all"], Query()] = "all",
    business_date: Annotated[date | None, Query()] = None,
    run_no: Annotated[int | None, Query(ge=1, le=LAST_RUN_NO)] = None,
) -> Response:
    """Payouts of all institutions, of one state or one run."""
    status = None if show == "all" else show
    found = await settlement.payouts_of_district(session, status, business_date, run_no, paging.after, paging.more)
    page = listed(found, [(each.drafted_at, each.id) for each in found], paging)
    return render(request, "settlement/payouts.html", page=page, show=show, business_date=business_date, run_no=run_no)


@router.get("/payouts/{payout_id}")
async def payout(request: Request, payout_id: PathId, caller: SettlementCaller, session: Read, paging: PageById) -> Response:
    """A payout and the lessons that it pays."""
    found = await settlement.payout(session, payout_id)
    lines = await settlement.lines_of(session, payout_id, paging.after, paging.more)
    return render(request, "settlement/payout.html", payout=found, page=listed(lines, [line.release_id for line in lines], paging))


@router.get("/reconciliation")
async def reconciled(
    request: Request, caller: SettlementCaller, session: Read, paging: PageById, on: Annotated[date | None, Query()] = None
) -> Response:
    """The last days, and the accounts of one of them with every break."""
    value_on = on or await reconciliation.latest_day(session)
    found = await reconciliation.account_days(session, value_on, after=paging.after, limit=paging.more) if value_on else []
    return render(
        request,
        "settlement/reconciliation.html",
        on=value_on,
        today=clock.today(),
        days=await reconciliation.days(session, limit=_DAYS),
        page=listed(found, [each.bank_account_id for each in found], paging),
    )


@router.post("/reconciliation")
async def reconcile(request: Request, caller: SettlementCaller, home: Home, on: Annotated[str, Form(max_length=40)] = "") -> Response:
    """Fetch a day's statements and reconcile it now."""
    try:
        value_on = _typed_date(on)
        await reconcile_now(request, home, value_on)
    except DomainError as refused:
        return see_other("/settlement/reconciliation", refused.message_zh, "danger")
    return see_other(f"/settlement/reconciliation?on={value_on}", f"{value_on} 已对账")


@router.get("/receipts")
async def receipts(
    request: Request,
    caller: SettlementCaller,
    session: Read,
    paging: PageByTime,
    show: Annotated[Literal["waiting", "all"], Query()] = "waiting",
) -> Response:
    """Money that arrived and could not be matched, until it has gone back to its payer."""
    found = await payments.unmatched_receipts(session, waiting=show == "waiting", after=paging.after, limit=paging.more)
    page = listed(found, [(each.decided_at, each.movement_id) for each in found], paging)
    return render(request, "settlement/receipts.html", page=page, show=show)


@router.get("/instructions")
async def instructions(
    request: Request,
    caller: SettlementCaller,
    session: Read,
    paging: PageByTime,
    show: Annotated[PayoutState | Literal["all"], Query()] = "all",
) -> Response:
    """What the banks were told to pay."""
    found = await banking.instructions(session, None if show == "all" else show, after=paging.after, limit=paging.more)
    page = listed(found, [(each.created_at, each.id) for each in found], paging)
    return render(request, "settlement/instructions.html", page=page, show=show)


@router.get("/instructions/{reference}")
async def instruction(request: Request, reference: PathNo, caller: SettlementCaller, session: Read) -> Response:
    """One instruction and the bank's lines under its reference."""
    found, movements = await banking.instruction(session, reference)
    return render(request, "settlement/instruction.html", instruction=found, movements=movements)


def _underway(found: list[banking.Underway]) -> dict[str, tuple[int, int]]:
    """How many and how much (fen): waiting for supervision, held by it, on its way at the bank."""
    stages = {"drafted": "drafted", "held": "held", "cleared": "sent", "submitted": "sent", "unknown": "sent"}
    sums = dict.fromkeys(("drafted", "held", "sent"), (0, 0))
    for each in found:
        count, amount_fen = sums[stages[each.status]]
        sums[stages[each.status]] = (count + each.instructions, amount_fen + each.amount_fen)
    return sums


def _typed_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as cause:
        raise BadInput("request.date", "请填写日期") from cause


def _typed_run(business_date: str, run_no: str) -> tuple[date, int]:
    if not (run_no.isascii() and run_no.isdigit() and len(run_no) < 6):
        raise BadInput("settlement.run_no", f"结算批次号须在 1 至 {LAST_RUN_NO} 之间")
    return _typed_date(business_date), int(run_no)
