"""Which child a form is about: one of the parent's, or one that is entered right there."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import BadInput
from app.portals.fields import NOBODY
from app.registry import families
from app.security import Parent

NEW_CHILD = "new"
"""The choice in the form that means: the child entered beside it."""


@dataclass(frozen=True, slots=True)
class TypedChild:
    """What a form says: the id of a child or `NEW_CHILD`, what was typed of a new one, the version of the text that was agreed to."""

    chosen: str = ""
    name: str = ""
    birth_month: str = ""
    consent: str = ""


async def entered(session: AsyncSession, caller: Parent, typed: TypedChild) -> UUID:
    """The child that is meant, entered where it is new; a consent that comes with it is recorded. An id that is none is nobody's.

    Raises BadInput("registry.student_not_chosen"), what `families.add_student` and `families.agree` raise.
    """
    if not typed.chosen:
        raise BadInput("registry.student_not_chosen", "请选择孩子", field="student_id")
    if typed.chosen == NEW_CHILD:
        return (await families.add_student(session, caller.guardian_id, typed.name, typed.birth_month, consent=typed.consent)).id
    try:
        child_id = UUID(typed.chosen)
    except ValueError:
        return NOBODY
    if typed.consent:
        await families.agree(session, caller, child_id, typed.consent)
    return child_id
