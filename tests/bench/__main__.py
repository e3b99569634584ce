"""`python -m tests.bench` prints the speeds; `growth` what five million transfers leave of them; `servers` a choice of servers;
`year [FOLDER]` pages over the district's year."""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from rich.console import Console

from app.db import Database
from app.ledger import jobs as ledger_jobs
from app.ledger.check import check_books
from app.sample.processes import fast_loop
from app.settings import settings
from tests.bench import checkout, confirming, growing, importing, judging, pages, posting, searching, server, servers, year
from tests.bench.ground import DISTRICT, Ground, ground
from tests.bench.serving import Serving, serving
from tests.bench.table import Results

DATABASE, POSTED, SEARCHED, IMPORTED = "escrow", "posted", "searched", "imported"
ROUNDS = 5
SECONDS = 2.0


async def speeds(results: Results) -> None:
    """Everything that is measured on a district of a usual size."""
    _law(results)
    async with ground() as here:
        await here.database(DATABASE, confirming.SIZE)
        await here.run(DATABASE, server.TABLE)
        await _web(here, results)
        results.fact("the district's books after that", *await _books_hold(here))
        await _books(here, results)
        await _search(here, results)
        await _import(here, results)


def _law(results: Results) -> None:
    results.limit("judging one contract of 60 lessons, CPU", judging.judged(), "ms", 1)
    results.limit("finding the nearest legal plan for it, CPU", judging.planned(), "ms", None)


async def _web(here: Ground, results: Results) -> None:
    requests = await confirming.delivered(here, DATABASE)
    classes = await checkout.offered(here, DATABASE)
    async with serving(here.url("escrow_app", DATABASE)) as web:
        rounds = await confirming.rounds(web, requests, confirming.SIZE)
        confirm = [each.confirm.per_second for each in rounds]
        results.ratio("confirmations ÷ route that inserts a row", zip(confirm, [e.insert.per_second for e in rounds], strict=True), 1.2)
        results.ratio("confirmations ÷ empty route", zip(confirm, [e.empty.per_second for e in rounds], strict=True), None, "0.6 ×")
        refused = sum(load.refused for each in rounds for load in (each.empty, each.insert, each.confirm))
        results.limit("requests refused meanwhile", refused, "requests", 0)
        results.limit("first page under 32 connections, p95", (await pages.first_page(web)).p95_ms, "ms", 300)
        await _checkout(web, results, classes)
        for path, size in (await pages.weights(web)).items():
            results.limit(f"{path} with all it loads", size / 1000, "kB", 100)


async def _checkout(web: Serving, results: Results, classes: list[UUID]) -> None:
    rounds = await checkout.rounds(web, classes)
    for what, loads in (("checkout as JSON", [each.answered for each in rounds]), ("checkout pages", [each.shown for each in rounds])):
        pairs = [(load.per_second, each.empty.per_second) for load, each in zip(loads, rounds, strict=True)]
        results.ratio(f"{what} ÷ empty route", pairs, 0.5)
    refused = sum(load.refused for each in rounds for load in (each.empty, each.answered, each.shown))
    results.limit("checkouts refused meanwhile", refused, "requests", 0)


async def _search(here: Ground, results: Results) -> None:
    """In a database of its own, with the registers of a large city."""
    empty = await searching.loaded(here, SEARCHED)
    async with serving(here.url("escrow_app", SEARCHED)) as web:
        rounds = await searching.rounds(web, empty)
    searched = {
        "searches among 50,000 classes": [each.found for each in rounds],
        "pages of such searches": [each.shown for each in rounds],
        "searches among 5,000 institutions": [each.institutions_found for each in rounds],
        "pages of those": [each.institutions_shown for each in rounds],
    }
    for what, loads in searched.items():
        pairs = [(load.per_second, each.empty.per_second) for load, each in zip(loads, rounds, strict=True)]
        results.ratio(f"{what} ÷ empty route", pairs, 0.3)
    refused = sum(load.refused for loads in ([each.empty for each in rounds], *searched.values()) for load in loads)
    results.limit("searches refused meanwhile", refused, "requests", 0)


async def _import(here: Ground, results: Results) -> None:
    """In a database of its own: full files of each kind, from their bytes to the register."""
    for done in await importing.imports(here, IMPORTED):
        results.limit(f"importing {done.rows:,} {done.kind}, {done.rows / done.seconds:,.0f} rows per s", done.seconds, "s", 60)


async def _books(here: Ground, results: Results) -> None:
    """In a database of its own: what is posted here by hand has no bank behind it."""
    await here.database(POSTED)
    await here.run(POSTED, posting.TABLES)
    served, book_id = await posting.open_book(here, POSTED)
    district = served.district(DISTRICT)
    wide, narrow = [], []
    for _ in range(ROUNDS + 1):
        posted = await posting.lists(district, book_id, SECONDS)
        wide.append((posted, await posting.inserts(here, POSTED, SECONDS, wide=True)))
        narrow.append((posted, await posting.inserts(here, POSTED, SECONDS, wide=False)))
    results.ratio("posting in lists of 500 ÷ inserts as wide as a transfer", wide[1:], 2.0, "3 ×")
    results.ratio("posting in lists of 500 ÷ inserts into a narrow table", narrow[1:], None)
    singles = await posting.singles(district, book_id, 2 * SECONDS)
    results.limit("single posts from 8 connections, p99 ÷ p50", singles.percentile(99) / singles.percentile(50), "×", 10)
    results.limit("single posts that failed", singles.failed, "posts", 0)
    await served.aclose()


async def _books_hold(here: Ground) -> tuple[str, bool]:
    """Whether every invariant holds once the log is sealed."""
    served = Database(here.url("escrow_app", DATABASE))
    district = served.district(DISTRICT)
    while await ledger_jobs.seal(district):
        pass
    async with district.reading() as session:
        findings = await check_books(session)
    await served.aclose()
    return f"{len(findings)} findings", not findings


def main() -> None:
    """Print the table that was asked for."""
    match sys.argv[1:]:
        case ["growth"]:
            asyncio.run(growing.growth()).show()
        case ["servers"]:
            Console(width=140).print(asyncio.run(servers.compared()))
        case ["year", *folder]:
            with asyncio.Runner(loop_factory=fast_loop()) as runner:
                runner.run(year.year(Path(*folder) if folder else settings().data_dir)).show()
        case _:
            results = Results("Side by side on this machine, medians of rounds")
            try:
                asyncio.run(speeds(results))
            finally:
                results.show()


if __name__ == "__main__":
    main()
