"""Auditors take the books away and let `bean-check` judge them."""

from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import clock
from app.db import District
from app.errors import BadInput, NotFound
from app.ids import uuid7
from app.ledger import codes, export, jobs, journal, service
from app.ledger.export import BEANCOUNT, CSV, EXCEL, Form
from app.ledger.journal import Scope
from app.ledger.service import Posting
from app.portals.words import word
from tests.ledger.auditors import EVERYTHING, GLOSSARY, asserted, balances, beancount, complaints, nobody_reads, vouchers
from tests.ledger.conftest import Story

DAY = timedelta(days=1)
MB = 2**20


async def test_bean_check_accepts_every_book_and_its_balances_are_the_ledgers(story: Story, tmp_path: Path) -> None:
    file = await beancount(story.district)
    assert await complaints(file, tmp_path) == []
    assert asserted(file, story.days[-1] + DAY) == await balances(story.district)
    assert vouchers(file) == list(range(1, len(vouchers(file)) + 1))
    kinds = {"received", "payment_matched", "lesson_released", "payout_reserved", "settled", "refund_reserved", "returned", "unreserved"}
    assert {kind for kind in kinds if f' * "{kind}" "{word(kind, "transfer")}"\n' in file} == kinds


async def test_bean_check_accepts_one_book(story: Story, tmp_path: Path) -> None:
    file = await beancount(story.district, Scope(story.second.institution.id))
    assert await complaints(file, tmp_path) == []
    assert str(story.second.institution.id) in file
    assert str(story.first.institution.id) not in file
    assert len(vouchers(file)) < len(vouchers(await beancount(story.district)))


async def test_bean_check_accepts_ranges_that_open_and_close_with_the_ledgers_balances(story: Story, tmp_path: Path) -> None:
    first, second, third, fourth = story.days
    later = fourth + 30 * DAY
    for from_on, to_on in ((first, first), (second, third), (third, later), (None, second), (fourth, None), (later, None)):
        last = to_on or max(fourth, from_on or fourth)
        file = await beancount(story.district, Scope(from_on=from_on, to_on=to_on))
        assert await complaints(file, tmp_path) == []
        assert not_empty(asserted(file, last + DAY)) == not_empty(await balances(story.district, last))
        if from_on:
            assert not_empty(asserted(file, from_on)) == not_empty(await balances(story.district, from_on - DAY))
            books = {str(school.institution.id) for school in (story.first, story.second)}
            assert {f"Equity:{book}:Opening" for book in books if book in file} <= set(asserted(file, from_on))
    early, late = await beancount(story.district, Scope(to_on=second)), await beancount(story.district, Scope(from_on=third))
    assert sorted(vouchers(early) + vouchers(late)) == vouchers(await beancount(story.district))


def not_empty(found: dict[str, int]) -> dict[str, int]:
    return {name: fen for name, fen in found.items() if fen}


def one_fen_more(file: str) -> str:
    return file.replace("  100.00 CNY", "  100.01 CNY", 1).replace("  -100.00 CNY", "  -100.01 CNY", 1)


def one_leg_only(file: str) -> str:
    return file.replace("  100.00 CNY", "  100.01 CNY", 1)


def other_account(file: str) -> str:
    return file.replace(":Payable  -100.00 CNY", ":Suspense  -100.00 CNY", 1)


def left_out(file: str) -> str:
    parts = file.split("\n\n")
    return "\n\n".join(parts[:-2] + parts[-1:])


def cut_short(file: str) -> str:
    return file[: file.rindex("\n\n") + 1]


def other_claim(file: str) -> str:
    return file.replace(" ~ 0 CNY", "1 ~ 0 CNY", 1)


async def test_bean_check_finds_what_was_altered_in_the_file(story: Story, tmp_path: Path) -> None:
    file = await beancount(story.district)
    forgeries = [forge(file) for forge in (one_fen_more, one_leg_only, other_account, left_out, cut_short, other_claim)]
    assert file not in forgeries
    assert [] not in [await complaints(forgery, tmp_path) for forgery in forgeries]


@pytest.mark.broken_books
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE transfer SET amount_fen = amount_fen + 1 WHERE kind = 'lesson_released'",
        "UPDATE transfer SET credit = (SELECT id FROM ledger_account WHERE type = 'cash') WHERE kind = 'lesson_released'",
        "UPDATE ledger_account SET balance_fen = balance_fen + 1 WHERE type = 'escrow'",
        "DELETE FROM ledger_log WHERE seq = 3",
    ],
)
async def test_bean_check_finds_what_was_altered_in_the_books(sql: str, district: District, owner: District, tmp_path: Path) -> None:
    book, escrow = uuid7(), codes.escrow(uuid7())
    postings = [
        Posting("received", uuid7(), book, codes.cash(uuid7()), codes.SUSPENSE, 1000),
        Posting("payment_matched", uuid7(), book, codes.SUSPENSE, escrow, 1000),
        Posting("lesson_released", uuid7(), book, escrow, codes.PAYABLE, 300),
    ]
    async with district.transaction() as session:
        await service.open_book(session, book)
        await service.post(session, postings, posted_by="test")
    await jobs.seal(district)
    assert await complaints(await beancount(district), tmp_path) == []
    async with owner.transaction() as session:
        for table in ("transfer", "ledger_log"):
            await session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        await session.execute(text(sql))
    found = await complaints(await beancount(district), tmp_path)
    assert found != []
    assert [each for each in found if not each.startswith("Balance failed for ")] == []


