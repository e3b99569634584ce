"""What the registers show. Names of children come masked; pages go by (time, id), 100 rows at most."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.errors import NotFound
from app.registry import families
from app.registry.models import Campus, ClassSession, Institution, Student, Teacher, TrainingClass

PAGE = 100
HIDDEN = "已隐藏"
Cursor = tuple[datetime, UUID]
"""Time and id of the last row seen, in the order of the list."""


@dataclass(frozen=True, slots=True)
class ClassSessionView:
    """One meeting of a class in an institution's calendar, with who teaches it and where."""

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
    status: str


async def institutions(session: AsyncSession, after: Cursor | None = None, limit: int = PAGE) -> list[Institution]:
    """Institutions in the order of entry; `after` is (created_at, id) of the last one seen."""
    query = select(Institution).order_by(Institution.created_at, Institution.id).limit(min(limit, PAGE))
    if after is not None:
        query = query.where(tuple_(Institution.created_at, Institution.id) > after)
    return list(await session.scalars(query))


async def institution(session: AsyncSession, institution_id: UUID) -> Institution:
    """One institution. Raises NotFound("registry.institution_not_found")."""
    found = await session.get(Institution, institution_id)
    if found is None:
        raise NotFound("registry.institution_not_found", "没有这家机构")
    return found


async def teachers(session: AsyncSession, institution_id: UUID, after: Cursor | None = None, limit: int = PAGE) -> list[Teacher]:
    """An institution's teachers in the order of entry; `after` is (created_at, id) of the last one seen."""
    query = select(Teacher).where(Teacher.institution_id == institution_id).order_by(Teacher.created_at, Teacher.id)
    if after is not None:
        query = query.where(tuple_(Teacher.created_at, Teacher.id) > after)
    return list(await session.scalars(query.limit(min(limit, PAGE))))


async def class_sessions(
    session: AsyncSession,
    institution_id: UUID,
    class_id: UUID | None = None,
    status: str | None = None,
    after: Cursor | None = None,
    limit: int = PAGE,
    *,
    ended: bool | None = None,
    newest_first: bool = False,
) -> list[ClassSessionView]:
    """An institution's class sessions in the order they take place, or the other way round; `ended` ones are over by now.

    `after` is (starts_at, id) of the last one seen.
    """
    place = tuple_(ClassSession.starts_at, ClassSession.id)
    query = _class_sessions().where(ClassSession.institution_id == institution_id).limit(min(limit, PAGE))
    if newest_first:
        query = query.order_by(ClassSession.starts_at.desc(), ClassSession.id.desc())
    else:
        query = query.order_by(ClassSession.starts_at, ClassSession.id)
    if ended is not None:
        query = query.where((ClassSession.ends_at <= clock.now()) == ended)
    if class_id is not None:
        query = query.where(ClassSession.class_id == class_id)
    if status is not None:
        query = query.where(ClassSession.status == status)
    if after is not None:
        query = query.where(place < after if newest_first else place > after)
    return [_class_session_view(row) for row in await session.execute(query)]


async def class_session(session: AsyncSession, institution_id: UUID, class_session_id: UUID) -> ClassSessionView:
    """One class session of the institution's own. Raises NotFound("registry.class_session_not_found")."""
    own = ClassSession.id == class_session_id, ClassSession.institution_id == institution_id
    found = (await session.execute(_class_sessions().where(*own))).one_or_none()
    if found is None:
        raise NotFound("registry.class_session_not_found", "没有这次课")
    return _class_session_view(found)


def masked_name(student: Student) -> str:
    """The child's name as screens show it: 王*明; nothing of it while a guardian's withdrawal stands."""
    return HIDDEN if student.hidden_at else families.masked_name(student)


def _class_sessions() -> Select[*tuple[Any, ...]]:
    return (
        select(ClassSession, TrainingClass.name, Teacher.id, Teacher.name, Campus.name)
        .join(TrainingClass, TrainingClass.id == ClassSession.class_id)
        .join(Teacher, Teacher.id == func.coalesce(ClassSession.teacher_id, TrainingClass.teacher_id))
        .outerjoin(Campus, Campus.id == ClassSession.campus_id)
    )


def _class_session_view(row: Any) -> ClassSessionView:
    found, class_name, teacher_id, teacher_name, campus = row
    return ClassSessionView(
        id=found.id,
        class_id=found.class_id,
        class_name=class_name,
        number=found.number,
        starts_at=found.starts_at,
        ends_at=found.ends_at,
        teacher_id=teacher_id,
        teacher_name=teacher_name,
        campus_id=found.campus_id,
        campus=campus,
        room=found.room,
        status=found.status,
    )
