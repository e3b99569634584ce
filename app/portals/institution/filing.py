"""JSON of the institution end about classes: planning a schedule, filing a class, and changing its class sessions one by one."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.contracts import queries as contracts
from app.portals.edge import Home, InstitutionCaller, Read, Write
from app.portals.fields import CalendarDate, Fen, Listed, PageByTime, PathId, Text, listed
from app.portals.rescheduled import ChangeItem
from app.registry import class_sessions as timetable
from app.registry import classes as register
from app.registry import planning
from app.registry.clashes import Meeting
from app.registry.courses import own_class
from app.registry.rules import MAX_LESSONS, MAX_MATERIALS, MAX_SEATS, MOST_UNPAID, ClassDraft
from app.registry.schedules import MOST_A_DAY, Pattern
from app.registry.session_changes import ChangeView, changes_of_class, changes_of_session

router = APIRouter(prefix="/api/v1/institution", tags=["institution"])

OfView = ConfigDict(from_attributes=True)
Room = Annotated[Text, Field(max_length=40)]


class PatternInput(BaseModel):
    """A weekly timetable, at hours of Shanghai. Without any weekday it goes by that of the first date."""

    first_on: CalendarDate
    starts: time
    ends: time
    count: Annotated[int, Field(strict=True, ge=1, le=MAX_LESSONS)]
    weekdays: Annotated[list[Annotated[int, Field(strict=True, ge=1, le=7)]], Field(max_length=7, description="Monday is 1")] = []
    a_day: Annotated[int, Field(strict=True, ge=1, le=MOST_A_DAY, description="Sessions that follow one another on a day")] = 1
    pause_minutes: Annotated[int, Field(strict=True, ge=0, le=120, description="Between sessions of a day")] = 10
    skipped: Annotated[list[CalendarDate], Field(max_length=200, description="Dates without a session")] = []
    skip_holidays: Annotated[bool, Field(description="No session on statutory holidays either")] = True

    def pattern(self) -> Pattern:
        """The registers' form of it."""
        return Pattern(
            first_on=self.first_on,
            starts=self.starts,
            ends=self.ends,
            count=self.count,
            weekdays={weekday - 1 for weekday in self.weekdays},
            a_day=self.a_day,
            pause=timedelta(minutes=self.pause_minutes),
            skipped=self.skipped,
        )


class MeetingItem(BaseModel):
    """When a class would meet once."""

    starts_at: datetime
    ends_at: datetime


class Plan(BaseModel):
    """What a pattern comes to."""

    sessions: list[MeetingItem]
    holidays: list[date] = Field(description="On which it would have met otherwise")
    unknown_years: list[int] = Field(description="Whose holidays are not published yet: none of them are left out")


class MeetingInput(BaseModel):
    """When a class meets once; instants with their offset."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime


class ClassInput(BaseModel):
    """A class to be filed. Prices are of all its lessons together; there is one session for each lesson."""

    teacher_id: UUID
    name: Annotated[Text, Field(max_length=80)]
    subject: Annotated[Text, Field(max_length=40)]
    mode: Literal["onsite", "online"] = "onsite"
    price_fen: Annotated[Fen, Field(description="What is charged")]
    listed_price_fen: Annotated[Fen | None, Field(description="What is posted; by default the same")] = None
    lesson_count: Annotated[
        int | None, Field(strict=True, ge=1, le=MAX_LESSONS, description="By default as many as there are sessions")
    ] = None
    lesson_minutes: Annotated[
        int | None, Field(strict=True, ge=1, le=720, description="Taught in each session; by default all of the shortest")
    ] = None
    seats: Annotated[int, Field(strict=True, ge=1, le=MAX_SEATS, description="Also the class size that guide prices go by")]
    materials: Annotated[list[Annotated[Text, Field(max_length=100)]], Field(max_length=MAX_MATERIALS)] = []
    campus_id: Annotated[UUID | None, Field(description="Required on site where the institution has a campus")] = None
    room: Room | None = None
    most_unpaid: Annotated[
        int, Field(strict=True, ge=0, le=MOST_UNPAID, description="Lessons that may be taught and not paid yet; 0: only paid in advance")
    ] = 2
    sessions: Annotated[list[MeetingInput], Field(min_length=1, max_length=MAX_LESSONS)]

    def draft(self) -> ClassDraft:
        """The registers' form of it."""
        return ClassDraft(
            teacher_id=self.teacher_id,
            name=self.name,
            subject=self.subject,
            price_fen=self.price_fen,
            lesson_count=self.lesson_count or len(self.sessions),
            seats=self.seats,
            sessions=[(meeting.starts_at, meeting.ends_at) for meeting in self.sessions],
            mode=self.mode,
            lesson_minutes=self.lesson_minutes,
            listed_price_fen=self.listed_price_fen,
            materials=self.materials,
            campus_id=self.campus_id,
            room=self.room,
            most_unpaid=self.most_unpaid,
        )


class ClassItem(BaseModel):
    """A class of the institution."""

    model_config = OfView

    id: UUID
    name: str
    subject: str
    mode: str = Field(description="onsite or online")
    teacher_name: str
    teacher_certificate_no: str
    campus: str | None
    room: str | None
    materials: list[str]
    price_fen: int
    listed_price_fen: int
    lesson_count: int
    lesson_minutes: int
    lessons_left: int
    most_unpaid: int = Field(description="Lessons that may be taught and not paid yet; 0: only paid in advance")
    seats: int
    seats_left: int
    starts_on: date
    ends_on: date
    status: str = Field(description="filed, opened (approved and enrolling), refused or closed")
    created_at: datetime
    decided_at: datetime | None
    decision_reason: str | None


