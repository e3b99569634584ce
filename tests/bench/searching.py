"""Searches over HTTP in a district with many classes, beside the empty route that they are held against."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from app import security
from app.db import Database, District
from app.registry import families
from app.registry.search import keep_up
from tests.bench import confirming
from tests.bench.ground import DISTRICT, Ground
from tests.bench.serving import Load, Request, Serving

ROUNDS = 5
SECONDS = 2.0
PARENTS = 64
"""Whoever calls the empty route."""
JSON, PAGE = "/api/v1/public/search/classes", "/search"
INSTITUTIONS_JSON, INSTITUTIONS_PAGE = "/api/v1/public/search/institutions", "/search/institutions"

# One word that every twentieth class has, one that few have, several, none that any has; alone and with everything else.
_WORDS = (
    "美术",
    "机器人",
    "洛带镇 围棋",
    "星火第一",
    "王小明老师",
    "少儿英语阅读春季班",
    "晨光艺术 周末",
    "成龙大道",
    "班",
    "桃花源双语 足球",
    "量子",
)
_BESIDES: tuple[dict[str, str], ...] = (
    {},
    {"kind": "arts"},
    {"area": "大面街道"},
    {"weekday": "6", "part": "morning"},
    {"kind": "sports", "area": "龙泉", "weekday": "7"},
)


@dataclass(frozen=True)
class Registers:
    """How much can be searched, as `registers.sql` makes it."""

    institutions: int = 5_000
    classes: int = 10
    lessons: int = 6
    first: str = "(date_trunc('week', now()) + interval '7 days')"
    began: str = "TIMESTAMPTZ '2026-01-01 00:00:00+00'"

    def fill(self) -> str:
        """The script with these numbers in it."""
        script = (Path(__file__).parent / "registers.sql").read_text("utf-8")
        return script.format(**self.__dict__, district=DISTRICT)


async def loaded(here: Ground, database: str) -> list[Request]:
    """A database of its own, with everything in it ready to be searched; requests of the empty route by parents who signed in there."""
    await here.database(database)
    connection = await here.connect("postgres", database)
    await connection.execute(Registers().fill())
    served = Database(here.url("escrow_app", database))
    while await keep_up(served.district(DISTRICT)):
        pass
    tokens = await _parents(served.district(DISTRICT))
    await served.aclose()
    await connection.execute(f"VACUUM ANALYZE d{DISTRICT}.class_search, d{DISTRICT}.institution_search")
    await connection.close()
    return [("POST", confirming.EMPTY, token, "", "") for token in tokens]


def asked(path: str) -> list[Request]:
    """Every word with everything besides, and for classes prices with each of these."""
    questions = [{"q": words} | besides for besides in _BESIDES for words in ("", *_WORDS)]
    if path in (JSON, PAGE):
        price = {"price_to_fen": "200000"} if path == JSON else {"price_to": "2000"}
        questions += [question | price for question in questions]
    return [("GET", f"{path}?{urlencode(question)}", "", "", "") for question in questions]


@dataclass(frozen=True)
class Round:
    """All of them, one after the other under the same load: classes and institutions, as JSON and as pages."""

    empty: Load
    found: Load
    shown: Load
    institutions_found: Load
    institutions_shown: Load


async def rounds(server: Serving, empty: list[Request], count: int = ROUNDS) -> list[Round]:
    """Several rounds; one before them warms up and is dropped."""
    made = [
        Round(
            await server.load(empty, SECONDS, again=True),
            await server.load(asked(JSON), SECONDS, again=True),
            await server.load(asked(PAGE), SECONDS, again=True),
            await server.load(asked(INSTITUTIONS_JSON), SECONDS, again=True),
            await server.load(asked(INSTITUTIONS_PAGE), SECONDS, again=True),
        )
        for _ in range(count + 1)
    ]
    return made[1:]


async def _parents(district: District) -> list[str]:
    async with district.transaction() as session:
        guardians = await families.guardians_for_phones(session, [f"138{number:08d}" for number in range(PARENTS)])
        return [await security.open_session(session, "parent", guardian_id=guardian.id) for guardian in guardians]
