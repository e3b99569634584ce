"""A class as it is sold: with its institution and its whole schedule, and who may see it."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound, Refused
from app.registry.models import ClassSession, Institution, TrainingClass
from app.security import InstitutionStaff


@dataclass(frozen=True, slots=True)
class Course:
    """A class with its institution and its whole schedule, ordered by number."""

    training_class: TrainingClass
    institution: Institution
    sessions: list[ClassSession]


async def own_class(session: AsyncSession, staff: InstitutionStaff, class_id: UUID) -> TrainingClass:
    """The institution's own class. Raises NotFound("registry.class_not_found") for an absent one and somebody else's alike."""
    training_class = await session.get(TrainingClass, class_id)
    if training_class is None or training_class.institution_id != staff.institution_id:
        raise _no_class()
    return training_class


async def course_of(session: AsyncSession, class_id: UUID) -> Course:
    """A class with its institution and schedule. Raises NotFound("registry.class_not_found")."""
    training_class = await session.get(TrainingClass, class_id)
    if training_class is None:
        raise _no_class()
    return await _course(session, training_class)


async def courses_taught(session: AsyncSession, institution_id: UUID) -> dict[UUID, Course]:
    """An institution's approved classes, those that take nobody new too, locked the same way as `courses_for_sale` locks them."""
    taught = TrainingClass.institution_id == institution_id, TrainingClass.status.in_(("opened", "closed"))
    locked = select(TrainingClass).where(*taught).order_by(TrainingClass.id).with_for_update(key_share=True)
    classes = (await session.scalars(locked, execution_options={"populate_existing": True})).all()
    institution = await _institution(session, institution_id)
    sessions = await _schedules(session, [each.id for each in classes])
    return {each.id: Course(each, institution, sessions[each.id]) for each in classes}


async def courses_for_sale(session: AsyncSession, class_ids: Collection[UUID]) -> dict[UUID, Course]:
    """Several of them by class, with the class rows locked in the order of their ids, so that whoever counts their seats counts alone.

    Whether the institution may sell anything new is still to be judged (`institutions.check_may_sell`).
    Raises NotFound("registry.class_not_found"), Refused("registry.class_not_open") where a class or its institution may not enrol.
    """
    locked = select(TrainingClass).where(TrainingClass.id.in_(class_ids)).order_by(TrainingClass.id).with_for_update(key_share=True)
    classes = (await session.scalars(locked, execution_options={"populate_existing": True})).all()
    if len(classes) < len(set(class_ids)):
        raise _no_class()
    chosen = Institution.id.in_({each.institution_id for each in classes})
    institutions = {each.id: each for each in await session.scalars(select(Institution).where(chosen))}
    sessions = await _schedules(session, class_ids)
    for each in classes:
        if each.status != "opened" or institutions[each.institution_id].status != "approved":
            raise Refused("registry.class_not_open", "该班级目前不招生")
    return {each.id: Course(each, institutions[each.institution_id], sessions[each.id]) for each in classes}


async def _schedules(session: AsyncSession, class_ids: Collection[UUID]) -> dict[UUID, list[ClassSession]]:
    sessions: dict[UUID, list[ClassSession]] = defaultdict(list)
    schedule = select(ClassSession).where(ClassSession.class_id.in_(class_ids)).order_by(ClassSession.class_id, ClassSession.number)
    for row in await session.scalars(schedule):
        sessions[row.class_id].append(row)
    return sessions


async def _institution(session: AsyncSession, institution_id: UUID) -> Institution:
    institution = await session.get(Institution, institution_id)
    if institution is None:
        raise NotFound("registry.institution_not_found", "没有这家机构")
    return institution


async def _course(session: AsyncSession, training_class: TrainingClass) -> Course:
    institution = await _institution(session, training_class.institution_id)
    rows = await session.scalars(select(ClassSession).where(ClassSession.class_id == training_class.id).order_by(ClassSession.number))
    return Course(training_class, institution, list(rows))


def _no_class() -> NotFound:
    return NotFound("registry.class_not_found", "没有这个班级")
