"""What of a contract is to be paid now, and what becomes of charges that nobody pays."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import lifecycle, rules
from app.contracts.models import Charge, Contract, Lesson
from app.contracts.rules import SoldCharge
from app.db import fixed
from app.ids import uuid7
from app.registry.institutions import may_sell
from app.registry.models import ClassSession, Institution

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
    """A charge that may be paid now; `until` is when (UTC) it lapses.

    None for a first one that was to be paid at signing, for one that is paid after its lesson, and while the institution may not take it.
    """

    charge: Charge
    until: datetime | None


def planned(contract: Contract, charge: SoldCharge) -> Charge:
    """A charge of a contract as it was sold, not paid yet."""
    return Charge(
        id=uuid7(),
        contract_id=contract.id,
        institution_id=contract.institution_id,
        number=charge.number,
        first_lesson=charge.first_lesson,
        last_lesson=charge.last_lesson,
        amount_fen=charge.amount_fen,
        opens_on=charge.opens_on,
        due_on=charge.due_on,
        status="planned",
    )


async def due_of(session: AsyncSession, contracts: Collection[Contract]) -> dict[UUID, Due]:
    """By contract, all locked, the charge that is to be paid next, where it has opened or its lesson was taught.

    A later charge whose lessons all wait for a new day is passed over until one has it.
    """
    begins = _first_begins()
    known = {contract.id: contract for contract in contracts}
    planned = select(Charge, begins, may_sell(), Institution.sells_again_at).join(Institution, Institution.id == Charge.institution_id)
    planned = planned.where(Charge.contract_id.in_(known), Charge.status == "planned")
    planned = planned.where((Charge.number == 1) | begins.is_not(None))
    if after := {contract.id for contract in contracts if contract.way == "later"}:
        planned = planned.where(Charge.contract_id.not_in(after) | exists(select(Lesson.id).where(_OF_CHARGE, Lesson.status == "owed")))
    waiting: dict[UUID, Due] = {}
    found = await session.execute(planned.order_by(Charge.number), execution_options={"populate_existing": True})
    for charge, begins_at, sells, sells_again_at in found:
        contract, until = known[charge.contract_id], None
        if charge.number == 1 and charge.opens_on > clock.business_date(contract.created_at):
            until = contract.lapses_at
        elif charge.number > 1 and sells:
            until = rules.lapses_at(begins_at, charge.due_on, sells_again_at)
        waiting.setdefault(contract.id, Due(charge, None if contract.way == "later" else until))
    return {contract_id: due for contract_id, due in waiting.items() if contract_id in after or due.charge.opens_on <= clock.today()}


def overdue() -> ColumnElement[bool]:
    """Planned charges after the first that are over unpaid by now, as `rules.lapses_at` says, whether or not one before them is.

    What the institution may not take, families do not fail to pay.
    """
    begins, today = _first_begins(), clock.today()
    again = Institution.sells_again_at.is_(None) | (Institution.sells_again_at <= clock.now() - rules.PAYABLE_AFTER_PAUSE)
    payable = exists(select(Institution.id).where(Institution.id == Charge.institution_id, may_sell(), again).correlate(Charge))
    agreed = (Charge.due_on < today) | (begins >= clock.day_bounds(today)[0])
    return (Charge.status == fixed("planned")) & (Charge.due_on <= today) & (Charge.number > 1) & (begins <= clock.now()) & agreed & payable


async def lapse_overdue(session: AsyncSession, contracts: Sequence[Contract]) -> int:
    """Give up the overdue charges of these locked contracts, with every charge after them; of how many contracts.

    A contract goes on with what is paid. The caller has made sure, under the lock, that no payment of them is open.
    """
    of_these = Charge.contract_id.in_([contract.id for contract in contracts])
    late = select(Charge.contract_id, func.min(Charge.number)).where(of_these, overdue()).group_by(Charge.contract_id)
    first = {contract_id: number for contract_id, number in await session.execute(late)}
    await _lapse(session, list(first), list(first.values()))
    return len(first)


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


def _first_begins() -> ScalarSelect[datetime]:
    """When the first of a charge's lessons begins as it is planned now; none while all of them wait for a new day."""
    sessions = select(func.min(ClassSession.starts_at)).join(Lesson, Lesson.class_session_id == ClassSession.id)
    return sessions.where(_OF_CHARGE, ClassSession.status != fixed("cancelled")).correlate(Charge).scalar_subquery()
