"""What disputes look like to their readers; pages of 100 rows at most."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts.models import Lesson
from app.errors import NotFound
from app.lessons.models import Dispute, Release
from app.registry.models import ClassSession, Institution, Student, TrainingClass
from app.registry.queries import PAGE, Cursor, masked_name


@dataclass(frozen=True, slots=True)
class DisputeView:
    """An objection with the lesson it stops; `reason` is the guardian's, `ruling_reason` the officer's."""

    id: UUID
    lesson_id: UUID
    contract_id: UUID
    institution_id: UUID
    institution_name: str
    class_name: str
    student_name_masked: str
    price_fen: int
    starts_at: datetime
    ends_at: datetime
    reason: str
    status: str
    opened_at: datetime
    ruling: str | None
    ruling_reason: str | None
    ruled_at: datetime | None


async def disputes(
    session: AsyncSession, status: str | None = None, institution_id: UUID | None = None, after: Cursor | None = None, limit: int = PAGE
) -> list[DisputeView]:
    """Disputes, newest first, of the district or of one institution; `after` is (opened_at, id) of the last one seen."""
    criteria: list[ColumnElement[bool]] = []
    if status is not None:
        criteria.append(Dispute.status == status)
    if institution_id is not None:
        criteria.append(Dispute.institution_id == institution_id)
    if after is not None:
        criteria.append(tuple_(Dispute.opened_at, Dispute.id) < after)
    return await _views(session, criteria, limit)


async def dispute_of(session: AsyncSession, lesson_id: UUID) -> DisputeView:
    """The latest dispute of a lesson. Raises NotFound("lessons.dispute_not_found")."""
    found = await _views(session, [Dispute.lesson_id == lesson_id], 1)
    if not found:
        raise NotFound("lessons.dispute_not_found", "没有这项异议")
    return found[0]


async def disputes_of_contract(session: AsyncSession, contract_id: UUID) -> list[DisputeView]:
    """A contract's disputes, newest first, at most 100."""
    return await _views(session, [Lesson.contract_id == contract_id], PAGE)


async def still_disputable(session: AsyncSession, contract_id: UUID) -> dict[UUID, datetime]:
    """Those of a contract's confirmed lessons whose release is not final yet, and the instants when it becomes so."""
    query = (
        select(Release.lesson_id, Release.final_at)
        .join(Lesson, Lesson.id == Release.lesson_id)
        .where(Lesson.contract_id == contract_id, Lesson.status == "confirmed")
        .where(Release.reversed_at.is_(None), Release.payout_id.is_(None), Release.final_at > clock.now())
    )
    return {lesson_id: final_at for lesson_id, final_at in await session.execute(query)}


async def _views(session: AsyncSession, criteria: list[ColumnElement[bool]], limit: int) -> list[DisputeView]:
    rows = await session.execute(
        select(Dispute, Lesson, Institution.name, TrainingClass.name, ClassSession, Student)
        .join(Lesson, Lesson.id == Dispute.lesson_id)
        .join(Institution, Institution.id == Dispute.institution_id)
        .join(ClassSession, ClassSession.id == Lesson.class_session_id)
        .join(TrainingClass, TrainingClass.id == ClassSession.class_id)
        .join(Student, Student.id == Lesson.student_id)
        .where(*criteria)
        .order_by(Dispute.opened_at.desc(), Dispute.id.desc())
        .limit(min(limit, PAGE))
    )
    return [_view(row) for row in rows]


def _view(row: Any) -> DisputeView:
    dispute, lesson, institution_name, class_name, class_session, student = row
    return DisputeView(
        id=dispute.id,
        lesson_id=lesson.id,
        contract_id=lesson.contract_id,
        institution_id=dispute.institution_id,
        institution_name=institution_name,
        class_name=class_name,
        student_name_masked=masked_name(student),
        price_fen=lesson.price_fen,
        starts_at=class_session.starts_at,
        ends_at=class_session.ends_at,
        reason=dispute.reason,
        status=dispute.status,
        opened_at=dispute.opened_at,
        ruling=dispute.ruling,
        ruling_reason=dispute.ruling_reason,
        ruled_at=dispute.ruled_at,
    )
