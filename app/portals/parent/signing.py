"""我要报名: what a guardian reads before signing, and the signature."""

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.contracts import accepting
from app.contracts import queries as contract_views
from app.contracts import service as contracts
from app.contracts.checkout import Counter
from app.contracts.terms import Terms
from app.db import District
from app.errors import Conflict, DomainError, Refused
from app.portals.edge import Home, ParentCaller, snapshot
from app.portals.fields import PathId
from app.portals.pages import Frames, render, see_other
from app.portals.parent.children import TypedChild, entered
from app.portals.parent.counter import checkout_of, family_of
from app.portals.parent.reading import held_on, to_sign, to_sign_on
from app.portals.parent.terms import TermsInput, carried
from app.security import Parent

router = APIRouter(include_in_schema=False)

_PAGE = "parent/enrol.html"
_OF_THE_FORM = ("name", "birth_month", "student_id", "consent", "document")
"""What is typed anew while the same terms stand on the page again."""
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
    parts = {"radios": family["radios"]}
    return _frames.render(request, counter, variant, _PAGE, parts, lambda: family | _at_once(counter))


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
    read = _agreed_to(document, agreed)
    try:
        async with home.transaction() as session:
            child_id = await entered(session, caller, typed)
        typed = TypedChild(str(child_id))
        chosen = carried(terms)
        if read is None:
            raise Refused("contracts.not_accepted", "请先阅读合同，并勾选“我已阅读并同意”", field="document")
        contract_id, is_new = await _sign(home, caller, class_id, child_id, chosen, read)
    except DomainError as error:
        checkout = await checkout_of(request, caller, home, class_id)
        shown = await _refused(home, checkout.counter, error, terms, read) | {"child_id": typed.chosen}
        return render(request, _PAGE, shown["error"].status, **family_of(checkout, typed), **shown)
    return see_other(f"/parent/contracts/{contract_id}", _signed(chosen) if is_new else "孩子在这个班级已有合同")


def _signed(terms: Terms | None) -> str:
    if terms and terms.way == "later":
        return "合同已签订，上完一节付一节"
    on = held_on(terms)
    return f"合同已签订，名额已保留，{on}可以付款" if on else "合同已签订，请在名额保留期内付款"


def _at_once(counter: Counter) -> dict[str, Any]:
    """The text under the form: everything at once, or the legal plan in its place."""
    return to_sign(counter.offer, counter.wording, None, counter.refusal, counter.planned)


def _agreed_to(document: str, agreed: str) -> bytes | None:
    """The hash of the text that the parent has read; None where they did not say so."""
    return bytes.fromhex(document) if agreed and re.fullmatch("[0-9a-f]{64}", document) else None


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


async def _refused(home: District, counter: Counter, error: DomainError, terms: str, read: bytes | None) -> dict[str, Any]:
    """What to sign again, for the same terms or for those of the plan that is offered: what is read there is what is signed.

    Terms that no longer fit what is offered give way to all of it at once, and what nobody may sign to why that is so. The tick stays
    where the text under it is the one that was read.
    """
    shown = _at_once(counter)
    async with snapshot(home) as session:
        try:
            if error.facts.get("field") in _OF_THE_FORM and (kept := carried(terms)):
                shown = await to_sign_on(session, counter.offer, kept)
        except DomainError as stale:
            error = stale
        if shown["is_closed"]:
            return shown
        if plan := error.facts.get("plan"):
            wording = await accepting.offered(session, counter.offer.view.id, plan.terms)
            shown |= {"plan": plan, "plan_terms": TermsInput.of(plan.terms).model_dump_json(), "plan_wording": wording}
    wording = shown["wording"]
    return shown | {"error": error, "is_agreed": wording is not None and wording.sha256 == read}
