"""What dashboards follow live: alerts and movements, each behind a gapless cursor, so that a reconnect misses nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import asyncpg
import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import District
from app.ledger.models import LogEntry
from app.supervision.models import Cursor
from app.supervision.queries import AlertChange, MovementView, alert_changes, movements_after
from app.supervision.service import CHANNEL

POLL_SECONDS = 0.5
"""How late a movement, or an alert whose notification was lost, is seen at most."""
RETRY_SECONDS = 2.0

_LOST = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
_log = structlog.get_logger()


class Numbered(Protocol):
    """Something with a place in a gapless sequence."""

    @property
    def seq(self) -> int:
        """Its place."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The newest numbers of both sequences."""

    alerts: int
    movements: int


N = TypeVar("N", bound=Numbered)


class Feed:
    """The live streams of one district in one process.

    While anybody follows, one connection listens and one query every half second looks; all streams wake by them.
    """

    def __init__(self, district: District) -> None:
        self._district = district
        self._followers = 0
        self._watches: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._closed = False

    async def heads(self) -> Heads:
        """Where a page that shows everything up to now begins to follow."""
        async with self._district.reading() as session:
            return await _heads(session)

    def alerts(self, after: int) -> AsyncGenerator[AlertChange]:
        """Every change of an alert with a number above `after`, in order, for ever; it ends when the feed is closed."""
        return self._follow(after, alert_changes)

    def movements(self, after: int) -> AsyncGenerator[MovementView]:
        """Every sealed transfer with a voucher number above `after`, in order, for ever; it ends when the feed is closed."""
        return self._follow(after, movements_after)

    async def aclose(self) -> None:
        """End every stream, and give the connections back."""
        self._closed = True
        self._wake()
        await self._stop_watching()

    async def _follow(self, after: int, fetch: Callable[[AsyncSession, int], Awaitable[Sequence[N]]]) -> AsyncGenerator[N]:
        self._followers += 1
        try:
            while not self._closed:
                self._keep_watching()
                news = self._news
                try:
                    async with self._district.reading() as session:
                        batch = await fetch(session, after)
                except _LOST:
                    _log.warning("stream_interrupted", district=self._district.code)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                for item in batch:
                    yield item
                    after = item.seq
                if not batch:
                    await news.wait()
        finally:
            self._followers -= 1
            if self._followers == 0:
                self._cancel_watch()

    def _keep_watching(self) -> None:
        if not any(not task.cancelling() for task in self._watches):
            task = asyncio.create_task(self._watch())
            self._watches.add(task)
            task.add_done_callback(self._watches.discard)

    def _cancel_watch(self) -> None:
        for task in self._watches:
            task.cancel()

    async def _stop_watching(self) -> None:
        self._cancel_watch()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                async with self._listening() as connection:
                    await self._poll(connection)
            except _LOST:
                _log.warning("stream_interrupted", district=self._district.code)
            await asyncio.sleep(RETRY_SECONDS)

    async def _poll(self, listening: asyncpg.Connection) -> None:
        seen: Heads | None = None
        while not listening.is_closed():
            async with self._district.reading() as session:
                heads = await _heads(session)
            if heads != seen:
                seen = heads
                self._wake()
            await asyncio.sleep(POLL_SECONDS)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[asyncpg.Connection]:
        def heard(_connection: Any, _pid: int, _channel: str, district: object) -> None:
            if district == self._district.code:
                self._wake()

        async with self._district.engine.connect() as pooled:
            connection: asyncpg.Connection = (await pooled.get_raw_connection()).driver_connection
            await connection.add_listener(CHANNEL, heard)
            try:
                yield connection
            finally:
                if not connection.is_closed():
                    await connection.remove_listener(CHANNEL, heard)

    def _wake(self) -> None:
        """Wake whoever waits; who begins to wait from now on waits for the next news."""
        self._news.set()
        self._news = asyncio.Event()


class Feeds:
    """The feeds of one process, by district."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}

    def of(self, district: District) -> Feed:
        """The feed of a district, the same for every stream."""
        return self._feeds.setdefault(district.code, Feed(district))

    async def aclose(self) -> None:
        """End every stream of this process."""
        await asyncio.gather(*(feed.aclose() for feed in self._feeds.values()))


async def _heads(session: AsyncSession) -> Heads:
    alerts = select(Cursor.seq).where(Cursor.name == "alerts").scalar_subquery()
    movements = select(func.coalesce(func.max(LogEntry.seq), 0)).scalar_subquery()
    row = (await session.execute(select(alerts.label("alerts"), movements.label("movements")))).one()
    return Heads(row.alerts, row.movements)
