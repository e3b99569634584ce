"""Pages of the parent end, phone first. Here: the home page and the children; the steps of the story stand in modules of their own."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from app.contracts import queries as contracts
from app.errors import DomainError
from app.portals.edge import Home, ParentCaller, Read, snapshot
from app.portals.pages import render, see_other
from app.portals.parent import attending, enrolling, paying, refunding
from app.registry import queries as student_views
from app.registry import service as registry
from app.security import Parent

router = APIRouter(prefix="/parent", include_in_schema=False)

_SHOWN_AT_HOME = 3
_MOST_UNPAID = 20


@router.get("")
async def home_page(request: Request, caller: ParentCaller, session: Read) -> Response:
    """What waits for the parent, what is in escrow, what comes next."""
    return render(
        request,
        "parent/home.html",
        holdings=await contracts.holdings_of_guardian(session, caller.guardian_id),
        waiting=await contracts.contracts_of_guardian(session, caller.guardian_id, limit=_MOST_UNPAID, status="created"),
        upcoming=await contracts.lessons_of_guardian(session, caller.guardian_id, "scheduled", limit=_SHOWN_AT_HOME),
    )


@router.get("/students")
async def students(request: Request, caller: ParentCaller, home: Home) -> Response:
    """The parent's children, and a form for another one."""
    return await _students_page(request, caller, home)


@router.post("/students")
async def add_student(
    request: Request,
    caller: ParentCaller,
    home: Home,
    name: Annotated[str, Form(max_length=200)] = "",
    birth_month: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Enter a child; the same one again changes nothing."""
    try:
        async with home.transaction() as session:
            await registry.add_student(session, caller.guardian_id, name, birth_month)
    except DomainError as error:
        return await _students_page(request, caller, home, error, name, birth_month)
    return see_other("/parent/students", "孩子已登记")


async def _students_page(
    request: Request, caller: Parent, home: Home, error: DomainError | None = None, name: str = "", birth_month: str = ""
) -> Response:
    async with snapshot(home) as session:
        children = await student_views.students(session, caller.guardian_id)
    status = error.status if error else 200
    return render(request, "parent/students.html", status, children=children, error=error, name=name, birth_month=birth_month)


for steps in (enrolling, paying, attending, refunding):
    router.include_router(steps.router)
