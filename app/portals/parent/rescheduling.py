"""What institutions changed about class sessions that the parent's children have a place in: JSON and the page."""

from fastapi import APIRouter, Request, Response

from app.contracts.rescheduling import changes_for_guardian
from app.portals.edge import ParentCaller, Read
from app.portals.fields import Listed, PageByTime, listed
from app.portals.pages import render
from app.portals.rescheduled import ChangeItem

api = APIRouter(prefix="/api/v1/parent", tags=["parent"])
router = APIRouter()


@api.get("/session-changes", summary="Changes of class sessions, newest first")
async def session_changes(caller: ParentCaller, session: Read, paging: PageByTime) -> Listed[ChangeItem]:
    """Of those that the caller's children have a place in, since they joined. Lessons go with their class session."""
    rows = await changes_for_guardian(session, caller.guardian_id, after=paging.after, limit=paging.more)
    return listed([ChangeItem.model_validate(row) for row in rows], [(row.changed_at, row.id) for row in rows], paging)


@router.get("/session-changes")
async def session_changes_page(request: Request, caller: ParentCaller, session: Read, paging: PageByTime) -> Response:
    """Moved, cancelled and replaced ones, each with the reason."""
    rows = await changes_for_guardian(session, caller.guardian_id, after=paging.after, limit=paging.more)
    page = listed(rows, [(row.changed_at, row.id) for row in rows], paging)
    return render(request, "parent/session_changes.html", page=page, is_first=paging.after is None)
