"""What five million stored transfers cost: the same work on a grown ledger and on an all but empty one, in turn."""

import statistics
import time
from datetime import timedelta
from uuid import UUID

from app.db import Database, District
from app.ledger import queries
from app.ledger.check import check_side_by_side
from tests.bench import confirming, posting
from tests.bench.ground import DISTRICT, Ground, Size, ground
from tests.bench.serving import serving
from tests.bench.table import Results

GROWN = Size(institutions=170, families=600, lessons=48, confirmed=47)
EMPTY = Size(institutions=170, families=12, lessons=24, confirmed=0)
KEEPS = 0.9
ROUNDS = 11
SECONDS = 1.5
MOST_PER_ROUND = 4_000
"""Of the 48,960 lessons that wait in the empty ledger, in twelve rounds."""
INSTANTS = 200
BOOKS = 5


async def growth() -> Results:
    """All of it; loading alone takes some minutes."""
    results = Results(f"{GROWN.transfers:,} transfers in the books of {GROWN.institutions} institutions, beside {EMPTY.transfers:,}")
    async with ground() as here:
        for name, size in (("grown", GROWN), ("empty", EMPTY)):
            await here.database(name, size)
        await _confirmations(here, results)
        await _posts(here, results)
        grown = Database(here.url("escrow_app", "grown"))
        await _reads(grown.district(DISTRICT), results)
        await grown.aclose()
    return results


async def _confirmations(here: Ground, results: Results) -> None:
    asked = {name: await confirming.delivered(here, name) for name in ("grown", "empty")}
    pairs = []
    async with serving(here.url("escrow_app", "grown")) as grown, serving(here.url("escrow_app", "empty")) as empty:
        for _ in range(ROUNDS + 1):
            pair = []
            for web, requests in ((grown, asked["grown"]), (empty, asked["empty"])):
                mine, requests[:] = requests[:MOST_PER_ROUND], requests[MOST_PER_ROUND:]
                pair.append((await web.load(mine, SECONDS)).per_second)
            pairs.append((pair[0], pair[1]))
    results.ratio("confirmations, grown ÷ empty", pairs[1:], KEEPS)


async def _posts(here: Ground, results: Results) -> None:
    books = [await posting.open_book(here, name) for name in ("grown", "empty")]
    pairs = []
    for _ in range(ROUNDS + 1):
        grown, empty = [await posting.lists(served.district(DISTRICT), book_id, SECONDS) for served, book_id in books]
        pairs.append((grown, empty))
    results.ratio("posting in lists of 500, grown ÷ empty", pairs[1:], KEEPS)
    for served, _ in books:
        await served.aclose()


async def _reads(district: District, results: Results) -> None:
    waits = await balances_at(district)
    results.limit("balance at a past instant, median", statistics.median(waits), "ms", 5)
    results.limit("balance at a past instant, p99", sorted(waits)[len(waits) * 99 // 100], "ms", None)
    async with district.reading() as session:
        books = await session.execute(posting.LOADED_BOOKS)
        average: list[UUID] = list(books.scalars())[:: GROWN.institutions // BOOKS][:BOOKS]
    results.limit("check-books of one book, median", statistics.median([await _checked(district, each) for each in average]), "s", 1)
    results.limit("check-books of everything", await _checked(district, None), "s", 300)


async def balances_at(district: District) -> list[float]:
    """Milliseconds that each of many questions for a balance took: hot and quiet accounts, instants over the whole history."""
    waits = []
    async with district.reading() as session:
        accounts = (await session.execute(posting.SOME_ACCOUNTS, {"limit": INSTANTS})).all()
        for number, account in enumerate(accounts):
            instant = account.changed_at - timedelta(days=number * GROWN.lessons // INSTANTS)
            began = time.perf_counter()
            await queries.balance_at(session, account.book_id, account.code, instant)
            waits.append((time.perf_counter() - began) * 1000)
    return waits


async def _checked(district: District, book_id: UUID | None) -> float:
    """Seconds. What was posted by hand has no bank behind it; the loaded books must hold."""
    began = time.perf_counter()
    findings = await check_side_by_side(district, book_id)
    taken = time.perf_counter() - began
    async with district.reading() as session:
        loaded = set((await session.execute(posting.LOADED_BOOKS)).scalars())
    broken = [finding for finding in findings if finding.book_id in loaded]
    if broken:
        raise SystemExit(f"the loaded books do not hold: {broken[:5]}")
    return taken
