"""The one clock. Business dates are Shanghai's; everything stored is UTC."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
_set_to: datetime | None = None


def now() -> datetime:
    """The present instant (UTC), or the one a simulation has set."""
    return _set_to or datetime.now(UTC)


def simulated() -> datetime | None:
    """The instant a simulation has set, None in real time."""
    return _set_to


def set_to(instant: datetime | None) -> None:
    """Set this process's clock for a simulation; None returns to real time."""
    global _set_to
    if instant is not None and instant.tzinfo is None:
        raise ValueError("the clock takes aware instants only")
    _set_to = instant


@contextmanager
def at(instant: datetime) -> Iterator[None]:
    """Set the clock within a block."""
    before = _set_to
    set_to(instant)
    try:
        yield
    finally:
        set_to(before)


def business_date(instant: datetime) -> date:
    """The Shanghai date of an instant."""
    return instant.astimezone(SHANGHAI).date()


def today() -> date:
    """The present business date."""
    return business_date(now())


def day_bounds(on: date) -> tuple[datetime, datetime]:
    """The UTC instants at which a business date begins and the next one does."""
    start = datetime.combine(on, time(), SHANGHAI)
    return start.astimezone(UTC), (start + timedelta(days=1)).astimezone(UTC)
