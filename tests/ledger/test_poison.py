"""Trying to break the books, as the serving role and as the owner of the tables: refused, or named by the check."""

import asyncio
import re
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db import District
from app.ids import uuid7
from app.ledger import codes, jobs, service
from app.ledger.check import check_books, check_side_by_side, invariants
from app.ledger.service import Posting

BANK = uuid7()
CASH = codes.cash(BANK)
ROLES = ["application", "owner"]


@pytest.fixture
async def book(district: District) -> UUID:
    """A book with one receipt, matched, and one lesson released; sealed."""
    book, payment = uuid7(), uuid7()
    escrow = codes.escrow(payment)
    async with district.transaction() as session:
        await service.open_book(session, book)
        await service.post(
            session,
            [
                Posting("received", uuid7(), book, CASH, codes.SUSPENSE, 1000),
                Posting("payment_matched", payment, book, codes.SUSPENSE, escrow, 1000),
                Posting("lesson_released", uuid7(), book, escrow, codes.PAYABLE, 300),
            ],
            posted_by="test",
        )
    await jobs.seal(district)
    return book


async def run(district: District, sql: str, **values: object) -> None:
    async with district.transaction() as session:
        await session.execute(text(sql), values)


async def named(district: District) -> set[str]:
    async with district.reading() as session:
        found = await check_books(session)
    assert set(await check_side_by_side(district)) == set(found)
    return {finding.name for finding in found if finding.name.startswith("ledger.")}


@pytest.mark.books_of("ledger")
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE transfer SET amount_fen = 1",
        "DELETE FROM transfer",
        "TRUNCATE transfer CASCADE",
        "UPDATE ledger_log SET leaf_hash = ''",
        "DELETE FROM ledger_log",
        "TRUNCATE ledger_log",
    ],
)
@pytest.mark.parametrize("role", ROLES)
async def test_what_was_posted_is_never_changed_or_removed(role: str, sql: str, book: UUID, district: District, owner: District) -> None:
    with pytest.raises(DBAPIError):
        await run(owner if role == "owner" else district, sql)


@pytest.mark.books_of("ledger")
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger_account SET balance_fen = balance_fen + 1",
        "DELETE FROM ledger_account",
        "INSERT INTO ledger_account (book_id, code, type, changed_at) SELECT id, 'payable:x', 'payable', now() FROM book",
        "INSERT INTO transfer SELECT * FROM transfer",
        "INSERT INTO transfer_kind VALUES ('gift', 'escrow', 'payable')",
        "INSERT INTO book VALUES (gen_random_uuid(), now())",
        "INSERT INTO ledger_log VALUES (99, gen_random_uuid(), '')",
        "DELETE FROM ledger_unsealed",
        "ALTER TABLE transfer DISABLE TRIGGER ALL",
        "DROP TABLE ledger_log",
        "SET ROLE escrow_owner",
        "UPDATE public.district SET mode = 'live'",
        "CREATE TABLE mine (id int)",
        "CREATE TEMP TABLE transfer_kind (kind text)",
    ],
)
async def test_the_serving_role_may_only_read_and_post(sql: str, book: UUID, district: District) -> None:
    with pytest.raises(DBAPIError):
        await run(district, sql)


@pytest.mark.books_of("ledger")
@pytest.mark.parametrize(
    "change",
    [
        {"amount_fen": 0},
        {"amount_fen": -1},
        {"amount_fen": 10**13 + 1},
        {"debit": "account of another book"},
        {"credit": "account of another book"},
        {"credit_balance_fen": -1},
        {"debit_version": 0},
        {"kind": None},
    ],
    ids=str,
)
async def test_even_the_owner_cannot_store_a_row_that_no_books_can_hold(
    change: dict[str, object], book: UUID, district: District, owner: District
) -> None:
    other = uuid7()
    async with district.transaction() as session:
        await service.open_book(session, other)
        await service.post(session, [Posting("received", uuid7(), other, CASH, codes.SUSPENSE, 5)], posted_by="test")
    async with owner.reading() as session:
        row = dict((await session.execute(text("SELECT * FROM transfer WHERE kind = 'lesson_released'"))).mappings().one())
        foreign = await session.scalar(text("SELECT max(id) FROM ledger_account WHERE book_id = :other"), {"other": other})
    row |= {"id": uuid7(), "reference": "new", "debit_version": 99, "credit_version": 99}
    row |= {name: foreign if value == "account of another book" else value for name, value in change.items()}
    columns = ", ".join(row)
    with pytest.raises(DBAPIError):
        await run(owner, f"INSERT INTO transfer ({columns}) VALUES ({', '.join(':' + name for name in row)})", **row)


