"""What a search finds: classes that take pupils now, and institutions. One statement each, with hard limits; pages go by id."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal, NamedTuple, get_args
from uuid import UUID

from sqlalchemy import TextClause, text

from app import clock
from app.db import District
from app.registry.folding import folded, grams_for, is_a_gram, terms_of
from app.registry.search import hour_mark, kind_mark, mode_mark

MOST_FOUND = 100
LONGEST_QUERY = 60
Part = Literal["morning", "afternoon", "evening"]
PARTS: tuple[Part, ...] = get_args(Part)


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
    """A class in a list of what was found; `hours` as in `ClassSearch`."""

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
    seats_left: int
    starts_on: date
    ends_on: date
    hours: int


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


# Columns of both stand in the order of the fields above.
_CLASSES = """
    SELECT c.id, c.institution_id, i.name, i.kind, c.mode, c.name, c.subject, t.name, c.price_fen, c.lesson_count, c.seats,
        greatest(0, c.seats - (
            SELECT count(*) FROM contract k WHERE k.class_id = c.id AND k.status IN ('created', 'agreed', 'paid')
        )), c.starts_on, c.ends_on, s.hours
    FROM search_classes($1, $2, $3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY AS found (class_id, place)
    JOIN class_search s ON s.class_id = found.class_id
    JOIN training_class c ON c.id = found.class_id
    JOIN institution i ON i.id = c.institution_id
    JOIN teacher t ON t.id = c.teacher_id
    ORDER BY found.place
"""
_INSTITUTIONS = """
    SELECT i.id, i.name, i.kind, i.address, i.status, i.listing, i.sales_paused_at IS NOT NULL,
        (SELECT count(*) FROM class_search c WHERE c.institution_id = i.id)
    FROM (SELECT institution_id FROM institution_search s WHERE {asked} ORDER BY institution_id LIMIT :limit) AS found
    JOIN institution i ON i.id = found.institution_id
    ORDER BY i.id
"""


async def classes(district: District, wanted: Wanted, before: UUID | None = None, limit: int = MOST_FOUND) -> list[FoundClass]:
    """Classes that may be joined, the newest first; `before` is the id of the last one seen."""
    rows = await district.fetch(
        _CLASSES,
        wanted.marks,
        wanted.long_terms,
        wanted.place or None,
        wanted.least_fen,
        wanted.most_fen,
        wanted.hours,
        clock.now(),
        before,
        min(limit, MOST_FOUND),
    )
    return [FoundClass._make(row) for row in rows]


async def institutions(district: District, wanted: Wanted, after: UUID | None = None, limit: int = MOST_FOUND) -> list[FoundInstitution]:
    """Institutions of any standing, in the order of entry; `after` is the id of the last one seen."""
    asked = {
        "s.marks @> CAST(:marks AS int[])": wanted.marks,
        "(s.names || E'\\n' || s.places) LIKE ALL (CAST(:patterns AS text[]))": [_holding(term) for term in wanted.long_terms],
        "s.places LIKE :place": _holding(wanted.place) if wanted.place else None,
        "s.institution_id > :after": after,
    }
    conditions = tuple(condition for condition, value in asked.items() if value)
    values = dict(zip(("marks", "patterns", "place", "after"), asked.values(), strict=True))
    rows = await district.at_once(_institutions_with(conditions), values | {"limit": min(limit, MOST_FOUND)})
    return [FoundInstitution._make(row) for row in rows]


def _holding(folded_text: str) -> str:
    """A pattern for LIKE. What is folded has no sign that means anything there."""
    return f"%{folded_text}%"


@lru_cache
def _institutions_with(conditions: tuple[str, ...]) -> TextClause:
    return text(_INSTITUTIONS.format(asked=" AND ".join(conditions) or "true"))
