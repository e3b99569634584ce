"""Live streams: at once, in order, without a gap, over reconnects and lost connections."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import text

from app.db import District
from app.ids import uuid7
from app.ledger.jobs import seal
from app.registry.models import Institution
from app.supervision import stream
from app.supervision.service import Finding, acknowledge, raise_alerts
from app.supervision.stream import Feed, Feeds
from tests.supervision.scenes import alerts
from tests.world import World

T = TypeVar("T")
AT_ONCE = 1.0
"""Seconds within which a dashboard must show an alert after its commit."""


@pytest.fixture
async def school(world: World) -> Institution:
    return await world.institution()


@pytest.fixture
async def feed(district: District) -> AsyncIterator[Feed]:
    made = Feed(district)
    yield made
    await made.aclose()


async def fire(district: District, institution: Institution, times: int = 1) -> None:
    for _ in range(times):
        async with district.transaction() as session:
            await raise_alerts(session, [Finding(institution.id, "break", f"account:{uuid7()}", {})])


async def take(items: AsyncIterator[T], number: int, within: float = 5.0) -> list[T]:
    async with asyncio.timeout(within):
        return [await anext(items) for _ in range(number)]


async def listeners(district: District) -> int:
    """Connections of this database that wait for notifications."""
    async with district.reading() as session:
        found = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'listen %'")
        return int(await session.scalar(found) or 0)


async def eventually(condition: Callable[[], Awaitable[bool]], within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110  nothing announces which connections PostgreSQL has
            await asyncio.sleep(0.02)


async def test_an_alert_is_seen_at_once_by_its_notification(
    world: World, school: Institution, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "POLL_SECONDS", 60.0)
    seen = feed.alerts(0)
    waiting = asyncio.create_task(take(seen, 1))
    await eventually(lambda: _listening(world.district))
    await fire(world.district, school)
    async with asyncio.timeout(AT_ONCE):
        (change,) = await waiting
    assert (change.seq, change.status, change.alert.institution_name) == (1, "opened", school.name)


async def test_what_no_notification_tells_of_is_seen_within_a_second_too(world: World, school: Institution, feed: Feed) -> None:
    await fire(world.district, school)
    seen = feed.alerts(0)
    await take(seen, 1)
    (alert,) = await alerts(world.district)
    waiting = asyncio.create_task(take(seen, 1))
    async with world.district.transaction() as session:
        await acknowledge(session, world.officer(), alert.id, "已看")
    async with asyncio.timeout(AT_ONCE):
        (change,) = await waiting
    assert (change.seq, change.status, change.alert.note) == (2, "acknowledged", "已看")


async def test_movements_follow_the_sealed_log(world: World, school: Institution, feed: Feed) -> None:
    seen = feed.movements((await feed.heads()).movements)
    waiting = asyncio.create_task(take(seen, 2))
    await world.paid_contract(school, price_fen=400_00)
    await seal(world.district)
    assert sorted(movement.kind for movement in await waiting) == ["payment_matched", "received"]
    assert (await feed.heads()).movements == 2


async def test_a_stream_catches_up_from_where_it_was_in_batches(world: World, school: Institution, feed: Feed) -> None:
    async with world.district.transaction() as session:
        for _ in range(230):
            await raise_alerts(session, [Finding(school.id, "break", f"account:{uuid7()}", {})])
    assert [change.seq for change in await take(feed.alerts(10), 220)] == list(range(11, 231))
    assert (await feed.heads()).alerts == 230


async def test_reconnecting_readers_miss_nothing_while_many_write(world: World, school: Institution, feed: Feed) -> None:
    async def read() -> list[int]:
        seen: list[int] = []
        while len(seen) < 80:
            async with aclosing(feed.alerts(seen[-1] if seen else 0)) as changes:
                seen += [change.seq for change in await take(changes, min(7, 80 - len(seen)), within=20)]
        return seen

    readers = [asyncio.create_task(read()) for _ in range(3)]
    await asyncio.gather(*(fire(world.district, school, times=10) for _ in range(8)))
    assert await asyncio.gather(*readers) == [list(range(1, 81))] * 3


async def test_ten_streams_share_one_listener_and_the_last_one_takes_it_away(world: World, school: Institution, feed: Feed) -> None:
    seen = [feed.alerts(0) for _ in range(10)]
    waiting = [asyncio.create_task(take(each, 1)) for each in seen]
    await eventually(lambda: _listening(world.district))
    await fire(world.district, school)
    assert [[change.seq for change in each] for each in await asyncio.gather(*waiting)] == [[1]] * 10
    assert await listeners(world.district) == 1
    for each in seen:
        await each.aclose()
    await eventually(lambda: _nobody_listening(world.district))


@pytest.mark.own_database
async def test_a_stream_outlives_the_loss_of_every_connection(
    world: World, school: Institution, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RETRY_SECONDS", 0.05)
    seen = feed.alerts(0)
    waiting = asyncio.create_task(take(seen, 1))
    await eventually(lambda: _listening(world.district))
    async with world.district.reading() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    await fire(world.district, school)
    assert [change.seq for change in await waiting] == [1]


async def test_closing_ends_every_stream(world: World) -> None:
    feeds = Feeds()
    feed = feeds.of(world.district)
    assert feeds.of(world.district) is feed
    waiting = [asyncio.create_task(_all(items)) for items in (feed.alerts(0), feed.movements(0))]
    await eventually(lambda: _listening(world.district))
    await feeds.aclose()
    assert await asyncio.gather(*waiting) == [[], []]
    assert await listeners(world.district) == 0


async def test_over_http_a_reader_that_leaves_is_forgotten(world: World, school: Institution, feed: Feed) -> None:
    await fire(world.district, school)
    async with _served(feed) as address, httpx.AsyncClient(trust_env=False) as client:
        async with client.stream("GET", address, headers={"Last-Event-ID": "0"}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            assert await take(lines, 2) == ['data: "opened"', "id: 1"]
            assert await listeners(world.district) == 1
        await eventually(lambda: _nobody_listening(world.district))


@asynccontextmanager
async def _served(feed: Feed) -> AsyncIterator[str]:
    """A web process with nothing but the feed."""
    app = FastAPI()

    @app.get("/stream", response_class=EventSourceResponse)
    async def follow() -> AsyncIterator[ServerSentEvent]:
        async for change in feed.alerts(0):
            yield ServerSentEvent(data=change.status, id=str(change.seq))

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/stream"
        server.should_exit = True
        await serving


async def _all(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


async def _listening(district: District) -> bool:
    return await listeners(district) > 0


async def _nobody_listening(district: District) -> bool:
    return await listeners(district) == 0
