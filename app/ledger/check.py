"""Every invariant of every slice, as SQL that names the rows that break it."""

import asyncio
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import District, district_of

_SLICES = Path(__file__).parent.parent
_HEAD = re.compile(r"^-- invariant: (\S+): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Invariant:
    """A sentence that is always true, and the query for the rows where it is not."""

    name: str
    sentence: str
    sql: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that breaks an invariant."""

    name: str
    sentence: str
    book_id: UUID | None
    row: str
    detail: str


@lru_cache
def invariants() -> tuple[Invariant, ...]:
    """All invariants, slice by slice. Each slice keeps its own in `invariants.sql`."""
    found = []
    for path in sorted(_SLICES.glob("*/invariants.sql")):
        parts = _HEAD.split(path.read_text("utf-8"))[1:]
        found += [Invariant(name, sentence, sql.strip()) for name, sentence, sql in zip(*[iter(parts)] * 3, strict=True)]
    return tuple(found)


async def check_books(session: AsyncSession, book_id: UUID | None = None) -> list[Finding]:
    """Hold every invariant against one book, or all. An empty list is a proof for this moment's snapshot."""
    await _look_at(session, book_id)
    return [finding for invariant in invariants() for finding in await _broken(session, invariant, book_id)]


async def check_side_by_side(district: District, book_id: UUID | None = None) -> list[Finding]:
    """The same in less time: two connections look at one snapshot, and each takes the next invariant that none has taken yet."""
    found: dict[str, list[Finding]] = {}
    left = iter(invariants())

    async def hold(session: AsyncSession) -> None:
        for invariant in left:
            found[invariant.name] = await _broken(session, invariant, book_id)

    async with district.reading() as one, district.reading() as other:
        await _look_at(one, book_id)
        await _look_at(other, book_id, await one.scalar(select(func.pg_export_snapshot())))
        async with asyncio.TaskGroup() as group:
            group.create_task(hold(one))
            group.create_task(hold(other))
    return [finding for invariant in invariants() for finding in found[invariant.name]]


async def _look_at(session: AsyncSession, book_id: UUID | None, snapshot: str | None = None) -> None:
    await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    if snapshot is not None:
        await session.execute(text(f"SET TRANSACTION SNAPSHOT '{snapshot}'"))
    # Plans for this very question: everything is read in order and shared among workers.
    await session.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    await session.execute(text("SET LOCAL work_mem = '128MB'"))
    if book_id is not None:
        # One book's rows lie among all others': each is found by its index, however few books there are to read past.
        await session.execute(text("SET LOCAL random_page_cost = 1.1"))


async def _broken(session: AsyncSession, invariant: Invariant, book_id: UUID | None) -> list[Finding]:
    rows = await session.execute(text(invariant.sql), {"book": book_id, "district": district_of(session)})
    return [Finding(invariant.name, invariant.sentence, row.book_id, row.row, row.detail) for row in rows]
