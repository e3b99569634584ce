"""What leaves a book and what it gives cause for: refunds, debits that nobody instructed, instructions that ended unpaid."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking.models import BankMovement, Instruction
from app.ledger.models import Transfer
from app.supervision.models import Clearance, Threshold
from app.supervision.rules import crossings
from app.supervision.service import Finding, lines_in

WATCHED = ("refund_reserved", "taken", "unreserved")
"""Kinds of transfer that are judged once they are booked; payouts and refunds to named payees are judged before they go out."""

Day = tuple[UUID, date]
"""An institution's business day."""

_OF_DAYS = text("""
    SELECT day.book_id, day.business_on, (
        coalesce((
            SELECT sum(i.amount_fen) FROM instruction i
            WHERE i.book_id = day.book_id AND i.created_at >= day.starts_at AND i.created_at < day.ends_at
                AND i.status NOT IN ('drafted', 'held', 'rejected', 'returned')), 0)
        + coalesce((
            SELECT sum(m.amount_fen) FROM bank_movement m JOIN bank_account a ON a.id = m.bank_account_id
            WHERE a.book_id = day.book_id AND m.booked_as = 'taken' AND m.value_on = day.business_on), 0)
    )::bigint AS fen
    FROM unnest(CAST(:books AS uuid[]), CAST(:days AS date[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]))
        AS day (book_id, business_on, starts_at, ends_at)
""")
_FAILED = (
    select(Instruction)
    # An instruction that an officer rejected is no surprise.
    .where(~select(Clearance.id).where(Clearance.instruction_id == Instruction.id, Clearance.decision == "rejected").exists())
    .order_by(Instruction.id)
)


@dataclass(frozen=True, slots=True)
class _Outflow:
    institution_id: UUID
    business_on: date
    amount_fen: int
    subject: str
    facts: dict[str, Any]

    @property
    def day(self) -> Day:
        return self.institution_id, self.business_on


def day_of(instruction: Instruction) -> Day:
    """The business day that an instruction counts for."""
    return instruction.book_id, clock.business_date(instruction.created_at)


async def of_days(session: AsyncSession, days: Collection[Day]) -> dict[Day, int]:
    """What business days let out, in fen: refunds and payouts by the day of their instruction, uninstructed debits by value date.

    What waits or is held is not under way; what was rejected or came back did not leave.
    """
    chosen = sorted(days)
    bounds = [clock.day_bounds(business_on) for _, business_on in chosen]
    rows = await session.execute(
        _OF_DAYS,
        {
            "books": [book_id for book_id, _ in chosen],
            "days": [business_on for _, business_on in chosen],
            "starts": [start for start, _ in bounds],
            "ends": [end for _, end in bounds],
        },
    )
    return {(row.book_id, row.business_on): row.fen for row in rows}


async def findings(session: AsyncSession, transfers: Sequence[Transfer]) -> list[Finding]:
    """What transfers of the watched kinds give cause for."""
    if not transfers:
        return []
    to_payer = Instruction.id.in_(_references(transfers, "refund_reserved")), Instruction.payee_id.is_(None)
    refunds = [_refund(row) for row in await session.scalars(select(Instruction).where(*to_payer).order_by(Instruction.id))]
    books = {UUID(each.reference): each.book_id for each in transfers if each.kind == "taken"}
    taken = select(BankMovement).where(BankMovement.id.in_(books)).order_by(BankMovement.id)
    debits = [_debit(row, books[row.id]) for row in await session.scalars(taken)]
    failed = await session.scalars(_FAILED.where(Instruction.reserving_transfer_id.in_(_references(transfers, "unreserved"))))
    found = [Finding(debit.institution_id, "uninstructed_debit", debit.subject, debit.facts) for debit in debits]
    found += await _crossed(session, refunds + debits)
    return found + [_failure(instruction) for instruction in failed]


async def _crossed(session: AsyncSession, outflows: Sequence[_Outflow]) -> list[Finding]:
    """The lines that outflows cross, each by itself and with its day."""
    days = await of_days(session, {outflow.day for outflow in outflows})
    thresholds = select(Threshold).where(Threshold.institution_id.in_({outflow.institution_id for outflow in outflows}))
    lines = {row.institution_id: row for row in await session.scalars(thresholds, execution_options={"populate_existing": True})}
    found = []
    for outflow in outflows:
        day_fen = days[outflow.day]
        for crossing in crossings(outflow.amount_fen, day_fen, lines_in(lines.get(outflow.institution_id))):
            subject, facts = outflow.subject, outflow.facts
            if crossing.rule == "large_day":
                subject = f"day:{outflow.institution_id}:{outflow.business_on}"
                facts = {"business_on": outflow.business_on.isoformat(), "amount_fen": day_fen}
            found.append(Finding(outflow.institution_id, crossing.rule, subject, facts | {"line_fen": crossing.line_fen}))
    return found


def _references(transfers: Sequence[Transfer], kind: str) -> list[UUID]:
    return [UUID(each.reference) for each in transfers if each.kind == kind]


def _refund(row: Instruction) -> _Outflow:
    facts = {"reference": row.reference, "purpose": row.purpose, "amount_fen": row.amount_fen}
    return _Outflow(*day_of(row), row.amount_fen, f"instruction:{row.reference}", facts)


def _debit(row: BankMovement, book_id: UUID) -> _Outflow:
    facts = {"reference": row.reference or row.movement_no, "amount_fen": row.amount_fen, "value_on": row.value_on.isoformat()}
    return _Outflow(book_id, row.value_on, row.amount_fen, f"movement:{row.id}", facts)


def _failure(row: Instruction) -> Finding:
    facts = {
        "reference": row.reference,
        "purpose": row.purpose,
        "amount_fen": row.amount_fen,
        "status": row.status,
        "reject_code": row.reject_code,
    }
    return Finding(row.book_id, "instruction_failed", f"instruction:{row.reference}", facts)
