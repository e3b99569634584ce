"""Schemas of earlier versions, brought up revision by revision as an installation would be."""

from collections.abc import Sequence
from typing import Any

from alembic import command
from sqlalchemy import Connection, Row, TextClause
from sqlalchemy.ext.asyncio import create_async_engine

from app import districts


async def brought_up(owner_url: str, schema: str, revision: str, rows: str, *asked: TextClause) -> list[Sequence[Row[Any]]]:
    """What a district that was given rows at an earlier revision answers at the newest one; nothing of it is kept."""
    engine = create_async_engine(owner_url)
    try:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
            await connection.run_sync(_upgrade, schema, revision)
            for statement in filter(str.strip, rows.split(";")):
                await connection.exec_driver_sql(statement)
            await connection.run_sync(_upgrade, schema, "head")
            answers = [(await connection.execute(each)).all() for each in asked]
            await connection.rollback()
            return answers
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, schema: str, revision: str) -> None:
    config = districts._config("district")
    config.attributes.update(connection=connection, schema=schema)
    command.upgrade(config, revision)
