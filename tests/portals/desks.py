"""People of the three staff ends at work: signed in, with a client for JSON and one for pages."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpx
from fastapi import FastAPI

from app import clock, security
from app.db import Database
from app.ids import uuid7
from app.main import attach, create_app
from app.portals.edge import cookie_name
from app.registry.models import Institution
from app.security import Role, Staff, StaffRole
from app.settings import settings
from tests.world import World

BASE = "http://escrow.test"


@dataclass(frozen=True)
class Desk:
    """A member of staff with their two ways in."""

    end: Role
    token: str
    api: httpx.AsyncClient
    browser: httpx.AsyncClient

    async def get(self, path: str, **params: Any) -> Any:
        """JSON of this end, which must be there."""
        answer = await self.api.get(f"/api/v1/{self.end}{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.api.post(f"/api/v1/{self.end}{path}", json=body, headers=headers)

    async def page(self, path: str = "") -> str:
        """A page of this end, which must be there."""
        answer = await self.browser.get(f"/{self.end}{path}")
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        return answer.text

    async def submit(self, path: str, form: Mapping[str, Any], page: str | None = None) -> httpx.Response:
        """Send a form as a page shows it, with the page's hidden token."""
        token = re.search(r'name="csrf" value="([0-9a-f]{64})"', page or await self.page())
        assert token is not None
        return await self.browser.post(f"/{self.end}{path}", data={**form, "csrf": token.group(1)})

    async def told(self, answer: httpx.Response) -> str:
        """Where a form leads, read as its page with the notice on it."""
        assert answer.status_code == 303, answer.text[:300]
        return (await self.browser.get(answer.headers["location"])).text


@dataclass(frozen=True)
class Desks:
    """The staff ends over one world."""

    world: World
    app: FastAPI
    base: str = BASE
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def institution(self, institution: Institution) -> Desk:
        return await self._seat("institution", institution)

    async def clerk(self) -> Desk:
        return await self._seat("settlement")

    async def officer(self) -> Desk:
        return await self._seat("supervision")

    async def anybody(self) -> httpx.AsyncClient:
        return await self._client()

    async def _seat(self, end: StaffRole, institution: Institution | None = None) -> Desk:
        staff_id = uuid7()
        async with self.world.district.transaction() as session:
            session.add(
                Staff(
                    id=staff_id,
                    username=f"staff-{staff_id}",
                    password_hash="none",
                    role=end,
                    institution_id=institution.id if institution else None,
                    display_name="张工",
                    created_at=clock.now(),
                )
            )
            await session.flush()
            token = await security.open_session(session, end, staff_id=staff_id)
        api, browser = await self._client(headers={"Authorization": f"Bearer {token}"}), await self._client()
        browser.cookies.set(cookie_name(end), token)
        return Desk(end, token, api, browser)

    async def _client(self, **options: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app) if self.base == BASE else None
        return await self._open.enter_async_context(httpx.AsyncClient(transport=transport, base_url=self.base, timeout=30, **options))

    async def aclose(self) -> None:
        await self._open.aclose()


@lru_cache(maxsize=1)
def _application() -> FastAPI:
    """Its routes outlive a test: to make them takes longer than most tests."""
    return create_app(settings())


@asynccontextmanager
async def desks_of(world: World, database: Database) -> AsyncIterator[Desks]:
    """The service's own application over the world's database and bank; there is one of it at a time."""
    app = _application()
    attach(app, settings(), database, world.banks)
    desks = Desks(world, app)
    try:
        yield desks
    finally:
        await desks.aclose()
        await app.state.feeds.aclose()
