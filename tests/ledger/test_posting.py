"""Posting to the books: what goes in, what is absorbed, what is refused."""

import asyncio
import random
from dataclasses import replace
from uuid import UUID

import pytest

from app.db import District
from app.errors import BadInput, Conflict, Refused
from app.ids import uuid7
from app.ledger import codes, queries, service
from app.ledger.service import Posting

pytestmark = pytest.mark.books_of("ledger")
BANK = uuid7()
CASH = codes.cash(BANK)


async def opened_book(district: District) -> UUID:
    book = uuid7()
    async with district.transaction() as session:
        await service.open_book(session, book)
    return book


def received(book: UUID, amount_fen: int, reference: UUID | None = None) -> Posting:
    return Posting("received", reference or uuid7(), book, CASH, codes.SUSPENSE, amount_fen)


async def post(district: District, *postings: Posting) -> list[service.Posted]:
    async with district.transaction() as session:
        return await service.post(session, postings, posted_by="test")


async def test_a_receipt_adds_to_cash_and_to_suspense(district: District) -> None:
    book = await opened_book(district)
    await post(district, received(book, 400_000))
    async with district.reading() as session:
        assert await queries.balances(session, book) == {CASH: 400_000, codes.SUSPENSE: 400_000}


async def test_a_list_runs_in_its_order_and_shows_each_running_balance(district: District) -> None:
    book, payment = await opened_book(district), uuid7()
    escrow = codes.escrow(payment)
    await post(
        district,
        received(book, 1000),
        Posting("payment_matched", payment, book, codes.SUSPENSE, escrow, 1000),
        Posting("lesson_released", uuid7(), book, escrow, codes.PAYABLE, 300),
        Posting("lesson_released", uuid7(), book, escrow, codes.PAYABLE, 700),
    )
    async with district.reading() as session:
        lines = await queries.statement(session, book, escrow)
        assert [(line.change_fen, line.balance_fen, line.version) for line in lines] == [(1000, 1000, 1), (-300, 700, 2), (-700, 0, 3)]
        assert [line.counter_code for line in lines] == [codes.SUSPENSE, codes.PAYABLE, codes.PAYABLE]


async def test_the_same_reference_is_absorbed_and_answers_the_first_transfer(district: District) -> None:
    book = await opened_book(district)
    posting = received(book, 500)
    first = await post(district, posting)
    again = await post(district, posting, received(book, 7))
    assert again[0] == service.Posted(first[0].transfer_id, repeated=True)
    assert not again[1].repeated
    async with district.reading() as session:
        assert (await queries.balances(session, book))[CASH] == 507


