"""Paying for a contract: a code to scan, the way to the bank, and what became of the money."""

from fastapi import APIRouter, Request, Response

from app import clock
from app.contracts import queries as contract_views
from app.db import District
from app.errors import Conflict, Refused
from app.payments import codes, giving_up
from app.payments import queries as payment_views
from app.payments import service as payments
from app.payments.queries import PaymentView
from app.portals.cashier import reach_bank
from app.portals.edge import Home, ParentCaller, Read, snapshot
from app.portals.fields import PageByTime, PathId, PathNo, listed
from app.portals.pages import render, see_other
from app.security import Parent

router = APIRouter(include_in_schema=False)


@router.post("/contracts/{contract_id}/payments")
async def start(contract_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Open a payment; an open one is shown again, however often the button is pressed."""
    try:
        async with home.transaction() as session:
            payment = await payments.start(session, caller, contract_id)
    except (Conflict, Refused) as refused:
        sources = dict.fromkeys(finding["source"] for finding in refused.facts.get("findings", ()))
        said = refused.message_zh
        if sources:
            said += f"（依据：{'；'.join(sources)}；规则版本 {refused.facts['judged_by']}）"
        return see_other(f"/parent/contracts/{contract_id}", said, "danger")
    return see_other(f"/parent/payments/{payment.payment_no}")


@router.post("/contracts/{contract_id}/decline")
async def decline(request: Request, contract_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Pay no more; pressed twice, there is nothing left to decline."""
    try:
        await giving_up.decline(home, request.app.state.banks, caller, contract_id)
    except Conflict as refused:
        return see_other(f"/parent/contracts/{contract_id}", refused.message_zh, "danger")
    async with snapshot(home) as session:
        contract = await contract_views.contract_of_guardian(session, caller.guardian_id, contract_id)
    said = "以后的课不再上，已上未付的课仍需付款" if contract.way == "later" else "以后各期已取消，已付款的课照常上"
    return see_other(f"/parent/contracts/{contract_id}", "名额已放弃" if contract.status == "lapsed" else said)


@router.get("/payments")
async def own_payments(request: Request, caller: ParentCaller, session: Read, paging: PageByTime) -> Response:
    """The parent's payments."""
    rows = await payment_views.payments_of_guardian(session, caller.guardian_id, paging.after, paging.more)
    page = listed(rows, [(row.created_at, row.id) for row in rows], paging)
    return render(request, "parent/payments.html", page=page, is_first=paging.after is None)


@router.get("/payments/{payment_no}")
async def own_payment(request: Request, payment_no: PathNo, caller: ParentCaller, home: Home, waiting: str = "") -> Response:
    """A payment: its code while it is open, afterwards what became of it.

    Opening the page asks the bank; the page that refreshes itself (`waiting`) only looks at what we know, or tries a bank
    that has not taken the order yet.
    """
    payment = await _payment(home, caller, payment_no)
    is_open = payment.status == "created" and (payment.order_status == "opened" or payment.expires_at > clock.now())
    if is_open and not (waiting and payment.order_status == "opened"):
        await reach_bank(request, home, payment_no)
        payment = await _payment(home, caller, payment_no)
    async with snapshot(home) as session:
        contract = await contract_views.contract_of_guardian(session, caller.guardian_id, payment.contract_id)
        receipts = await payment_views.receipts_of_payment(session, payment.id)
    return render(
        request,
        "parent/payment.html",
        payment=payment,
        contract=contract,
        receipts=receipts,
        ended=codes.why_ended(payment.status, payment.expires_at, payment.charge_status),
        minutes_left=max((payment.expires_at - clock.now()).seconds // 60, 1) if payment.expires_at > clock.now() else 0,
    )


async def _payment(home: District, caller: Parent, payment_no: str) -> PaymentView:
    async with snapshot(home) as session:
        return await payment_views.payment_of_guardian(session, caller.guardian_id, payment_no)
