"""What the engine asks of a kind of file, and how it is told what is wrong with a row."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.cells import Column, Line
from app.errors import DomainError

MOST_FURTHER = 20_000
"""Problems of a file that are kept beyond the first one of each bad row, which is always kept."""

D = TypeVar("D")
T = TypeVar("T")


class Planned(Protocol):
    """What entering a file comes to."""

    @property
    def known_count(self) -> int:
        """Rows that stand in the register already and change nothing."""
        ...


P = TypeVar("P", bound=Planned)


@dataclass(frozen=True, slots=True)
class Importer:
    """For which institution a file is entered, and who answers for it in the audit trail."""

    institution_id: UUID
    actor: str


@dataclass(frozen=True, slots=True)
class Row(Generic[D]):
    """A row that the pure rules let pass, with what it came to."""

    line: Line
    draft: D


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row: its number (None for the whole file), its cell (its row where it is no single one), its column, and why."""

    row: int | None
    cell: str
    heading: str
    message_zh: str


@dataclass(slots=True)
class Report:
    """Gathers what is wrong, and tells how far the work is."""

    columns: Sequence[Column]
    places: Sequence[str | None]
    """The letter of each column in the file; None for one that the file lacks."""
    aliases: Mapping[str, str]
    advance: Callable[[int], Awaitable[None]]
    problems: dict[int, dict[str, Problem]] = field(default_factory=dict)
    """By the number of the row, 0 is the file as a whole, and by the cell."""
    further: int = 0
    """How many of them are not the first one of their row."""

    async def step(self, rows: int = 1) -> None:
        """A phase (drafting, planning, entering) is through with so many more rows; now and then others have their turn here."""
        await self.advance(rows)

    def refuse(self, line: Line | None, error: DomainError) -> None:
        """A row cannot be entered, or with no row the file as it stands. What is said of a cell first stays."""
        problem = self._problem(line, error)
        known = self.problems.setdefault(problem.row or 0, {})
        if problem.cell in known or (known and self.further == MOST_FURTHER):
            return
        self.further += bool(known)
        known[problem.cell] = problem

    def told(self) -> list[dict[str, Any]]:
        """All of them in the order of the rows, as they are stored."""
        return [asdict(problem) for number in sorted(self.problems) for problem in self.problems[number].values()]

    def _problem(self, line: Line | None, error: DomainError) -> Problem:
        if line is None:
            return Problem(None, "", "", error.message_zh)
        named = str(error.facts.get("field", ""))
        wanted = self.aliases.get(named, named)
        for column, place in zip(self.columns, self.places, strict=True):
            if column.field == wanted and place is not None:
                return Problem(line.number, f"{place}{line.number}", column.heading, error.message_zh)
        return Problem(line.number, f"第 {line.number} 行", "", error.message_zh)


@dataclass(frozen=True, slots=True)
class Kind(Generic[D, P]):
    """A kind of file; the package's docstring says what each part does."""

    slug: str
    name_zh: str
    note_zh: str
    columns: tuple[Column, ...]
    draft: Callable[[Line], D]
    plan: Callable[[AsyncSession, Importer, Sequence[Row[D]], Report], Awaitable[P]]
    enter: Callable[[AsyncSession, Importer, P, Report], Awaitable[None]]
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Fields that the register's refusals name, by the column that people should look at."""


AnyKind = Kind[Any, Any]


def parts(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The rows in order, so many at a time."""
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
