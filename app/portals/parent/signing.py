"""我要报名: what a guardian reads before signing, and the signature."""

import re
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app import clock
from app.contracts import accepting
from app.contracts import queries as contract_views
from app.contracts import service as contracts
from app.contracts.checkout import Counter
from app.contracts.judging import LegalPlan
from app.contracts.terms import Terms
from app.db import District
from app.errors import Conflict, DomainError, Refused
from app.portals.edge import Home, ParentCaller, snapshot
from app.portals.fields import PathId
from app.portals.pages import Frames, render, see_other
from app.portals.parent.children import TypedChild, entered
from app.portals.parent.counter import checkout_of, family_of
from app.portals.parent.terms import TermsInput, carried
from app.security import Parent

router = APIRouter(include_in_schema=False)

_PAGE = "parent/enrol.html"
_READ_AGAIN = ("contracts.not_accepted", "contracts.document_changed")
"""Refusals after which the same terms stand on the page again."""
_frames = Frames()


@router.get("/classes/{class_id}/enrol")
async def enrolment(request: Request, class_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Which child joins the class, and what is to be signed?

    Where the law forbids to pay for all of it at once, that is said before anybody signs, and what can be signed is the nearest
    legal plan.
    """
    checkout = await checkout_of(request, caller, home, class_id)
    counter, family = checkout.counter, family_of(checkout, TypedChild())
    variant = bool(checkout.children), all(child.consented for child in checkout.children)
    shown = family | {"offer": counter.offer, "error": counter.refusal, "plan": counter.plan} | _to_sign(counter)
    return _frames.render(request, counter, variant, _PAGE, {"radios": shown.pop("radios")}, **shown)


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
    terms: Annotated[str, Form(max_length=60_000)] = "",
    document: Annotated[str, Form(max_length=64)] = "",
    agreed: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Sign for the class, on the terms of a plan that was offered or for all of it at once.

    A child entered here stays entered, also when the class refuses; a refusal by law offers the nearest legal plan.
    """
    typed = TypedChild(student_id, name, birth_month, consent)
    try:
        async with home.transaction() as session:
            child_id = await entered(session, caller, typed)
        typed = TypedChild(str(child_id))
        chosen = carried(terms)
        contract_id, is_new = await _sign(home, caller, class_id, child_id, chosen, _read(document, agreed))
    except DomainError as error:
        terms = terms if error.code in _READ_AGAIN else ""
        return await _refused(request, caller, home, class_id, error, terms, typed)
    return see_other(f"/parent/contracts/{contract_id}", _signed(chosen) if is_new else "孩子在这个班级已有合同")


def _signed(terms: Terms | None) -> str:
    if terms and terms.way == "later":
        return "合同已签订，上完一节付一节"
    held_on = _held_on(terms)
    return f"合同已签订，名额已保留，{held_on}可以付款" if held_on else "合同已签订，请在名额保留期内付款"


def _held_on(terms: Terms | None) -> date | None:
    """The later day that a seat is held for until the first charge opens; None where that is today's."""
    return terms.charges[0].charged_on if terms and terms.charges[0].charged_on > clock.today() else None


def _to_sign(counter: Counter) -> dict[str, Any]:
    """The text under the form, and the terms that it is about: everything at once, or the legal plan in its place."""
    if counter.planned is None or counter.plan is None:
        return {"wording": counter.wording, "terms": "", "plan_terms": "", "plan_wording": None, "child_id": ""}
    terms = TermsInput.of(counter.plan.terms).model_dump_json()
    charged = {"charges": counter.plan.terms.charges, "held_on": _held_on(counter.plan.terms)}
    return {"wording": counter.planned, "terms": terms, "plan_terms": terms, "plan_wording": None, "child_id": ""} | charged


def _read(document: str, agreed: str) -> bytes:
    """The hash of the text that the parent has read."""
    if not agreed or not re.fullmatch("[0-9a-f]{64}", document):
        raise Refused("contracts.not_accepted", "请先阅读合同，并勾选“我已阅读并同意”", field="document")
    return bytes.fromhex(document)


async def _sign(home: District, caller: Parent, class_id: UUID, child_id: UUID, terms: Terms | None, read: bytes) -> tuple[UUID, bool]:
    """The contract, and whether it was signed just now: a form sent twice signs once."""
    try:
        async with home.transaction() as session:
            return (await contracts.sign(session, caller, class_id, child_id, terms, read)).id, True
    except Conflict:
        async with snapshot(home) as session:
            standing = await contract_views.live_contract_of(session, caller.guardian_id, class_id, child_id)
        if standing is None:
            raise
        return standing, False


async def _refused(
    request: Request, caller: Parent, home: District, class_id: UUID, error: DomainError, terms: str, typed: TypedChild
) -> Response:
    """The page again, with the text for the same terms, or for those of the plan that is offered: what is read there is what is signed.

    Terms that no longer fit what is offered give way to all of it at once.
    """
    checkout = await checkout_of(request, caller, home, class_id)
    plan: LegalPlan | None = error.facts.get("plan")
    wording, plan_wording = checkout.counter.wording, None
    kept: Terms | None = None
    async with snapshot(home) as session:
        try:
            if chosen := carried(terms):
                wording = await accepting.offered(session, class_id, chosen)
                kept = chosen
        except DomainError as stale:
            error = stale
        if plan:
            plan_wording = await accepting.offered(session, class_id, plan.terms)
    return render(
        request,
        _PAGE,
        error.status,
        offer=checkout.counter.offer,
        **family_of(checkout, typed),
        error=error,
        plan=plan,
        child_id=typed.chosen,
        terms=TermsInput.of(kept).model_dump_json() if kept else "",
        way=kept.way if kept else "once",
        charges=kept.charges if kept else (),
        held_on=_held_on(kept),
        wording=wording,
        plan_wording=plan_wording,
        plan_terms=TermsInput.of(plan.terms).model_dump_json() if plan else "",
    )
