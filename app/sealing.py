"""Which columns hold sealed personal data, and whether the keys in use open them.

A column `x_enc` of table `t` is sealed for the place `t.x:<id>`, so that a value moved to another row or column opens nowhere.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.settings import Settings

SEALED: dict[str, tuple[str, ...]] = {
    "bank_movement": ("counterparty_enc",),
    "bulk_part": ("rows_enc",),
    "contract_document": ("parties_enc",),
    "guardian": ("phone_enc",),
    "institution": ("contact_name_enc", "contact_phone_enc"),
    "institution_application": ("contact_name_enc", "contact_phone_enc"),
    "payee": ("account_enc",),
    "student": ("name_enc", "birth_month_enc"),
}
"""Every sealed column, by table; each of these tables has a UUID `id`."""
INDEXED = {"guardian": "phone_index"}
"""The blind index that stands beside a table's first sealed column."""


def place(table: str, column: str, row_id: UUID) -> str:
    """Where a sealed column's value belongs: `place("student", "name_enc", id)` is `student.name:<id>`."""
    return f"{table}.{column.removesuffix('_enc')}:{row_id}"


def seal(plain: str, table: str, column: str, row_id: UUID) -> bytes:
    """A text sealed for its column and row."""
    return crypto.seal(plain, place(table, column, row_id))


def unseal(sealed: bytes, table: str, column: str, row_id: UUID) -> str:
    """The text of a sealed column. Raises crypto.Unreadable."""
    return crypto.unseal(sealed, place(table, column, row_id))


async def keys_fit(session: AsyncSession, configured: Settings) -> bool:
    """Whether these settings open what the district holds: of each table its first row, its last one, and the one where a rotation stands.

    With other keys, new rows would be sealed that the right ones never open.
    """
    for table, sealed in SEALED.items():
        columns = await _present(session, table, (*sealed, *((INDEXED[table],) if table in INDEXED else ())))
        if not columns:
            continue
        rows = [*await _probe(session, table, columns, "id"), *await _probe(session, table, columns, "id DESC")]
        for last_id in await _standing(session, table):
            rows += await _probe(session, table, columns, "id", last_id)
        if not all(_fits(configured, table, row) for row in rows):
            return False
    return True


def _fits(configured: Settings, table: str, row: Row[Any]) -> bool:
    for column in set(SEALED[table]) & set(row._fields):
        sealed = getattr(row, column)
        if sealed is not None and not crypto.opens(configured, sealed, place(table, column, row.id)):
            return False
    index = getattr(row, INDEXED[table], None) if table in INDEXED else None
    first = SEALED[table][0]
    return index is None or crypto.finds(configured, index, getattr(row, first), place(table, first, row.id))


async def _present(session: AsyncSession, table: str, columns: Iterable[str]) -> list[str]:
    """Those columns that the schema has: at start it may still wait for its migrations."""
    query = text("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attname = ANY (CAST(:columns AS text[]))")
    return list(await session.scalars(query, {"table": table, "columns": list(columns)}))


async def _probe(session: AsyncSession, table: str, columns: list[str], order: str, after: UUID | None = None) -> Sequence[Row[Any]]:
    holds = " OR ".join(f"{column} IS NOT NULL" for column in columns)
    following = "" if after is None else "AND id > :after"
    query = text(f"SELECT id, {', '.join(columns)} FROM {table} WHERE ({holds}) {following} ORDER BY {order} LIMIT 1")  # noqa: S608
    return (await session.execute(query, {} if after is None else {"after": after})).all()


async def _standing(session: AsyncSession, table: str) -> list[UUID]:
    """The last rows that unfinished rotations have passed: what follows is still under the former key."""
    if not await _present(session, "key_rotation", ["last_id"]):
        return []
    query = text("SELECT last_id FROM key_rotation WHERE sealed_table = :table AND finished_at IS NULL AND last_id IS NOT NULL")
    return list(await session.scalars(query, {"table": table}))
