"""付款方式: the same class paid in several charges, or lesson by lesson after each was taught."""

from typing import Literal, get_args

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from app.contracts.terms import Way
from app.portals.edge import Home, ParentCaller, snapshot
from app.portals.fields import PathId
from app.portals.pages import render, see_other
from app.portals.parent.children import TypedChild
from app.portals.parent.counter import checkout_of, family_of
from app.portals.parent.reading import terms_of, to_sign_on
from app.portals.parent.terms import TermsInput

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1/parent", tags=["parent"])


class Ways(BaseModel):
    """The ways in which everything that a class offers may be paid; the law is asked when one is signed."""

    items: list[TermsInput]


@api.get("/classes/{class_id}/ways", summary="Ways to pay for a class")
async def ways(request: Request, class_id: PathId, caller: ParentCaller, home: Home) -> Ways:
    """Terms to sign with as they are: at once, by the month where the lessons are in several, and each lesson after it was taught."""
    offer = (await checkout_of(request, caller, home, class_id)).counter.offer
    known = [terms_of(offer, way) for way in get_args(Way)]
    return Ways(items=[TermsInput.of(terms) for terms in known if terms])


@router.get("/classes/{class_id}/enrol/{way}")
async def enrolment(request: Request, class_id: PathId, way: Literal["parts", "later"], caller: ParentCaller, home: Home) -> Response:
    """Which child joins the class, paid in this way, and what is to be signed? What the law forbids everybody is said here too."""
    checkout = await checkout_of(request, caller, home, class_id)
    terms = terms_of(checkout.counter.offer, way)
    if terms is None:
        why = "课次都在一个月内，不分期" if way == "parts" else "不提供先学后付"
        return see_other(f"/parent/classes/{class_id}/enrol", f"这个班级{why}", "danger")
    async with snapshot(home) as session:
        shown = await to_sign_on(session, checkout.counter.offer, terms)
    return render(request, "parent/enrol.html", **family_of(checkout, TypedChild()), **shown)
