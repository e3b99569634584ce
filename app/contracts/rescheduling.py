"""What families read of changes to the class sessions that they have a place in."""

from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.models import Contract, Lesson
from app.registry.models import ClassSessionChange, Guardianship
from app.registry.queries import PAGE, Cursor
from app.registry.session_changes import ChangeView, changes

GONE = ("lapsed", "refunded")
"""Lessons in these states leave no place in their class session."""


async def changes_for_guardian(
    session: AsyncSession, guardian_id: UUID, contract_id: UUID | None = None, after: Cursor | None = None, limit: int = PAGE
) -> list[ChangeView]:
    """Changes since they joined of class sessions that the guardian's children have a lesson in, of one contract where given.

    Newest first; `after` is (changed_at, id) of the last one seen.
    """
    children = select(Guardianship.student_id).where(Guardianship.guardian_id == guardian_id)
    theirs = (
        select(Lesson.id)
        .join(Contract, Contract.id == Lesson.contract_id)
        .where(Lesson.class_session_id == ClassSessionChange.class_session_id, Lesson.status.not_in(GONE))
        .where(Lesson.student_id.in_(children), Contract.created_at < ClassSessionChange.changed_at)
    )
    if contract_id is not None:
        theirs = theirs.where(Contract.id == contract_id)
    return await changes(session, exists(theirs), after=after, limit=limit)
