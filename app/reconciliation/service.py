"""One supervised account's value day: the bank's statement held against the books."""

from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import and_, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking.models import BankAccount, BankMovement, StatementDay
from app.db import fixed
from app.errors import NotFound
from app.ids import uuid7
from app.reconciliation.models import Break, Reconciliation
from app.reconciliation.rules import Day, Debit, Line, NamedBreak, breaks, missing, open_debits, standing

_AGREEING = text("""
    INSERT INTO reconciliation (bank_account_id, value_on, statement_fen, cash_fen, status, reconciled_at)
    SELECT a.id, d.value_on, d.closing_fen, d.closing_fen, 'matched', :now
    FROM bank_account a
    JOIN statement_day d ON d.bank_account_id = a.id AND d.value_on = :value_on
    LEFT JOIN statement_day before
        ON before.bank_account_id = a.id AND before.value_on = :day_before AND before.fetched_at >= :started_at
    LEFT JOIN ledger_account cash ON cash.book_id = a.book_id AND cash.code = 'cash:' || a.id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE t.debit WHEN cash.id THEN t.amount_fen ELSE -t.amount_fen END), 0) AS fen
        FROM bank_movement m JOIN transfer t ON t.id = m.transfer_id
        WHERE m.bank_account_id = a.id AND m.value_on > :value_on
    ) AS later
    WHERE a.role = 'supervised' AND a.opened_at < :ends_at AND d.closing_fen = coalesce(cash.balance_fen, 0) - later.fen
        AND d.opening_fen = coalesce(before.closing_fen, d.opening_fen)
        AND NOT EXISTS (SELECT FROM bank_movement m WHERE m.bank_account_id = a.id AND m.stated_fen IS DISTINCT FROM m.amount_fen)
        AND NOT EXISTS (SELECT FROM bank_movement m WHERE m.bank_account_id = a.id AND m.booked_as = 'taken')
    ON CONFLICT (bank_account_id, value_on) DO UPDATE SET statement_fen = excluded.statement_fen, cash_fen = excluded.cash_fen,
        status = excluded.status, reconciled_at = excluded.reconciled_at, judged_at = NULL
    RETURNING bank_account_id
""")
# What the cash account holds, less what was booked with a later value date: nothing that grows with the books' age.
_CASH = text("""
    SELECT coalesce(cash.balance_fen - (
        SELECT coalesce(sum(CASE t.debit WHEN cash.id THEN t.amount_fen ELSE -t.amount_fen END), 0)
        FROM bank_movement m JOIN transfer t ON t.id = m.transfer_id
        WHERE m.bank_account_id = a.id AND m.value_on > :value_on
    ), 0)::bigint
    FROM bank_account a LEFT JOIN ledger_account cash ON cash.book_id = a.book_id AND cash.code = 'cash:' || a.id
    WHERE a.id = :account
""")

_SHORTFALL = text("""
    WITH own AS (
        SELECT m.run_id::text AS run, sum(m.amount_fen)::bigint AS fen
        FROM payment p JOIN lesson l ON l.payment_id = p.id
        JOIN release r ON r.lesson_id = l.id JOIN made_good_line m ON m.release_id = r.id
        WHERE p.institution_id = :book AND p.old_stock GROUP BY m.run_id
    ), moved AS (
        SELECT t.kind, t.reference, t.amount_fen, t.debit_version AS version FROM ledger_account a JOIN transfer t ON t.debit = a.id
        WHERE a.book_id = :book AND a.code = 'shortfall'
        UNION ALL
        SELECT t.kind, t.reference, t.amount_fen, t.credit_version FROM ledger_account a JOIN transfer t ON t.credit = a.id
        WHERE a.book_id = :book AND a.code = 'shortfall'
    )
    SELECT moved.kind, moved.amount_fen, coalesce(own.fen, 0) AS own_fen
    FROM moved LEFT JOIN own ON own.run = moved.reference AND moved.kind = 'made_good' ORDER BY moved.version
""")


async def reconcile(session: AsyncSession, bank_account_id: UUID, value_on: date) -> Reconciliation:
    """Hold the stored statement of one value day against the books, replacing what was found before.

    Raises NotFound `reconciliation.statement_not_found` where banking has imported none.
    """
    # Bookings on an account take this lock too: the balance and the lines that explain it must be read at one moment.
    account = await session.get_one(BankAccount, bank_account_id, with_for_update={"key_share": True}, populate_existing=True)
    statement = await session.get(StatementDay, (bank_account_id, value_on), populate_existing=True)
    if statement is None:
        raise NotFound("reconciliation.statement_not_found", "尚未取得该日的银行对账单")
    cash_fen = await _cash(session, account.id, value_on)
    lines, later_fen = await _lines(session, statement)
    day = Day(
        value_on=value_on,
        opening_fen=statement.opening_fen,
        closing_fen=statement.closing_fen,
        previous_closing_fen=await _closing_before(session, statement),
        cash_fen=cash_fen - later_fen,
        lines=lines,
        debits=await _standing_debits(session, account),
    )
    return await _store(session, account.id, value_on, statement.closing_fen, day.cash_fen, breaks(day))


