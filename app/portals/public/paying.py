"""The page that a payment code opens, for whoever scans it: payee, class, child and amount out of the database, and the way to the bank."""

from fastapi import APIRouter, Request, Response

from app import clock
from app.db import District
from app.errors import BadInput, NotFound
from app.payments import codes
from app.payments import queries as payments
from app.payments.codes import PaymentCode
from app.payments.queries import PaymentView, ReceiptView
from app.portals.cashier import reach_bank
from app.portals.edge import district_called, snapshot
from app.portals.pages import render

router = APIRouter(include_in_schema=False)


@router.get("/pay/{code}")
async def pay(request: Request, code: str) -> Response:
    """The way to the bank's cashier, and back from it: coming back, the payer sees at once that the money is in escrow."""
    try:
        said = codes.read_code(code)
        home = await district_called(request, said.district)
        payment, receipts = await _found(home, said)
    except (BadInput, NotFound):
        return render(request, "public/pay_invalid.html", status=400)
    was_open = payment.status == "created"
    if was_open and (payment.order_status == "opened" or payment.expires_at > clock.now()):
        await reach_bank(request, home, payment.payment_no)
        payment, receipts = await _found(home, said)
    ended = codes.why_ended(payment.status, payment.expires_at, payment.charge_status)
    if ended is None:
        return render(request, "public/pay.html", payment=payment, receipts=receipts)
    status = 200 if was_open and payment.status == "paid" else ended.status
    return render(request, "public/pay_ended.html", status, payment=payment, receipts=receipts, ended=ended)


async def _found(home: District, said: PaymentCode) -> tuple[PaymentView, list[ReceiptView]]:
    async with snapshot(home) as session:
        payment = await payments.payment_by_code(session, said)
        return payment, await payments.receipts_of_payment(session, payment.id)