async def test_openings_are_posted_in_parts_and_all_refused_for_one(district: District, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_AT_ONCE", 2)
    book = await opened_book(district)
    references = [uuid7() for _ in range(5)]
    openings = [Posting("old_stock_recognised", each, book, codes.SHORTFALL, codes.escrow(each), 100) for each in references]
    with pytest.raises(BadInput) as refused:
        async with district.transaction() as session:
            await service.post_openings(session, [*openings[:3], replace(openings[3], amount_fen=0)], posted_by="test")
    async with district.reading() as session:
        assert (refused.value.facts["item"], await queries.balances(session, book)) == (3, {})
    async with district.transaction() as session:
        await service.post_openings(session, openings, posted_by="test")
    async with district.reading() as session:
        assert (await queries.balances(session, book))[codes.SHORTFALL] == 500


@pytest.mark.parametrize("other", ["amount", "book", "account"])
async def test_the_same_reference_with_other_facts_is_refused_and_changes_nothing(district: District, other: str) -> None:
    book, second_book = await opened_book(district), await opened_book(district)
    posting = received(book, 500)
    await post(district, posting)
    changed = {
        "amount": Posting("received", posting.reference, book, CASH, codes.SUSPENSE, 501),
        "book": Posting("received", posting.reference, second_book, CASH, codes.SUSPENSE, 500),
        "account": Posting("received", posting.reference, book, codes.cash(uuid7()), codes.SUSPENSE, 500),
    }[other]
    with pytest.raises(Conflict) as refusal:
        await post(district, received(book, 1), changed)
    assert (refusal.value.code, refusal.value.facts) == ("ledger.other_facts", {"item": 1})
    async with district.reading() as session:
        assert (await queries.balances(session, book))[CASH] == 500


async def test_one_reference_twice_in_a_list_is_posted_once_or_refused_when_the_facts_differ(district: District) -> None:
    book = await opened_book(district)
    posting = received(book, 500)
    assert [item.repeated for item in await post(district, posting, posting)] == [False, True]
    async with district.reading() as session:
        assert (await queries.balances(session, book))[CASH] == 500
    other = received(book, 5)
    with pytest.raises(Conflict) as refusal:
        await post(district, other, received(book, 6, other.reference))
    assert refusal.value.facts == {"item": 1}


async def test_an_overdraft_is_refused_and_names_the_item(district: District) -> None:
    book, payment = await opened_book(district), uuid7()
    await post(district, received(book, 100))
    with pytest.raises(Refused) as refusal:
        await post(
            district,
            Posting("payment_matched", payment, book, codes.SUSPENSE, codes.escrow(payment), 60),
            Posting("payment_matched", uuid7(), book, codes.SUSPENSE, codes.escrow(payment), 60),
        )
    assert (refusal.value.code, refusal.value.facts) == ("ledger.insufficient_funds", {"item": 1})
    async with district.reading() as session:
        assert (await queries.balances(session, book)) == {CASH: 100, codes.SUSPENSE: 100}


@pytest.mark.parametrize("amount", [0, -1, 10**13 + 1, 2**63, True, 1.5])
async def test_an_amount_that_is_no_amount_is_refused(district: District, amount: int) -> None:
    book = await opened_book(district)
    with pytest.raises(BadInput):
        await post(district, received(book, amount))


async def test_a_kind_stands_only_between_its_ledger_accounts(district: District) -> None:
    book = await opened_book(district)
    with pytest.raises(BadInput):
        await post(district, Posting("received", uuid7(), book, codes.SUSPENSE, CASH, 5))
    with pytest.raises(BadInput):
        await post(district, Posting("wished", uuid7(), book, CASH, codes.SUSPENSE, 5))


async def test_a_reversal_mirrors_its_original(district: District) -> None:
    book, payment, release = await opened_book(district), uuid7(), uuid7()
    escrow = codes.escrow(payment)
    posted = await post(
        district,
        received(book, 1000),
        Posting("payment_matched", payment, book, codes.SUSPENSE, escrow, 1000),
        Posting("lesson_released", release, book, escrow, codes.PAYABLE, 300),
    )
    original = posted[2].transfer_id
    with pytest.raises(BadInput):
        await post(district, Posting("release_reversed", release, book, codes.PAYABLE, escrow, 299, reverses=original))
    await post(district, Posting("release_reversed", release, book, codes.PAYABLE, escrow, 300, reverses=original))
    async with district.reading() as session:
        assert (await queries.balances(session, book))[escrow] == 1000


async def test_posting_twice_in_one_transaction_is_a_programming_error(district: District) -> None:
    book = await opened_book(district)
    async with district.reading() as session:
        await service.post(session, [received(book, 1)], posted_by="test")
        with pytest.raises(AssertionError):
            await service.post(session, [received(book, 1)], posted_by="test")


async def test_the_balance_at_a_past_instant(district: District) -> None:
    book = await opened_book(district)
    await post(district, received(book, 100))
    async with district.reading() as session:
        first = (await queries.statement(session, book, CASH))[0].recorded_at
    await post(district, received(book, 50))
    async with district.reading() as session:
        second = (await queries.statement(session, book, CASH))[1].recorded_at
        assert await queries.balance_at(session, book, CASH, first) == 100
        assert await queries.balance_at(session, book, CASH, second) == 150
        assert await queries.balance_at(session, book, CASH, first.replace(year=2020)) == 0


async def test_eight_writers_with_overlapping_references_leave_no_duplicate_and_no_gap(district: District) -> None:
    books = [await opened_book(district) for _ in range(2)]
    shared = [received(random.choice(books), 10 + i) for i in range(60)]

    async def writer(seed: int) -> int:
        chosen = random.Random(seed)
        posted = 0
        for _ in range(25):
            items = [*chosen.sample(shared, 4), received(chosen.choice(books), 1)]
            posted += sum(not item.repeated for item in await post(district, *items))
        return posted

    fresh = sum(await asyncio.gather(*(writer(seed) for seed in range(8))))
    async with district.reading() as session:
        lines = [line for book in books for line in await all_lines(session, book)]
    assert len(lines) == len({line.transfer_id for line in lines}) == len({line.reference for line in lines}) == fresh
    for book in books:
        async with district.reading() as session:
            assert [line.version for line in await all_lines(session, book)] == list(range(1, len(await all_lines(session, book)) + 1))


async def all_lines(session: object, book: UUID) -> list[queries.StatementLine]:
    lines: list[queries.StatementLine] = []
    while page := await queries.statement(session, book, CASH, after_version=len(lines)):  # type: ignore[arg-type]
        lines += page
    return lines
