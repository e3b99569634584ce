"""Working days, rest days and holidays, by the district's own table. A year that is not in it is missing, never guessed."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import chinese_calendar as published
from sqlalchemy import Connection, Integer, extract, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.audit import clean_reason
from app.errors import BadInput, Conflict, Refused
from app.policy.catalogue import DayKind
from app.policy.models import BusinessDay

FIRST_YEAR, LAST_YEAR = 2021, 2199
"""Prepaid fees are supervised from 2021 on; nothing older is reckoned in working days."""
MOST_DAYS = 1000

_DAY = timedelta(days=1)
_SATURDAY = 5
_YEAR = extract("year", BusinessDay.on_date).cast(Integer)
_YEARS = select(_YEAR).distinct().order_by(_YEAR)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days that were asked for, and arithmetic on them. A day beyond them raises Refused "policy.year_missing"."""

    kinds: Mapping[date, DayKind]

    def kind_of(self, on: date) -> DayKind:
        """What sort of day it is."""
        try:
            return self.kinds[on]
        except KeyError:
            raise _missing(on) from None

    def is_working_day(self, on: date) -> bool:
        """Whether people work that day; make-up workdays count."""
        return self.kind_of(on) == "working"

    def is_rest_day(self, on: date) -> bool:
        """Whether it is a weekend or a day off in lieu, and no holiday."""
        return self.kind_of(on) == "rest"

    def is_statutory_holiday(self, on: date) -> bool:
        """Whether it is a holiday (法定节假日)."""
        return self.kind_of(on) == "holiday"

    def add_working_days(self, on: date, count: int) -> date:
        """The `count`-th working day after a day: a period of days begins on the day after (Civil Code, article 201)."""
        assert count >= 0
        while count:
            on += _DAY
            count -= self.is_working_day(on)
        return on


def arranged(year: int, holidays: Mapping[date, str], make_up: Mapping[date, str]) -> list[tuple[date, DayKind, str | None]]:
    """Every day of a year with its kind and its holiday's name, where these days are off, and these weekend days are worked."""
    days: list[tuple[date, DayKind, str | None]] = []
    on = date(year, 1, 1)
    while on.year == year:
        weekend = on.weekday() >= _SATURDAY
        if on in holidays:
            days.append((on, "holiday", holidays[on]))
        elif on in make_up:
            days.append((on, "working", make_up[on]))
        else:
            days.append((on, "rest" if weekend else "working", None))
        on += _DAY
    return days


def published_years() -> list[int]:
    """The years whose arrangement of holidays is known to this version."""
    return [year for year in sorted({on.year for on in published.holidays}) if year >= FIRST_YEAR]


def published_days(year: int) -> list[tuple[date, DayKind, str | None]]:
    """A year as the State Council arranged it; a day off in lieu of a weekend's is a rest day."""
    names = {holiday.value: holiday.chinese for holiday in published.Holiday}
    in_lieu = {on: names[name] for on, name in published.in_lieu_days.items()}
    holidays = {on: names[name] for on, name in published.holidays.items() if on not in in_lieu}
    make_up = {on: names[name] for on, name in published.workdays.items()}
    return [(on, "rest", in_lieu[on]) if on in in_lieu else (on, kind, name) for on, kind, name in arranged(year, holidays, make_up)]


async def calendar(session: AsyncSession, first_on: date, last_on: date) -> Calendar:
    """The days from one to another, both included; none of them may be missing. Raises Refused "policy.year_missing"."""
    found = await known_between(session, first_on, last_on)
    on = first_on
    while on <= last_on:
        if on not in found:
            raise _missing(on)
        on += _DAY
    return Calendar(found)


async def kinds_of(session: AsyncSession, dates: Collection[date]) -> Mapping[date, DayKind]:
    """What sort of day each of these dates is. Raises Refused "policy.year_missing"."""
    known = Calendar(await known_kinds(session, dates))
    return {on: known.kind_of(on) for on in dates}


async def known_kinds(session: AsyncSession, dates: Collection[date]) -> Mapping[date, DayKind]:
    """The same without those whose year is missing."""
    rows = await session.execute(select(BusinessDay.on_date, BusinessDay.kind).where(BusinessDay.on_date.in_(dates)))
    return {on: kind for on, kind in rows}