class Checked(BaseModel):
    """What the rules say about a class that could be filed like this."""

    judged_by: str
    findings: list[dict[str, Any]]


class ArrangementInput(MeetingInput):
    """How a class session shall be held from now on, completely, and why."""

    teacher_id: UUID
    campus_id: UUID | None = None
    room: Room | None = None
    reason: Text

    def meeting(self) -> Meeting:
        """The registers' form of it."""
        return Meeting(self.starts_at, self.ends_at, self.teacher_id, self.campus_id, self.room)


class CancellationInput(BaseModel):
    """Why a class session is not held."""

    reason: Text


@router.get("/classes", summary="Classes in the order of filing")
async def classes(caller: InstitutionCaller, session: Read, paging: PageByTime) -> Listed[ClassItem]:
    """Past and present ones, those that wait for a decision and refused ones too."""
    found = await contracts.classes_of_institution(session, caller.institution_id, paging.after, paging.more)
    return listed([ClassItem.model_validate(each) for each in found], [(each.created_at, each.id) for each in found], paging)


@router.post("/class-schedules", summary="Plan a schedule out of a weekly pattern")
async def plan(body: PatternInput, caller: InstitutionCaller, session: Read) -> Plan:
    """Nothing is kept: the sessions go into the class that is filed."""
    made = await planning.plan(session, body.pattern(), skip_holidays=body.skip_holidays)
    meetings = [MeetingItem(starts_at=starts_at, ends_at=ends_at) for starts_at, ends_at in made.sessions]
    return Plan(sessions=meetings, holidays=list(made.holidays), unknown_years=list(made.unknown_years))


@router.post("/class-checks", summary="See whether a class could be filed")
async def check(body: ClassInput, caller: InstitutionCaller, home: Home) -> Checked:
    """Answers and refuses as filing does, and keeps nothing."""
    async with home.reading() as session:
        filed = (await register.file_class(session, caller, body.draft())).training_class
        return Checked(judged_by=filed.judged_by or "", findings=filed.findings)


@router.post("/classes", status_code=201, summary="File a class with its schedule")
async def file_class(body: ClassInput, caller: InstitutionCaller, session: Write) -> ClassItem:
    """Parents can enrol once an officer has approved it."""
    filed = await register.file_class(session, caller, body.draft())
    return ClassItem.model_validate((await contracts.offer(session, filed.training_class.id)).view)


@router.get("/classes/{class_id}", summary="One class")
async def training_class(class_id: PathId, caller: InstitutionCaller, session: Read) -> ClassItem:
    """Its meetings are `class-sessions?class_id=`."""
    found = await own_class(session, caller, class_id)
    return ClassItem.model_validate((await contracts.offer(session, found.id)).view)


@router.post("/classes/{class_id}/close", summary="Stop enrolling")
async def close(class_id: PathId, caller: InstitutionCaller, session: Write) -> ClassItem:
    """Contracts and class sessions go on."""
    closed = await register.close_class(session, caller, class_id)
    return ClassItem.model_validate((await contracts.offer(session, closed.id)).view)


@router.get("/session-changes", summary="Changes of a class's sessions, or of one of them, newest first")
async def session_changes(
    caller: InstitutionCaller, session: Read, class_id: Annotated[UUID, Query()], class_session_id: Annotated[UUID | None, Query()] = None
) -> Listed[ChangeItem]:
    """The latest hundred."""
    found = await own_class(session, caller, class_id)
    rows = await changes_of_class(session, found.id)
    chosen = [row for row in rows if class_session_id in (None, row.class_session_id)]
    return Listed(items=[ChangeItem.model_validate(row) for row in chosen], next_cursor=None)


@router.post("/class-sessions/{class_session_id}/change", summary="Change a class session's time, teacher or place")
async def change(class_session_id: PathId, body: ArrangementInput, caller: InstitutionCaller, session: Write) -> ChangeItem:
    """Not once it is delivered. Lessons that are paid for it go with it, and their families read of it."""
    await timetable.change_session(session, caller, class_session_id, body.meeting(), body.reason)
    return await _latest(session, class_session_id)


@router.post("/class-sessions/{class_session_id}/cancel", summary="Cancel a class session")
async def cancel(class_session_id: PathId, body: CancellationInput, caller: InstitutionCaller, session: Write) -> ChangeItem:
    """Its lessons stay paid and untaught until a replacement is set; they can be refunded."""
    await timetable.cancel_session(session, caller, class_session_id, body.reason)
    return await _latest(session, class_session_id)


@router.post("/class-sessions/{class_session_id}/replacement", summary="Set the replacement of a cancelled class session")
async def replace(class_session_id: PathId, body: ArrangementInput, caller: InstitutionCaller, session: Write) -> ChangeItem:
    """It is held then, with the lessons that were paid for it."""
    await timetable.replace_session(session, caller, class_session_id, body.meeting(), body.reason)
    return await _latest(session, class_session_id)


async def _latest(session: Write, class_session_id: UUID) -> ChangeItem:
    newest: ChangeView = (await changes_of_session(session, class_session_id))[0]
    return ChangeItem.model_validate(newest)
