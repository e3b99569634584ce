"""What a bank did, booked. Every movement is booked once and never refused; what it means is decided by what we had instructed."""

import json
from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock, sealing
from app.banking.models import BalanceReport, BankAccount, BankMovement, Collection, Instruction
from app.ids import uuid7
from app.ledger import codes
from app.ledger import service as ledger
from app.ledger.service import Posting
from bank_adapters import port

POSTED_BY = "bank"
ASK_EVERY = timedelta(days=1)
"""How often a balance is asked for although nothing has gone out."""
ASK_AFTER_STATEMENT = timedelta(hours=36)
"""When it is asked for nevertheless after a statement has told it: no other has come for a day and a half."""

_STORE = text("""
    INSERT INTO statement_day (bank_account_id, value_on, opening_fen, closing_fen, movements, fetched_at)
    SELECT stated.account_id, :value_on, stated.opening_fen, stated.closing_fen, stated.movements, :asked_at
    FROM unnest(CAST(:accounts AS uuid[]), CAST(:openings AS bigint[]), CAST(:closings AS bigint[]), CAST(:movements AS bigint[]))
        AS stated (account_id, opening_fen, closing_fen, movements)
    ON CONFLICT (bank_account_id, value_on) DO UPDATE SET opening_fen = excluded.opening_fen, closing_fen = excluded.closing_fen,
        movements = excluded.movements, fetched_at = excluded.fetched_at
""")
_UNMARK = text("""
    UPDATE bank_movement SET stated_fen = NULL
    WHERE bank_account_id = ANY (CAST(:accounts AS uuid[])) AND value_on = :value_on AND stated_fen IS NOT NULL
        AND (bank_account_id, direction, movement_no) NOT IN (
            SELECT * FROM unnest(CAST(:shown AS uuid[]), CAST(:directions AS text[]), CAST(:numbers AS text[])))
""")
_REPORT = text("""
    INSERT INTO balance_report (id, bank_account_id, balance_fen, as_of)
    SELECT told.id, told.account_id, told.balance_fen, :as_of
    FROM unnest(CAST(:ids AS uuid[]), CAST(:accounts AS uuid[]), CAST(:closings AS bigint[])) AS told (id, account_id, balance_fen)
    JOIN bank_account ON bank_account.id = told.account_id AND bank_account.role = 'supervised'
    WHERE NOT EXISTS (SELECT FROM balance_report r WHERE r.bank_account_id = told.account_id AND r.as_of >= :as_of)
""")
# Not of an account that somebody else is just at: to wait for it beside those that are locked already would be a deadlock.
_PUT_OFF = text("""
    UPDATE bank_account SET balance_due_at = :due_at
    WHERE id IN (
        SELECT id FROM bank_account WHERE id = ANY (CAST(:accounts AS uuid[])) AND balance_due_at BETWEEN :asked_at AND :due_at
        FOR NO KEY UPDATE SKIP LOCKED)
""")
# Only where no newer outflow has asked again meanwhile.
_TOLD = text("""
    UPDATE bank_account SET balance_due_at = :due_at
    FROM unnest(CAST(:accounts AS uuid[]), CAST(:asked AS timestamptz[])) AS told (account_id, asked_at)
    WHERE bank_account.id = told.account_id AND bank_account.balance_due_at = told.asked_at
""")


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
    return await book_all(session, {account_id: lines}, stated)


async def book_all(session: AsyncSession, lines: Mapping[UUID, Sequence[port.Movement]], stated: bool = False) -> int:
    """The same for the lines of several bank accounts."""
    accounts = await _lock(session, lines)
    known = await _known(session, lines)
    fresh = [(accounts[account_id], line) for account_id in accounts for line in lines[account_id] if _key(account_id, line) not in known]
    if stated:
        # Movements before the ledger, in the order in which they are locked wherever receipts are matched.
        for account_id in accounts:
            for line in lines[account_id]:
                if (found := known.get(_key(account_id, line))) is not None:
                    found.stated_fen = line.amount_fen
        await session.flush()
    instructions = await _instructions(session, fresh)
    postings: list[tuple[BankMovement, Posting]] = []
    rows = []
    for account, line in fresh:
        row = _row(account, line, stated)
        if account.role == "supervised":
            meant = meaning(line, instructions.get((account.id, line.reference or "")))
            row.booked_as = meant.booked_as
            postings.append((row, _posting(account, row, line, meant)))
            _end(meant, account, line)
        rows.append(row)
    await _post(session, postings)
    session.add_all(rows)
    newest: dict[UUID, port.Movement] = {}
    for account, line in fresh:
        if account.id not in newest or line.occurred_at >= newest[account.id].occurred_at:
            newest[account.id] = line
    session.add_all(_balance_in(account_id, line) for account_id, line in newest.items())
    await _mark_paid(session, [row for row in rows if row.booked_as == "received" and row.reference])
    await session.flush()
    return len(fresh)


