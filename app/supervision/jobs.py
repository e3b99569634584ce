"""What supervision watches: payouts before they go out, every other outflow, balances, unassigned money, breaks."""

from collections.abc import Awaitable, Callable
from datetime import date
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.banking.models import BalanceReport, BankAccount, BankMovement, Instruction
from app.db import District
from app.ledger.models import LogEntry, Transfer
from app.payments.models import Receipt
from app.reconciliation.models import Break, Reconciliation
from app.supervision.models import Clearance, Cursor
from app.supervision.rules import Crossing, Lines, below_minimum, crossings
from app.supervision.service import lines_of, lock_lines, raise_alert, record_clearance

BATCH = 100
TAIL = 500
"""Log entries that one transaction reads on."""
FACTS = 10
"""Breaks that an alert names; the reconciliation has them all."""

_NOT_GOING_OUT = ("drafted", "held", "rejected", "returned")


async def clear_payouts(district: District) -> int:
    """Clear drafted payouts, or hold those that cross a line; how many were judged, at most 100."""
    judged = 0
    while judged < BATCH and await _clear_one(district):
        judged += 1
    return judged


async def _clear_one(district: District) -> bool:
    async with district.transaction() as session:
        payout = await session.scalar(
            select(Instruction)
            .where(Instruction.purpose == "payout", Instruction.status == "drafted", Instruction.unreserved_at.is_(None))
            .order_by(Instruction.created_at)
            .limit(1)
            .with_for_update(key_share=True, skip_locked=True)
        )
        if payout is None:
            return False
        lines = await lock_lines(session, payout.book_id)
        crossed = await _judge_instruction(session, payout, lines, pending_fen=payout.amount_fen)
        if crossed:
            await banking.hold(session, payout.id)
            await record_clearance(session, payout.id, "held", rule=crossed[0].rule)
            await _raise_crossings(session, payout.book_id, crossed, payout)
        else:
            await banking.clear(session, payout.id)
            await record_clearance(session, payout.id, "cleared")
        return True
