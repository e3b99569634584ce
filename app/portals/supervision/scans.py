"""Codes that the public reported: the officers' list, and what was done about each. JSON and pages."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from app.portals.edge import Home, Read, SupervisionCaller, Write
from app.portals.fields import Listed, PageById, PathId, listed
from app.portals.pages import render
from app.portals.staff import carry_out
from app.portals.supervision.views import ReasonInput
from app.supervision import scanning

api = APIRouter(prefix="/api/v1/supervision/scan-reports", tags=["supervision"])
pages = APIRouter(prefix="/supervision/scan-reports", include_in_schema=False)


class ScanReportItem(BaseModel):
    """A reported code; `content` is what it says, to be read and not to be opened."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    content: str
    place: str
    note: str
    status: str
    reported_at: datetime
    answer: str | None
    handled_at: datetime | None


@api.get("", summary="Codes that the public reported")
async def reports(
    caller: SupervisionCaller, session: Read, paging: PageById, show: Annotated[Literal["opened", "all"], Query()] = "opened"
) -> Listed[ScanReportItem]:
    """The latest first."""
    found = await scanning.reports(session, open_only=show == "opened", before=paging.after, limit=paging.more)
    return listed([ScanReportItem.model_validate(each) for each in found], [each.id for each in found], paging)


@api.post("/{report_id}/handling", summary="Close a report")
async def handle(report_id: PathId, body: ReasonInput, caller: SupervisionCaller, session: Write) -> ScanReportItem:
    """With what was done about it."""
    return ScanReportItem.model_validate(await scanning.handle(session, caller, report_id, body.reason))


@pages.get("")
async def reports_page(
    request: Request,
    caller: SupervisionCaller,
    session: Read,
    paging: PageById,
    show: Annotated[Literal["opened", "all"], Query()] = "opened",
) -> Response:
    """Those that wait for an officer first."""
    found = await scanning.reports(session, open_only=show == "opened", before=paging.after, limit=paging.more)
    page = listed(found, [each.id for each in found], paging)
    return render(request, "supervision/scan_reports.html", page=page, show=show)


@pages.post("/{report_id}/handle")
async def handle_here(
    report_id: PathId, caller: SupervisionCaller, home: Home, reason: Annotated[str, Form(max_length=2000)] = ""
) -> Response:
    """Close it."""

    async def act(session: AsyncSession) -> None:
        await scanning.handle(session, caller, report_id, reason)

    return await carry_out(home, act, back="/supervision/scan-reports", done="举报已办结")
