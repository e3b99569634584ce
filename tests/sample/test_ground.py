"""Where invented districts go, and how one whose set-up was interrupted goes away."""

import pytest
from sqlalchemy import text

from app import districts
from app.db import Database
from app.errors import Conflict
from app.sample import ground
from app.sample.ground import CONNECTION, Addresses
from app.sample.installation import SAMPLE_CODE
from tests.conftest import Server


@pytest.fixture
def addresses(owner_url: str, app_url: str) -> Addresses:
    return Addresses(owner_url, app_url)


async def schemas(database: Database) -> set[str]:
    async with database.public() as session:
        return set(await session.scalars(text("SELECT nspname FROM pg_namespace WHERE nspname ~ '^d[0-9]{6}$'")))


async def test_a_sample_whose_set_up_was_interrupted_is_dropped_and_leaves_the_others(addresses: Addresses, database: Database) -> None:
    code, name = await ground.neighbour(addresses, None)
    await districts.create(addresses.owner, code, name, mode="sample")
    await districts.connect_bank(addresses.owner, CONNECTION, SAMPLE_CODE, "mock", "http://127.0.0.1:1")
    await ground.discard(addresses, SAMPLE_CODE)
    assert [entry.code for entry in await districts.entries(database)] == [code]
    assert await schemas(database) == {f"d{code}"}
    assert await districts.connections(database) == []


async def test_a_live_district_is_never_dropped(live: Database, server: Server, live_name: str) -> None:
    with pytest.raises(Conflict) as refused:
        await ground.discard(Addresses(server.url("escrow_owner", live_name), server.url("escrow_app", live_name)), "510112")
    assert refused.value.code == "districts.mixed_modes"
    assert await schemas(live) == {"d510112"}


async def test_every_simulation_gets_a_district_of_its_own(addresses: Addresses) -> None:
    first, name = await ground.neighbour(addresses, None)
    assert (first, name) == ("510181", "都江堰市")
    await districts.create(addresses.owner, first, name, mode="sample")
    assert (await ground.neighbour(addresses, None))[0] == "510182"
    assert await ground.neighbour(addresses, "130102") == ("130102", "模拟区县130102")
    for taken in (SAMPLE_CODE, first):
        with pytest.raises(Conflict) as refused:
            await ground.neighbour(addresses, taken)
        assert refused.value.code == "districts.known"
