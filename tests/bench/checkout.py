"""The checkout, as a page and as JSON, of classes that are about to begin, beside the empty route that it is held against."""

from dataclasses import dataclass
from itertools import cycle, islice
from uuid import UUID

from tests.bench.confirming import EMPTY, token
from tests.bench.ground import Ground
from tests.bench.serving import Load, Request, Serving

ROUNDS = 5
SECONDS = 2.0
FAMILIES = 256
JSON, PAGE = "/api/v1/parent/classes/{}/checkout", "/parent/classes/{}/enrol"

_CLASSES = """
    INSERT INTO training_class (id, institution_id, teacher_id, name, subject, price_fen, listed_price_fen, lesson_count, lesson_minutes,
        seats, starts_on, ends_on, status, created_at, decided_at, decision_reason)
    SELECT gen_random_uuid(), institution_id, id, '少儿书法班', '书法', 240000, 240000, 24, 60, 30, current_date + 1, current_date + 73,
        'opened', now(), now(), '登记'
    FROM teacher;
    INSERT INTO class_session (id, class_id, institution_id, number, starts_at, ends_at, status)
    SELECT gen_random_uuid(), id, institution_id, n, date_trunc('day', now()) + n * interval '3 days' + interval '2 hours',
        date_trunc('day', now()) + n * interval '3 days' + interval '3 hours', 'scheduled'
    FROM training_class CROSS JOIN generate_series(1, 24) AS n WHERE starts_on > current_date;
"""


@dataclass(frozen=True)
class Round:
    """The three, one after the other under the same load."""

    empty: Load
    answered: Load
    shown: Load


async def offered(here: Ground, database: str) -> list[UUID]:
    """A class of twenty-four lessons to come at every institution; their ids."""
    await here.run(database, _CLASSES)
    connection = await here.connect("escrow_owner", database)
    rows = await connection.fetch("SELECT id FROM training_class WHERE starts_on > current_date ORDER BY id")
    await connection.close()
    return [row["id"] for row in rows]


async def rounds(server: Serving, classes: list[UUID], count: int = ROUNDS) -> list[Round]:
    """Several rounds; one before them warms up and is dropped."""
    made = [
        Round(
            await server.load([("POST", EMPTY, token(family), "", "") for family in _families()], SECONDS, again=True),
            await server.load(_to(JSON, classes), SECONDS, again=True),
            await server.load(_to(PAGE, classes), SECONDS, again=True),
        )
        for _ in range(count + 1)
    ]
    return made[1:]


def _to(path: str, classes: list[UUID]) -> list[Request]:
    """Every family looks at some class."""
    return [
        ("GET", path.format(class_id), token(family), "", "")
        for family, class_id in zip(_families(), islice(cycle(classes), FAMILIES), strict=True)
    ]


def _families() -> range:
    return range(1, FAMILIES + 1)
