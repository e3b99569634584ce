"""Who stands behind a contract: reasoned look-ups, shown once and logged. Pages and JSON."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.errors import DomainError
from app.portals.edge import Home, Read, SupervisionCaller, Write, snapshot
from app.portals.fields import Listed, Moment, PageByTime, Paging, Text, listed
from app.portals.pages import render
from app.portals.supervision.views import ReasonInput
from app.portals.words import word
from app.privacy import lookups
from app.privacy.lookups import Disclosed, LookupDraft
from app.privacy.models import CASES, SHOWN

api = APIRouter(prefix="/api/v1/supervision/lookups", tags=["supervision"])
pages = APIRouter(prefix="/supervision/lookups", include_in_schema=False)

_FIRST = 20

Typed = Annotated[str, Form(max_length=2000)]


class LookupInput(ReasonInput):
    """Whom to show, for which case, and why; all of it is logged and shown to the family."""

    contract_no: Annotated[Text, Field(max_length=40)]
    shown: Literal["student", "guardians", "both"]
    case_kind: Literal["dispute", "refund", "alert", "complaint", "inspection", "court"]
    case_no: Annotated[Text, Field(max_length=40)]


class DisclosedAnswer(BaseModel):
    """In clear, in this answer only."""

    model_config = ConfigDict(from_attributes=True)

    lookup_id: UUID
    contract_no: str
    student_name: str = Field(description="Empty where it was not asked for")
    birth_month: str
    guardians: list[str] = Field(description="Phones, the contracting guardian's first")


class LookupLine(BaseModel):
    """A look-up in the log, without what was seen."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    at: datetime
    officer: str = Field(validation_alias="staff_name")
    contract_no: str
    shown: str
    case_kind: str
    case_no: str
    reason: str


@api.post("", summary="See who stands behind a contract")
async def look_up(body: LookupInput, caller: SupervisionCaller, session: Write) -> DisclosedAnswer:
    """Logged before it is answered; asking again is another look-up. The family sees when, who, for which case and why."""
    draft = LookupDraft(body.contract_no, body.shown, body.case_kind, body.case_no, body.reason)
    return DisclosedAnswer.model_validate(await lookups.look_up(session, caller, draft))


@api.get("", summary="The log of look-ups, newest first")
async def log(caller: SupervisionCaller, session: Read, paging: PageByTime) -> Listed[LookupLine]:
    """Every officer's, without what they saw."""
    found = await lookups.lookups(session, paging.after, paging.more)
    return listed([LookupLine.model_validate(each) for each in found], [(each.at, each.id) for each in found], paging)


@pages.get("")
async def form(request: Request, caller: SupervisionCaller, home: Home, paging: PageByTime, no: str = "") -> Response:
    """The form, and the log beneath it."""
    return await _page(request, home, paging, {"contract_no": no[:40]})


@pages.post("")
async def look(
    request: Request,
    caller: SupervisionCaller,
    home: Home,
    contract_no: Typed = "",
    shown: Typed = "",
    case_kind: Typed = "",
    case_no: Typed = "",
    reason: Typed = "",
) -> Response:
    """Shown on the page that answers the form, and nowhere else: going back to it asks again."""
    draft = LookupDraft(contract_no, shown, case_kind, case_no, reason)
    first: Paging[Moment] = Paging(None, _FIRST)
    try:
        async with home.transaction() as session:
            disclosed = await lookups.look_up(session, caller, draft)
    except DomainError as error:
        filled = {"contract_no": contract_no, "shown": shown, "case_kind": case_kind, "case_no": case_no, "reason": reason}
        return await _page(request, home, first, filled, error=error)
    return await _page(request, home, first, {}, disclosed=disclosed)


async def _page(
    request: Request,
    home: Home,
    paging: Paging[Moment],
    filled: dict[str, str],
    error: DomainError | None = None,
    disclosed: Disclosed | None = None,
) -> Response:
    async with snapshot(home) as session:
        found = await lookups.lookups(session, paging.after, paging.more)
    context: dict[str, Any] = {
        "page": listed(found, [(each.at, each.id) for each in found], paging),
        "filled": {"contract_no": "", "shown": "student", "case_kind": "dispute", "case_no": "", "reason": ""} | filled,
        "showable": [(each, word(each, "lookup_shown")) for each in SHOWN],
        "cases": [(each, word(each, "lookup_case")) for each in CASES],
    }
    return render(request, "supervision/lookups.html", error.status if error else 200, error=error, disclosed=disclosed, **context)
