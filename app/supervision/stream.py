"""What dashboards follow live: alerts and movements, each behind a gapless cursor, so that a reconnect misses nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import structlog
from asyncpg import PostgresError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import District
from app.ledger.models import LogEntry
from app.supervision.models import Alert, AlertEvent, Cursor
from app.supervision.queries import AlertView, MovementView, alert_views, movements_after
from app.supervision.service import CHANNEL

POLL_SECONDS = 0.5
"""How late a movement, or an alert whose notification was lost, is seen at most."""
RETRY_SECONDS = 2.0
BATCH = 100

_log = structlog.get_logger()


class Numbered(Protocol):
    """Something with a place in a gapless sequence."""

    @property
    def seq(self) -> int: ...


@dataclass(frozen=True, slots=True)
class AlertChange:
    """An alert was raised or changed: `status` and `at` are of the change, `alert` is how it stands when read."""

    seq: int
    status: str
    at: datetime
    alert: AlertView


@dataclass(frozen=True, slots=True)
class Heads:
    """The newest numbers of both sequences."""

    alerts: int
    movements: int


N = TypeVar("N", bound=Numbered)
Fetch = Callable[[AsyncSession, int], Awaitable[Sequence[N]]]


class Feed:
    """One per process and district. While anybody follows, one connection listens and one query per half second looks; all streams wake by it."""

    def __init__(self, district: District) -> None:
        self._district = district
        self._followers = 0
        self._watch: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._closed = False

    async def heads(self) -> Heads:
        """Where a page that shows everything until now starts to follow."""
        async with self._district.reading() as session:
            return await _heads(session)

    def alerts(self, after: int) -> AsyncIterator[AlertChange]:
        """Every change of an alert with a number above `after`, in order, for ever; it ends when the feed is closed."""
        return self._follow(after, alert_changes)

    def movements(self, after: int) -> AsyncIterator[MovementView]:
        """Every sealed transfer with a voucher number above `after`, in order, for ever; it ends when the feed is closed."""
        return self._follow(after, movements_after)

    async def aclose(self) -> None:
        """End every stream."""
        self._closed = True
        self._wake()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _follow(self, after: int, fetch: Fetch[N]) -> AsyncIterator[N]:
        self._join()
        try:
            while not self._closed:
                news = self._news
                async with self._district.reading() as session:
                    batch = await fetch(session, after)
                for item in batch:
                    yield item
                    after = item.seq
                if not batch:
                    await news.wait()
        finally:
            self._leave()

    def _join(self) -> None:
        self._followers += 1
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())

    def _leave(self) -> None:
        self._followers -= 1
        if self._followers == 0 and self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _wake(self, *_: Any) -> None:
        """Wake whoever waits; who starts to wait from now on waits for the next news."""
        self._news.set()
        self._news = asyncio.Event()
