"""Event streams of the supervision end: a place to start from, and an end."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, TypeVar, cast

import anyio
from fastapi import Depends, Header, Query, Request

from app.db import District
from app.errors import BadInput
from app.portals.edge import Home, SupervisionCaller, stopping
from app.supervision.stream import Feed, Feeds

N = TypeVar("N")

STREAM_LASTS_SECONDS = 300.0
"""Then the client comes back with `Last-Event-ID` and is asked again who it is."""


def feed_of(request: Request, district: District) -> Feed:
    """What this process follows of a district."""
    return cast(Feeds, request.app.state.feeds).of(district)


async def _last_seen(
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20, description="As EventSource sends it")] = None,
    after: Annotated[
        str | None, Query(max_length=20, description="The same for a first connection; by default only what is new comes")
    ] = None,
) -> int | None:
    text = last_event_id or after
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < 2**63):
        raise BadInput("request.cursor", "续传编号无效")
    return int(text)


LastSeen = Annotated[int | None, Depends(_last_seen)]


async def _alerts_after(request: Request, caller: SupervisionCaller, home: Home, seen: LastSeen) -> int:
    return seen if seen is not None else (await feed_of(request, home).heads()).alerts


async def _movements_after(request: Request, caller: SupervisionCaller, home: Home, seen: LastSeen) -> int:
    return seen if seen is not None else (await feed_of(request, home).heads()).movements


# Known before the answer begins: a client that sees its stream open misses nothing that happens from then on.
AlertsAfter = Annotated[int, Depends(_alerts_after)]
MovementsAfter = Annotated[int, Depends(_movements_after)]


async def while_serving(request: Request, source: AsyncIterator[N]) -> AsyncGenerator[N]:
    """What a source brings, until the process is told to end or the stream has lasted long enough."""
    ends_at = time.monotonic() + STREAM_LASTS_SECONDS
    ending = asyncio.create_task(stopping(request).wait())
    coming = asyncio.ensure_future(anext(source))
    try:
        while True:
            await asyncio.wait((coming, ending), timeout=ends_at - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                return
            yield coming.result()
            coming = asyncio.ensure_future(anext(source))
    except StopAsyncIteration:
        return
    finally:
        # The client may have left: its cancellation must not keep the source from being closed.
        with anyio.CancelScope(shield=True):
            coming.cancel()
            ending.cancel()
            await asyncio.gather(coming, ending, return_exceptions=True)
            await cast(AsyncGenerator[N], source).aclose()
