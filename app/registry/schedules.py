"""A class's meetings out of a weekly pattern, as people plan them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from app.clock import SHANGHAI, business_date
from app.registry.rules import LONGEST_SESSION, MAX_LESSONS, refuse

MOST_A_DAY = 4
LONGEST_PAUSE = timedelta(hours=2)
_LONGEST_PLAN = timedelta(days=3 * 366)
_EARLIEST, _LATEST = date(2000, 1, 1), date(2199, 12, 31)


@dataclass(frozen=True, slots=True)
class Pattern:
    """`count` meetings from a business date on, on these weekdays (Monday is 0) at these hours of Shanghai.

    Without any weekday the class meets on that of the first date. `a_day` meetings of the same length follow one another,
    with a pause in between; a business date in `skipped` has none.
    """

    first_on: date
    starts: time
    ends: time
    count: int
    weekdays: Collection[int] = ()
    a_day: int = 1
    pause: timedelta = timedelta(minutes=10)
    skipped: Collection[date] = ()

    @property
    def last_possible_on(self) -> date:
        """The business date beyond which no plan may reach."""
        return self.first_on + _LONGEST_PLAN


def meetings(pattern: Pattern) -> list[tuple[datetime, datetime]]:
    """The pattern's meetings (UTC) in order of time. Raises BadInput naming the field of the pattern that does not hold."""
    _check(pattern)
    on_days, skipped = set(pattern.weekdays) or {pattern.first_on.weekday()}, set(pattern.skipped)
    found: list[tuple[datetime, datetime]] = []
    day = pattern.first_on
    while len(found) < pattern.count:
        if day > pattern.last_possible_on:
            raise refuse("count", "按这样的安排，三年内排不满课次")
        if day.weekday() in on_days and day not in skipped:
            found += _of_day(pattern, day)[: pattern.count - len(found)]
        day += timedelta(days=1)
    return found


def _check(pattern: Pattern) -> None:
    if not _EARLIEST <= pattern.first_on <= _LATEST:
        raise refuse("first_on", "开课日期不合理")
    if not 1 <= pattern.count <= MAX_LESSONS:
        raise refuse("count", f"课次须为 1 至 {MAX_LESSONS}")
    if not set(pattern.weekdays) <= set(range(7)):
        raise refuse("weekdays", "上课日须为周一至周日")
    if not 1 <= pattern.a_day <= MOST_A_DAY:
        raise refuse("a_day", f"每天须为 1 至 {MOST_A_DAY} 节")
    if not timedelta(0) <= pattern.pause <= LONGEST_PAUSE:
        raise refuse("pause_minutes", f"课间休息须为 0 至 {LONGEST_PAUSE // timedelta(minutes=1)} 分钟")
    if pattern.starts.tzinfo or pattern.ends.tzinfo:
        raise refuse("starts", "上下课时间按北京时间填写，不带时区")
    if pattern.ends <= pattern.starts:
        raise refuse("ends", "下课时间须晚于上课时间")
    one_day = _of_day(pattern, pattern.first_on)
    if business_date(one_day[-1][1]) != pattern.first_on or one_day[-1][1] - one_day[0][0] > LONGEST_SESSION:
        raise refuse("a_day", "一天的课须在同一天内，且不超过 12 小时")


def _of_day(pattern: Pattern, day: date) -> list[tuple[datetime, datetime]]:
    starts_at, ends_at = (datetime.combine(day, hour, SHANGHAI).astimezone(UTC) for hour in (pattern.starts, pattern.ends))
    step = ends_at - starts_at + pattern.pause
    return [(starts_at + n * step, ends_at + n * step) for n in range(pattern.a_day)]
