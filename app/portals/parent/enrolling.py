"""我要报名 and 我要续费: choose a child for a class, sign, and follow the contract."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.contracts import queries as contract_views
from app.contracts import service as contracts
from app.contracts.notices import notices_of
from app.contracts.rescheduling import changes_for_guardian
from app.db import District
from app.errors import Conflict, DomainError
from app.lessons import queries as disputes
from app.payments import queries as payments
from app.portals.edge import Home, ParentCaller, Read, snapshot
from app.portals.fields import NOBODY, PageByTime, PathId, listed
from app.portals.pages import render, see_other
from app.refunds import queries as refunds
from app.registry import consenting, families, family_queries
from app.security import Parent

router = APIRouter(include_in_schema=False)

NEW_CHILD = "new"
"""The choice in the form that means: the child entered beside it."""


@router.get("/classes")
async def renewal(request: Request, caller: ParentCaller, session: Read, paging: PageByTime) -> Response:
    """What may be joined now at the institutions that the parent knows."""
    rows = await contract_views.classes_for_renewal(session, caller.guardian_id, paging.after, paging.more)
    page = listed(rows, [(row.created_at, row.id) for row in rows], paging)
    return render(request, "parent/classes.html", page=page, is_first=paging.after is None)


@router.get("/classes/{class_id}/enrol")
async def enrolment(request: Request, class_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Which child joins the class?"""
    return await _enrolment_page(request, caller, home, class_id)


@router.post("/classes/{class_id}/enrol")
async def enrol(
    request: Request,
    class_id: PathId,
    caller: ParentCaller,
    home: Home,
    student_id: Annotated[str, Form(max_length=40)] = "",
    name: Annotated[str, Form(max_length=200)] = "",
    birth_month: Annotated[str, Form(max_length=20)] = "",
    consent: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Sign for the class. A child entered here stays entered, also when the class refuses."""
    try:
        child_id = await _child(home, caller, student_id, consent, name, birth_month)
        contract_id, is_new = await _sign(home, caller, class_id, child_id)
    except DomainError as error:
        filled = {"chosen": student_id, "name": name, "birth_month": birth_month}
        return await _enrolment_page(request, caller, home, class_id, error, **filled)
    return see_other(f"/parent/contracts/{contract_id}", "合同已签订，请在名额保留期内付款" if is_new else "孩子在这个班级已有合同")


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
        payments=await payments.payments_of_contract(session, contract_id),
        receipts=await payments.receipts_of_contract(session, contract_id),
        refunds=await refunds.refunds_of_contract(session, contract_id),
        disputes=await disputes.disputes_of_contract(session, contract_id),
        disputable=await disputes.still_disputable(session, contract_id),
        changes=await changes_for_guardian(session, caller.guardian_id, contract_id),
        notices=await notices_of(session, caller.guardian_id),
    )


async def _child(home: District, caller: Parent, chosen: str, consent: str, name: str, birth_month: str) -> UUID:
    """The chosen child, or the new one; a consent that comes with it is recorded."""
    async with home.transaction() as session:
        if chosen == NEW_CHILD:
            return (await families.add_student(session, caller.guardian_id, name, birth_month, consent=consent)).id
        try:
            child_id = UUID(chosen)
        except ValueError:
            return NOBODY
        if consent:
            await families.agree(session, caller, child_id, consent)
        return child_id


async def _sign(home: District, caller: Parent, class_id: UUID, child_id: UUID) -> tuple[UUID, bool]:
    """The contract, and whether it was signed just now: a form sent twice signs once."""
    try:
        async with home.transaction() as session:
            return (await contracts.sign(session, caller, class_id, child_id)).id, True
    except Conflict:
        async with snapshot(home) as session:
            standing = await contract_views.live_contract_of(session, caller.guardian_id, class_id, child_id)
        if standing is None:
            raise
        return standing, False


async def _enrolment_page(
    request: Request, caller: Parent, home: District, class_id: UUID, error: DomainError | None = None, **filled: str
) -> Response:
    async with snapshot(home) as session:
        offer = await contract_views.public_offer(session, class_id)
        children = await family_queries.students(session, caller.guardian_id)
    chosen = filled.get("chosen") or (str(children[0].id) if children else NEW_CHILD)
    shown = {"name": "", "birth_month": ""} | filled | {"chosen": chosen}
    status = error.status if error else 200
    return render(
        request,
        "parent/enrol.html",
        status,
        offer=offer,
        children=children,
        error=error,
        new_child=NEW_CHILD,
        filled=shown,
        consent_text=consenting.consent_text(),
    )
