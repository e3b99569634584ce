"""先学后付: lessons that are paid after they were taught. What is taught unpaid is owed, and paying it confirms it."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Select, func, select
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
    owed = _owing().where(Contract.id.in_([lesson.contract_id for lesson in taught])).having(func.count() > TrainingClass.most_unpaid)
    children = (await session.scalars(owed)).all()
    if children:
        text = f"到课名单中有 {len(children)} 人上过未付的课已到班级约定的节数，付款前不能再登记到课"
        raise Refused("lessons.unpaid", text, count=len(children), student_ids=[str(child) for child in children])
    await charges.lapse_untaught(session, [lesson for lesson in agreed if lesson.id not in attended])


async def behind(session: AsyncSession, class_session_id: UUID) -> set[UUID]:
    """The children of a class session who owe as many lessons as the class allows: `mark` refuses them until they have paid."""
    coming = select(Lesson.contract_id).where(Lesson.class_session_id == class_session_id, Lesson.status == "agreed")
    owed = _owing().where(Contract.id.in_(coming)).having(func.count() >= TrainingClass.most_unpaid)
    return set(await session.scalars(owed))


def _owing() -> Select[UUID]:
    """The children of contracts with owed lessons, grouped so that these can be counted."""
    return (
        select(Contract.student_id)
        .join(Lesson, Lesson.contract_id == Contract.id)
        .join(TrainingClass, TrainingClass.id == Contract.class_id)
        .where(Lesson.status == "owed")
        .group_by(Contract.id, TrainingClass.most_unpaid)
        .order_by(Contract.id)
    )


async def decide(session: AsyncSession, lesson: Lesson, *, is_due: bool) -> None:
    """What becomes of a contested lesson, locked with its contract, once its dispute is ruled on."""
    if is_due:
        lesson.status, lesson.changed_at = "owed", clock.now()
        await session.flush()
    else:
        await charges.lapse_untaught(session, [lesson])
