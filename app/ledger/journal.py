"""The journal for auditors: sealed transfers in the order of their voucher numbers, out of one snapshot and never all in memory.

A day of the journal is the Shanghai date of `recorded_at`, the books' own time: it never runs back within a ledger account, so
what the transfers up to a day add up to is the running balance that the last of them left.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.errors import BadInput

PART = 200
"""Rows fetched at once: what an export holds in memory."""
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)
_STALLED = "60s"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is exported: one book or all, from a first to a last day or everything.

    Raises BadInput `ledger.bad_range` where the dates run backwards or lie outside 2000 to 2999.
    """

    book_id: UUID | None = None
    from_on: date | None = None
    to_on: date | None = None

    def __post_init__(self) -> None:
        if not EARLIEST <= (self.from_on or EARLIEST) <= (self.to_on or LATEST) <= LATEST:
            raise BadInput("ledger.bad_range", "起止日期不正确")

    @property
    def since(self) -> datetime:
        """The instant (UTC) at which the first day begins."""
        return clock.day_bounds(self.from_on or EARLIEST)[0]

    @property
    def until(self) -> datetime:
        """The instant (UTC) at which the last day has ended."""
        return clock.day_bounds(self.to_on or LATEST)[1]

    @property
    def values(self) -> dict[str, object]:
        """Parameters of a query over this scope."""
        return {"since": self.since, "until": self.until} | ({"book": self.book_id} if self.book_id else {})


@dataclass(frozen=True, slots=True)
class Glossary:
    """What people call the things that the ledger knows by code.

    `word` translates a kind of `transfer` and a type of ledger `account`: `word("lesson_released", "transfer")`; `books` are the
    books' names.
    """

    word: Callable[[str, str], str]
    books: Mapping[UUID, str]


class Line(NamedTuple):
    """One sealed transfer with every field that its leaf is made of. Amounts and balances in fen, instants in UTC."""

    seq: int
    transfer_id: UUID
    format: int
    book_id: UUID
    kind: str
    reference: str
    debit: str
    credit: str
    debit_side: str
    credit_side: str
    amount_fen: int
    debit_balance_fen: int
    credit_balance_fen: int
    debit_version: int
    credit_version: int
    occurred_at: datetime
    value_on: date
    business_on: date
    recorded_at: datetime
    reverses: UUID | None
    batch: UUID | None
    posted_by: str
    evidence_sha256: bytes | None
    leaf_hash: bytes

    @property
    def recorded_on(self) -> date:
        """The day of the journal."""
        return clock.business_date(self.recorded_at)


class Frame(NamedTuple):
    """A ledger account before and after the transfers of a scope, without what is not sealed.

    Debits minus credits in fen; `opening_fen` is None where the account had not moved before the scope began.
    """

    book_id: UUID
    code: str
    side: str
    first_at: datetime
    opening_fen: int | None
    closing_fen: int


class Seal(NamedTuple):
    """Where the log stands: its last voucher number and leaf, and how many transfers of a scope wait to be numbered."""

    seq: int
    leaf_hash: bytes
    waiting: int


_LINES = """
    SELECT l.seq, t.id, t.format, t.book_id, t.kind, t.reference, d.code, c.code, d.side, c.side, t.amount_fen,
        t.debit_balance_fen, t.credit_balance_fen, t.debit_version, t.credit_version, t.occurred_at, t.value_on, t.business_on,
        t.recorded_at, t.reverses, t.batch, t.posted_by, t.evidence_sha256, l.leaf_hash
    FROM ledger_log l
    JOIN transfer t ON t.id = l.transfer_id
    JOIN ledger_account d ON d.id = t.debit
    JOIN ledger_account c ON c.id = t.credit
    WHERE t.recorded_at >= :since AND t.recorded_at < :until {one_book}
    ORDER BY l.seq
"""