async def test_what_waits_for_its_number_is_left_out_and_said(story: Story, tmp_path: Path) -> None:
    sealed = await beancount(story.district)
    await story.world.paid_contract(story.first.institution)
    file = await beancount(story.district)
    assert await complaints(file, tmp_path) == []
    assert vouchers(file) == vouchers(sealed)
    assert f"; The log is sealed up to voucher {len(vouchers(sealed))}, leaf " in file
    assert "; 2 transfers of these days wait for their voucher number and are left out.\n" in file


@pytest.mark.books_of("ledger")
async def test_names_that_beancount_does_not_take_are_spelt_and_stay_apart(district: District, tmp_path: Path) -> None:
    book = UUID("f0000000-0000-4000-8000-000000000001")
    details = ["a", "A", "x--61", 'the "third"', "户", "a-", "", "a:b", "0"]
    async with district.transaction() as session:
        await service.open_book(session, book)
        postings = [Posting("received", uuid7(), book, f"cash:{detail}", codes.SUSPENSE, 7) for detail in details]
        await service.post(session, postings, posted_by='a "name" \\ in\ntwo lines')
    await jobs.seal(district)
    file = await beancount(district)
    assert await complaints(file, tmp_path) == []
    claimed = asserted(file, clock.today() + DAY)
    assert sorted(claimed.values()) == [-7 * len(details)] + [7] * len(details)
    assert {"Assets:F0000000-0000-4000-8000-000000000001:Cash:A", "Assets:F0000000-0000-4000-8000-000000000001:Cash:X--41"} <= set(claimed)


async def test_empty_books_are_a_valid_file(district: District, tmp_path: Path) -> None:
    assert await complaints(await beancount(district), tmp_path) == []


@pytest.mark.parametrize(
    ("from_on", "to_on"), [(date(2026, 3, 2), date(2026, 3, 1)), (date(1999, 12, 31), None), (None, date(3000, 1, 1))], ids=str
)
def test_days_that_cannot_be_are_refused(from_on: date | None, to_on: date | None) -> None:
    with pytest.raises(BadInput, match=r"ledger\.bad_range"):
        Scope(None, from_on, to_on)


async def test_a_book_that_is_not_there_is_not_found(district: District) -> None:
    with pytest.raises(NotFound, match=r"ledger\.no_book"):
        async with district.transaction() as session:
            await export.record(session, "test", BEANCOUNT, Scope(uuid7()))


async def load(owner: District, book: UUID, transfers: int) -> None:
    """A book with that many receipts of one fen, sealed, straight into the tables."""
    values = {"book": book, "cash": codes.cash(book), "n": transfers}
    async with owner.transaction() as session:
        for sql in (
            "INSERT INTO book VALUES (:book, now())",
            """INSERT INTO ledger_account (book_id, code, type, balance_fen, version, changed_at)
               VALUES (:book, :cash, 'cash', :n, :n, now()), (:book, 'suspense', 'suspense', :n, :n, now())""",
            """INSERT INTO transfer (id, format, book_id, kind, reference, debit, credit, amount_fen, debit_balance_fen, credit_balance_fen,
                   debit_version, credit_version, occurred_at, value_on, business_on, recorded_at, posted_by)
               SELECT gen_random_uuid(), 1, :book, 'received', gen_random_uuid(), d.id, c.id, 1, i, i, i, i,
                   now(), current_date, current_date, now(), 'load'
               FROM generate_series(1, :n) AS i, ledger_account d, ledger_account c
               WHERE d.book_id = :book AND d.type = 'cash' AND c.book_id = :book AND c.type = 'suspense'""",
            """INSERT INTO ledger_log
               SELECT row_number() OVER (ORDER BY debit_version) + (SELECT count(*) FROM ledger_log), id,
                   ledger_leaf(t, :cash, 'suspense', substr(current_schema(), 2))
               FROM transfer t WHERE book_id = :book""",
        ):
            await session.execute(text(sql), {name: value for name, value in values.items() if f":{name}" in sql})


@pytest.mark.books_of("ledger")
async def test_memory_does_not_grow_with_the_books(district: District, owner: District) -> None:
    large, small = uuid7(), uuid7()
    await load(owner, large, 45_000)
    await load(owner, small, 5_000)
    everything: list[tuple[Form, Scope]] = [(BEANCOUNT, EVERYTHING), (CSV, EVERYTHING), (EXCEL, Scope(small))]
    for form, scope in everything:
        before, most, longest, length = memory(), 0, 0, 0
        async for part in export.stream(district, form, scope, GLOSSARY):
            longest, length, most = max(longest, len(part)), length + len(part), max(most, memory())
        assert longest < MB // 2, form.suffix
        assert most - before < 16 * MB, form.suffix
        assert length > (MB // 2 if form is EXCEL else 20 * MB), form.suffix


def memory() -> int:
    """What this process occupies, in bytes."""
    return int(psutil.Process().memory_info().rss)


async def test_a_reader_who_stops_reading_loses_the_snapshot(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_STALLED", "100ms")

    async def read_slowly() -> None:
        async for _ in export.stream(story.district, BEANCOUNT, EVERYTHING, GLOSSARY):
            await nobody_reads(story.district)

    with pytest.raises(DBAPIError):
        await read_slowly()
