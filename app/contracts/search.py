"""What a search finds: classes that take pupils now, and institutions. Few statements, with hard limits; pages go by id."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Generic, Literal, NamedTuple, TypeVar, get_args
from uuid import UUID

from pydantic import TypeAdapter

from app import clock
from app.db import District
from app.gathering import Gathering
from app.registry.folding import folded, grams_for, is_a_gram, terms_of
from app.registry.search import hour_mark, kind_mark, mode_mark

AT_ONCE = 3
"""Statements under way per process and district."""
MOST = 16
"""Searches that one of them answers."""
MOST_FOUND = 100
LONGEST_QUERY = 60
Part = Literal["morning", "afternoon", "evening"]
PARTS: tuple[Part, ...] = get_args(Part)
_CLASSES_KEPT = 4096
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. `words` must all be in a name or an address, `area` in an address; prices (fen) are of whole classes.

    A class fits when it usually meets on one of the weekdays (Monday is 0) in one of the parts of the day, before 12, before 18, or later.
    What is empty is not asked for; institutions are asked for by words, area and kind only.
    """

    words: str = ""
    area: str = ""
    kind: str | None = None
    mode: str | None = None
    least_fen: int | None = None
    most_fen: int | None = None
    weekdays: frozenset[int] = frozenset()
    parts: frozenset[Part] = frozenset()

    @property
    def terms(self) -> list[str]:
        """The folded words."""
        return terms_of(self.words)

    @property
    def place(self) -> str:
        """The folded area."""
        return folded(self.area)

    @property
    def marks(self) -> list[int]:
        """The marks that a row has which fits, as far as marks can say it."""
        marks = {gram for text in (*self.terms, self.place) for gram in grams_for(text)}
        marks |= {kind_mark(self.kind)} if self.kind else set()
        marks |= {mode_mark(self.mode)} if self.mode else set()
        if (self.weekdays or self.parts) and self._is_one_hour:
            day, part = min(self.weekdays, default=None), min(self.parts, default=None)
            marks.add(hour_mark(day, None if part is None else PARTS.index(part)))
        return sorted(marks)

    @property
    def long_terms(self) -> list[str]:
        """Those among the folded words that marks cannot say."""
        return [term for term in self.terms if not is_a_gram(term)]

    @property
    def hours(self) -> int | None:
        """The bits of these weekdays and parts of the day, as `ClassSearch.hours` counts them, unless one mark says it."""
        if self._is_one_hour:
            return None
        days, parts = self.weekdays or range(7), self.parts or PARTS
        return sum(1 << 3 * day + PARTS.index(part) for day in days for part in parts)

    @property
    def _is_one_hour(self) -> bool:
        return len(self.weekdays) <= 1 and len(self.parts) <= 1


class FoundClass(NamedTuple):
    """A class in a list of what was found: `ClassSearch.entry`, and the seats that are left."""

    id: UUID
    institution_id: UUID
    institution_name: str
    kind: str
    mode: str
    name: str
    subject: str
    teacher_name: str
    price_fen: int
    lesson_count: int
    seats: int
    starts_on: date
    ends_on: date
    hours: int
    seats_left: int = 0


_ENTRY = TypeAdapter(FoundClass)


class FoundInstitution(NamedTuple):
    """An institution in a list of what was found, with its standing and how many classes may be joined there."""

    id: UUID
    name: str
    kind: str
    address: str
    status: str
    listing: str | None
    sales_paused: bool
    open_classes: int

    @property
    def warnings(self) -> list[str]:
        """Why nothing new may be bought there: blacklisted, closed, paused."""
        found = {
            "blacklisted": self.listing == "black",
            "closed": self.status == "closed",
            "paused": self.status == "suspended" or self.sales_paused,
        }
        return [name for name, applies in found.items() if applies]


