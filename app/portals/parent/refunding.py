"""我要退费: ask for the untaught lessons of a contract back, and follow the money."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.banking.payees import PayeeDraft
from app.contracts import queries as contracts
from app.contracts.models import UNTAUGHT
from app.db import District
from app.errors import BadInput, Conflict, DomainError
from app.portals.edge import Home, ParentCaller, Read, snapshot
from app.portals.fields import PageByTime, PathId, PathNo, listed
from app.portals.pages import render, see_other
from app.refunds import queries as refund_views
from app.refunds import service as refunds
from app.refunds.models import Refund
from app.security import Parent

router = APIRouter(include_in_schema=False)

AccountNo = Annotated[str, Form(max_length=64)]
AccountName = Annotated[str, Form(max_length=200)]


@router.get("/refunds")
async def own_refunds(request: Request, caller: ParentCaller, session: Read, paging: PageByTime) -> Response:
    """What may be asked back, and what was."""
    rows = await refund_views.refunds_of_guardian(session, caller.guardian_id, paging.after, paging.more)
    page = listed(rows, [(row.approved_at, row.id) for row in rows], paging)
    held = [] if paging.after else await contracts.contracts_of_guardian(session, caller.guardian_id)
    refundable = [contract for contract in held if any(lesson.status in UNTAUGHT for lesson in contract.lessons)]
    return render(request, "parent/refunds.html", page=page, refundable=refundable, untaught=UNTAUGHT, is_first=paging.after is None)


@router.get("/refunds/{refund_no}")
async def own_refund(request: Request, refund_no: PathNo, caller: ParentCaller, session: Read) -> Response:
    """One refund: its lessons, its rule, and how far the money is."""
    refund = await refund_views.refund_of_guardian(session, caller.guardian_id, refund_no)
    return render(request, "parent/refund.html", refund=refund)


@router.get("/contracts/{contract_id}/refund")
async def claim(request: Request, contract_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """What asking now would give back, and why."""
    return await _claim_page(request, caller, home, contract_id)


@router.post("/contracts/{contract_id}/refund")
async def ask(
    request: Request,
    contract_id: PathId,
    caller: ParentCaller,
    home: Home,
    reason: Annotated[str, Form(max_length=2000)] = "",
    payee_account_no: AccountNo = "",
    payee_name: AccountName = "",
) -> Response:
    """Ask for it. A form sent twice finds nothing left the second time."""
    payee = PayeeDraft(payee_account_no, payee_name) if payee_account_no or payee_name else None
    try:
        async with home.transaction() as session:
            given = await refunds.request(session, caller, contract_id, reason, payee)
    except DomainError as error:
        return await _claim_page(request, caller, home, contract_id, error, reason)
    where = f"/parent/refunds/{given[0].refund_no}" if len(given) == 1 else f"/parent/contracts/{contract_id}"
    return see_other(where, f"退费已受理，{_way_of(given)}")


@router.post("/refunds/{refund_no}/payee")
async def name_payee(
    refund_no: PathNo, caller: ParentCaller, home: Home, payee_account_no: AccountNo = "", payee_name: AccountName = ""
) -> Response:
    """Say where a waiting refund of an old contract is to be paid."""
    where = f"/parent/refunds/{refund_no}"
    try:
        async with home.transaction() as session:
            await refunds.name_payee(session, caller, refund_no, PayeeDraft(payee_account_no, payee_name))
    except (BadInput, Conflict) as refused:
        return see_other(where, refused.message_zh, "danger")
    return see_other(where, "收款账户已记下")


def _way_of(given: Sequence[Refund]) -> str:
    if any(refund.funded_at is None for refund in given):
        return "等待机构补足资金后由银行付出"
    if any(refund.payee_id is not None for refund in given):
        return "监管部门核对收款账户后由银行付出"
    return "正在由银行原路退回"


async def _claim_page(
    request: Request, caller: Parent, home: District, contract_id: UUID, error: DomainError | None = None, reason: str = ""
) -> Response:
    async with snapshot(home) as session:
        offer = await refund_views.offer(session, caller.guardian_id, contract_id)
        earlier = await refund_views.refunds_of_contract(session, contract_id)
    status = error.status if error else 200
    return render(request, "parent/claim.html", status, offer=offer, earlier=earlier, error=error, reason=reason)
