"""The only file that commits. A district is a schema; a session knows its district and reaches no other."""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Date,
    DateTime,
    LargeBinary,
    MetaData,
    Row,
    Text,
    TextClause,
    Uuid,
    event,
    literal,
)
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from app.errors import DomainError

K = TypeVar("K")
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
_ASKED_AFTER_SECONDS = 30
_log = structlog.get_logger()
_TYPES = {str: Text(), datetime: DateTime(timezone=True), date: Date(), UUID: Uuid(), bytes: LargeBinary(), int: BigInteger()}


class Base(DeclarativeBase):
    """Tables of one district; they stand in its schema."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = _TYPES


class PublicBase(DeclarativeBase):
    """The few tables above districts."""

    metadata = MetaData(naming_convention=_NAMES, schema="public")
    type_annotation_map = _TYPES


def one_of(column: str, *values: str) -> CheckConstraint:
    """A CHECK that a text column holds one of the values: a state machine's states."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def fixed(value: str) -> ColumnElement[str]:
    """A constant in the SQL text: plans here are generic, so a partial index is chosen only where the planner sees the value."""
    return literal(value, literal_execute=True)


def schema_of(district: str) -> str:
    """The schema of a district code. Raises ValueError for what is no GB/T 2260 code, so no other name reaches SQL."""
    if not re.fullmatch(r"\d{6}", district):
        raise ValueError("a district code is six digits")
    return f"d{district}"


@dataclass(frozen=True, slots=True)
class District:
    """A handle on one district's rows."""

    code: str
    _engine: AsyncEngine
    _at_once: AsyncEngine
    """The same connections, without transactions."""
    _sessions: async_sessionmaker[AsyncSession]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed when the block ends, and rolled back when it raises."""
        async with self._sessions() as session:
            yield session
            await session.commit()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that is never committed."""
        async with self._sessions() as session:
            yield session

    async def at_once(self, statement: TextClause, values: dict[str, Any]) -> Sequence[Row[Any]]:
        """The rows of one statement, which is a transaction by itself: one round trip where a session needs three."""
        async with self._at_once.connect() as connection:
            return (await connection.execute(statement, values)).all()

    async def fetch(self, statement: str, *values: object) -> Sequence[Sequence[Any]]:
        """The same for a statement with $1, $2 …, by the driver alone: without SQLAlchemy's cursor it takes half the time.

        Raises the driver's errors, for a lost connection DBAPIError.
        """
        async with self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                rows: Sequence[Sequence[Any]] = await driver.fetch(statement, *values)
            except Exception as error:
                if driver.is_closed():
                    raise DBAPIError(None, None, error, connection_invalidated=True) from error
                raise
            return rows

    async def one_by_one(self, job: str, keys: Iterable[K], act: Callable[[AsyncSession, K], Awaitable[int]]) -> int:
        """Act on each in a transaction of its own; the sum of what the acts return.

        One that fails is logged with the job's name and stops no other; only a lost connection ends all.
        """
        done = 0
        for key in keys:
            try:
                async with self.transaction() as session:
                    done += await act(session, key)
            except DomainError as refused:
                _log.warning("jobs.item_refused", job=job, district=self.code, row=str(key), code=refused.code)
            except Exception as failed:
                if isinstance(failed, DBAPIError) and failed.connection_invalidated:
                    raise
                _log.exception("jobs.item_failed", job=job, district=self.code, row=str(key))
        return done

    @property
    def engine(self) -> AsyncEngine:
        """For listeners that need a connection of their own."""
        return self._engine


class Database:
    """Engines by district for one role's address; `public` for what is above districts."""

    def __init__(self, url: str, pool_size: int = 16) -> None:
        self._url = url
        self._pool_size = pool_size
        self._engines: dict[str, AsyncEngine] = {}
        self._districts: dict[str, District] = {}

    def district(self, code: str) -> District:
        """The handle on a district; it does not ask whether the schema exists: a session there would fail closed."""
        if code not in self._districts:
            engine = self._engine(schema_of(code))
            at_once = engine.execution_options(isolation_level="AUTOCOMMIT")
            self._districts[code] = District(code, engine, at_once, _sessions(engine, code))
        return self._districts[code]

    @asynccontextmanager
    async def public(self) -> AsyncIterator[AsyncSession]:
        """A session on the tables above districts, committed at its end."""
        async with _sessions(self._engine("public"), "")() as session:
            yield session
            await session.commit()

    async def aclose(self) -> None:
        """Give every connection back."""
        for engine in self._engines.values():
            await engine.dispose()
        self._engines.clear()
        self._districts.clear()

    def _engine(self, schema: str) -> AsyncEngine:
        if schema not in self._engines:
            # No overflow: a connection that is dropped after its use was opened, and its plans were made, for nothing.
            self._engines[schema] = create_async_engine(
                self._url,
                pool_size=self._pool_size,
                max_overflow=0,
                hide_parameters=True,
                connect_args={"server_settings": {"search_path": schema, "timezone": "UTC", "plan_cache_mode": "force_generic_plan"}},
            )
            _drop_lost_connections(self._engines[schema])
        return self._engines[schema]


def _drop_lost_connections(engine: AsyncEngine) -> None:
    """Replace connections that the server has closed as they leave the pool; ask only those that stood idle for long.

    A closed socket is known without asking. `pool_pre_ping` would cost three round trips before every use.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def remember(connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def examine(connection: Any, record: Any, fairy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("closed by the server")
        if time.monotonic() - record.info.get("idle_since", time.monotonic()) > _ASKED_AFTER_SECONDS:
            try:
                connection.ping()
            except Exception as error:
                raise DisconnectionError("no longer answers") from error


def _sessions(engine: AsyncEngine, district: str) -> async_sessionmaker[AsyncSession]:
    info: dict[str, Any] = {"district": district}
    return async_sessionmaker(engine, expire_on_commit=False, info=info)


def district_of(session: AsyncSession) -> str:
    """The code of the district that a session is in."""
    code: str = session.info["district"]
    return code
