"""What the slices above do to a contract and its lessons. The contract's lock comes first on the whole path of money."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app import clock
from app.contracts.models import LIVE, Contract, Lesson
from app.registry.models import ClassSession, TrainingClass

_CLOSE_DONE = text("SELECT * FROM contracts_close_done(CAST(:contracts AS uuid[]), :now)")
_FRESH = {"populate_existing": True}


async def lock_contracts(session: AsyncSession, *criteria: ColumnElement[bool]) -> Sequence[Contract]:
    """Lock the contracts that match, in the order of their ids."""
    query = select(Contract).where(*criteria).order_by(Contract.id).with_for_update(key_share=True)
    return (await session.scalars(query, execution_options=_FRESH)).all()


async def lock_lessons(session: AsyncSession, *criteria: ColumnElement[bool]) -> Sequence[Lesson]:
    """Lock the lessons that match, in the order of their ids; to be called with their contracts locked, except by delivery."""
    query = select(Lesson).where(*criteria).order_by(Lesson.id).with_for_update(key_share=True)
    return (await session.scalars(query, execution_options=_FRESH)).all()


async def miss_delivered(session: AsyncSession, contract_id: UUID) -> None:
    """Turn a contract's scheduled lessons whose class session is over into missed ones: nobody marked their child present.

    To be called once lessons have become scheduled, in a later statement than the one that locked them: a delivery
    locks the lessons of its class session too, so one of the two sees the other.
    """
    over = select(ClassSession.id).where(ClassSession.status == "delivered")
    await session.execute(
        update(Lesson)
        .where(Lesson.contract_id == contract_id, Lesson.status == "scheduled", Lesson.class_session_id.in_(over))
        .values(status="missed", changed_at=clock.now())
    )


async def close_if_done(session: AsyncSession, contract_ids: Collection[UUID]) -> None:
    """Close those contracts in force, already locked, of which escrow holds nothing any more and nothing is still to be paid."""
    await session.flush()
    closed = (await session.scalars(_CLOSE_DONE, {"contracts": list(contract_ids), "now": clock.now()})).all()
    if closed:
        # What the session knows of them is old now.
        await session.scalars(select(Contract).where(Contract.id.in_(closed)), execution_options=_FRESH)


async def reopen(session: AsyncSession, contract: Contract) -> bool:
    """Make a closed contract, already locked, paid again as money has come back to its lessons; say whether it is paid now.

    It stays closed where its seat has been taken since: its lessons can then be refunded, not taught.
    """
    if contract.status != "closed":
        return contract.status in ("agreed", "paid")
    seats = await session.scalar(select(TrainingClass.seats).where(TrainingClass.id == contract.class_id).with_for_update(key_share=True))
    other = aliased(Contract)
    taken, by_child = (
        await session.execute(
            select(func.count(), func.count().filter(other.student_id == contract.student_id)).where(
                other.class_id == contract.class_id, other.status.in_(LIVE)
            )
        )
    ).one()
    if by_child or taken >= (seats or 0):
        return False
    contract.status, contract.ended_at = "agreed" if contract.way == "later" else "paid", None
    await session.flush()
    return True
