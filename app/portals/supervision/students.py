"""学生库 at the supervision end: children without their names, each with the contracts that a look-up goes by. JSON and a page."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.portals.edge import Read, SupervisionCaller
from app.portals.fields import Listed, PageById, listed
from app.portals.pages import render
from app.privacy import register
from app.registry import queries as registry

api = APIRouter(prefix="/api/v1/supervision/students", tags=["supervision"])
pages = APIRouter(prefix="/supervision/students", include_in_schema=False)

OfInstitution = Annotated[UUID | None, Query(description="Only children with a contract at this institution")]


class StudentItem(BaseModel):
    """A child in the register; who it is, a look-up by one of its contracts shows."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    stage: str | None = Field(description="Null once a guardian has withdrawn consent, and once the child is erased")
    consented: bool
    hidden_at: datetime | None = Field(description="Since when a withdrawal of consent stands")
    erased_at: datetime | None
    guardians: int
    contract_nos: list[str] = Field(description="The newest first")
    created_at: datetime


@api.get("", summary="The register of students, without names")
async def students(caller: SupervisionCaller, session: Read, paging: PageById, institution_id: OfInstitution = None) -> Listed[StudentItem]:
    """The latest entry first."""
    found = await register.students(session, institution_id, paging.after, paging.more)
    return listed([StudentItem.model_validate(each) for each in found], [each.id for each in found], paging)


@pages.get("")
async def students_page(
    request: Request, caller: SupervisionCaller, session: Read, paging: PageById, institution_id: OfInstitution = None
) -> Response:
    """The same, with the way to a look-up."""
    institution = await registry.institution(session, institution_id) if institution_id else None
    found = await register.students(session, institution_id, paging.after, paging.more)
    page = listed(found, [each.id for each in found], paging)
    return render(request, "supervision/students.html", page=page, institution=institution)
