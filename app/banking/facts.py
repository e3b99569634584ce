"""What a bank did, booked. Every movement is booked once and never refused; what it means is decided by what we had instructed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock, crypto
from app.banking.models import BalanceReport, BankAccount, BankMovement, Collection, Instruction, StatementDay
from app.ids import uuid7
from app.ledger import codes
from app.ledger import service as ledger
from app.ledger.service import Posting
from bank_adapters import port

POSTED_BY = "bank"


@dataclass(frozen=True, slots=True)
class Meaning:
    """How a movement is booked, and the instruction that it settles or returns."""

    booked_as: str
    instruction: Instruction | None = None


def meaning(line: port.Movement, instruction: Instruction | None) -> Meaning:
    """What a line on a supervised account is, given the instruction that its reference names, if any.

    A debit is `settled` only for the very amount of an instruction that was sent, is still reserved and was not executed
    before; any other debit was `taken`, and somebody must make it good. A credit is `returned` only after its debit.
    """
    same = instruction is not None and instruction.amount_fen == line.amount_fen and instruction.unreserved_at is None
    if line.direction == "in":
        came_back = same and line.returns and instruction is not None and instruction.status == "settled"
        return Meaning("returned", instruction) if came_back else Meaning("received")
    ours = same and instruction is not None and instruction.attempts > 0 and instruction.status not in ("settled", "returned")
    return Meaning("settled", instruction) if ours else Meaning("taken")


async def book_lines(session: AsyncSession, account_id: UUID, lines: Sequence[port.Movement], stated: bool = False) -> int:
    """Book the lines of one bank account that are not booked yet, in the bank's order; how many were new.

    `stated` marks them as seen in a statement. Posts to the ledger once.
    """
    account = await session.get_one(BankAccount, account_id, with_for_update={"key_share": True})
    known = await _known(session, account, lines)
    fresh = [line for line in lines if _key(line) not in known]
    references = {line.reference for line in fresh if line.reference}
    instructions = {
        row.reference: row
        for row in await session.scalars(
            select(Instruction)
            .where(Instruction.reference.in_(references), Instruction.bank_account_id == account.id)
            .order_by(Instruction.id)
            .with_for_update(key_share=True)
        )
    }
    postings = []
    rows = []
    for line in fresh:
        row = _row(account, line, stated)
        if account.role == "supervised":
            meant = meaning(line, instructions.get(line.reference or ""))
            row.booked_as = meant.booked_as
            postings.append(_posting(account, row, line, meant))
            _end(meant, account, line)
        rows.append(row)
    for row, posted in zip(
        [row for row in rows if row.booked_as != "watched"],
        await ledger.post(session, postings, posted_by=POSTED_BY),
        strict=True,
    ):
        row.transfer_id = posted.transfer_id
    session.add_all(rows)
    if fresh:
        session.add(_balance_in(account, max(reversed(fresh), key=lambda line: line.occurred_at)))
    await _mark_paid(session, [row for row in rows if row.booked_as == "received" and row.reference])
    if stated:
        for line in lines:
            if (found := known.get(_key(line))) is not None:
                found.stated_fen = line.amount_fen
    await session.flush()
    return len(fresh)


async def store_statement_day(
    session: AsyncSession, account_id: UUID, value_on: date, stated: port.AccountStatement, asked_at: datetime
) -> None:
    """Keep the bank's opening and closing balance of a value day, as last fetched.

    `asked_at` (UTC) is from before the call: what was booked earlier must be in the statement, and loses its mark where it is not.
    """
    values = {
        "opening_fen": stated.opening_fen,
        "closing_fen": stated.closing_fen,
        "movements": len(stated.movements),
        "fetched_at": asked_at,
    }
    await session.execute(
        insert(StatementDay)
        .values(bank_account_id=account_id, value_on=value_on, **values)
        .on_conflict_do_update(index_elements=["bank_account_id", "value_on"], set_=values)
    )
    shown = [line.movement_id for line in stated.movements]
    await session.execute(
        update(BankMovement)
        .where(
            BankMovement.bank_account_id == account_id,
            BankMovement.value_on == value_on,
            BankMovement.stated_fen.is_not(None),
            BankMovement.movement_no.not_in(shown),
        )
        .values(stated_fen=None)
        .execution_options(synchronize_session=False)
    )


def _key(line: port.Movement) -> tuple[str, str, date]:
    return line.direction, line.movement_id, line.value_on


async def _known(session: AsyncSession, account: BankAccount, lines: Sequence[port.Movement]) -> dict[tuple[str, str, date], BankMovement]:
    rows = await session.scalars(
        select(BankMovement).where(
            BankMovement.bank_account_id == account.id,
            BankMovement.value_on.in_({line.value_on for line in lines}),
            BankMovement.movement_no.in_({line.movement_id for line in lines}),
        )
    )
    return {(row.direction, row.movement_no, row.value_on): row for row in rows}


def _row(account: BankAccount, line: port.Movement, stated: bool) -> BankMovement:
    row_id = uuid7()
    counterparty = json.dumps([line.counterparty_no, line.counterparty_name], ensure_ascii=False)
    return BankMovement(
        id=row_id,
        bank_account_id=account.id,
        direction=line.direction,
        movement_no=line.movement_id,
        value_on=line.value_on,
        occurred_at=line.occurred_at,
        amount_fen=line.amount_fen,
        balance_after_fen=line.balance_after_fen,
        reference=line.reference,
        counterparty_enc=crypto.seal(counterparty, f"bank_movement.counterparty:{row_id}"),
        booked_as="watched",
        booked_at=clock.now(),
        stated_fen=line.amount_fen if stated else None,
    )


def _balance_in(account: BankAccount, line: port.Movement) -> BalanceReport:
    """A line tells the balance too, so that coverage does not lag behind what came in; minimum balances are judged by asking."""
    return BalanceReport(
        id=uuid7(), bank_account_id=account.id, balance_fen=line.balance_after_fen, as_of=line.occurred_at, judged_at=clock.now()
    )


def _posting(account: BankAccount, row: BankMovement, line: port.Movement, meant: Meaning) -> Posting:
    cash, outgoing = codes.cash(account.id), codes.outgoing(account.id)
    debit, credit = {
        "received": (cash, codes.SUSPENSE),
        "settled": (outgoing, cash),
        "returned": (cash, outgoing),
        "taken": (codes.SHORTFALL, cash),
    }[meant.booked_as]
    cause = meant.instruction.id if meant.instruction else row.id
    return Posting(meant.booked_as, cause, account.book_id, debit, credit, line.amount_fen, line.occurred_at, line.value_on)


def _end(meant: Meaning, account: BankAccount, line: port.Movement) -> None:
    if meant.instruction is not None:
        meant.instruction.status = meant.booked_as
        meant.instruction.ended_at = clock.now()
    if line.direction == "out":
        account.balance_due_at = clock.now()


async def _mark_paid(session: AsyncSession, received: list[BankMovement]) -> None:
    """A cashier order has done its work when its very amount has come in; another amount leaves it open at the bank."""
    amounts = {(row.reference, row.amount_fen) for row in received}
    references = {row.reference for row in received}
    paid = select(Collection).where(Collection.reference.in_(references), Collection.status.in_(["created", "opened"]))
    for order in await session.scalars(paid.order_by(Collection.reference).with_for_update(key_share=True)):
        if (order.reference, order.amount_fen) in amounts:
            order.status, order.ended_at = "paid", clock.now()
