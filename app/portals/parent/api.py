"""JSON of the parent end: contracts, payments, lessons, refunds. Every row is the caller's own, or 404."""

from typing import Annotated, cast

from fastapi import APIRouter, Query, Request, Response

from app.contracts import queries as contract_views
from app.contracts import service as contracts
from app.lessons import service as lessons
from app.lessons.confirming import Confirmers, Wish
from app.lessons.rules import how_many
from app.lessons.service import Consent
from app.payments import giving_up
from app.payments import queries as payment_views
from app.payments import service as payments
from app.portals.cashier import reach_bank
from app.portals.edge import Home, Once, ParentCaller, Read, Replayed, Write, snapshot
from app.portals.fields import Listed, PageByTime, PathId, PathNo, listed
from app.portals.parent.answers import (
    CheckoutAnswer,
    ConfirmationInput,
    Confirmations,
    ContractAnswer,
    ContractInput,
    DisputeAnswer,
    DisputeInput,
    LessonItem,
    LessonStatus,
    PayeeInput,
    PaymentAnswer,
    PaymentDetail,
    PaymentItem,
    RefundAnswer,
    RefundInput,
    RequestedRefund,
)
from app.portals.parent.counter import checkout_of
from app.refunds import queries as refund_views
from app.refunds import service as refunds

router = APIRouter(prefix="/api/v1/parent", tags=["parent"])


@router.post("/contracts", status_code=201, summary="Sign for a class")
async def sign(body: ContractInput, caller: ParentCaller, session: Write) -> ContractAnswer:
    """Buys every class session that has not started, or what the terms say, and holds a seat for half an hour until it is paid.

    A sale that the law forbids is refused with `findings`, the rule pack they are `judged_by` and the nearest legal `plan`, or null: its
    `terms` can be sent here as they are. Where they lower a price or begin on a later day, nothing but that plan is sold so; a seat is
    then held until that day is over.
    """
    terms = body.terms.terms() if body.terms else None
    signed = await contracts.sign(session, caller, body.class_id, body.student_id, terms, bytes.fromhex(body.document))
    return ContractAnswer.of(await contract_views.contract_of_guardian(session, caller.guardian_id, signed.id))


@router.get("/classes/{class_id}/checkout", summary="Before signing")
async def checkout(request: Request, class_id: PathId, caller: ParentCaller, home: Home) -> CheckoutAnswer:
    """What joining a class now would buy, what of it has to be read, and the caller's children."""
    return CheckoutAnswer.of(await checkout_of(request, caller, home, class_id))


@router.get("/contracts", summary="The caller's contracts")
async def own_contracts(caller: ParentCaller, session: Read, paging: PageByTime) -> Listed[ContractAnswer]:
    """Newest first, with their lessons."""
    views = await contract_views.contracts_of_guardian(session, caller.guardian_id, paging.after, paging.more)
    return listed([ContractAnswer.of(view) for view in views], [(view.created_at, view.id) for view in views], paging)


@router.get("/contracts/{contract_id}", summary="One contract")
async def own_contract(contract_id: PathId, caller: ParentCaller, session: Read) -> ContractAnswer:
    """With its lessons and what they still hold in escrow."""
    return ContractAnswer.of(await contract_views.contract_of_guardian(session, caller.guardian_id, contract_id))


@router.post("/contracts/{contract_id}/payments", status_code=201, summary="Open a payment")
async def pay(request: Request, contract_id: PathId, caller: ParentCaller, home: Home, once: Once) -> PaymentAnswer:
    """Of the contract's charge that is due, for 15 minutes; one that is open is answered again.

    The bank is told after the answer is safe: a bank that is down delays `cashier_url`, never this answer.
    """
    async with once.transaction() as session:
        payment = await payments.start(session, caller, contract_id)
        answer = await once.answer(PaymentAnswer.of(payment))
    await reach_bank(request, home, answer.payment_no)
    return answer


@router.post("/contracts/{contract_id}/decline", summary="Pay no more")
async def decline(request: Request, contract_id: PathId, caller: ParentCaller, home: Home) -> ContractAnswer:
    """The charges that are still planned lapse with their lessons; what is paid is taught, and can be refunded.

    A seat that is held unpaid is free again, once an open payment of it is closed at the bank.
    """
    await giving_up.decline(home, request.app.state.banks, caller, contract_id)
    async with snapshot(home) as session:
        return ContractAnswer.of(await contract_views.contract_of_guardian(session, caller.guardian_id, contract_id))


