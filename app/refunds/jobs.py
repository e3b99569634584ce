"""Refunds that a bank did not pay out, and those of old stock that wait for funds."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.banking.models import Instruction
from app.contracts import lifecycle
from app.contracts import service as contracts
from app.contracts.models import Lesson
from app.db import District, fixed
from app.refunds import funding, rules
from app.refunds.models import Refund, RefundLine
from app.security import SYSTEM

_BATCH = 100


async def restore_unpaid(district: District) -> int:
    """Give the money of rejected and returned refunds back to escrow, and the lessons to their contracts; return how many refunds.

    Each in its own transaction; one that fails is logged and stops no other.
    """
    async with district.reading() as session:
        ended = Instruction.status.in_((fixed("rejected"), fixed("returned"))) & Instruction.unreserved_at.is_(None)
        unpaid = (
            await session.scalars(
                select(Refund.id)
                .join(Instruction, Instruction.reference == Refund.refund_no)
                .where(Instruction.purpose == "refund", ended)
                .order_by(Instruction.id)
                .limit(_BATCH)
            )
        ).all()
    return await district.one_by_one("refunds.restore_unpaid", unpaid, _restore)


async def fund(district: District) -> int:
    """Instruct refunds of old stock that wait and are covered now; how many.

    Each institution in its own transaction; one that fails is logged and stops no other.
    """
    async with district.reading() as session:
        covered = await funding.due(session, _BATCH)
    return await district.one_by_one("refunds.fund", covered, funding.fund)


async def _restore(session: AsyncSession, refund_id: UUID) -> bool:
    """Undo one refund; False where another worker did."""
    refund = await session.get_one(Refund, refund_id)
    contract = await contracts.lock(session, refund.contract_id)
    lines = {
        line.lesson_id: line for line in await session.scalars(select(RefundLine).where(RefundLine.refund_id == refund_id, RefundLine.live))
    }
    if not lines:
        return False
    lessons = await lifecycle.lock_lessons(session, Lesson.id.in_(lines))
    reopened = await lifecycle.reopen(session, contract)
    now = clock.now()
    for lesson in lessons:
        lesson.status, lesson.changed_at = rules.status_after_return(lines[lesson.id].status_before, reopened), now
        lines[lesson.id].live = False
    await session.flush()
    await lifecycle.miss_delivered(session, contract.id)
    instruction_id = (await session.scalars(select(Instruction.id).where(Instruction.reference == refund.refund_no))).one()
    await banking.unreserve(session, [instruction_id], SYSTEM)
    return True
