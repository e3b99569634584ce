"""我要续费, and the contracts that were signed."""

from fastapi import APIRouter, Request, Response

from app.contracts import queries as contract_views
from app.contracts.notices import notices_of
from app.contracts.rescheduling import changes_for_guardian
from app.lessons import queries as disputes
from app.payments import queries as payments
from app.portals.edge import ParentCaller, Read
from app.portals.fields import PageByTime, PathId, listed
from app.portals.pages import render
from app.refunds import queries as refunds

router = APIRouter(include_in_schema=False)


@router.get("/classes")
async def renewal(request: Request, caller: ParentCaller, session: Read, paging: PageByTime) -> Response:
    """What may be joined now at the institutions that the parent knows."""
    rows = await contract_views.classes_for_renewal(session, caller.guardian_id, paging.after, paging.more)
    page = listed(rows, [(row.created_at, row.id) for row in rows], paging)
    return render(request, "parent/classes.html", page=page, is_first=paging.after is None)


@router.get("/contracts")
async def own_contracts(request: Request, caller: ParentCaller, session: Read, paging: PageByTime) -> Response:
    """The parent's contracts."""
    rows = await contract_views.contracts_of_guardian(session, caller.guardian_id, paging.after, paging.more)
    page = listed(rows, [(row.created_at, row.id) for row in rows], paging)
    return render(request, "parent/contracts.html", page=page, is_first=paging.after is None)


@router.get("/contracts/{contract_id}")
async def own_contract(request: Request, contract_id: PathId, caller: ParentCaller, session: Read) -> Response:
    """A contract with everything that happened to its lessons and its money."""
    contract = await contract_views.contract_of_guardian(session, caller.guardian_id, contract_id)
    return render(
        request,
        "parent/contract.html",
        contract=contract,
        joins_again=await contract_views.joins_again(session, caller.guardian_id, contract),
        payments=await payments.payments_of_contract(session, contract_id),
        receipts=await payments.receipts_of_contract(session, contract_id),
        refunds=await refunds.refunds_of_contract(session, contract_id),
        disputes=await disputes.disputes_of_contract(session, contract_id),
        disputable=await disputes.still_disputable(session, contract_id),
        changes=await changes_for_guardian(session, caller.guardian_id, contract_id),
        notices=await notices_of(session, caller.guardian_id),
    )