@router.get("/payments", summary="The caller's payments")
async def own_payments(caller: ParentCaller, session: Read, paging: PageByTime) -> Listed[PaymentItem]:
    """Newest first."""
    views = await payment_views.payments_of_guardian(session, caller.guardian_id, paging.after, paging.more)
    return listed([PaymentItem.of_view(view) for view in views], [(view.created_at, view.id) for view in views], paging)


@router.get("/payments/{payment_no}", summary="One payment")
async def own_payment(payment_no: PathNo, caller: ParentCaller, session: Read) -> PaymentDetail:
    """With its cashier page once the bank has it, and money that came too late, twice, or in another amount."""
    view = await payment_views.payment_of_guardian(session, caller.guardian_id, payment_no)
    return PaymentDetail.of_money(view, await payment_views.receipts_of_payment(session, view.id))


@router.get("/lessons", summary="The caller's children's lessons")
async def own_lessons(
    caller: ParentCaller,
    session: Read,
    paging: PageByTime,
    status: Annotated[LessonStatus | None, Query(description="In this state only; `delivered` ones wait for a confirmation")] = None,
) -> Listed[LessonItem]:
    """In the order in which they take place."""
    views = await contract_views.lessons_of_guardian(session, caller.guardian_id, [status] if status else [], paging.after, paging.more)
    return listed([LessonItem.model_validate(view) for view in views], [(view.starts_at, view.id) for view in views], paging)


@router.post("/confirmations", summary="Confirm lessons", response_model=Confirmations)
async def confirm(request: Request, body: ConfirmationInput, caller: ParentCaller, once: Once) -> Response:
    """Consent that delivered lessons took place: their fees leave escrow for the institution.

    Whoever confirms at the same time shares a commit; each has a key, an authority and an answer of their own.
    """
    confirmers = cast(Confirmers, request.app.state.confirmers)
    result = await confirmers.of(once.district).confirm(Wish(Consent(caller, how_many(body.lesson_ids)), once.attempt))
    if result.replayed:
        raise Replayed(result.answer)
    return Response(result.answer.body, media_type="application/json")


@router.post("/lessons/{lesson_id}/dispute", summary="Dispute a lesson")
async def dispute(lesson_id: PathId, body: DisputeInput, caller: ParentCaller, session: Write) -> DisputeAnswer:
    """Only this lesson stops, its fee in escrow, until supervision rules on it."""
    opened = await lessons.dispute(session, caller, lesson_id, body.reason)
    status = cast(LessonStatus, (await contract_views.lesson_of_guardian(session, caller.guardian_id, lesson_id)).status)
    return DisputeAnswer(lesson_id=opened.lesson_id, status=status, dispute_id=opened.id, opened_at=opened.opened_at)


@router.post("/refunds", status_code=201, summary="Ask for the rest back")
async def ask_for_refund(body: RefundInput, caller: ParentCaller, once: Once) -> RequestedRefund:
    """Every untaught lesson of a contract at its allocated price, approved by rule at once, to the account that paid, or to the payee.

    A contract paid in several charges gives one refund for each payment: the first is answered, with the numbers of the others.
    """
    async with once.transaction() as session:
        first, *others = await refunds.request(session, caller, body.contract_id, body.reason, body.payee.draft() if body.payee else None)
        view = await refund_views.refund_of_guardian(session, caller.guardian_id, first.refund_no)
        return await once.answer(RequestedRefund.of_request(view, [other.refund_no for other in others]))


@router.get("/refunds", summary="The caller's refunds")
async def own_refunds(caller: ParentCaller, session: Read, paging: PageByTime) -> Listed[RefundAnswer]:
    """Newest first, also those that a ruling gave."""
    views = await refund_views.refunds_of_guardian(session, caller.guardian_id, paging.after, paging.more)
    return listed([RefundAnswer.model_validate(view) for view in views], [(view.approved_at, view.id) for view in views], paging)


@router.get("/refunds/{refund_no}", summary="One refund")
async def own_refund(refund_no: PathNo, caller: ParentCaller, session: Read) -> RefundAnswer:
    """With the lessons it gives back, and the rule that approved it."""
    return RefundAnswer.model_validate(await refund_views.refund_of_guardian(session, caller.guardian_id, refund_no))


@router.put("/refunds/{refund_no}/payee", summary="Say where a waiting refund is to be paid")
async def name_payee(refund_no: PathNo, body: PayeeInput, caller: ParentCaller, session: Write) -> RefundAnswer:
    """Of an old contract, while the refund waits for the institution's funds."""
    await refunds.name_payee(session, caller, refund_no, body.draft())
    return RefundAnswer.model_validate(await refund_views.refund_of_guardian(session, caller.guardian_id, refund_no))
