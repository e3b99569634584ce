"""试听 at the institution end: who comes for a trial, who came, and what families said. JSON and pages."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.lessons import trial_queries, trials
from app.portals.edge import Home, InstitutionCaller, Read, Write
from app.portals.fields import Listed, PageByTime, PathId
from app.portals.pages import render
from app.portals.staff import carry_out
from app.portals.trial_feedback import FeedbackItem, listed_feedback
from app.registry.rules import MAX_SEATS

api = APIRouter(prefix="/api/v1/institution", tags=["institution"])
pages = APIRouter(prefix="/institution", include_in_schema=False)


class TrialLine(BaseModel):
    """A child's trial in a class session; the name is masked."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    id: UUID
    student_name: str = Field(validation_alias="student_name_masked")
    status: str = Field(description="booked, attended or absent")


class TrialsOfSession(BaseModel):
    """The trials of a class session, at most as many as it has seats."""

    items: list[TrialLine]


class AttendanceInput(BaseModel):
    """Which of the booked trials took place; who is not named did not come."""

    attended_trial_ids: Annotated[list[UUID], Field(max_length=MAX_SEATS)]


@api.get("/class-sessions/{class_session_id}/trials", summary="Who comes for a trial")
async def of_session(class_session_id: PathId, caller: InstitutionCaller, session: Read) -> TrialsOfSession:
    """In the order of booking."""
    return await _of_session(session, caller.institution_id, class_session_id)


@api.post("/class-sessions/{class_session_id}/trials", summary="Enter who came for a trial")
async def mark(class_session_id: PathId, body: AttendanceInput, caller: InstitutionCaller, session: Write) -> TrialsOfSession:
    """Once for each booking, from the end of the class session on."""
    await trials.mark(session, caller, class_session_id, body.attended_trial_ids)
    return await _of_session(session, caller.institution_id, class_session_id)


@api.get("/trial-feedback", summary="What families said about trials")
async def feedback(caller: InstitutionCaller, session: Read, paging: PageByTime) -> Listed[FeedbackItem]:
    """The latest first; it does not say whose child it was."""
    return await listed_feedback(session, caller.institution_id, paging)


@pages.post("/class-sessions/{class_session_id}/trials")
async def mark_here(
    class_session_id: PathId, caller: InstitutionCaller, home: Home, attended: Annotated[list[UUID] | None, Form()] = None
) -> Response:
    """Enter who came."""

    async def act(session: AsyncSession) -> None:
        await trials.mark(session, caller, class_session_id, attended or [])

    return await carry_out(home, act, back=f"/institution/class-sessions/{class_session_id}", done="试听到课已登记")


@pages.get("/trial-feedback")
async def feedback_page(request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """What families said."""
    return render(request, "institution/trial_feedback.html", page=await listed_feedback(session, caller.institution_id, paging))


async def _of_session(session: AsyncSession, institution_id: UUID, class_session_id: UUID) -> TrialsOfSession:
    found = await trial_queries.trials_of_session(session, institution_id, class_session_id)
    return TrialsOfSession(items=[TrialLine.model_validate(each) for each in found])