# The last balance comes from the ledger account itself where nothing followed, and else from the row that left it: either is
# kept beside the amounts, so that adding up the amounts proves something.
_FRAMES = """
    WITH waiting AS (
        SELECT e.account, coalesce(sum(e.fen) FILTER (WHERE t.recorded_at < :since), 0) AS before_fen, sum(e.fen) AS fen
        FROM ledger_unsealed u JOIN transfer t ON t.id = u.transfer_id
        CROSS JOIN LATERAL (VALUES (t.debit, t.amount_fen), (t.credit, -t.amount_fen)) AS e(account, fen)
        WHERE t.recorded_at < :until GROUP BY e.account
    ), frame AS (
        SELECT a.book_id, a.id, a.code, a.side, a.changed_at, CASE a.side WHEN 'asset' THEN 1 ELSE -1 END AS sign,
            opening.version AS opening_version, opening.balance AS opening_fen,
            CASE WHEN a.changed_at < :until THEN a.version ELSE closing.version END AS closing_version,
            CASE WHEN a.changed_at < :until THEN a.balance_fen ELSE closing.balance END AS closing_fen
        FROM ledger_account a
        LEFT JOIN LATERAL ({last_before_since}) AS opening ON true
        LEFT JOIN LATERAL ({last_before_until}) AS closing ON a.changed_at >= :until
        WHERE true {one_book}
    )
    SELECT f.book_id, f.code, f.side, coalesce(least(
            (SELECT recorded_at FROM transfer WHERE debit = f.id ORDER BY recorded_at LIMIT 1),
            (SELECT recorded_at FROM transfer WHERE credit = f.id ORDER BY recorded_at LIMIT 1)
        ), f.changed_at) AS first_at,
        (f.sign * f.opening_fen - coalesce(w.before_fen, 0))::bigint AS opening_fen,
        (f.sign * f.closing_fen - coalesce(w.fen, 0))::bigint AS closing_fen
    FROM frame f LEFT JOIN waiting w ON w.account = f.id
    WHERE f.closing_version > coalesce(f.opening_version, 0) OR f.opening_fen <> 0
    ORDER BY f.book_id, f.id
"""

_LAST_BEFORE = """
    SELECT version, balance FROM (
        (SELECT debit_version AS version, debit_balance_fen AS balance FROM transfer
         WHERE debit = a.id AND recorded_at < {instant} ORDER BY recorded_at DESC, debit_version DESC LIMIT 1)
        UNION ALL
        (SELECT credit_version, credit_balance_fen FROM transfer
         WHERE credit = a.id AND recorded_at < {instant} ORDER BY recorded_at DESC, credit_version DESC LIMIT 1)
    ) AS latest ORDER BY version DESC LIMIT 1
"""

_LAST_CHANGE = "SELECT max(a.changed_at) FROM ledger_account a WHERE true {one_book}"

_SEAL = """
    SELECT coalesce(last.seq, 0), coalesce(last.leaf_hash, ''::bytea), waiting.transfers
    FROM (SELECT count(*) AS transfers FROM ledger_unsealed u JOIN transfer t ON t.id = u.transfer_id
          WHERE t.recorded_at >= :since AND t.recorded_at < :until {one_book}) AS waiting
    LEFT JOIN (SELECT seq, leaf_hash FROM ledger_log ORDER BY seq DESC LIMIT 1) AS last ON true
"""


async def begin(session: AsyncSession) -> None:
    """Make a fresh session's transaction one read-only snapshot, which a reader who stops reading for a minute loses."""
    await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    await session.execute(text("SELECT set_config('idle_in_transaction_session_timeout', :stalled, true)"), {"stalled": _STALLED})


async def lines(session: AsyncSession, scope: Scope) -> AsyncIterator[list[Line]]:
    """The sealed transfers of a scope by voucher number, 200 at a time."""
    async for part in _parts(session, _for(_LINES, scope, "t"), scope):
        yield [Line._make(row) for row in part]


async def frames(session: AsyncSession, scope: Scope) -> AsyncIterator[list[Frame]]:
    """The ledger accounts of a scope that held money or moved, book by book, 200 at a time."""
    async for part in _parts(session, _for(_FRAMES, scope, "a"), scope):
        yield [Frame._make(row) for row in part]


async def last_day(session: AsyncSession, scope: Scope) -> date:
    """The last day of a scope; of an open one, the day of the last change, or its first day where nothing has happened since."""
    if scope.to_on:
        return scope.to_on
    changed_at: datetime | None = await session.scalar(text(_for(_LAST_CHANGE, scope, "a")), scope.values)
    changed_on = clock.business_date(changed_at or clock.now())
    return max(changed_on, scope.from_on or changed_on)


async def seal(session: AsyncSession, scope: Scope) -> Seal:
    """Where the log stands in this snapshot."""
    return Seal._make((await session.execute(text(_for(_SEAL, scope, "t")), scope.values)).one())


def local(instant: datetime) -> str:
    """An instant as the district's clocks show it, to the microsecond: 2026-03-01T08:00:00.000000+08:00."""
    return instant.astimezone(clock.SHANGHAI).isoformat(timespec="microseconds")


def _for(query: str, scope: Scope, table: str) -> str:
    return query.format(
        one_book=f"AND {table}.book_id = :book" if scope.book_id else "",
        last_before_since=_LAST_BEFORE.format(instant=":since"),
        last_before_until=_LAST_BEFORE.format(instant=":until"),
    )


async def _parts(session: AsyncSession, query: str, scope: Scope) -> AsyncIterator[Sequence[tuple[object, ...]]]:
    result = await session.stream(text(query), scope.values)
    async for part in result.partitions(PART):
        yield part
