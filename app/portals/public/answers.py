"""What the public end answers in JSON."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.contracts.queries import ClassView, Offer


class InstitutionItem(BaseModel):
    """A training institution of the district."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    kind: str = Field(description="subject, arts, sports, science or other")
    address: str
    credit_code: str = Field(description="Unified social credit code (GB 32100)")
    status: str = Field(description="approved, suspended or closed; only an approved one enrols")
    stage: str | None = Field(description="学段 of subject training: preschool, primary, middle or high")
    for_profit: bool | None
    licence_no: str | None = Field(description="办学许可证; null where it was not asked for")
    licence_issuer: str | None
    licence_scope: str | None
    licence_from_on: date | None
    licence_to_on: date | None = Field(description="Its last day")
    listing: str | None = Field(description="white or black: one on the black list sells nothing new")
    sales_paused_at: datetime | None = Field(description="Since when nothing new is sold; null while sales go on")
    sales_pause_reason: str | None


class ClassItem(BaseModel):
    """A class that may be joined now."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    institution_id: UUID
    institution_name: str
    name: str
    subject: str
    teacher_name: str
    teacher_certificate_no: str
    mode: str = Field(description="onsite or online")
    campus: str | None
    room: str | None
    materials: list[str]
    price_fen: int = Field(description="Of the whole class, as it is charged")
    listed_price_fen: int = Field(description="The same as it is posted")
    lesson_count: int
    lesson_minutes: int
    lessons_left: int = Field(description="Class sessions that have not started: what joining now buys")
    seats: int
    seats_left: int
    starts_on: date
    ends_on: date
    status: str = Field(description="opened or closed")


class OfferedLesson(BaseModel):
    """One class session still to come, at its part of the class's price."""

    model_config = ConfigDict(from_attributes=True)

    class_session_id: UUID
    number: int
    starts_at: datetime
    ends_at: datetime
    price_fen: int


class ClassDetail(ClassItem):
    """A class with what joining it now would buy, and for how much."""

    amount_fen: int = Field(description="Of all `lessons` together")
    lessons: list[OfferedLesson]

    @classmethod
    def of(cls, offer: Offer) -> "ClassDetail":
        """The answer about an offer."""
        lessons = [OfferedLesson.model_validate(lesson) for lesson in offer.lessons]
        return cls(**_fields(offer.view), amount_fen=offer.amount_fen, lessons=lessons)


def _fields(view: ClassView) -> dict[str, object]:
    return ClassItem.model_validate(view).model_dump()
