"""JSON of the institution end: every route sees the caller's own institution only."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.contracts import queries as contracts
from app.contracts.views import LessonView
from app.lessons import owing
from app.lessons import service as lessons
from app.lessons.trial_queries import trials_of_session
from app.portals.edge import InstitutionCaller, Read, Write
from app.portals.fields import Listed, PageByTime, PathId, listed
from app.portals.institution.trials import TrialLine
from app.portals.payouts import PayoutItem, listed_payouts
from app.registry import queries as registry
from app.registry.rules import MAX_SEATS
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
    teacher_id: UUID
    teacher_name: str
    campus_id: UUID | None
    campus: str | None
    room: str | None
    status: str = Field(description="scheduled, delivered or cancelled")


class RosterLine(BaseModel):
    """A child's place in a class session, paid or to be paid afterwards; the name is masked."""

    lesson_id: UUID
    student_id: UUID
    student_name: str
    price_fen: int
    status: str
    is_behind: bool = Field(description="owes as many lessons as the class allows: not to be taught before they are paid")

    @classmethod
    def of(cls, view: LessonView, *, is_behind: bool) -> "RosterLine":
        """The answer about a child's place."""
        return cls(
            lesson_id=view.id,
            student_id=view.student_id,
            student_name=view.student_name_masked,
            price_fen=view.price_fen,
            status=view.status,
            is_behind=is_behind,
        )


class ClassSessionDetail(ClassSessionItem):
    """A class session with the children who have paid for it, and those who come for a trial."""

    students: list[RosterLine]
    trials: list[TrialLine]


class DeliveryInput(BaseModel):
    """Who attended. Paid children who are not named were absent: their lessons stay in escrow, untaught."""

    attended_student_ids: Annotated[list[UUID], Field(max_length=MAX_SEATS)]


class DeliveredLesson(BaseModel):
    """A lesson of the class session after its delivery: delivered, or missed by an absent child; paid afterwards: owed, or lapsed."""

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


class BalanceView(BaseModel):
    """Where the institution's money is: waiting for lessons, owed to it, on its way out of the supervised account, paid to it.

    `shortfall_fen` is what its book lacks: what it earns makes that good first.
    """

    model_config = ConfigDict(from_attributes=True)

    escrow_fen: int
    payable_fen: int
    outgoing_fen: int
    paid_fen: int
    shortfall_fen: int


@router.get("/class-sessions", summary="Class sessions in the order they take place")
async def class_sessions(
    caller: InstitutionCaller,
    session: Read,
    paging: PageByTime,
    class_id: UUID | None = None,
    status: Annotated[Literal["scheduled", "delivered", "cancelled"] | None, Query()] = None,
) -> Listed[ClassSessionItem]:
    """All of them, of one class or in one state where given."""
    found = await registry.class_sessions(session, caller.institution_id, class_id, status, after=paging.after, limit=paging.more)
    return listed([ClassSessionItem.model_validate(each) for each in found], [(each.starts_at, each.id) for each in found], paging)


@router.get("/class-sessions/{class_session_id}", summary="One class session and the children who have paid for it")
async def class_session(class_session_id: PathId, caller: InstitutionCaller, session: Read) -> ClassSessionDetail:
    """Names of children are masked."""
    found = ClassSessionItem.model_validate(await registry.class_session(session, caller.institution_id, class_session_id))
    roster = await contracts.roster(session, caller.institution_id, class_session_id)
    behind = await owing.behind(session, class_session_id)
    guests = await trials_of_session(session, caller.institution_id, class_session_id)
    return ClassSessionDetail(
        **found.model_dump(),
        students=[RosterLine.of(each, is_behind=each.student_id in behind) for each in roster],
        trials=[TrialLine.model_validate(each) for each in guests],
    )


@router.post("/class-sessions/{class_session_id}/delivery", summary="Mark a class session delivered, with its attendance")
async def deliver(class_session_id: PathId, body: DeliveryInput, caller: InstitutionCaller, session: Write) -> Delivery:
    """Once, and not before its end. The lessons then wait for their guardians' confirmation or payment; nothing is paid out by this."""
    marked = await lessons.deliver(session, caller, class_session_id, body.attended_student_ids)
    delivered = sum(lesson.status in ("delivered", "owed") for lesson in marked)
    return Delivery(
        class_session_id=class_session_id,
        status="delivered",
        delivered=delivered,
        missed=len(marked) - delivered,
        lessons=[DeliveredLesson.model_validate(lesson) for lesson in marked],
    )


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
