"""Reading the books."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotFound

PAGE = 100


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One transfer as one ledger account sees it; `change_fen` is positive where it adds to the account."""

    version: int
    transfer_id: UUID
    kind: str
    reference: str
    change_fen: int
    balance_fen: int
    counter_code: str
    occurred_at: datetime
    value_on: date
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One type of ledger account of one book, summed."""

    book_id: UUID
    type: str
    side: str
    accounts: int
    balance_fen: int


_STATEMENT = """
    SELECT line.*, own.side, other.code AS counter_code FROM (
        (SELECT debit_version AS version, t.*, true AS is_debit FROM transfer t
         WHERE debit = :account AND debit_version {beyond} :version ORDER BY recorded_at {way}, debit_version {way} LIMIT :limit)
        UNION ALL
        (SELECT credit_version AS version, t.*, false AS is_debit FROM transfer t
         WHERE credit = :account AND credit_version {beyond} :version ORDER BY recorded_at {way}, credit_version {way} LIMIT :limit)
    ) AS line
    JOIN ledger_account own ON own.id = :account
    JOIN ledger_account other ON other.id = CASE WHEN line.is_debit THEN line.credit ELSE line.debit END
    ORDER BY line.version {way} LIMIT :limit
"""
_FORWARD = text(_STATEMENT.format(beyond=">", way="ASC"))
_BACKWARD = text(_STATEMENT.format(beyond="<", way="DESC"))


async def balances(session: AsyncSession, book_id: UUID) -> dict[str, int]:
    """Fen by code of every ledger account of a book."""
    rows = await session.execute(text("SELECT code, balance_fen FROM ledger_account WHERE book_id = :book"), {"book": book_id})
    return {row.code: row.balance_fen for row in rows}


async def totals(session: AsyncSession, book_id: UUID) -> dict[str, int]:
    """Fen by type of ledger account of a book."""
    return {line.type: line.balance_fen for line in await trial_balance(session, [book_id])}


async def trial_balance(session: AsyncSession, books: Sequence[UUID] | None = None) -> list[TrialLine]:
    """Balances by type of these books, or of every one; assets equal liabilities in each book."""
    rows = await session.execute(
        text("""
            SELECT book_id, type, side, count(*) AS accounts, sum(balance_fen)::bigint AS balance_fen FROM ledger_account
            WHERE CAST(:books AS uuid[]) IS NULL OR book_id = ANY (:books)
            GROUP BY book_id, type, side ORDER BY book_id, side, type
        """),
        {"books": books},
    )
    return [TrialLine(row.book_id, row.type, row.side, row.accounts, row.balance_fen) for row in rows]


async def statement(session: AsyncSession, book_id: UUID, code: str, after_version: int = 0, limit: int = PAGE) -> list[StatementLine]:
    """A ledger account's lines with running balance, oldest first, after a version; at most 100.

    Raises NotFound where the book has no such ledger account.
    """
    return await _lines(session, _FORWARD, book_id, code, after_version, limit)


async def statement_back(
    session: AsyncSession, book_id: UUID, code: str, before_version: int | None = None, limit: int = PAGE
) -> list[StatementLine]:
    """The same, newest first, before a version. Raises NotFound."""
    return await _lines(session, _BACKWARD, book_id, code, 2**63 - 1 if before_version is None else before_version, limit)


async def balance_at(session: AsyncSession, book_id: UUID, code: str, instant: datetime) -> int:
    """Fen that a ledger account held at a past instant (UTC, by the books' own time), found by index. Raises NotFound."""
    account_id = await _account(session, book_id, code)
    balance = await session.scalar(
        text("""
            SELECT balance_fen FROM (
                (SELECT debit_version AS version, debit_balance_fen AS balance_fen FROM transfer
                 WHERE debit = :account AND recorded_at <= :instant ORDER BY recorded_at DESC, debit_version DESC LIMIT 1)
                UNION ALL
                (SELECT credit_version, credit_balance_fen FROM transfer
                 WHERE credit = :account AND recorded_at <= :instant ORDER BY recorded_at DESC, credit_version DESC LIMIT 1)
            ) AS latest ORDER BY version DESC LIMIT 1
        """),
        {"account": account_id, "instant": instant},
    )
    return balance or 0


async def _lines(session: AsyncSession, query: TextClause, book_id: UUID, code: str, version: int, limit: int) -> list[StatementLine]:
    account_id = await _account(session, book_id, code)
    rows = await session.execute(query, {"account": account_id, "version": version, "limit": min(limit, PAGE)})
    return [
        StatementLine(
            version=row.version,
            transfer_id=row.id,
            kind=row.kind,
            reference=row.reference,
            change_fen=row.amount_fen if row.is_debit == (row.side == "asset") else -row.amount_fen,
            balance_fen=row.debit_balance_fen if row.is_debit else row.credit_balance_fen,
            counter_code=row.counter_code,
            occurred_at=row.occurred_at,
            value_on=row.value_on,
            recorded_at=row.recorded_at,
        )
        for row in rows
    ]


async def _account(session: AsyncSession, book_id: UUID, code: str) -> int:
    account_id: int | None = await session.scalar(
        text("SELECT id FROM ledger_account WHERE book_id = :book AND code = :code"), {"book": book_id, "code": code}
    )
    if account_id is None:
        raise NotFound("ledger.account_not_found", "没有这个分户账")
    return account_id
