"""A plan that was made while a table was empty still serves when the table has grown: its rows are found by their index."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app import idempotency
from app.db import District
from app.idempotency import Answer
from app.ids import uuid7
from app.ledger import codes, service
from app.ledger.service import Posting

AT_ONCE, ROUNDS = 20, 10
BANK = uuid7()
ANSWER = Answer(200, "{}")


@pytest.fixture
async def empty(owner: District) -> District:
    """A district whose tables are known to be empty; its one connection has made no plan yet."""
    async with owner.transaction() as session:
        await session.execute(text("ANALYZE idempotency_key, transfer"))
    return owner


async def rows_read(session: AsyncSession, table: str) -> int:
    """Rows of a table that this connection has fetched; those of earlier transactions may be among them."""
    fetched = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = to_regclass(:name)")
    return int(await session.scalar(fetched, {"name": table}) or 0)


async def test_new_keys_are_claimed_without_reading_the_old_ones(empty: District) -> None:
    async with empty.reading() as session:
        assert await rows_read(session, "idempotency_key") == 0
        for number in range(ROUNDS):
            attempts = [idempotency.attempt("guardian:1", f"{number}-{each}", "POST /", b"") for each in range(AT_ONCE)]
            claimed = await session.execute(idempotency._CLAIM, idempotency.named("510112", attempts))
            assert {row.claim for row in claimed} == {"ours"}
            for each in attempts:
                await idempotency.keep(session, each, ANSWER)
        assert await rows_read(session, "idempotency_key") == 0
        assert await idempotency.claim(session, attempts[0]) == ANSWER
        assert await rows_read(session, "idempotency_key") == 1


@pytest.mark.books_of("ledger")
async def test_new_transfers_are_posted_without_reading_the_old_ones(district: District, empty: District) -> None:
    book, read = uuid7(), 0
    for number in range(ROUNDS):
        async with empty.transaction() as session:
            if not number:
                await service.open_book(session, book)
            before = await rows_read(session, "transfer")
            arrived = [Posting("received", uuid7(), book, codes.cash(BANK), codes.SUSPENSE, 100) for _ in range(AT_ONCE)]
            await service.post(session, arrived, posted_by="test")
            read += await rows_read(session, "transfer") - before
    assert read == ROUNDS * AT_ONCE, "only what was just written is read again, for the answer"
