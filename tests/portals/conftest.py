"""The service's application over a test's own database and bank, and the people who use it."""

from collections.abc import AsyncIterator

import pytest

from app.db import Database
from tests.portals.desks import Desks, desks_of
from tests.world import World


@pytest.fixture
async def desks(world: World, database: Database) -> AsyncIterator[Desks]:
    """Staff of the three ends, signed in."""
    async with desks_of(world, database) as opened:
        yield opened
