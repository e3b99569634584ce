"""One-lesson confirmations over HTTP, beside the two routes that they are held against."""

import json
import random
from dataclasses import dataclass

from tests.bench.ground import DISTRICT, Ground, Size
from tests.bench.serving import Load, Request, Serving

ROUNDS = 11
SECONDS = 1.5
MOST_PER_ROUND = 5_000
SIZE = Size(institutions=25, families=50, lessons=48, confirmed=0)
EMPTY, INSERT, CONFIRM = "/api/v1/parent/bench/empty", "/api/v1/parent/bench/insert", "/api/v1/parent/confirmations"


def token(family: int) -> str:
    """The session token of a loaded family's guardian."""
    return f"{DISTRICT}.{family:043d}"


async def delivered(ground: Ground, database: str) -> list[Request]:
    """One request for each lesson that waits for its confirmation, in no order."""
    connection = await ground.connect("escrow_owner", database)
    rows = await connection.fetch("""
        SELECT l.id, s.n FROM lesson l
        JOIN (SELECT guardian_id, row_number() OVER (ORDER BY id) AS n FROM principal_session) s ON s.guardian_id = l.guardian_id
        WHERE l.status = 'delivered'
    """)
    await connection.close()
    requests: list[Request] = [
        ("POST", CONFIRM, token(row["n"]), f"key-{row['id']}", json.dumps({"lesson_ids": [str(row["id"])]})) for row in rows
    ]
    random.Random(1).shuffle(requests)
    return requests


def to(path: str, size: Size) -> list[Request]:
    """The same empty request from many families."""
    return [("POST", path, token(family), "", "") for family in range(1, size.all_families + 1)]


@dataclass(frozen=True)
class Round:
    """The three routes, one after the other under the same load."""

    empty: Load
    insert: Load
    confirm: Load


async def rounds(
    server: Serving, requests: list[Request], size: Size, count: int = ROUNDS, seconds: float = SECONDS, most: int = MOST_PER_ROUND
) -> list[Round]:
    """Several rounds; one before them warms up and is dropped. Takes what it confirms off the front of the requests."""
    found = []
    for _ in range(count + 1):
        mine, requests[:] = requests[:most], requests[most:]
        found.append(
            Round(
                await server.load(to(EMPTY, size), seconds, again=True),
                await server.load(to(INSERT, size), seconds, again=True),
                await server.load(mine, seconds),
            )
        )
    return found[1:]
