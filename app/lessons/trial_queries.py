"""What trial lessons look like to families and institutions; pages of 100 rows at most."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts.models import LIVE, Contract
from app.errors import NotFound
from app.lessons.models import Trial
from app.lessons.trials import AHEAD
from app.registry.models import Campus, ClassSession, Guardianship, Institution, Student, TrainingClass
from app.registry.queries import PAGE, Cursor, masked_name


@dataclass(frozen=True, slots=True)
class TrialView:
    """A trial with its class session; `session_status` is cancelled where that was called off, `address` is where an onsite class meets."""

    id: UUID
    class_id: UUID
    class_name: str
    institution_id: UUID
    institution_name: str
    class_session_id: UUID
    number: int
    starts_at: datetime
    ends_at: datetime
    mode: str
    campus: str | None
    address: str
    room: str | None
    session_status: str
    student_id: UUID
    student_name_masked: str
    status: str
    booked_at: datetime
    rating: int | None
    comment: str | None
    rated_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A class session that a trial can be booked for, with the places left in it."""

    id: UUID
    number: int
    starts_at: datetime
    ends_at: datetime
    places_left: int


async def trials_of_guardian(session: AsyncSession, guardian_id: UUID, after: Cursor | None = None, limit: int = PAGE) -> list[TrialView]:
    """Trials of the children that the guardian answers for, those booked last first; `after` is (booked_at, id) of the last one seen."""
    children = select(Guardianship.student_id).where(Guardianship.guardian_id == guardian_id)
    query = _trials(Trial.student_id.in_(children)).order_by(Trial.booked_at.desc(), Trial.id.desc()).limit(min(limit, PAGE))
    if after is not None:
        query = query.where(tuple_(Trial.booked_at, Trial.id) < after)
    return [_view(row) for row in await session.execute(query)]


async def trial_of_guardian(session: AsyncSession, guardian_id: UUID, trial_id: UUID) -> TrialView:
    """One of them. Raises NotFound("lessons.trial_not_found") for an absent one and somebody else's alike."""
    children = select(Guardianship.student_id).where(Guardianship.guardian_id == guardian_id)
    row = (await session.execute(_trials(Trial.id == trial_id, Trial.student_id.in_(children)))).one_or_none()
    if row is None:
        raise NotFound("lessons.trial_not_found", "没有这次试听")
    return _view(row)


async def trials_of_session(session: AsyncSession, institution_id: UUID, class_session_id: UUID) -> list[TrialView]:
    """Who comes, or came, for a trial to one of the institution's class sessions, in the order of booking."""
    of_session = (Trial.institution_id == institution_id, Trial.class_session_id == class_session_id, Trial.status != "cancelled")
    return [_view(row) for row in await session.execute(_trials(*of_session).order_by(Trial.booked_at, Trial.id))]


async def feedback_of_institution(
    session: AsyncSession, institution_id: UUID, after: Cursor | None = None, limit: int = PAGE
) -> list[TrialView]:
    """Trials of an institution that families rated, the latest rating first; `after` is (rated_at, id) of the last one seen."""
    rated = _trials(Trial.institution_id == institution_id, Trial.rated_at.is_not(None))
    query = rated.order_by(Trial.rated_at.desc(), Trial.id.desc()).limit(min(limit, PAGE))
    if after is not None:
        query = query.where(tuple_(Trial.rated_at, Trial.id) < after)
    return [_view(row) for row in await session.execute(query)]


async def open_sessions(session: AsyncSession, class_id: UUID, limit: int = 20) -> list[OpenSession]:
    """The next class sessions of a class that a trial can be booked for, as far as its own seats say."""
    now = clock.now()
    pupils = select(func.count()).where(Contract.class_id == class_id, Contract.status.in_(LIVE)).scalar_subquery()
    guests = (
        select(func.count())
        .where(Trial.class_session_id == ClassSession.id, Trial.status == "booked")
        .correlate(ClassSession)
        .scalar_subquery()
    )
    query = (
        select(ClassSession, TrainingClass.seats - pupils - guests)
        .join(TrainingClass, TrainingClass.id == ClassSession.class_id)
        .where(ClassSession.class_id == class_id, ClassSession.status == "scheduled", TrainingClass.status == "opened")
        .where(ClassSession.starts_at > now, ClassSession.starts_at <= now + AHEAD)
        .order_by(ClassSession.starts_at, ClassSession.id)
        .limit(min(limit, PAGE))
    )
    rows = await session.execute(query)
    return [OpenSession(row.id, row.number, row.starts_at, row.ends_at, left) for row, left in rows if left > 0]


def _trials(*criteria: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return (
        select(Trial, ClassSession, TrainingClass, Institution.name, Institution.address, Campus.name, Campus.address, Student)
        .join(ClassSession, ClassSession.id == Trial.class_session_id)
        .join(TrainingClass, TrainingClass.id == Trial.class_id)
        .join(Institution, Institution.id == Trial.institution_id)
        .join(Student, Student.id == Trial.student_id)
        .outerjoin(Campus, Campus.id == func.coalesce(ClassSession.campus_id, TrainingClass.campus_id))
        .where(*criteria)
    )


def _view(row: Any) -> TrialView:
    trial, class_session, training_class, institution_name, head_office, campus, campus_address, student = row
    return TrialView(
        id=trial.id,
        class_id=trial.class_id,
        class_name=training_class.name,
        institution_id=trial.institution_id,
        institution_name=institution_name,
        class_session_id=trial.class_session_id,
        number=class_session.number,
        starts_at=class_session.starts_at,
        ends_at=class_session.ends_at,
        mode=training_class.mode,
        campus=campus,
        address=campus_address or head_office,
        room=class_session.room or training_class.room,
        session_status=class_session.status,
        student_id=trial.student_id,
        student_name_masked=masked_name(student),
        status=trial.status,
        booked_at=trial.booked_at,
        rating=trial.rating,
        comment=trial.comment,
        rated_at=trial.rated_at,
    )
