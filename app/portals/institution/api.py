"""JSON of the institution end: every route sees the caller's own institution only."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.contracts import queries as contracts
from app.lessons import service as lessons
from app.portals.edge import InstitutionCaller, Read, Write
from app.portals.fields import Fen, Listed, PageByTime, PathId, Text, listed
from app.portals.payouts import PayoutItem, listed_payouts
from app.registry import queries as registry
from app.registry import service as register
from app.registry.rules import MAX_LESSONS, MAX_SEATS, ClassDraft
from app.settlement import queries as settlement

router = APIRouter(prefix="/api/v1/institution", tags=["institution"])


class ClassSessionItem(BaseModel):
    """One meeting of a class; `number` counts within the class from 1."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    class_id: UUID
    class_name: str
    number: int
    starts_at: datetime
    ends_at: datetime
    status: str = Field(description="scheduled or delivered")


class RosterLine(BaseModel):
    """A child's paid place in a class session; the name is masked."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    lesson_id: UUID = Field(validation_alias="id")
    student_id: UUID
    student_name: str = Field(validation_alias="student_name_masked")
    price_fen: int
    status: str


class ClassSessionDetail(ClassSessionItem):
    """A class session with the children who have paid for it."""

    students: list[RosterLine]


class DeliveryInput(BaseModel):
    """Who attended. Paid children who are not named were absent: their lessons stay in escrow, untaught."""

    attended_student_ids: Annotated[list[UUID], Field(max_length=MAX_SEATS)]


class DeliveredLesson(BaseModel):
    """A paid lesson of the class session after its delivery: delivered, or missed by an absent child."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    student_id: UUID
    price_fen: int
    status: str


class Delivery(BaseModel):
    """What a delivery changed."""

    class_session_id: UUID
    status: str
    delivered: int
    missed: int
    lessons: list[DeliveredLesson]


class Meeting(BaseModel):
    """When a class meets once; instants with their offset."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime


class ClassInput(BaseModel):
    """A new class. `price_fen` is the price of all its lessons together; there is one meeting for each lesson."""

    teacher_id: UUID
    name: Annotated[Text, Field(max_length=80)]
    subject: Annotated[Text, Field(max_length=40)]
    price_fen: Fen
    lesson_count: Annotated[
        int | None, Field(strict=True, ge=1, le=MAX_LESSONS, description="By default as many as there are sessions")
    ] = None
    seats: Annotated[int, Field(strict=True, ge=1, le=MAX_SEATS)]
    sessions: Annotated[list[Meeting], Field(min_length=1, max_length=MAX_LESSONS)]

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
        )


class ClassItem(BaseModel):
    """A class of the institution."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    subject: str
    teacher_name: str
    teacher_certificate_no: str
    price_fen: int
    lesson_count: int
    lessons_left: int
    seats: int
    seats_left: int
    starts_on: date
    ends_on: date
    status: str
    created_at: datetime


class TeacherInput(BaseModel):
    """A new teacher, with the certificate that parents may check."""

    name: Annotated[Text, Field(max_length=40)]
    certificate_no: Annotated[Text, Field(max_length=40)]
    subject: Annotated[Text, Field(max_length=40)]


class TeacherItem(TeacherInput):
    """A teacher of the institution."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime


class BalanceView(BaseModel):
    """Where the institution's money is: waiting for lessons, owed to it, on its way out of the supervised account, paid to it."""

    model_config = ConfigDict(from_attributes=True)

    escrow_fen: int
    payable_fen: int
    outgoing_fen: int
    paid_fen: int


@router.get("/class-sessions", summary="Class sessions in the order they take place")
async def class_sessions(
    caller: InstitutionCaller,
    session: Read,
    paging: PageByTime,
    class_id: UUID | None = None,
    status: Annotated[Literal["scheduled", "delivered"] | None, Query()] = None,
) -> Listed[ClassSessionItem]:
    """All of them, of one class or in one state where given."""
    found = await registry.class_sessions(session, caller.institution_id, class_id, status, after=paging.after, limit=paging.more)
    return listed([ClassSessionItem.model_validate(each) for each in found], [(each.starts_at, each.id) for each in found], paging)


