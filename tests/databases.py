"""Databases for tests: fresh copies of a migrated template, and copies that are put back as they were and lent again."""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.db import Database, schema_of
from app.embedded import EmbeddedPostgres

CONNECTIONS = 20
_STATEMENTS = "1000"
"""Prepared ones that a connection keeps, for it lives through many tests."""
_MOST_LENDINGS = 25
"""Deleted rows stay in their files, and reading past them takes ever longer."""

_TABLES = """
    SELECT c.oid::regclass::text AS name, string_agg(quote_ident(a.attname), ', ') FILTER (WHERE a.attgenerated = '') AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text IN ('public', :schema)
    GROUP BY c.oid
"""
_SEQUENCES = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'S' AND relnamespace::regnamespace::text = :schema"


class Server:
    """Addresses on the test server by role and database."""

    def __init__(self, postgres: EmbeddedPostgres | None) -> None:
        self._postgres = postgres
        self.embedded = postgres
        self._password = "test"

    def url(self, role: str, database: str) -> str:
        if self._postgres is not None:
            return self._postgres.url("postgres" if role == "admin" else role, database)
        admin = make_url(os.environ["ESCROW_TEST_ADMIN_URL"]).set(database=database)
        chosen = admin if role == "admin" else admin.set(username=role, password=self._password)
        return chosen.render_as_string(hide_password=False)


@dataclass
class Copy:
    """A database, and the application's connections to it."""

    name: str
    database: Database
    lendings: int = 0

    @property
    def worn(self) -> bool:
        """It has served long, or somebody has kept one of its connections."""
        return self.lendings >= _MOST_LENDINGS or any(engine.pool.checkedout() for engine in self.database._engines.values())


class Databases:
    """Copies of one template, which holds one district."""

    def __init__(self, server: Server, admin: AsyncEngine, template: str, district: str) -> None:
        self._server, self._admin, self._template, self._schema = server, admin, template, schema_of(district)
        self._idle: tuple[Copy, AsyncEngine] | None = None

    @asynccontextmanager
    async def fresh(self) -> AsyncIterator[Copy]:
        """A copy that nobody has had and nobody gets afterwards."""
        made = await self._make()
        yield made
        await self._drop(made)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Copy]:
        """A copy like a fresh one, to somebody who reaches it as the application's role alone, which may write nothing but rows."""
        copy, restorer = self._idle or await self._make_restorable()
        self._idle = None
        copy.lendings += 1
        yield copy
        if copy.worn:
            await restorer.dispose()
            await self._drop(copy)
            return
        async with restorer.connect() as connection:
            await connection.exec_driver_sql("SELECT pg_temp.restore()")
        self._idle = copy, restorer

    async def aclose(self) -> None:
        """Drop what is left."""
        if self._idle is not None:
            copy, restorer = self._idle
            await restorer.dispose()
            await self._drop(copy)

    async def _make(self) -> Copy:
        name = f"escrow_{secrets.token_hex(6)}"
        async with self._admin.connect() as server:
            await server.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {self._template} OWNER escrow_owner STRATEGY FILE_COPY")
            # A copy has its template's tables, not its template's database rights.
            await server.exec_driver_sql(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
        address = make_url(self._server.url("escrow_app", name)).update_query_dict({"prepared_statement_cache_size": _STATEMENTS})
        return Copy(name, Database(address.render_as_string(hide_password=False), pool_size=CONNECTIONS))

    async def _make_restorable(self) -> tuple[Copy, AsyncEngine]:
        copy = await self._make()
        restorer = create_async_engine(self._server.url("admin", copy.name), isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=0)
        async with restorer.connect() as connection:
            await _remember(connection, self._schema)
        return copy, restorer

    async def _drop(self, copy: Copy) -> None:
        await copy.database.aclose()
        async with self._admin.connect() as server:
            await server.exec_driver_sql(f"DROP DATABASE {copy.name} WITH (FORCE)")


async def _remember(connection: AsyncConnection, schema: str) -> None:
    """Give the connection a function that puts every row and sequence back as they are now. Nothing of it stands in the database."""
    steps = []
    for number, (table, columns) in enumerate((await connection.execute(text(_TABLES), {"schema": schema})).all()):
        steps.append(f"DELETE FROM {table};")
        if await connection.scalar(text(f"SELECT EXISTS (SELECT FROM {table})")):
            await connection.exec_driver_sql(f"CREATE TEMPORARY TABLE kept_{number} AS SELECT {columns} FROM {table}")
            steps.append(f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM pg_temp.kept_{number};")
    for sequence in (await connection.scalars(text(_SEQUENCES), {"schema": schema})).all():
        last, called = (await connection.exec_driver_sql(f"SELECT last_value, is_called FROM {sequence}")).one()
        steps.append(f"PERFORM setval('{sequence}', {last}, {called});")
    body = "\n".join(steps)
    await connection.exec_driver_sql(f"CREATE FUNCTION pg_temp.restore() RETURNS void LANGUAGE plpgsql AS $$BEGIN {body} END$$")
    # No trigger fires and no key is asked for.
    await connection.exec_driver_sql("SET session_replication_role = replica")
