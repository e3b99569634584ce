"""The event streams over a real port: prompt, complete, and gone when they should be."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.ledger import jobs as ledger_jobs
from app.portals.supervision import live
from app.registry.models import Institution
from app.supervision import stream
from app.supervision.service import Finding, raise_alerts
from tests.portals.desks import Desk, Desks
from tests.portals.port import served
from tests.world import World

ALERTS = "/api/v1/supervision/alerts/stream"
MOVEMENTS = "/api/v1/supervision/movements/stream"


class Stream:
    """An open event stream, read as EventSource reads it."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self, within_seconds: float = 5.0) -> dict[str, Any]:
        """The next event: its name, id and data."""
        async with asyncio.timeout(within_seconds):
            event: dict[str, Any] = {}
            async for line in self._lines:
                if not line and event:
                    return event
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    event[name] = json.loads(value) if name == "data" else value
        raise StopAsyncIteration

    async def comments(self, count: int, within_seconds: float = 5.0) -> None:
        """Wait for this many comments, which say nothing but that the stream lives."""
        async with asyncio.timeout(within_seconds):
            async for line in self._lines:
                count -= line.startswith(":")
                if count == 0:
                    return

    async def ended(self, within_seconds: float = 5.0) -> bool:
        """Whether the service ends it in time, without another event."""
        try:
            await self.next(within_seconds)
        except (StopAsyncIteration, httpx.RemoteProtocolError):
            return True
        return False


@asynccontextmanager
async def listening(base: str, path: str, desk: Desk, **headers: str) -> AsyncIterator[Stream]:
    """A stream that its client sees open."""
    async with (
        httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {desk.token}"} | headers, timeout=30) as client,
        client.stream("GET", path) as answer,
    ):
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/event-stream")
        yield Stream(answer)


async def alarm(world: World, institution: Institution, subject: str) -> float:
    """Raise an alert; when its commit was done."""
    async with world.district.transaction() as session:
        await raise_alerts(session, [Finding(institution.id, "unassigned_money", subject, {"amount_fen": 100, "outcome": "late"})])
    return time.monotonic()


async def test_an_alert_is_there_within_a_second_of_its_commit(desks: Desks, world: World) -> None:
    institution, officer = await world.institution(), await desks.officer()
    async with served(desks) as base, listening(base, ALERTS, officer) as stream:
        for number in (1, 2, 3):
            committed = await alarm(world, institution, f"movement:{number}")
            event = await stream.next()
            assert time.monotonic() - committed < 1
            assert (event["event"], event["id"]) == ("alert", str(number))
            data = event["data"]
            assert (data["seq"], data["subject"], data["status"], data["change"]) == (number, f"movement:{number}", "opened", "opened")
            assert data["institution_name"] == institution.name


async def test_what_an_officer_does_is_an_event_too(desks: Desks, world: World) -> None:
    institution, officer = await world.institution(), await desks.officer()
    await alarm(world, institution, "movement:1")
    [alert] = (await officer.get("/alerts"))["items"]
    async with served(desks) as base, listening(base, ALERTS, officer) as stream:
        began = time.monotonic()
        await officer.post(f"/alerts/{alert['id']}/acknowledge", {"note": "联系机构"})
        event = await stream.next()
        assert time.monotonic() - began < 1
        assert (event["id"], event["data"]["change"], event["data"]["note"]) == ("2", "acknowledged", "联系机构")


async def test_a_reconnect_catches_up(desks: Desks, world: World) -> None:
    institution, officer = await world.institution(), await desks.officer()
    for number in range(1, 6):
        await alarm(world, institution, f"movement:{number}")
    async with served(desks) as base:
        async with listening(base, ALERTS, officer, **{"Last-Event-ID": "2"}) as stream:
            assert [(await stream.next())["id"] for _ in range(3)] == ["3", "4", "5"]
        async with listening(base, f"{ALERTS}?after=4", officer) as stream:
            assert (await stream.next())["id"] == "5"
        async with listening(base, f"{ALERTS}?after=0", officer, **{"Last-Event-ID": "4"}) as stream:
            assert (await stream.next())["id"] == "5", "the header is the later word"


async def test_movements_come_as_they_are_sealed_without_a_gap(desks: Desks, world: World) -> None:
    institution, officer = await world.institution(), await desks.officer()
    async with served(desks) as base, listening(base, MOVEMENTS, officer) as stream:
        await world.paid_contract(institution, price_fen=40_000)
        await ledger_jobs.seal(world.district)
        sealed = time.monotonic()
        events = [await stream.next(), await stream.next()]
        assert time.monotonic() - sealed < 1
    assert [event["event"] for event in events] == ["movement", "movement"]
    assert [(event["data"]["seq"], event["data"]["kind"]) for event in events] == [(1, "received"), (2, "payment_matched")]
    assert {event["data"]["amount_fen"] for event in events} == {40_000}


async def test_a_page_may_use_its_cookie_and_nobody_else_listens(desks: Desks, world: World) -> None:
    officer, clerk = await desks.officer(), await desks.clerk()
    async with served(desks) as base:
        async with (
            httpx.AsyncClient(base_url=base, cookies=officer.browser.cookies) as page,
            page.stream("GET", ALERTS) as answer,
        ):
            assert answer.status_code == 200
        async with httpx.AsyncClient(base_url=base) as stranger:
            assert (await stranger.get(ALERTS)).status_code == 401
            foreign = await stranger.get(ALERTS, headers={"Authorization": f"Bearer {clerk.token}"})
            assert foreign.status_code == 403
            bearer = {"Authorization": f"Bearer {officer.token}"}
            for unsound in ("x", "-1", "1.5", "9" * 19, "٣"):
                answer = await stranger.get(ALERTS, params={"after": unsound}, headers=bearer)
                assert (answer.status_code, answer.json()["code"]) == (400, "request.cursor")


async def test_waiting_streams_hold_one_connection_together(desks: Desks, world: World) -> None:
    institution, officer = await world.institution(), await desks.officer()
    async with served(desks) as base:
        streams = [listening(base, path, officer) for path in (ALERTS, MOVEMENTS) * 6]
        opened = [await each.__aenter__() for each in streams]
        await alarm(world, institution, "movement:1")
        assert [(await each.next())["id"] for each in opened[::2]] == ["1"] * 6
        # The look that finds this alert wakes all of them once more.
        await asyncio.sleep(2 * stream.POLL_SECONDS)
        held = [world.district.engine.pool.checkedout() for _ in range(5) if not await asyncio.sleep(0.1)]
        assert min(held) == 1, "one listens for all"
        assert max(held) <= 2, "and one looks now and then"
        for each in streams:
            await each.__aexit__(None, None, None)


async def test_streams_end_when_the_service_is_told_to(desks: Desks, world: World) -> None:
    officer = await desks.officer()
    async with served(desks) as base, listening(base, ALERTS, officer) as stream:
        desks.app.state.stopping.set()
        assert await stream.ended(within_seconds=2)


async def test_a_stream_comes_to_its_end_so_that_its_client_is_asked_again_who_it_is(
    desks: Desks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STREAM_LASTS_SECONDS", 0.3)
    officer = await desks.officer()
    async with served(desks) as base, listening(base, ALERTS, officer) as stream:
        assert await stream.ended(within_seconds=2)


async def test_an_idle_stream_is_kept_alive(desks: Desks, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.1)
    officer = await desks.officer()
    async with served(desks) as base, listening(base, ALERTS, officer) as stream:
        await stream.comments(2)