@pytest.mark.broken_books
@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("UPDATE ledger_account SET balance_fen = balance_fen + 1 WHERE type = 'cash'", {"book_balances", "balance_is_its_transfers"}),
        ("UPDATE ledger_account SET version = version + 1 WHERE type = 'payable'", {"balance_is_its_transfers"}),
        (
            "UPDATE transfer SET amount_fen = amount_fen + 1 WHERE kind = 'received'",
            {"balance_is_its_transfers", "running_unbroken", "log_holds"},
        ),
        (
            "UPDATE transfer SET recorded_at = recorded_at - interval '1 day' WHERE kind = 'lesson_released'",
            {"running_unbroken", "log_holds"},
        ),
        ("UPDATE transfer SET kind = 'settled' WHERE kind = 'received'", {"kinds_hold", "log_holds"}),
        ("UPDATE transfer SET posted_by = 'nobody' WHERE kind = 'received'", {"log_holds"}),
        ("UPDATE transfer SET occurred_at = occurred_at + interval '1 microsecond' WHERE kind = 'received'", {"log_holds"}),
        ("UPDATE transfer SET kind = 'release_reversed' WHERE kind = 'lesson_released'", {"kinds_hold", "reversals_mirror", "log_holds"}),
        ("UPDATE transfer SET reverses = id WHERE kind = 'received'", {"reversals_mirror", "log_holds"}),
        ("DELETE FROM ledger_log WHERE seq = 2", {"log_holds", "log_gapless"}),
        ("UPDATE ledger_log SET leaf_hash = sha256('') WHERE seq = 1", {"log_holds"}),
    ],
)
async def test_what_an_owner_can_break_the_check_names(sql: str, broken: set[str], book: UUID, district: District, owner: District) -> None:
    assert await named(district) == set()
    table = re.search(r"(?:UPDATE|DELETE FROM) (\w+)", sql)
    assert table is not None
    async with owner.transaction() as session:
        if table[1] != "ledger_account":
            await session.execute(text(f"ALTER TABLE {table[1]} DISABLE TRIGGER USER"))
        await session.execute(text(sql))
    assert await named(district) == {f"ledger.{name}" for name in broken}


@pytest.mark.broken_books
async def test_a_finding_names_its_row_and_only_its_own_book(book: UUID, district: District, owner: District) -> None:
    sound = uuid7()
    async with district.transaction() as session:
        await service.open_book(session, sound)
        await service.post(session, [Posting("received", uuid7(), sound, CASH, codes.SUSPENSE, 5)], posted_by="test")
    await run(owner, "UPDATE ledger_account SET balance_fen = 7 WHERE book_id = :book AND type = 'payable'", book=book)
    async with district.reading() as session:
        found = [finding for finding in await check_books(session, book) if finding.name == "ledger.balance_is_its_transfers"]
    assert [(finding.book_id, finding.row) for finding in found] == [(book, codes.PAYABLE)]
    async with district.reading() as session:
        assert [finding for finding in await check_books(session, sound) if finding.name.startswith("ledger.")] == []


@pytest.mark.books_of("ledger")
async def test_the_clock_of_a_live_district_cannot_be_set(book: UUID, district: District, owner: District) -> None:
    await run(owner, "ALTER TABLE public.district DISABLE TRIGGER USER")
    await run(owner, "UPDATE public.district SET mode = 'live'")
    call = """SELECT ledger_post(ARRAY[gen_random_uuid()], ARRAY['received'], ARRAY['x'], ARRAY[CAST(:book AS uuid)], ARRAY[:cash],
        ARRAY['suspense'], ARRAY[1::bigint], ARRAY[now()], ARRAY[current_date], ARRAY[current_date], ARRAY[NULL::uuid],
        ARRAY[NULL::bytea], ARRAY['test'], NULL, now() - interval '1 year')"""
    with pytest.raises(DBAPIError, match="clock"):
        await run(district, call, book=book, cash=CASH)


@pytest.mark.books_of("ledger")
async def test_posts_and_sealers_at_once_leave_a_log_without_gap(book: UUID, district: District) -> None:
    async def write() -> None:
        for _ in range(20):
            async with district.transaction() as session:
                await service.post(session, [Posting("received", uuid7(), book, CASH, codes.SUSPENSE, 1)], posted_by="test")

    async def seal() -> None:
        for _ in range(20):
            await jobs.seal(district)

    await asyncio.gather(*(write() for _ in range(4)), *(seal() for _ in range(3)))
    while await jobs.seal(district):
        pass
    async with district.reading() as session:
        numbers = list(await session.scalars(text("SELECT seq FROM ledger_log ORDER BY seq")))
    assert numbers == list(range(1, 84))


def test_every_slice_that_keeps_money_ships_invariants() -> None:
    slices = {invariant.name.split(".")[0] for invariant in invariants()}
    assert slices >= {"ledger", "banking", "contracts", "payments", "lessons", "refunds", "settlement", "supervision"}