async def known_between(session: AsyncSession, first_on: date, last_on: date) -> Mapping[date, DayKind]:
    """What sort of day each is from one day to another, both included, without those whose year is missing."""
    query = select(BusinessDay.on_date, BusinessDay.kind).where(BusinessDay.on_date.between(first_on, last_on))
    return {on: kind for on, kind in await session.execute(query)}


async def add_working_days(session: AsyncSession, on: date, count: int) -> date:
    """The `count`-th working day after a day, at most 1,000. Raises Refused "policy.year_missing"."""
    assert 0 <= count <= MOST_DAYS
    # No run of days off is longer than a month.
    return Calendar(await known_between(session, on, on + timedelta(days=2 * count + 31))).add_working_days(on, count)


async def month(session: AsyncSession, first_on: date) -> Sequence[BusinessDay]:
    """The days of the month that a day lies in; empty where its year is missing."""
    start = first_on.replace(day=1)
    end = (start + timedelta(days=31)).replace(day=1)
    rows = await session.scalars(
        select(BusinessDay).where(BusinessDay.on_date >= start, BusinessDay.on_date < end).order_by(BusinessDay.on_date)
    )
    return rows.all()


async def years(session: AsyncSession) -> list[int]:
    """The years that the table knows."""
    return list(await session.scalars(_YEARS))


async def set_day(session: AsyncSession, actor: str, on: date, kind: DayKind, reason: str) -> BusinessDay:
    """Say what sort of day a date is, and why. Raises BadInput "reason.invalid", Refused "policy.year_missing"."""
    reason = clean_reason(reason)
    day = await session.get(BusinessDay, on, with_for_update=True, populate_existing=True)
    if day is None:
        raise _missing(on)
    before = day.kind
    day.kind, day.changed_at, day.changed_by, day.reason = kind, clock.now(), actor, reason
    await session.flush()
    await audit.record(session, actor, "policy.day_set", f"day:{on}", reason, before=before, after=kind)
    return day


async def enter_year(
    session: AsyncSession, actor: str, year: int, holidays: Collection[date], make_up: Collection[date], reason: str
) -> int:
    """Enter a year whose arrangement was published after this version: its days off, and the weekend days that are worked.

    How many days it has. Raises BadInput "policy.year", "policy.days" for days of another year or in both lists, "reason.invalid",
    Conflict "policy.year_known".
    """
    reason = clean_reason(reason)
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise BadInput("policy.year", f"年份须在 {FIRST_YEAR} 至 {LAST_YEAR} 之间", field="year")
    if any(on.year != year for on in (*holidays, *make_up)) or set(holidays) & set(make_up):
        raise BadInput("policy.days", "放假日和调休上班日须都在该年，且互不重复", field="holidays")
    if year in await years(session):
        raise Conflict("policy.year_known", "该年已经录入，可以逐日修改")
    days = arranged(year, dict.fromkeys(holidays, "放假"), dict.fromkeys(make_up, "调休"))
    await session.execute(insert(BusinessDay), _rows(days, changed_at=clock.now(), changed_by=actor, reason=reason))
    listed = {"holidays": sorted(map(str, holidays)), "make_up": sorted(map(str, make_up))}
    await audit.record(session, actor, "policy.year_entered", f"year:{year}", reason, **listed)
    return len(days)


def enter_published(connection: Connection) -> None:
    """Enter the years that are known to this version and not to the table; what stands there stays as it is."""
    known = set(connection.scalars(_YEARS))
    for year in published_years():
        if year not in known:
            connection.execute(insert(BusinessDay), _rows(published_days(year)))


def _rows(days: Iterable[tuple[date, DayKind, str | None]], **stamp: object) -> list[dict[str, object]]:
    return [{"on_date": on, "kind": kind, "name_zh": name, **stamp} for on, kind, name in days]


def _missing(on: date) -> Refused:
    return Refused("policy.year_missing", f"工作日历还没有 {on.year} 年，请监管人员录入后再办理", year=on.year)