async def reconcile_agreeing(session: AsyncSession, value_on: date) -> set[UUID]:
    """Record every supervised account whose stored statement of a value day agrees with the books in all that `reconcile` holds
    against each other; which accounts those are. The others are left to it, one by one.
    """
    started_at, ends_at = clock.day_bounds(value_on)
    supervised = BankAccount.role == "supervised"
    # As in reconcile: with the accounts locked, balances and lines are read at one moment.
    await session.execute(
        select(BankAccount.id).where(supervised, BankAccount.opened_at < ends_at).order_by(BankAccount.id).with_for_update(key_share=True)
    )
    day = {"value_on": value_on, "day_before": value_on - timedelta(days=1), "started_at": started_at, "ends_at": ends_at}
    agreed = set(await session.scalars(_AGREEING, {**day, "now": clock.now()}))
    await session.execute(delete(Break).where(Break.bank_account_id.in_(agreed), Break.value_on == value_on))
    return agreed


async def reconcile_missing(session: AsyncSession, bank_account_id: UUID, value_on: date) -> Reconciliation:
    """Name an account that the bank's statement of a value day leaves out; it counts as stating nothing."""
    await session.get_one(BankAccount, bank_account_id, with_for_update={"key_share": True}, populate_existing=True)
    cash_fen = await _cash(session, bank_account_id, value_on)
    return await _store(session, bank_account_id, value_on, 0, cash_fen, [missing(value_on, cash_fen)])


async def _cash(session: AsyncSession, bank_account_id: UUID, value_on: date) -> int:
    """Fen of every booked line with a value date up to that day: what the bank's closing balance must be."""
    return await session.scalar(_CASH, {"account": bank_account_id, "value_on": value_on}) or 0


async def _lines(session: AsyncSession, statement: StatementDay) -> tuple[tuple[Line, ...], int]:
    """Movements of this day and those before that the bank does not show as booked, and the sum of those it could not show yet.

    A movement is missing when its own day's statement was fetched after it was booked; one that was booked after this
    statement was fetched is left out of both sides.
    """
    rows = await session.execute(
        select(BankMovement, StatementDay.fetched_at)
        .join(
            StatementDay,
            and_(StatementDay.bank_account_id == BankMovement.bank_account_id, StatementDay.value_on == BankMovement.value_on),
        )
        .where(
            BankMovement.bank_account_id == statement.bank_account_id,
            BankMovement.value_on <= statement.value_on,
            BankMovement.stated_fen.is_distinct_from(BankMovement.amount_fen),
        )
        .order_by(BankMovement.id)
    )
    lines, later_fen = [], 0
    for movement, fetched_at in rows:
        if movement.stated_fen is None and movement.booked_at >= statement.fetched_at:
            later_fen += movement.amount_fen if movement.direction == "in" else -movement.amount_fen
        elif movement.stated_fen is not None or movement.booked_at < fetched_at:
            lines.append(Line(_name(movement), movement.direction, movement.amount_fen, movement.stated_fen))
    return tuple(lines), later_fen


async def _closing_before(session: AsyncSession, statement: StatementDay) -> int | None:
    """The final closing balance of the day before, if its statement was fetched after that day had ended."""
    before = await session.get(StatementDay, (statement.bank_account_id, statement.value_on - timedelta(days=1)))
    ended_at, _ = clock.day_bounds(statement.value_on)
    return before.closing_fen if before and before.fetched_at >= ended_at else None


async def missing_debits(session: AsyncSession, book_id: UUID) -> int:
    """What is still missing of all uninstructed debits of a book, in fen; the rest of its shortfall is old stock's."""
    moved = await session.execute(_SHORTFALL, {"book": book_id})
    return open_debits((row.kind, row.amount_fen, row.own_fen) for row in moved)


async def _standing_debits(session: AsyncSession, account: BankAccount) -> tuple[Debit, ...]:
    taken = await session.scalars(
        select(BankMovement)
        .where(BankMovement.bank_account_id == account.id, BankMovement.booked_as == fixed("taken"))
        .order_by(BankMovement.value_on.desc(), BankMovement.id.desc())
    )
    debits = [Debit(_name(movement), movement.value_on, movement.amount_fen) for movement in taken]
    if not debits:
        return ()
    return standing(debits, await missing_debits(session, account.book_id))


def _name(movement: BankMovement) -> str:
    return movement.reference or movement.movement_no


async def _store(
    session: AsyncSession, bank_account_id: UUID, value_on: date, statement_fen: int, cash_fen: int, found: list[NamedBreak]
) -> Reconciliation:
    outcome = {
        "statement_fen": statement_fen,
        "cash_fen": cash_fen,
        "status": "broken" if found else "matched",
        "reconciled_at": clock.now(),
        "judged_at": None,
    }
    key = {"bank_account_id": bank_account_id, "value_on": value_on}
    stored = await session.scalars(
        insert(Reconciliation)
        .values(**key, **outcome)
        .on_conflict_do_update(index_elements=list(key), set_=outcome)
        .returning(Reconciliation)
        .execution_options(populate_existing=True)
    )
    reconciliation = stored.one()
    await session.execute(delete(Break).where(Break.bank_account_id == bank_account_id, Break.value_on == value_on))
    session.add_all(Break(id=uuid7(), **key, kind=each.kind, amount_fen=each.amount_fen, reference=each.reference) for each in found)
    await session.flush()
    return reconciliation
