"""Changes of class sessions, as the ends that may read them show them in JSON."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

_OF_VIEW = ConfigDict(from_attributes=True)


class ArrangementItem(BaseModel):
    """When, by whom and where a class session is held."""

    model_config = _OF_VIEW

    starts_at: datetime
    ends_at: datetime
    teacher_name: str
    campus: str | None
    room: str | None


class ChangeItem(BaseModel):
    """A change of a class session, with the reason that its families read."""

    model_config = _OF_VIEW

    id: UUID
    class_session_id: UUID
    class_name: str
    number: int
    kind: str = Field(description="changed, cancelled or replaced")
    before: ArrangementItem
    after: ArrangementItem | None = Field(description="Empty where it was cancelled")
    reason: str
    changed_at: datetime
