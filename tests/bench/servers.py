"""The same service behind different servers, with different numbers of processes and of database connections."""

import statistics

from rich.table import Table

from tests.bench import confirming, pages, server
from tests.bench.ground import Ground, ground
from tests.bench.serving import serving

CHOICES = (("uvicorn", 1, 8), ("uvicorn", 1, 16), ("uvicorn", 1, 32), ("uvicorn", 2, 16), ("granian", 1, 16), ("granian", 2, 16))
"""Server, processes, connections to the database of each process."""
ROUNDS = 2
SECONDS = 2.0
DATABASE = "escrow"


async def compared() -> Table:
    """One row for each choice: speeds are medians per second, each ratio the median of its rounds."""
    columns = ("server", "processes", "pool", "empty", "insert", "confirm", "confirm ÷ insert", "confirm ÷ empty", "first page, p95")
    table = Table(*columns, title="Servers", title_justify="left")
    async with ground() as here:
        await here.database(DATABASE, confirming.SIZE)
        await here.run(DATABASE, server.TABLE)
        requests = await confirming.delivered(here, DATABASE)
        share = len(requests) // len(CHOICES)
        for number, choice in enumerate(CHOICES):
            mine = requests[number * share : (number + 1) * share]
            table.add_row(*(str(each) for each in choice), *await _measured(here, mine, *choice))
    return table


async def _measured(here: Ground, requests: list[confirming.Request], name: str, workers: int, pool: int) -> list[str]:
    url = here.url("escrow_app", DATABASE)
    async with serving(url, "tests.bench.server", name, str(workers), ESCROW_POOL_SIZE=str(pool)) as web:
        rounds = await confirming.rounds(web, requests, confirming.SIZE, ROUNDS, SECONDS, len(requests) // (ROUNDS + 1))
        page = await pages.first_page(web)
    speeds = [(each.empty.per_second, each.insert.per_second, each.confirm.per_second) for each in rounds]
    by_insert = statistics.median(confirm / insert for _, insert, confirm in speeds)
    by_empty = statistics.median(confirm / empty for empty, _, confirm in speeds)
    medians = [f"{statistics.median(column):,.0f}" for column in zip(*speeds, strict=True)]
    return [*medians, f"{by_insert:.2f} ×", f"{by_empty:.2f} ×", f"{page.p95_ms:,.0f} ms"]
