"""A district that has been at work under the first version's schema."""

from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app import districts
from app.db import Database, District, schema_of
from app.ids import uuid7
from app.ledger import jobs
from app.ledger.check import check_books
from tests.ledger.postings import post_every_field

ELDER = "510113"


async def migrate_to(owner_url: str, code: str, revision: str) -> None:
    """Build a district's schema as an earlier version left it."""

    def upgrade(connection: Connection) -> None:
        config = districts._config("district")
        config.attributes.update(connection=connection, schema=schema_of(code))
        command.upgrade(config, revision)

    engine = create_async_engine(owner_url)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"CREATE SCHEMA {schema_of(code)}")
        await connection.run_sync(upgrade)
    await engine.dispose()


async def broken_in_the_ledger(district: District) -> list[str]:
    async with district.reading() as session:
        return [finding.name for finding in await check_books(session) if finding.name.startswith("ledger.")]


async def test_books_sealed_before_an_upgrade_are_proven_after_it(owner_url: str, database: Database, owner: District) -> None:
    await migrate_to(owner_url, ELDER, "0001")
    elder = database.district(ELDER)
    await post_every_field(elder, uuid7())
    assert await jobs.seal(elder) == 4
    await post_every_field(elder, uuid7())
    await districts.migrate(owner_url, ELDER)
    assert await broken_in_the_ledger(elder) == []
    assert await jobs.seal(elder) == 4
    assert await broken_in_the_ledger(elder) == []
    async with owner.transaction() as session:
        await session.execute(text(f"ALTER TABLE {schema_of(ELDER)}.transfer DISABLE TRIGGER append_only"))
        await session.execute(text(f"UPDATE {schema_of(ELDER)}.transfer SET posted_by = 'nobody' WHERE kind = 'received'"))
    assert await broken_in_the_ledger(elder) == ["ledger.log_holds"] * 2
