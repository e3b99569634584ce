"""Bringing everything that is sealed under another key, while the service runs. The command is `app.cli rotate-keys`."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock, crypto
from app.db import Base, District
from app.sealing import INDEXED, SEALED, place

BATCH = 500
"""Rows that one transaction locks: some tens of milliseconds."""
MOST_ROUNDS = 5
"""How often a table is walked again because a process that was not restarted still seals with a former key."""

Values = tuple[bytes | None, ...]


class Unopened(Exception):
    """A row that none of the keys opens, or that was altered. Its id is no personal data."""

    def __init__(self, table: str, row_id: UUID) -> None:
        super().__init__(f"{table} {row_id}")


class StillWritten(Exception):
    """Somebody keeps sealing with a former key: a process that was started before the keys were changed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a table is: rows walked, of all rows, and how many of them were sealed or indexed anew."""

    table: str
    walked: int
    rows: int
    resealed: int


class KeyRotation(Base):
    """How far a table has come under a pair of keys; kept, so that an interrupted rotation goes on where it stopped."""

    __tablename__ = "key_rotation"
    __table_args__ = (Check("length(keys) = 8", name="keys"), Check("walked >= 0 AND resealed >= 0", name="counts"))

    sealed_table: Mapped[str] = mapped_column(primary_key=True)
    keys: Mapped[bytes] = mapped_column(primary_key=True)
    """The ids of the data key and of the index key."""
    last_id: Mapped[UUID | None]
    """The last row that was walked; empty before the first."""
    walked: Mapped[int]
    resealed: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


async def rotate(district: District, table: str) -> AsyncIterator[Progress]:
    """Seal a table's columns with the present key, a batch to a transaction, and index them with the present index key.

    Needs the owner's connection: what a bank said, the serving role may not rewrite. What is written meanwhile is taken along;
    running it again, or beside itself, changes nothing. Raises Unopened, StillWritten.
    """
    async with district.reading() as session:
        rows = int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608
    for _ in range(MOST_ROUNDS):
        more = True
        while more:
            async with district.transaction() as session:
                state = await _state(session, table)
                more = await _walk(session, state)
            yield Progress(table, state.walked, max(rows, state.walked), state.resealed)
        async with district.transaction() as session:
            state = await _state(session, table)
            if not await sealed_otherwise(session, table):
                state.finished_at = clock.now()
                return
            state.last_id, state.walked = None, 0
    raise StillWritten(table)


async def sealed_otherwise(session: AsyncSession, table: str) -> int:
    """How many rows of a table hold a column that is sealed with another key than the present one."""
    other = " OR ".join(f"substring({column} FROM 2 FOR 4) <> :present" for column in SEALED[table])
    query = text(f"SELECT count(*) FROM {table} WHERE {other}")  # noqa: S608
    return int(await session.scalar(query, {"present": crypto.sealing_key_id()}) or 0)


async def _state(session: AsyncSession, table: str) -> KeyRotation:
    """Where the rotation stands, locked: a second one beside it takes turns with it."""
    keys = crypto.sealing_key_id() + crypto.index_key_id()
    fresh = insert(KeyRotation).values(sealed_table=table, keys=keys, walked=0, resealed=0, started_at=clock.now())
    await session.execute(fresh.on_conflict_do_nothing())
    return await session.get_one(KeyRotation, (table, keys), with_for_update=True, populate_existing=True)


async def _walk(session: AsyncSession, state: KeyRotation) -> bool:
    """The next batch; False once nothing follows it."""
    table = state.sealed_table
    columns = [*SEALED[table], *((INDEXED[table],) if table in INDEXED else ())]
    following = "" if state.last_id is None else "WHERE id > :after"
    query = text(f"SELECT id, {', '.join(columns)} FROM {table} {following} ORDER BY id LIMIT :batch FOR NO KEY UPDATE")  # noqa: S608
    rows = (await session.execute(query, {"batch": BATCH} | ({"after": state.last_id} if following else {}))).all()
    renewed = {row.id: new for row in rows if (new := _renewed(table, row)) != tuple(row)[1:]}
    if renewed:
        await _store(session, table, columns, renewed)
    if rows:
        state.last_id, state.walked, state.resealed = rows[-1].id, state.walked + len(rows), state.resealed + len(renewed)
        state.finished_at = None
        await session.flush()
    return len(rows) == BATCH


def _renewed(table: str, row: Row[Any]) -> Values:
    """The row's sealed columns, and its index where it has one, as they should be stored."""
    sealed: list[bytes | None] = [getattr(row, column) for column in SEALED[table]]
    places = [place(table, column, row.id) for column in SEALED[table]]
    try:
        new = [None if each is None else crypto.resealed(each, where) for each, where in zip(sealed, places, strict=True)]
        if table in INDEXED:
            new.append(None if sealed[0] is None else crypto.phone_index(crypto.unseal(sealed[0], places[0])))
    except crypto.Unreadable as unreadable:
        raise Unopened(table, row.id) from unreadable
    return tuple(new)


async def _store(session: AsyncSession, table: str, columns: Sequence[str], renewed: dict[UUID, Values]) -> None:
    arrays = ", ".join(f"CAST(:{column} AS bytea[])" for column in columns)
    assigned = ", ".join(f"{column} = renewed.{column}" for column in columns)
    query = text(
        f"UPDATE {table} SET {assigned} FROM unnest(CAST(:ids AS uuid[]), {arrays}) AS renewed (id, {', '.join(columns)})"  # noqa: S608
        f" WHERE {table}.id = renewed.id"
    )
    by_column = zip(columns, zip(*renewed.values(), strict=True), strict=True)
    await session.execute(query, {"ids": list(renewed), **{column: list(values) for column, values in by_column}})
