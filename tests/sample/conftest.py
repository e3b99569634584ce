"""A live database beside the sample's, and settings that end with their test."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import districts
from app.db import Database
from app.settings import settings
from tests.conftest import Server


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    """Commands read the settings of their test, and no other test may find them."""
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
async def live_template(server: Server, admin: AsyncEngine) -> str:
    """A database that holds one live district and nothing else."""
    name = f"escrow_live_template_{os.getpid()}"
    await districts.bootstrap(server.url("admin", "postgres"), name, "test", "test")
    await districts.create(server.url("escrow_owner", name), "510112", "龙泉驿区")
    return name


@pytest.fixture
async def live_name(admin: AsyncEngine, live_template: str) -> AsyncIterator[str]:
    """A fresh copy of it."""
    name = f"escrow_live_{secrets.token_hex(6)}"
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {live_template} OWNER escrow_owner"))
        yield name
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def live_owner_url(server: Server, live_name: str) -> str:
    return server.url("escrow_owner", live_name)


@pytest.fixture
async def live(server: Server, live_name: str) -> AsyncIterator[Database]:
    """The live database as the application's role sees it."""
    made = Database(server.url("escrow_app", live_name))
    yield made
    await made.aclose()
