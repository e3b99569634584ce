"""Working days by the published arrangement, by officers' corrections, and never by guessing."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.audit import AuditEntry
from app.db import District
from app.errors import BadInput, Conflict, Refused
from app.policy import days
from app.policy.days import Calendar

YEARS = days.published_years()
UNKNOWN = YEARS[-1] + 3
PUBLISHED = Calendar({on: kind for year in YEARS for on, kind, _ in days.published_days(year)})
OFFICER = "staff:1"


@pytest.mark.parametrize(
    ("on", "kind"),
    [
        ("2025-10-01", "holiday"),
        ("2025-10-06", "holiday"),
        ("2025-10-07", "rest"),
        ("2025-10-11", "working"),
        ("2025-10-12", "rest"),
        ("2025-10-13", "working"),
        ("2026-01-02", "rest"),
        ("2026-01-04", "working"),
    ],
)
async def test_a_new_district_knows_the_published_years(district: District, on: str, kind: str) -> None:
    async with district.reading() as session:
        day = date.fromisoformat(on)
        known = await days.calendar(session, day, day)
        assert [known.is_working_day(day), known.is_rest_day(day), known.is_statutory_holiday(day)] == [
            kind == each for each in ("working", "rest", "holiday")
        ]
        assert await days.kinds_of(session, [day]) == {day: kind}


async def test_working_days_go_around_holidays_and_over_make_up_days(district: District) -> None:
    async with district.reading() as session:
        assert await days.add_working_days(session, date(2025, 9, 26), 3) == date(2025, 9, 30), "Sunday the 28th is worked"
        assert await days.add_working_days(session, date(2025, 9, 30), 1) == date(2025, 10, 9)
        assert await days.add_working_days(session, date(2025, 9, 30), 3) == date(2025, 10, 11)
        assert await days.add_working_days(session, date(2025, 10, 1), 0) == date(2025, 10, 1)


async def test_a_missing_year_is_said_to_be_missing(district: District) -> None:
    async with district.reading() as session:
        beyond, new_years_eve = date(UNKNOWN, 3, 2), date(YEARS[-1], 12, 31)
        for ask in (
            days.calendar(session, new_years_eve, beyond),
            days.kinds_of(session, [new_years_eve, beyond]),
            days.add_working_days(session, new_years_eve, 1),
            days.set_day(session, OFFICER, beyond, "rest", "放假"),
        ):
            with pytest.raises(Refused) as refusal:
                await ask
            assert refusal.value.code == "policy.year_missing"
        assert refusal.value.facts == {"year": UNKNOWN}
        assert await days.month(session, beyond) == []
        assert await days.years(session) == YEARS


async def test_an_officer_corrects_a_day_with_a_reason(district: District) -> None:
    on = date(2025, 12, 31)
    async with district.transaction() as session:
        await days.set_day(session, OFFICER, on, "rest", " 本区\n放假 ")
    async with district.reading() as session:
        assert (await days.kinds_of(session, [on])) == {on: "rest"}
        changed = (await days.month(session, on))[-1]
        assert (changed.on_date, changed.changed_by, changed.reason) == (on, OFFICER, "本区 放假")
        entry = (await session.scalars(select(AuditEntry))).one()
        assert (entry.action, entry.subject, entry.reason, entry.facts) == (
            "policy.day_set",
            "day:2025-12-31",
            "本区 放假",
            {"before": "working", "after": "rest"},
        )
        with pytest.raises(BadInput):
            await days.set_day(session, OFFICER, on, "working", " ")


async def test_an_officer_enters_a_year_that_was_published_later(district: District) -> None:
    holidays, make_up = [date(UNKNOWN, 10, day) for day in range(1, 8)], [date(UNKNOWN, 9, 30)]
    async with district.transaction() as session:
        count = await days.enter_year(session, OFFICER, UNKNOWN, holidays, make_up, "国务院办公厅通知")
    assert count in (365, 366)
    async with district.reading() as session:
        known = await days.calendar(session, date(UNKNOWN, 1, 1), date(UNKNOWN, 12, 31))
        assert all(known.is_statutory_holiday(on) for on in holidays)
        assert known.is_working_day(make_up[0])
        assert await days.add_working_days(session, date(UNKNOWN, 9, 30), 1) > date(UNKNOWN, 10, 7)
        assert await days.years(session) == [*YEARS, UNKNOWN]
        assert (await session.scalars(select(AuditEntry.action))).all() == ["policy.year_entered"]


@pytest.mark.parametrize(
    ("year", "holidays", "make_up", "code"),
    [
        (1999, [], [], "policy.year"),
        (2200, [], [], "policy.year"),
        (UNKNOWN, [date(2025, 1, 1)], [], "policy.days"),
        (UNKNOWN, [date(UNKNOWN, 1, 1)], [date(UNKNOWN, 1, 1)], "policy.days"),
        (YEARS[0], [], [], "policy.year_known"),
    ],
)
async def test_a_year_is_entered_once_and_with_its_own_days(
    district: District, year: int, holidays: list[date], make_up: list[date], code: str
) -> None:
    async with district.transaction() as session:
        with pytest.raises((BadInput, Conflict)) as refusal:
            await days.enter_year(session, OFFICER, year, holidays, make_up, "通知")
    assert refusal.value.code == code


async def test_what_officers_changed_survives_the_next_upgrade(district: District, owner: District) -> None:
    on = date(2025, 12, 31)
    async with district.transaction() as session:
        await days.set_day(session, OFFICER, on, "rest", "本区放假")
    async with owner.transaction() as session:
        await (await session.connection()).run_sync(days.enter_published)
    async with district.reading() as session:
        assert await days.kinds_of(session, [on]) == {on: "rest"}
        assert await days.years(session) == YEARS


async def test_the_serving_role_takes_no_day_away(district: District) -> None:
    with pytest.raises(DBAPIError):
        async with district.transaction() as session:
            await session.delete((await days.month(session, date(2025, 12, 31)))[0])


@given(st.integers(0, len(PUBLISHED.kinds) - 400), st.integers(0, 100), st.integers(0, 100))
def test_working_days_add_up(start: int, some: int, more: int) -> None:
    on = date(YEARS[0], 1, 1) + timedelta(start)
    later = PUBLISHED.add_working_days(on, some)
    assert PUBLISHED.add_working_days(later, more) == PUBLISHED.add_working_days(on, some + more)
    between = [on + timedelta(i) for i in range(1, (later - on).days + 1)]
    assert sum(PUBLISHED.is_working_day(day) for day in between) == some
    assert later == on or PUBLISHED.is_working_day(later)


@given(st.integers(0, len(PUBLISHED.kinds) - 1))
def test_every_day_is_of_one_kind(offset: int) -> None:
    on = date(YEARS[0], 1, 1) + timedelta(offset)
    kinds = [PUBLISHED.is_working_day(on), PUBLISHED.is_rest_day(on), PUBLISHED.is_statutory_holiday(on)]
    assert sum(kinds) == 1
