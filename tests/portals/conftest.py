"""The service's application over a test's own database and bank, and the people who use it."""

from collections.abc import AsyncIterator

import pytest

from app.db import Database
from app.registry.models import Institution
from app.security import Parent
from tests.portals.desks import Desk, Desks, desks_of
from tests.portals.families import at_home
from tests.world import World


@pytest.fixture
async def desks(world: World, database: Database) -> AsyncIterator[Desks]:
    """Staff of the three ends, signed in."""
    async with desks_of(world, database) as opened:
        yield opened


@pytest.fixture
async def parent(world: World) -> Parent:
    return await world.parent()


@pytest.fixture
async def home(desks: Desks, parent: Parent) -> Desk:
    """The parent's own pages."""
    return await at_home(desks, parent)


@pytest.fixture
async def institution(world: World) -> Institution:
    return await world.institution()
