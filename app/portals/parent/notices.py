"""公告 for families, in JSON: institutions where they have a live contract and that sell nothing new for now."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from app.contracts.notices import notices_of
from app.portals.edge import ParentCaller, Read
from app.portals.fields import Listed

api = APIRouter(prefix="/api/v1/parent/notices", tags=["parent"])


class PauseItem(BaseModel):
    """An institution whose new sales are paused. Lessons that were paid for go on, and can be refunded, as before."""

    model_config = ConfigDict(from_attributes=True)

    institution_id: UUID
    institution_name: str
    paused_at: datetime
    reason: str


@api.get("", summary="Notices about the institutions of the caller's children")
async def notices(caller: ParentCaller, session: Read) -> Listed[PauseItem]:
    """By the institution's name."""
    found = await notices_of(session, caller.guardian_id)
    return Listed(items=[PauseItem.model_validate(each) for each in found], next_cursor=None)
