"""What supervision watches: what leaves custody for good before it goes out, every other outflow, balances, unassigned money, breaks."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.banking.models import BalanceReport, BankAccount, Instruction
from app.db import District, fixed
from app.ledger.models import LogEntry, Transfer
from app.payments.models import Receipt
from app.reconciliation.models import Break, Reconciliation
from app.supervision import outflows, publishing, queries
from app.supervision.models import Alert, Cursor, Threshold
from app.supervision.rules import IN_DOUBT_AFTER, Crossing, below_minimum, crossings, held_by
from app.supervision.service import Finding, lines_in, lock_lines, raise_alerts, record_clearance

BATCH = 100
TAIL = 5_000
"""Log entries that one transaction reads on."""
MOST_BREAKS = 10
"""Breaks that an alert lists; the reconciliation has them all."""


async def clear_payouts(district: District) -> int:
    """Clear drafted payouts, or hold those that cross a line; hold every refund to a named payee; how many were judged, at most 100.

    With the lines locked, two of them cannot both pass under what their sum crosses.
    """
    async with district.transaction() as session:
        drafted = await session.scalars(
            select(Instruction)
            .where(Instruction.purpose.in_(("payout", "refund")), Instruction.status == fixed("drafted"))
            .where(Instruction.unreserved_at.is_(None))
            .order_by(Instruction.created_at, Instruction.id)
            .limit(BATCH)
            .with_for_update(key_share=True, skip_locked=True)
        )
        leaving = drafted.all()
        if leaving:
            await _judge(session, leaving)
        return len(leaving)


async def _judge(session: AsyncSession, drafted: Sequence[Instruction]) -> None:
    lines = await lock_lines(session, {each.book_id for each in drafted})
    left = await outflows.of_days(session, {outflows.day_of(each) for each in drafted})
    cleared, held, findings = [], [], []
    for row in drafted:
        day = outflows.day_of(row)
        crossed = crossings(row.amount_fen, left[day] + row.amount_fen, lines[row.book_id])
        findings += [Finding(row.book_id, each.rule, f"instruction:{row.reference}", _facts(row, each)) for each in crossed]
        rule = held_by(row.payee_id is not None, crossed)
        if rule:
            held.append(row.id)
            record_clearance(session, row.id, "held", rule=rule)
        else:
            cleared.append(row.id)
            left[day] += row.amount_fen
            record_clearance(session, row.id, "cleared")
    await banking.clear(session, cleared)
    await banking.hold(session, held)
    await raise_alerts(session, findings)


async def watch(district: District) -> int:
    """Everything below, once; how much was judged."""
    return sum([await job(district) for job in (watch_transfers, watch_balances, watch_receipts, watch_breaks, watch_doubts)])


async def watch_transfers(district: District) -> int:
    """Read the log on from where the last call ended, and judge refunds, uninstructed debits and instructions that failed.

    How many entries were read, at most 5,000. Payouts and refunds to named payees were judged before they went out.
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
            .where(LogEntry.seq > read, LogEntry.seq <= newest, Transfer.kind.in_(outflows.WATCHED))
            .order_by(LogEntry.seq)
        )
        await raise_alerts(session, await outflows.findings(session, transfers.all()))
        await session.execute(update(Cursor).where(Cursor.name == "ledger").values(seq=newest))
        return int(newest - read)


async def watch_balances(district: District) -> int:
    """Hold the balances that the bank reported against the minimum, and what is published against what they say now; how many
    were judged, at most 100.
    """
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
        if not judged:
            return 0
        reported = {institution_id for _, institution_id, _ in judged}
        money = {each.id: each.money for each in await queries.institutions_of(session, list(reported))}
        findings = []
        for report, institution_id, threshold in judged:
            report.judged_at = clock.now()
            crossing = below_minimum(report.balance_fen, money[institution_id].escrow_fen, lines_in(threshold))
            if crossing is not None:
                facts = {"balance_fen": report.balance_fen, "line_fen": crossing.line_fen, "as_of": report.as_of.isoformat()}
                findings.append(Finding(institution_id, crossing.rule, f"account:{report.bank_account_id}", facts))
        await publishing.correct(session, {institution_id: each.coverage_bps for institution_id, each in money.items()})
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
        findings = []
        for receipt in judged:
            receipt.judged_at = clock.now()
            facts = {"amount_fen": receipt.amount_fen, "outcome": receipt.outcome}
            findings.append(Finding(receipt.institution_id, "unassigned_money", f"movement:{receipt.movement_id}", facts))
        await raise_alerts(session, findings)
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
        findings = []
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
                findings.append(Finding(institution_id, "break", f"account:{day.bank_account_id}", facts))
        await raise_alerts(session, findings)
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
        findings = []
        for each in found:
            facts = {"reference": each.reference, "purpose": each.purpose, "amount_fen": each.amount_fen, "status": each.status}
            findings.append(Finding(each.book_id, "instruction_in_doubt", f"instruction:{each.reference}", facts))
        await raise_alerts(session, findings)
        return len(found)


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
