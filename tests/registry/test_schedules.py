"""A class's meetings out of a weekly pattern."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.clock import SHANGHAI, business_date
from app.errors import BadInput
from app.registry.schedules import Pattern, meetings

WEEKENDS = Pattern(date(2026, 3, 7), time(9), time(10, 30), count=4, weekdays={5, 6})


def days_of(pattern: Pattern) -> list[date]:
    return [business_date(starts_at) for starts_at, _ in meetings(pattern)]


def test_a_class_meets_on_its_weekdays() -> None:
    assert days_of(WEEKENDS) == [date(2026, 3, 7), date(2026, 3, 8), date(2026, 3, 14), date(2026, 3, 15)]
    starts_at, ends_at = meetings(WEEKENDS)[0]
    assert (starts_at, ends_at) == (datetime(2026, 3, 7, 1, tzinfo=UTC), datetime(2026, 3, 7, 2, 30, tzinfo=UTC))


def test_without_weekdays_it_meets_on_that_of_the_first_date() -> None:
    assert days_of(replace(WEEKENDS, weekdays=(), count=2)) == [date(2026, 3, 7), date(2026, 3, 14)]


def test_dates_without_a_lesson_are_made_up_for_at_the_end() -> None:
    assert days_of(replace(WEEKENDS, skipped=[date(2026, 3, 8), date(2026, 3, 9)])) == [
        date(2026, 3, 7),
        date(2026, 3, 14),
        date(2026, 3, 15),
        date(2026, 3, 21),
    ]


def test_several_meetings_a_day_have_a_pause_between_them() -> None:
    evening = Pattern(date(2026, 3, 3), time(19), time(19, 30), count=3, a_day=2)
    told = [f"{at.astimezone(SHANGHAI):%d %H:%M}" for session in meetings(evening) for at in session]
    assert told == ["03 19:00", "03 19:30", "03 19:40", "03 20:10", "10 19:00", "10 19:30"]


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("count", {"count": 0}),
        ("count", {"count": 501}),
        ("weekdays", {"weekdays": {7}}),
        ("a_day", {"a_day": 0}),
        ("a_day", {"a_day": 5}),
        ("a_day", {"a_day": 4, "starts": time(20), "ends": time(21)}),
        ("a_day", {"a_day": 4, "starts": time(6), "ends": time(9), "pause": timedelta(hours=1)}),
        ("pause_minutes", {"pause": timedelta(minutes=-1)}),
        ("pause_minutes", {"pause": timedelta(hours=3)}),
        ("starts", {"starts": time(9, tzinfo=UTC)}),
        ("ends", {"ends": time(9)}),
        ("ends", {"ends": time(8)}),
        ("first_on", {"first_on": date(1999, 12, 31)}),
        ("first_on", {"first_on": date(9999, 12, 31)}),
        ("count", {"skipped": [date(2026, 3, 1) + timedelta(days=n) for n in range(1200)]}),
        ("count", {"weekdays": {0}, "count": 500}),
    ],
)
def test_an_unsound_pattern_is_refused_by_field(field: str, changed: dict[str, object]) -> None:
    with pytest.raises(BadInput) as refusal:
        meetings(replace(WEEKENDS, **changed))  # type: ignore[arg-type]
    assert refusal.value.facts["field"] == field


@given(
    some.dates(date(2000, 1, 1), date(2199, 12, 31)),
    some.sets(some.integers(0, 6)),
    some.integers(1, 100),
    some.integers(1, 4),
    some.sets(some.integers(0, 60), max_size=20),
)
def test_whatever_the_pattern_the_meetings_are_as_many_as_asked_for_and_apart(
    first_on: date, weekdays: set[int], count: int, a_day: int, skipped: set[int]
) -> None:
    off = {first_on + timedelta(days=n) for n in skipped}
    pattern = Pattern(first_on, time(9), time(9, 45), count, weekdays, a_day, skipped=off)
    found = meetings(pattern)
    assert len(found) == count
    assert all(earlier[1] + pattern.pause <= later[0] for earlier, later in pairwise(found))
    days = {business_date(starts_at) for starts_at, _ in found}
    assert not days & off
    assert {day.weekday() for day in days} <= (weekdays or {first_on.weekday()})
