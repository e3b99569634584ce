"""个人信息: what is kept about the family, who looked at it, taking it away as a file, erasing it."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from app.contracts import queries as contracts
from app.errors import DomainError
from app.portals.download import Download
from app.portals.edge import Home, ParentCaller, Read, cookie_name, snapshot
from app.portals.fields import PageByTime, listed
from app.portals.pages import render, see_other
from app.portals.parent import takeaway
from app.privacy import leaving, lookups
from app.registry import consenting, families, family_queries
from app.registry.models import Guardian
from app.security import Parent

router = APIRouter(include_in_schema=False)


@router.get("/privacy")
async def privacy(request: Request, caller: ParentCaller, session: Read, paging: PageByTime) -> Response:
    """The log of look-ups first; the ways to the rest."""
    views = await lookups.lookups_of_guardian(session, caller.guardian_id, paging.after, paging.more)
    page = listed(views, [(view.at, view.id) for view in views], paging)
    return render(request, "parent/privacy.html", page=page, is_first=paging.after is None, consent_text=consenting.consent_text())


@router.get("/privacy/data")
async def data(request: Request, caller: ParentCaller, session: Read) -> Response:
    """Everything that is kept about the family, to read; names and the own phone in clear, on this page only."""
    children = await families.children_of(session, caller.guardian_id)
    return render(
        request,
        "parent/family_data.html",
        phone=families.phone_of(await session.get_one(Guardian, caller.guardian_id)),
        children=await family_queries.students(session, caller.guardian_id),
        names={child.id: families.name_of(child) for child in children},
        consents={child.id: await family_queries.consents_of_child(session, child.id) for child in children},
        guardians={child.id: await family_queries.guardians_of_child(session, child.id) for child in children},
        contracts=await contracts.contracts_of_guardian(session, caller.guardian_id),
    )


@router.get("/privacy/export.json", response_class=Download)
async def export_json(caller: ParentCaller, home: Home) -> Download:
    """Everything as one file."""
    return await takeaway.download(home, caller, takeaway.JSON)


@router.get("/privacy/export.csv", response_class=Download)
async def export_csv(caller: ParentCaller, home: Home) -> Download:
    """Every lesson, for a spreadsheet."""
    return await takeaway.download(home, caller, takeaway.CSV)


@router.get("/privacy/erasure")
async def erasure(request: Request, caller: ParentCaller, home: Home) -> Response:
    """What erasing does, and the question whether to."""
    return await _erasure_page(request, caller, home)


@router.post("/privacy/erasure")
async def erase(request: Request, caller: ParentCaller, home: Home, sure: Annotated[str, Form(max_length=10)] = "") -> Response:
    """Erase the parent and every child that nobody else answers for."""
    if not sure:
        return see_other("/parent/privacy/erasure", "请先勾选“我已了解”", "danger")
    try:
        async with home.transaction() as session:
            await leaving.erase_account(session, caller)
    except DomainError as error:
        return await _erasure_page(request, caller, home, error)
    answer = see_other("/parent/sign-in", "您的个人信息已删除")
    answer.delete_cookie(cookie_name("parent"))
    return answer


async def _erasure_page(request: Request, caller: Parent, home: Home, error: DomainError | None = None) -> Response:
    async with snapshot(home) as session:
        children = await family_queries.students(session, caller.guardian_id)
    return render(request, "parent/erasure.html", error.status if error else 200, children=children, error=error)
