"""What families said about trial lessons, as its institution and officers read it: without the child."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from app.lessons.trial_queries import feedback_of_institution
from app.portals.fields import Listed, Moment, Paging, listed


class FeedbackItem(BaseModel):
    """What a family said about a trial."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    class_id: UUID
    class_name: str
    starts_at: datetime
    rating: int
    comment: str
    rated_at: datetime


async def listed_feedback(session: AsyncSession, institution_id: UUID, paging: Paging[Moment]) -> Listed[FeedbackItem]:
    """A page of it, the latest first."""
    found = await feedback_of_institution(session, institution_id, paging.after, paging.more)
    items = [FeedbackItem.model_validate(each) for each in found]
    return listed(items, [(each.rated_at, each.id) for each in items], paging)
