"""缺口与补足: money that waits for a ruling while a book is short, and refunds that wait for money or an officer. JSON and pages."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.payments import queries as payments
from app.payments import ruling as rulings
from app.payments.ruling import ReceiptRuling
from app.portals.edge import Home, Once, Read, SupervisionCaller
from app.portals.fields import Listed, PageByTime, PathId, PathNo, Text, listed
from app.portals.pages import render
from app.portals.staff import carry_out
from app.portals.supervision.views import ReasonInput
from app.refunds import queries as refunds
from app.supervision import service
from app.supervision.shortfalls import shortfalls

api = APIRouter(prefix="/api/v1/supervision", tags=["supervision"])
pages = APIRouter(prefix="/supervision/receipts", include_in_schema=False)


class ReceiptItem(BaseModel):
    """Money that came from an unknown payer; after a ruling `made_good_fen` of it have made the book's shortfall good."""

    model_config = ConfigDict(from_attributes=True)

    movement_id: UUID
    institution_id: UUID
    institution_name: str
    amount_fen: int
    occurred_at: datetime
    awaits_ruling: bool
    ruling: str | None = Field(description="made_good or return")
    ruling_reason: str | None
    made_good_fen: int
    returned_at: datetime | None


class ReceiptRulingInput(BaseModel):
    """What becomes of it, and why: it makes the shortfall good as far as that goes, or goes back to its payer."""

    model_config = ConfigDict(extra="forbid")

    ruling: ReceiptRuling
    reason: Text


class WaitingRefundItem(BaseModel):
    """A refund to an account that a guardian named, that waits until its institution has funded it, or for an officer's decision."""

    model_config = ConfigDict(from_attributes=True)

    refund_no: str
    contract_no: str
    institution_id: UUID
    institution_name: str
    amount_fen: int
    status: str = Field(description="waiting or held")
    payee_known: bool
    payee_masked: str | None = Field(description="The account that a guardian named: its number and holder, masked")
    approved_at: datetime


class RefundStatus(BaseModel):
    """A refund after a decision."""

    refund_no: str
    status: str


@api.get("/receipts", summary="Money from unknown payers that waits for a ruling")
async def receipts(caller: SupervisionCaller, session: Read, paging: PageByTime) -> Listed[ReceiptItem]:
    """Newest first. It waits while the book has a shortfall: it may be the institution's deposit, or a bank repaying its own debit."""
    found = await payments.receipts_to_rule(session, paging.after, paging.more)
    return listed([ReceiptItem.model_validate(each) for each in found], [(each.decided_at, each.movement_id) for each in found], paging)


@api.post("/receipts/{movement_id}/ruling", summary="Decide about such money")
async def rule_receipt(movement_id: PathId, body: ReceiptRulingInput, caller: SupervisionCaller, once: Once) -> ReceiptItem:
    """`made_good` takes it for the shortfall, `return` sends it back; what is left over goes back too."""
    async with once.transaction() as session:
        await rulings.rule_on_receipt(session, caller, movement_id, body.ruling, body.reason)
        return await once.answer(ReceiptItem.model_validate(await payments.receipt(session, movement_id)))


@api.get("/waiting-refunds", summary="Refunds of old contracts that wait for funds")
async def waiting_refunds(caller: SupervisionCaller, session: Read, paging: PageByTime) -> Listed[WaitingRefundItem]:
    """Newest first, without children's names."""
    found = await refunds.waiting_refunds(session, paging.after, paging.more)
    return listed([WaitingRefundItem.model_validate(each) for each in found], [(each.approved_at, each.id) for each in found], paging)


@api.get("/held-refunds", summary="Refunds to named accounts that wait for an officer")
async def held_refunds(caller: SupervisionCaller, session: Read, paging: PageByTime) -> Listed[WaitingRefundItem]:
    """Newest first: each goes to an account that a guardian named, so whose it is has to be checked, whatever the amount."""
    found = await refunds.held_refunds(session, paging.after, paging.more)
    return listed([WaitingRefundItem.model_validate(each) for each in found], [(each.approved_at, each.id) for each in found], paging)


@api.post("/refunds/{refund_no}/release", summary="Let a held refund go to the bank")
async def release_refund(refund_no: PathNo, body: ReasonInput, caller: SupervisionCaller, once: Once) -> RefundStatus:
    """Held → cleared."""
    async with once.transaction() as session:
        await service.release_refund(session, caller, refund_no, body.reason)
        return await once.answer(RefundStatus(refund_no=refund_no, status="cleared"))


@api.post("/refunds/{refund_no}/reject", summary="End a held refund unpaid")
async def reject_refund(refund_no: PathNo, body: ReasonInput, caller: SupervisionCaller, once: Once) -> RefundStatus:
    """Held → rejected; the bank never hears of it, and its lessons return to the contract."""
    async with once.transaction() as session:
        await service.reject_refund(session, caller, refund_no, body.reason)
        return await once.answer(RefundStatus(refund_no=refund_no, status="rejected"))


@pages.get("")
async def receipts_page(request: Request, caller: SupervisionCaller, session: Read, paging: PageByTime) -> Response:
    """Who lacks money, what arrived that may make it good, and the refunds that wait."""
    found = await payments.receipts_to_rule(session, paging.after, paging.more)
    page = listed(found, [(each.decided_at, each.movement_id) for each in found], paging)
    waiting = [] if paging.after else await refunds.waiting_refunds(session)
    held = [] if paging.after else await refunds.held_refunds(session)
    return render(
        request,
        "supervision/receipts.html",
        short=[] if paging.after else await shortfalls(session),
        page=page,
        waiting=waiting,
        held=held,
        is_first=paging.after is None,
    )


@pages.post("/{movement_id}/ruling")
async def rule_here(
    movement_id: PathId,
    caller: SupervisionCaller,
    home: Home,
    ruling: Annotated[ReceiptRuling, Form()],
    reason: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Decide about it."""

    async def act(session: AsyncSession) -> None:
        await rulings.rule_on_receipt(session, caller, movement_id, ruling, reason)

    done = "已用于补足缺口" if ruling == "made_good" else "已裁决退回，将由银行原路退回"
    return await carry_out(home, act, back="/supervision/receipts", done=done)


@pages.post("/refunds/{refund_no}/decision")
async def decide_refund(
    refund_no: PathNo,
    caller: SupervisionCaller,
    home: Home,
    decision: Annotated[Literal["release", "reject"], Form()],
    reason: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Let a held refund go, or end it unpaid."""
    decide = service.release_refund if decision == "release" else service.reject_refund

    async def act(session: AsyncSession) -> None:
        await decide(session, caller, refund_no, reason)

    done = "已放行，等待发送银行" if decision == "release" else "已驳回，课时退回合同"
    return await carry_out(home, act, back="/supervision/receipts", done=done)
