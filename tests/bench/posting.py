"""Posting to one hot institution, beside committed one-row inserts on one connection."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from app.db import Database, District
from app.ids import uuid7
from app.ledger import service as ledger
from app.ledger.service import Posting
from tests.bench.ground import DISTRICT, Ground

LIST = 500
CONNECTIONS = 8
WIDE, NARROW = "bench_wide", "bench_narrow"
TABLES = f"""
    CREATE TABLE {WIDE} (LIKE transfer INCLUDING ALL);
    CREATE TABLE {NARROW} (id uuid PRIMARY KEY, amount_fen bigint NOT NULL, at timestamptz NOT NULL);
    GRANT INSERT ON {WIDE}, {NARROW} TO escrow_app;
"""
LOADED_BOOKS = text("SELECT id FROM institution ORDER BY id")
SOME_ACCOUNTS = text("""
    (SELECT book_id, code, changed_at FROM ledger_account WHERE type IN ('cash', 'payable') AND version > 100 LIMIT :limit / 2)
    UNION ALL (SELECT book_id, code, changed_at FROM ledger_account WHERE type = 'escrow' LIMIT :limit / 2)
""")
_INSERT_WIDE = f"""
    INSERT INTO {WIDE} (id, format, book_id, kind, reference, debit, credit, amount_fen, debit_balance_fen, credit_balance_fen,
        debit_version, credit_version, occurred_at, value_on, business_on, recorded_at, posted_by)
    VALUES ($1, 1, $2, 'lesson_released', $3, 1, 2, 100, 0, 0, $4, $4, now(), current_date, current_date, now(), 'bench')
"""
_INSERT_NARROW = f"INSERT INTO {NARROW} (id, amount_fen, at) VALUES ($1, $2, now())"


@dataclass(frozen=True)
class Singles:
    """Single posts from several connections: how long each took, in milliseconds, and how many failed."""

    waits: list[float]
    failed: int

    def percentile(self, percent: int) -> float:
        return sorted(self.waits)[len(self.waits) * percent // 100]


def posting(book_id: UUID) -> Posting:
    """Money that arrives: always between the same two ledger accounts of the book."""
    return Posting(kind="received", reference=uuid7(), book_id=book_id, debit="cash:bench", credit="suspense", amount_fen=100)


async def lists(district: District, book_id: UUID, seconds: float) -> float:
    """Transfers per second in lists of 500, each list committed."""

    async def one() -> int:
        async with district.transaction() as session:
            await ledger.post(session, [posting(book_id) for _ in range(LIST)], posted_by="bench")
        return LIST

    return await _rate(one, seconds)


async def inserts(ground: Ground, database: str, seconds: float, wide: bool) -> float:
    """Rows per second, each committed by itself, on one connection; wide ones carry a transfer's columns and indexes."""
    connection = await ground.connect("escrow_app", database)
    book_id, number = uuid7(), time.monotonic_ns()

    async def one() -> int:
        nonlocal number
        number += 1
        if wide:
            await connection.execute(_INSERT_WIDE, uuid7(), book_id, str(uuid7()), number)
        else:
            await connection.execute(_INSERT_NARROW, uuid7(), number)
        return 1

    try:
        return await _rate(one, seconds)
    finally:
        await connection.close()


async def singles(district: District, book_id: UUID, seconds: float) -> Singles:
    """Post one transfer at a time from eight connections into one book."""
    waits: list[float] = []
    failed = 0
    until = time.perf_counter() + seconds

    async def connection() -> None:
        nonlocal failed
        while (began := time.perf_counter()) < until:
            try:
                async with district.transaction() as session:
                    await ledger.post(session, [posting(book_id)], posted_by="bench")
            except Exception:
                failed += 1
            waits.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return Singles(waits, failed)


async def open_book(ground: Ground, database: str) -> tuple[Database, UUID]:
    """A book of its own in a database, and the database as the application sees it."""
    served, book_id = Database(ground.url("escrow_app", database), pool_size=CONNECTIONS), uuid7()
    async with served.district(DISTRICT).transaction() as session:
        await ledger.open_book(session, book_id)
    return served, book_id


async def _rate(one: Callable[[], Awaitable[int]], seconds: float) -> float:
    done, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        done += await one()
    return done / passed
