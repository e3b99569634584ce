"""What supervision watches: payouts before they go out, every other outflow, balances, unassigned money, breaks."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, cast, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.banking.models import BalanceReport, BankAccount, BankMovement, Instruction
from app.db import District, fixed
from app.ledger.models import LogEntry, Transfer
from app.payments.models import Receipt
from app.reconciliation.models import Break, Reconciliation
from app.supervision.models import Alert, Clearance, Cursor, Threshold
from app.supervision.rules import IN_DOUBT_AFTER, Crossing, below_minimum, crossings
from app.supervision.service import Finding, lines_in, lines_of, lock_lines, raise_alert, raise_alerts, record_clearance

BATCH = 100
TAIL = 500
"""Log entries that one transaction reads on."""
MOST_BREAKS = 10
"""Breaks that an alert lists; the reconciliation has them all."""

_STAYS = ("drafted", "held", "rejected", "returned")


async def clear_payouts(district: District) -> int:
    """Clear drafted payouts, or hold those that cross a line; how many were judged, at most 100."""
    judged = 0
    while judged < BATCH and await _clear_next(district):
        judged += 1
    return judged


async def _clear_next(district: District) -> bool:
    """Judge one payout; False where none waits. With the lines locked, two payouts cannot both pass under what their sum crosses."""
    async with district.transaction() as session:
        payout = await session.scalar(
            select(Instruction)
            .where(Instruction.purpose == "payout", Instruction.status == fixed("drafted"), Instruction.unreserved_at.is_(None))
            .order_by(Instruction.created_at)
            .limit(1)
            .with_for_update(key_share=True, skip_locked=True)
        )
        if payout is None:
            return False
        lines = await lock_lines(session, payout.book_id)
        day_fen = payout.amount_fen + await _day_outflow(session, payout.book_id, clock.business_date(payout.created_at))
        crossed = crossings(payout.amount_fen, day_fen, lines)
        if not crossed:
            await banking.clear(session, payout.id)
            await record_clearance(session, payout.id, "cleared")
            return True
        await banking.hold(session, payout.id)
        await record_clearance(session, payout.id, "held", rule=crossed[0].rule)
        for crossing in crossed:
            await raise_alert(session, payout.book_id, crossing.rule, f"instruction:{payout.reference}", _facts(payout, crossing))
        return True


async def watch(district: District) -> int:
    """Everything below, once; how much was judged."""
    return sum([await job(district) for job in (watch_transfers, watch_balances, watch_receipts, watch_breaks, watch_doubts)])


async def watch_transfers(district: District) -> int:
    """Read the log on from where the last call ended, and judge refunds, uninstructed debits and instructions that failed.

    How many entries were read, at most 500. Payouts were judged before they went out.
    """
    async with district.transaction() as session:
        read = await session.scalar(select(Cursor.seq).where(Cursor.name == "ledger").with_for_update(skip_locked=True))
        if read is None:
            return 0
        ahead = select(LogEntry.seq).where(LogEntry.seq > read).order_by(LogEntry.seq).limit(TAIL).subquery()
        newest = await session.scalar(select(func.max(ahead.c.seq)))
        if newest is None:
            return 0
        transfers = await session.scalars(
            select(Transfer)
            .join(LogEntry, LogEntry.transfer_id == Transfer.id)
            .where(LogEntry.seq > read, LogEntry.seq <= newest, Transfer.kind.in_(_WATCHED))
            .order_by(LogEntry.seq)
        )
        for transfer in transfers.all():
            await _WATCHED[transfer.kind](session, transfer)
        await session.execute(update(Cursor).where(Cursor.name == "ledger").values(seq=newest))
        return int(newest - read)


async def watch_balances(district: District) -> int:
    """Hold the balances that the bank reported against the minimum; how many were judged, at most 100."""
    async with district.transaction() as session:
        reports = await session.execute(
            select(BalanceReport, BankAccount.book_id, Threshold)
            .join(BankAccount, BankAccount.id == BalanceReport.bank_account_id)
            .outerjoin(Threshold, Threshold.institution_id == BankAccount.book_id)
            .where(BalanceReport.judged_at.is_(None), BankAccount.role == "supervised")
            .order_by(BalanceReport.as_of)
            .limit(BATCH)
            .with_for_update(of=BalanceReport, key_share=True, skip_locked=True)
        )
        judged = reports.all()
        findings = []
        for report, institution_id, threshold in judged:
            report.judged_at = clock.now()
            crossing = below_minimum(report.balance_fen, lines_in(threshold))
            if crossing is not None:
                facts = {"balance_fen": report.balance_fen, "line_fen": crossing.line_fen, "as_of": report.as_of.isoformat()}
                findings.append(Finding(institution_id, crossing.rule, f"account:{report.bank_account_id}", facts))
        await raise_alerts(session, findings)
        return len(judged)


async def watch_receipts(district: District) -> int:
    """Alert to money that arrived and could not be matched; how many receipts were judged, at most 100."""
    async with district.transaction() as session:
        unmatched = await session.scalars(
            select(Receipt)
            .where(Receipt.outcome != fixed("matched"), Receipt.judged_at.is_(None))
            .order_by(Receipt.movement_id)
            .limit(BATCH)
            .with_for_update(key_share=True, skip_locked=True)
        )
        judged = unmatched.all()
        for receipt in judged:
            receipt.judged_at = clock.now()
            facts = {"amount_fen": receipt.amount_fen, "outcome": receipt.outcome}
            await raise_alert(session, receipt.institution_id, "unassigned_money", f"movement:{receipt.movement_id}", facts)
        return len(judged)


async def watch_breaks(district: District) -> int:
    """Alert to differences between statement and books, one alert per account while it stands; how many days were judged, at most 100.

    An uninstructed debit has an alert of its own.
    """
    async with district.transaction() as session:
        broken = await session.execute(
            select(Reconciliation, BankAccount.book_id)
            .join(BankAccount, BankAccount.id == Reconciliation.bank_account_id)
            .where(Reconciliation.status == fixed("broken"), Reconciliation.judged_at.is_(None))
            .order_by(Reconciliation.value_on)
            .limit(BATCH)
            .with_for_update(of=Reconciliation, key_share=True, skip_locked=True)
        )
        judged = broken.all()
        for day, institution_id in judged:
            day.judged_at = clock.now()
            named = await _differences(session, day)
            if named:
                facts = {
                    "value_on": day.value_on.isoformat(),
                    "statement_fen": day.statement_fen,
                    "cash_fen": day.cash_fen,
                    "breaks": named[:MOST_BREAKS],
                }
                await raise_alert(session, institution_id, "break", f"account:{day.bank_account_id}", facts)
        return len(judged)


async def watch_doubts(district: District) -> int:
    """Alert to instructions that a bank has left without an end for an hour, once to each; how many were new, at most 100."""
    subject = func.concat("instruction:", Instruction.reference)
    alerted = exists().where(Alert.rule == "instruction_in_doubt", Alert.subject == subject)
    async with district.transaction() as session:
        doubtful = await session.scalars(
            select(Instruction)
            .where(
                Instruction.status.in_((fixed("submitted"), fixed("unknown"))),
                Instruction.last_sent_at <= clock.now() - IN_DOUBT_AFTER,
                ~alerted,
            )
            .order_by(Instruction.id)
            .limit(BATCH)
        )
        found = doubtful.all()
        for each in found:
            facts = {"reference": each.reference, "purpose": each.purpose, "amount_fen": each.amount_fen, "status": each.status}
            await raise_alert(session, each.book_id, "instruction_in_doubt", f"instruction:{each.reference}", facts)
        return len(found)


async def _watch_refund(session: AsyncSession, transfer: Transfer) -> None:
    refund = await session.get_one(Instruction, UUID(transfer.reference))
    for crossing in await _crossings(session, refund.book_id, refund.amount_fen, clock.business_date(refund.created_at)):
        if crossing.rule == "large_transfer":
            await raise_alert(session, refund.book_id, crossing.rule, f"instruction:{refund.reference}", _facts(refund, crossing))
        else:
            await _raise_large_day(session, refund.book_id, clock.business_date(refund.created_at), crossing)


async def _watch_debit(session: AsyncSession, transfer: Transfer) -> None:
    debit = await session.get_one(BankMovement, UUID(transfer.reference))
    subject, book_id = f"movement:{debit.id}", transfer.book_id
    facts = {"reference": debit.reference or debit.movement_no, "amount_fen": debit.amount_fen, "value_on": debit.value_on.isoformat()}
    await raise_alert(session, book_id, "uninstructed_debit", subject, facts)
    for crossing in await _crossings(session, book_id, debit.amount_fen, debit.value_on):
        if crossing.rule == "large_transfer":
            await raise_alert(session, book_id, crossing.rule, subject, facts | {"line_fen": crossing.line_fen})
        else:
            await _raise_large_day(session, book_id, debit.value_on, crossing)


async def _watch_failure(session: AsyncSession, transfer: Transfer) -> None:
    """An instruction ended unpaid; one that an officer rejected is no surprise."""
    reserving = await session.get_one(Transfer, UUID(transfer.reference))
    failed = await session.get_one(Instruction, UUID(reserving.reference))
    if await session.scalar(select(Clearance.id).where(Clearance.instruction_id == failed.id, Clearance.decision == "rejected")):
        return
    facts = {
        "reference": failed.reference,
        "purpose": failed.purpose,
        "amount_fen": failed.amount_fen,
        "status": failed.status,
        "reject_code": failed.reject_code,
    }
    await raise_alert(session, failed.book_id, "instruction_failed", f"instruction:{failed.reference}", facts)


_WATCHED: dict[str, Callable[[AsyncSession, Transfer], Awaitable[None]]] = {
    "refund_reserved": _watch_refund,
    "taken": _watch_debit,
    "unreserved": _watch_failure,
}


async def _crossings(session: AsyncSession, book_id: UUID, amount_fen: int, business_on: date) -> list[Crossing]:
    day_fen = await _day_outflow(session, book_id, business_on)
    return crossings(amount_fen, day_fen, await lines_of(session, book_id))


async def _day_outflow(session: AsyncSession, book_id: UUID, business_on: date) -> int:
    """What a business day lets out: refunds and payouts by the day of their instruction, debits that we did not instruct by value date.

    Payouts that wait or are held are not under way; what was rejected or came back did not leave.
    """
    start, end = clock.day_bounds(business_on)
    instructed = select(func.sum(Instruction.amount_fen)).where(
        Instruction.book_id == book_id,
        Instruction.created_at >= start,
        Instruction.created_at < end,
        Instruction.status.not_in(_STAYS),
    )
    taken = (
        select(func.sum(BankMovement.amount_fen))
        .join(BankAccount, BankAccount.id == BankMovement.bank_account_id)
        .where(BankAccount.book_id == book_id, BankMovement.booked_as == fixed("taken"), BankMovement.value_on == business_on)
    )
    total = func.coalesce(instructed.scalar_subquery(), 0) + func.coalesce(taken.scalar_subquery(), 0)
    return await session.scalar(select(cast(total, BigInteger))) or 0


async def _raise_large_day(session: AsyncSession, institution_id: UUID, business_on: date, crossing: Crossing) -> None:
    facts = {"business_on": business_on.isoformat(), "amount_fen": crossing.amount_fen, "line_fen": crossing.line_fen}
    await raise_alert(session, institution_id, crossing.rule, f"day:{institution_id}:{business_on}", facts)


async def _differences(session: AsyncSession, day: Reconciliation) -> list[dict[str, Any]]:
    named = await session.scalars(
        select(Break)
        .where(Break.bank_account_id == day.bank_account_id, Break.value_on == day.value_on, Break.kind != "uninstructed_debit")
        .order_by(Break.id)
    )
    return [{"kind": each.kind, "amount_fen": each.amount_fen, "reference": each.reference} for each in named]


def _facts(instruction: Instruction, crossing: Crossing) -> dict[str, Any]:
    return {
        "reference": instruction.reference,
        "purpose": instruction.purpose,
        "amount_fen": crossing.amount_fen,
        "line_fen": crossing.line_fen,
    }
