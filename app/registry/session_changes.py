"""What was changed about class sessions, as the institution, its officers and its families read it; pages of 100 rows at most."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.registry.models import Campus, ClassSession, ClassSessionChange, Teacher, TrainingClass
from app.registry.queries import PAGE, Cursor


@dataclass(frozen=True, slots=True)
class Arrangement:
    """When, by whom and where a class session was to be held."""

    starts_at: datetime
    ends_at: datetime
    teacher_name: str
    campus: str | None
    room: str | None


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One change: `after` is empty where the class session was cancelled."""

    id: UUID
    class_session_id: UUID
    class_id: UUID
    class_name: str
    number: int
    kind: str
    before: Arrangement
    after: Arrangement | None
    reason: str
    changed_at: datetime


async def changes(
    session: AsyncSession, *criteria: ColumnElement[bool], after: Cursor | None = None, limit: int = PAGE
) -> list[ChangeView]:
    """The changes that match, newest first; `after` is (changed_at, id) of the last one seen."""
    old_teacher, new_teacher, old_campus, new_campus = aliased(Teacher), aliased(Teacher), aliased(Campus), aliased(Campus)
    query = (
        select(
            ClassSessionChange,
            ClassSession.class_id,
            TrainingClass.name,
            ClassSession.number,
            old_teacher.name,
            old_campus.name,
            new_teacher.name,
            new_campus.name,
        )
        .join(ClassSession, ClassSession.id == ClassSessionChange.class_session_id)
        .join(TrainingClass, TrainingClass.id == ClassSession.class_id)
        .join(old_teacher, old_teacher.id == ClassSessionChange.old_teacher_id)
        .outerjoin(old_campus, old_campus.id == ClassSessionChange.old_campus_id)
        .outerjoin(new_teacher, new_teacher.id == ClassSessionChange.new_teacher_id)
        .outerjoin(new_campus, new_campus.id == ClassSessionChange.new_campus_id)
        .where(*criteria)
        .order_by(ClassSessionChange.changed_at.desc(), ClassSessionChange.id.desc())
        .limit(min(limit, PAGE))
    )
    if after is not None:
        query = query.where(tuple_(ClassSessionChange.changed_at, ClassSessionChange.id) < after)
    return [_view(row) for row in await session.execute(query)]


async def changes_of_class(session: AsyncSession, class_id: UUID) -> list[ChangeView]:
    """The latest changes of a class's sessions, newest first."""
    return await changes(session, ClassSession.class_id == class_id)


async def changes_of_session(session: AsyncSession, class_session_id: UUID) -> list[ChangeView]:
    """The latest changes of one class session, newest first."""
    return await changes(session, ClassSessionChange.class_session_id == class_session_id)


def _view(row: Any) -> ChangeView:
    found, class_id, class_name, number, old_teacher, old_campus, new_teacher, new_campus = row
    after = None
    if found.new_starts_at is not None:
        after = Arrangement(found.new_starts_at, found.new_ends_at, new_teacher, new_campus, found.new_room)
    return ChangeView(
        id=found.id,
        class_session_id=found.class_session_id,
        class_id=class_id,
        class_name=class_name,
        number=number,
        kind=found.kind,
        before=Arrangement(found.old_starts_at, found.old_ends_at, old_teacher, old_campus, found.old_room),
        after=after,
        reason=found.reason,
        changed_at=found.changed_at,
    )
