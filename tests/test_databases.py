"""A database that is lent again holds nothing of those who had it before."""

import os

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app import security
from app.db import schema_of
from tests.conftest import DISTRICT, TEMPLATE
from tests.databases import Copy, Databases, Server
from tests.school import found_school
from tests.world import SCHOOL_MORNING, World

STANDING = """
    SELECT c.oid::regclass::text, c.relkind FROM pg_class c
    WHERE c.relkind::text IN ('r', 'S') AND c.relnamespace::regnamespace::text IN ('public', :schema) ORDER BY 1
"""


async def contents(server: Server, copy: Copy) -> dict[str, list[str]]:
    """Every row of every table and sequence, as text."""
    engine = create_async_engine(server.url("admin", copy.name))
    async with engine.connect() as connection:
        found = {}
        for name, kind in (await connection.execute(text(STANDING), {"schema": schema_of(DISTRICT)})).all():
            rows = "t" if kind == b"r" else "(t.last_value, t.is_called)"
            found[name] = list(await connection.scalars(text(f"SELECT {rows}::text FROM {name} t ORDER BY 1")))
    await engine.dispose()
    return found


async def test_it_is_as_its_template_again(server: Server, admin: AsyncEngine, world: World) -> None:
    databases = Databases(server, admin, f"{TEMPLATE}_{os.getpid()}", DISTRICT)
    async with databases.fresh() as copy:
        pristine = await contents(server, copy)
    async with databases.lend() as copy:
        lent = World(copy.database.district(DISTRICT), world.banks, world.bank)
        await lent.wait_until(SCHOOL_MORNING)
        school = await found_school(lent)
        family = await school.enrol()
        await school.deliver(1, family)
        async with lent.district.transaction() as session:
            await security.create_staff(session, "supervision", "zhang.san", "correct horse battery", "张三")
        assert len([name for name, rows in (await contents(server, copy)).items() if rows != pristine[name]]) > 20
    async with databases.lend() as again:
        assert again.name == copy.name
        assert await contents(server, again) == pristine
    await databases.aclose()
