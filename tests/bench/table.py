"""The printed table: what was measured beside what, and the floor it is held against."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


def at_least(floor: float, found: float) -> bool:
    return found >= floor


def at_most(ceiling: float, found: float) -> bool:
    return found <= ceiling


@dataclass
class Results:
    """Rows of the table, in the order in which they were measured."""

    title: str
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def ratio(self, what: str, pairs: Iterable[tuple[float, float]], floor: float | None, aim: str = "") -> None:
        """The median of ratios, each of two speeds taken side by side; speeds are shown as their medians, per second."""
        listed = list(pairs)
        found = statistics.median(above / below for above, below in listed)
        above, below = (statistics.median(column) for column in zip(*listed, strict=True))
        self._add(what, f"{found:.2f} × ({above:,.0f} ÷ {below:,.0f} per s)", floor, found, at_least, "≥ {} ×", aim)

    def limit(self, what: str, found: float, unit: str, ceiling: float | None) -> None:
        """A quantity that should not be more than its ceiling."""
        self._add(what, f"{found:,.1f} {unit}", ceiling, found, at_most, "≤ {:,} " + unit, "")

    def fact(self, what: str, found: str, holds: bool) -> None:
        """Something that is so or not."""
        self.rows.append((what, found, "", _mark(holds)))

    def _add(
        self, what: str, shown: str, bound: float | None, found: float, holds: Callable[[float, float], bool], words: str, aim: str
    ) -> None:
        stated = [words.format(bound)] if bound is not None else []
        stated += [f"aim {aim}"] if aim else []
        self.rows.append((what, shown, ", ".join(stated), _mark(holds(bound, found)) if bound is not None else ""))

    def show(self) -> None:
        """Print it."""
        table = Table("measured", "found", "floor", "", title=self.title, title_justify="left")
        for row in self.rows:
            table.add_row(*row)
        Console(width=140).print(table)


def _mark(holds: bool) -> str:
    return "[green]holds[/]" if holds else "[red]missed[/]"
