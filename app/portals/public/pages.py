"""Pages for everybody: the district's home with its three doors, institutions, classes, and the page that a payment code opens."""

from typing import Any, cast

from fastapi import APIRouter, Request, Response

from app import clock, districts
from app.contracts import queries as contracts
from app.db import Database, District
from app.portals.edge import Named, PublicRead
from app.portals.fields import PageByTime, PathId, listed
from app.portals.pages import render
from app.portals.public import calendar, paying, scanning
from app.registry import institution_queries as register
from app.registry import queries as registry
from app.registry.institutions import licence_of
from app.supervision import publishing

router = APIRouter(prefix="", include_in_schema=False)


@router.get("/")
async def home(request: Request, district: Named) -> Response:
    """Where the district's one QR code leads: 我要报名 · 我要续费 · 我要退费."""
    known = await districts.entries(cast(Database, request.app.state.database))
    name = next(entry.name for entry in known if entry.code == district.code)
    return _show(request, district, "public/home.html", name=name)


@router.get("/institutions")
async def institutions(request: Request, district: Named, session: PublicRead, paging: PageByTime) -> Response:
    """Every institution under supervision."""
    rows = await registry.institutions(session, paging.after, paging.more)
    page = listed(rows, [(row.created_at, row.id) for row in rows], paging)
    return _show(request, district, "public/institutions.html", page=page, is_first=paging.after is None)


@router.get("/institutions/{institution_id}")
async def institution(request: Request, district: Named, session: PublicRead, institution_id: PathId, paging: PageByTime) -> Response:
    """One institution, and what may be joined there now."""
    found = await registry.institution(session, institution_id)
    rows = await contracts.open_classes(session, institution_id, paging.after, paging.more)
    page = listed(rows, [(row.created_at, row.id) for row in rows], paging)
    return _show(
        request,
        district,
        "public/institution.html",
        institution=found,
        licence=licence_of(found),
        teachers=await register.teachers(session, institution_id, employed_on=clock.today()),
        checks=await register.yearly_checks(session, institution_id),
        facts=await publishing.facts_of(session, institution_id),
        today=clock.today(),
        page=page,
    )


@router.get("/classes/{class_id}")
async def class_detail(request: Request, district: Named, session: PublicRead, class_id: PathId) -> Response:
    """Teacher, schedule and price of a class, and what joining it now would cost."""
    offer = await contracts.public_offer(session, class_id)
    seller = await registry.institution(session, offer.view.institution_id)
    return _show(request, district, "public/class.html", offer=offer, seller=seller)


def _show(request: Request, district: District, template: str, **context: Any) -> Response:
    """A page whose links stay in the district."""
    return render(request, template, here=f"?district={district.code}", district=district.code, **context)


for steps in (paying.router, scanning.pages, calendar.router):
    router.include_router(steps)
