"""What families said about an institution's trial lessons, as officers read it. JSON and a page."""

from fastapi import APIRouter, Request, Response

from app.portals.edge import Read, SupervisionCaller
from app.portals.fields import Listed, PageByTime, PathId
from app.portals.pages import render
from app.portals.trial_feedback import FeedbackItem, listed_feedback
from app.registry import queries as registry

api = APIRouter(prefix="/api/v1/supervision/institutions", tags=["supervision"])
pages = APIRouter(prefix="/supervision/institutions", include_in_schema=False)


@api.get("/{institution_id}/trial-feedback", summary="What families said about an institution's trial lessons")
async def feedback(institution_id: PathId, caller: SupervisionCaller, session: Read, paging: PageByTime) -> Listed[FeedbackItem]:
    """The latest first; it does not say whose child it was."""
    institution = await registry.institution(session, institution_id)
    return await listed_feedback(session, institution.id, paging)


@pages.get("/{institution_id}/trial-feedback")
async def feedback_page(request: Request, institution_id: PathId, caller: SupervisionCaller, session: Read, paging: PageByTime) -> Response:
    """The same to read."""
    institution = await registry.institution(session, institution_id)
    page = await listed_feedback(session, institution.id, paging)
    return render(request, "supervision/trial_feedback.html", institution=institution, page=page)