# Marks and words come joined by spaces: an array of arrays has rows of one length.
_CLASSES = """
    SELECT asked.number, found.entry,
        (SELECT count(*) FROM contract k WHERE k.class_id = found.class_id AND k.status IN ('created', 'agreed', 'paid'))
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::int[], $7::timestamptz[], $8::uuid[], $9::int[])
        WITH ORDINALITY AS asked (marks, terms, place, least_fen, most_fen, hours, now, before, most, number)
    CROSS JOIN LATERAL search_classes(
        CAST(string_to_array(asked.marks, ' ') AS int[]), string_to_array(asked.terms, ' '), asked.place,
        asked.least_fen, asked.most_fen, asked.hours, asked.now, asked.before, asked.most
    ) AS found
    ORDER BY asked.number, found.class_id DESC
"""
# Columns stand in the order of the fields above.
_INSTITUTIONS = """
    SELECT asked.number, i.id, i.name, i.kind, i.address, i.status, i.listing, i.sales_paused_at IS NOT NULL,
        (SELECT count(*) FROM class_search c WHERE c.institution_id = i.id)
    FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::int[])
        WITH ORDINALITY AS asked (marks, terms, place, after, most, number)
    CROSS JOIN LATERAL search_institutions(
        CAST(string_to_array(asked.marks, ' ') AS int[]), string_to_array(asked.terms, ' '), asked.place, asked.after, asked.most
    ) AS found (institution_id)
    JOIN institution i ON i.id = found.institution_id
    ORDER BY asked.number, i.id
"""


class Searches:
    """Searches by district. Those that come together share a statement."""

    def __init__(self) -> None:
        self._classes: dict[District, _Shared[FoundClass]] = {}
        self._institutions: dict[District, _Shared[FoundInstitution]] = {}

    async def classes(self, district: District, wanted: Wanted, before: UUID | None = None, limit: int = MOST_FOUND) -> list[FoundClass]:
        """Classes that may be joined, the newest first; `before` is the id of the last one seen."""
        shared = self._classes.get(district) or self._classes.setdefault(district, _Shared(district, _CLASSES, _found_class))
        more = (wanted.least_fen, wanted.most_fen, wanted.hours, clock.now(), before, min(limit, MOST_FOUND))
        return await shared.ask(*_asked(wanted), *more)

    async def institutions(
        self, district: District, wanted: Wanted, after: UUID | None = None, limit: int = MOST_FOUND
    ) -> list[FoundInstitution]:
        """Institutions of any standing, in the order of entry; `after` is the id of the last one seen."""
        shared = self._institutions.get(district)
        shared = shared or self._institutions.setdefault(district, _Shared(district, _INSTITUTIONS, FoundInstitution))
        return await shared.ask(*_asked(Wanted(wanted.words, wanted.area, wanted.kind)), after, min(limit, MOST_FOUND))


class _Shared(Generic[Found]):
    """A statement of one district that answers a list of searches, each row with the number of the search that it answers."""

    def __init__(self, district: District, statement: str, found: Callable[..., Found]) -> None:
        self._district = district
        self._statement = statement
        self._found = found
        self._gathering: Gathering[tuple[object, ...], list[Found]] = Gathering(self._look, AT_ONCE, MOST)

    async def ask(self, *asked: object) -> list[Found]:
        return await self._gathering.ask(asked)

    async def _look(self, asked: list[tuple[object, ...]]) -> list[list[Found]]:
        answers: list[list[Found]] = [[] for _ in asked]
        for number, *row in await self._district.fetch(self._statement, *zip(*asked, strict=True)):
            answers[number - 1].append(self._found(*row))
        return answers


def _asked(wanted: Wanted) -> tuple[str, str, str | None]:
    return " ".join(map(str, wanted.marks)), " ".join(wanted.long_terms), wanted.place or None


@lru_cache(_CLASSES_KEPT)
def _found_class(entry: str, taken: int) -> FoundClass:
    """It says what the row says and nothing else, so the same row gives the same class."""
    found = _ENTRY.validate_json(entry)
    return found._replace(seats_left=max(0, found.seats - taken))