@router.get("/class-sessions/{class_session_id}", summary="One class session and the children who have paid for it")
async def class_session(class_session_id: PathId, caller: InstitutionCaller, session: Read) -> ClassSessionDetail:
    """Names of children are masked."""
    found = ClassSessionItem.model_validate(await registry.class_session(session, caller.institution_id, class_session_id))
    roster = await contracts.roster(session, caller.institution_id, class_session_id)
    return ClassSessionDetail(**found.model_dump(), students=[RosterLine.model_validate(each) for each in roster])


@router.post("/class-sessions/{class_session_id}/delivery", summary="Mark a class session delivered, with its attendance")
async def deliver(class_session_id: PathId, body: DeliveryInput, caller: InstitutionCaller, session: Write) -> Delivery:
    """Once, and not before its end. The lessons then wait for their guardians' confirmation; nothing is paid out by this."""
    paid = await lessons.deliver(session, caller, class_session_id, body.attended_student_ids)
    delivered = sum(lesson.status == "delivered" for lesson in paid)
    return Delivery(
        class_session_id=class_session_id,
        status="delivered",
        delivered=delivered,
        missed=len(paid) - delivered,
        lessons=[DeliveredLesson.model_validate(lesson) for lesson in paid],
    )


@router.get("/classes", summary="Classes in the order of opening")
async def classes(caller: InstitutionCaller, session: Read, paging: PageByTime) -> Listed[ClassItem]:
    """Past and present ones."""
    found = await contracts.classes_of_institution(session, caller.institution_id, paging.after, paging.more)
    return listed([ClassItem.model_validate(each) for each in found], [(each.created_at, each.id) for each in found], paging)


@router.post("/classes", status_code=201, summary="Open a class with its schedule")
async def open_class(body: ClassInput, caller: InstitutionCaller, session: Write) -> ClassItem:
    """Parents can enrol at once, as far as the rules on prepayment allow."""
    opened = await register.open_class(session, caller.institution_id, body.draft())
    return ClassItem.model_validate((await contracts.offer(session, opened.training_class.id)).view)


@router.get("/classes/{class_id}", summary="One class")
async def training_class(class_id: PathId, caller: InstitutionCaller, session: Read) -> ClassItem:
    """Its meetings are `class-sessions?class_id=`."""
    own = await register.own_class(session, caller, class_id)
    return ClassItem.model_validate((await contracts.offer(session, own.id)).view)


@router.get("/teachers", summary="Teachers in the order of entry")
async def teachers(caller: InstitutionCaller, session: Read, paging: PageByTime) -> Listed[TeacherItem]:
    """Name and certificate are public by rule."""
    found = await registry.teachers(session, caller.institution_id, paging.after, paging.more)
    return listed([TeacherItem.model_validate(each) for each in found], [(each.created_at, each.id) for each in found], paging)


@router.post("/teachers", status_code=201, summary="Enter a teacher")
async def enter_teacher(body: TeacherInput, caller: InstitutionCaller, session: Write) -> TeacherItem:
    """A certificate stands once in an institution."""
    entered = await register.create_teacher(session, caller.institution_id, body.name, body.certificate_no, body.subject)
    return TeacherItem.model_validate(entered)


@router.get("/balance", summary="Where the institution's money is")
async def balance(caller: InstitutionCaller, session: Read) -> BalanceView:
    """Amounts in fen, out of the books."""
    return BalanceView.model_validate(await settlement.balance(session, caller.institution_id))


@router.get("/payouts", summary="Payouts, newest first")
async def payouts(caller: InstitutionCaller, session: Read, paging: PageByTime) -> Listed[PayoutItem]:
    """Each with the lessons that it pays."""
    return listed_payouts(await settlement.payouts_of_institution(session, caller.institution_id, paging.after, paging.more), paging)


@router.get("/payouts/{payout_id}", summary="One payout")
async def payout(payout_id: PathId, caller: InstitutionCaller, session: Read) -> PayoutItem:
    """With the lessons that it pays."""
    return PayoutItem.model_validate(await settlement.payout(session, payout_id, caller.institution_id))