async def _post(session: AsyncSession, booked: list[tuple[BankMovement, Posting]]) -> None:
    """Credits go first: of a later debit we may have heard before, and an earlier one must not find the cash mirror empty."""
    ordered = sorted(booked, key=lambda each: each[0].direction == "out")
    posted = await ledger.post(session, [posting for _, posting in ordered], posted_by=POSTED_BY)
    for (row, _), result in zip(ordered, posted, strict=True):
        row.transfer_id = result.transfer_id


async def store_statement_days(
    session: AsyncSession, value_on: date, stated: Mapping[UUID, port.AccountStatement], asked_at: datetime
) -> None:
    """Keep the bank's opening and closing balances of a value day by bank account, as last fetched.

    `asked_at` (UTC) is from before the call: what was booked earlier must be in the statement, and loses its mark where it is not.
    The statement of a day that is over is also the bank's word on the balance, so nobody need ask for it that day.
    """
    accounts = sorted(stated)
    shown = [(account_id, line.direction, line.movement_id) for account_id in accounts for line in stated[account_id].movements]
    days = {
        "accounts": accounts,
        "openings": [stated[account_id].opening_fen for account_id in accounts],
        "closings": [stated[account_id].closing_fen for account_id in accounts],
        "movements": [len(stated[account_id].movements) for account_id in accounts],
    }
    await session.execute(_STORE, {**days, "value_on": value_on, "asked_at": asked_at})
    shown_accounts, directions, numbers = ([line[place] for line in shown] for place in range(3))
    marks = {"shown": shown_accounts, "directions": directions, "numbers": numbers}
    await session.execute(_UNMARK, {**marks, "accounts": accounts, "value_on": value_on})
    _, ends_at = clock.day_bounds(value_on)
    if asked_at >= ends_at:
        balances = {"ids": [uuid7() for _ in accounts], "accounts": accounts, "closings": days["closings"]}
        await session.execute(_REPORT, {**balances, "as_of": ends_at})
        await session.execute(_PUT_OFF, {"accounts": accounts, "asked_at": asked_at, "due_at": asked_at + ASK_AFTER_STATEMENT})


async def report_balances(session: AsyncSession, told: Sequence[tuple[BankAccount, port.Balance]]) -> None:
    """Keep what the bank said that accounts hold when it was asked, as their `balance_due_at` tells; the next time is in a day."""
    reports = [
        BalanceReport(id=uuid7(), bank_account_id=account.id, balance_fen=each.balance_fen, as_of=each.as_of) for account, each in told
    ]
    session.add_all(reports)
    accounts = [account.id for account, _ in told]
    await _lock(session, accounts)
    asked = {"accounts": accounts, "asked": [account.balance_due_at for account, _ in told]}
    await session.execute(_TOLD, {**asked, "due_at": clock.now() + ASK_EVERY})


def _key(account_id: UUID, line: port.Movement) -> tuple[UUID, str, str, date]:
    return account_id, line.direction, line.movement_id, line.value_on


async def _lock(session: AsyncSession, account_ids: Several[UUID]) -> dict[UUID, BankAccount]:
    rows = await session.scalars(
        select(BankAccount)
        .where(BankAccount.id.in_(account_ids))
        .order_by(BankAccount.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


async def _known(session: AsyncSession, lines: Mapping[UUID, Sequence[port.Movement]]) -> dict[tuple[UUID, str, str, date], BankMovement]:
    rows = await session.scalars(
        select(BankMovement).where(
            BankMovement.bank_account_id.in_(lines),
            BankMovement.value_on.in_({line.value_on for of_one in lines.values() for line in of_one}),
            BankMovement.movement_no.in_({line.movement_id for of_one in lines.values() for line in of_one}),
        )
    )
    return {(row.bank_account_id, row.direction, row.movement_no, row.value_on): row for row in rows}


async def _instructions(session: AsyncSession, fresh: Sequence[tuple[BankAccount, port.Movement]]) -> dict[tuple[UUID, str], Instruction]:
    """The instructions that lines name, locked, by the account that they are paid from and their reference."""
    rows = await session.scalars(
        select(Instruction)
        .where(
            Instruction.reference.in_({line.reference for _, line in fresh if line.reference}),
            Instruction.bank_account_id.in_({account.id for account, _ in fresh}),
        )
        .order_by(Instruction.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return {(row.bank_account_id, row.reference): row for row in rows}


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
        counterparty_enc=sealing.seal(counterparty, "bank_movement", "counterparty_enc", row_id),
        booked_as="watched",
        booked_at=clock.now(),
        stated_fen=line.amount_fen if stated else None,
    )


def _balance_in(account_id: UUID, line: port.Movement) -> BalanceReport:
    """A line tells the balance too, so that coverage does not lag behind what came in; minimum balances are judged by asking."""
    return BalanceReport(
        id=uuid7(), bank_account_id=account_id, balance_fen=line.balance_after_fen, as_of=line.occurred_at, judged_at=clock.now()
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
