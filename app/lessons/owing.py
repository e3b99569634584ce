"""先学后付: lessons that are paid after they were taught. What is taught unpaid is owed, and paying it confirms it."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import charges, lifecycle
from app.contracts.models import Contract, Lesson
from app.errors import Refused
from app.registry.models import TrainingClass


async def lock_contracts(session: AsyncSession, class_session_ids: Collection[UUID]) -> None:
    """Lock the contracts of lessons that these class sessions make due: two deliveries must not both find one lesson unpaid."""
    agreed = select(Lesson.contract_id).where(Lesson.class_session_id.in_(class_session_ids), Lesson.status == "agreed")
    await lifecycle.lock_contracts(session, Contract.id.in_(agreed))


async def mark(session: AsyncSession, agreed: Sequence[Lesson], attended: Collection[UUID]) -> None:
    """Owe the attended ones of these lessons (ids), locked with their contracts; of the others nothing is due.

    Raises Refused("lessons.unpaid") where a child has not paid as many earlier ones as the class allows.
    """
    if not agreed:
        return
    taught = [lesson for lesson in agreed if lesson.id in attended]
    for lesson in taught:
        lesson.status, lesson.changed_at = "owed", clock.now()
    await session.flush()
    owed = (
        select(Lesson.contract_id)
        .join(Contract, Contract.id == Lesson.contract_id)
        .join(TrainingClass, TrainingClass.id == Contract.class_id)
        .where(Lesson.contract_id.in_([lesson.contract_id for lesson in taught]), Lesson.status == "owed")
        .group_by(Lesson.contract_id, TrainingClass.most_unpaid)
        .having(func.count() > TrainingClass.most_unpaid)
    )
    behind = (await session.scalars(owed)).all()
    if behind:
        text = f"到课名单中有 {len(behind)} 人上过未付的课已到班级约定的节数，付款前不能再登记到课"
        raise Refused("lessons.unpaid", text, count=len(behind))
    await charges.lapse_untaught(session, [lesson for lesson in agreed if lesson.id not in attended])


async def decide(session: AsyncSession, lesson: Lesson, *, is_due: bool) -> None:
    """What becomes of a contested lesson, locked with its contract, once its dispute is ruled on."""
    if is_due:
        lesson.status, lesson.changed_at = "owed", clock.now()
        await session.flush()
    else:
        await charges.lapse_untaught(session, [lesson])
