"""A schedule out of a weekly pattern and the district's calendar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import business_date
from app.policy import days
from app.policy.catalogue import DayKind
from app.registry.schedules import Pattern, meetings

_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """Sessions (UTC) in order of time, the public holidays on which the class would have met, and the years of which none are known."""

    sessions: Sequence[tuple[datetime, datetime]]
    holidays: Sequence[date] = ()
    unknown_years: Sequence[int] = ()


async def plan(session: AsyncSession, pattern: Pattern, *, skip_holidays: bool) -> Plan:
    """The sessions of a pattern, where wished without those on public holidays and days off in lieu.

    Where a year's holidays are not known yet, none of it are left out. Raises BadInput naming the pattern's field.
    """
    found = meetings(pattern)
    if not skip_holidays:
        return Plan(found)
    return lay_out(pattern, await days.known_between(session, pattern.first_on, pattern.last_possible_on))


def lay_out(pattern: Pattern, kinds: Mapping[date, DayKind]) -> Plan:
    """The same without holidays, by days that are known already. Raises BadInput naming the pattern's field."""
    known_years, holidays = {on.year for on in kinds}, set[date]()
    while True:
        found = meetings(replace(pattern, skipped={*pattern.skipped, *holidays}))
        dates = {business_date(starts_at) for starts_at, _ in found}
        new = {on for on in dates if _is_free(on, kinds.get(on))}
        if not new:
            return Plan(found, sorted(holidays), sorted({on.year for on in dates} - known_years))
        holidays |= new


def _is_free(on: date, kind: DayKind | None) -> bool:
    return kind == "holiday" or (kind == "rest" and on.weekday() < _SATURDAY)
