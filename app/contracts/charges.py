"""What of a contract is to be paid now, and what becomes of charges that nobody pays."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import lifecycle, rules
from app.contracts.models import Charge, Contract, Lesson
from app.db import fixed
from app.registry.models import ClassSession

_OF_CHARGE = (Lesson.contract_id == Charge.contract_id) & Lesson.number.between(Charge.first_lesson, Charge.last_lesson)
_LAPSE = text("""
    UPDATE charge SET status = 'lapsed', ended_at = :now
    FROM unnest(CAST(:contracts AS uuid[]), CAST(:numbers AS int[])) AS unpaid (contract_id, number)
    WHERE charge.contract_id = unpaid.contract_id AND charge.number >= unpaid.number AND charge.status = 'planned'
        AND NOT EXISTS (SELECT FROM lesson WHERE lesson.contract_id = charge.contract_id AND lesson.status IN ('owed', 'contested')
            AND lesson.number BETWEEN charge.first_lesson AND charge.last_lesson)
    RETURNING charge.id
""")
_LAPSE_CHARGES = text("""
    UPDATE charge SET status = 'lapsed', ended_at = :now FROM lesson
    WHERE lesson.id = ANY (CAST(:lessons AS uuid[])) AND charge.contract_id = lesson.contract_id AND charge.status = 'planned'
        AND lesson.number BETWEEN charge.first_lesson AND charge.last_lesson
""")
_LOCK_LESSONS = text("SELECT FROM lesson WHERE contract_id = ANY (CAST(:contracts AS uuid[])) ORDER BY id FOR NO KEY UPDATE")
_LAPSE_LESSONS = text("""
    UPDATE lesson SET status = 'lapsed', changed_at = :now FROM charge
    WHERE charge.contract_id = ANY (CAST(:contracts AS uuid[])) AND charge.status = 'lapsed' AND lesson.status IN ('reserved', 'agreed')
        AND lesson.contract_id = charge.contract_id AND lesson.number BETWEEN charge.first_lesson AND charge.last_lesson
""")


@dataclass(frozen=True, slots=True)
class Due:
    """A charge that may be paid now; `until` is when (UTC) it lapses, None for a first charge and while its lessons have no day."""

    charge: Charge
    until: datetime | None


async def due_of(session: AsyncSession, contracts: Collection[Contract]) -> dict[UUID, Due]:
    """By contract, all locked, the charge that is to be paid next, where it has opened or its lesson was taught."""
    planned = select(Charge).where(Charge.contract_id.in_({contract.id for contract in contracts}), Charge.status == "planned")
    if after := {contract.id for contract in contracts if contract.way == "later"}:
        planned = planned.where(Charge.contract_id.not_in(after) | exists(select(Lesson.id).where(_OF_CHARGE, Lesson.status == "owed")))
    waiting: dict[UUID, Charge] = {}
    for charge in await session.scalars(planned.order_by(Charge.number), execution_options={"populate_existing": True}):
        waiting.setdefault(charge.contract_id, charge)
    due = {contract_id: charge for contract_id, charge in waiting.items() if contract_id in after or charge.opens_on <= clock.today()}
    begins = await _begins(session, [charge for charge in due.values() if charge.number > 1 and charge.contract_id not in after])
    return {
        contract_id: Due(charge, rules.lapses_at(begins[charge.id], charge.due_on) if charge.id in begins else None)
        for contract_id, charge in due.items()
    }


def overdue() -> ColumnElement[bool]:
    """Charges after the first, unpaid although their first lesson has begun; what was moved to before the agreed day has that day left."""
    agreed = (Charge.due_on < clock.today()) | (ClassSession.starts_at >= clock.day_bounds(clock.today())[0])
    begun = (ClassSession.starts_at <= clock.now()) & (ClassSession.status != "cancelled") & agreed
    sessions = select(Lesson.id).join(ClassSession, ClassSession.id == Lesson.class_session_id).where(_OF_CHARGE, begun).correlate(Charge)
    return (Charge.status == fixed("planned")) & (Charge.due_on <= clock.today()) & (Charge.number > 1) & exists(sessions)


async def lapse_overdue(session: AsyncSession, contracts: Sequence[Contract], waiting: Collection[UUID]) -> int:
    """Give up the overdue charges of these locked contracts, with every charge after them; of how many contracts.

    A contract goes on with what is paid. `waiting` are the charges whose open payment the caller has seen under the lock.
    """
    now, due = clock.now(), await due_of(session, contracts)
    late = [each.charge for each in due.values() if each.until and each.until <= now and each.charge.id not in waiting]
    await _lapse(session, [charge.contract_id for charge in late], [charge.number for charge in late])
    return len(late)


async def give_up(session: AsyncSession, contract_ids: Sequence[UUID]) -> bool:
    """Cancel what of locked contracts is still to be paid but was not taught, and say whether anything was.

    A contract that is paid goes on with that, and is closed where nothing of it is left.
    """
    return await _lapse(session, contract_ids, [1] * len(contract_ids))


async def lapse_untaught(session: AsyncSession, lessons: Collection[Lesson]) -> None:
    """Nothing is due for these locked lessons of locked contracts, which were to be paid after they were taught: they were not."""
    for lesson in lessons:
        lesson.status, lesson.changed_at = "lapsed", clock.now()
    await session.flush()
    await session.execute(_LAPSE_CHARGES, {"lessons": [lesson.id for lesson in lessons], "now": clock.now()})
    await lifecycle.close_if_done(session, {lesson.contract_id for lesson in lessons})


async def _lapse(session: AsyncSession, contract_ids: Sequence[UUID], numbers: Sequence[int]) -> bool:
    """Of each contract the planned charges from a number on, and their lessons."""
    await session.flush()
    contracts = {"contracts": contract_ids}
    lapsed = (await session.execute(_LAPSE, {**contracts, "numbers": numbers, "now": clock.now()})).all()
    if lapsed:
        await session.execute(_LOCK_LESSONS, contracts)
        await session.execute(_LAPSE_LESSONS, {**contracts, "now": clock.now()})
        await lifecycle.close_if_done(session, contract_ids)
    return bool(lapsed)


async def _begins(session: AsyncSession, charges: Sequence[Charge]) -> dict[UUID, datetime]:
    """By charge, when the first of its lessons begins as it is planned now."""
    if not charges:
        return {}
    rows = await session.execute(
        select(Charge.id, func.min(ClassSession.starts_at))
        .join(Lesson, _OF_CHARGE)
        .join(ClassSession, ClassSession.id == Lesson.class_session_id)
        .where(Charge.id.in_([charge.id for charge in charges]), ClassSession.status != "cancelled")
        .group_by(Charge.id)
    )
    return {charge_id: begins_at for charge_id, begins_at in rows}
