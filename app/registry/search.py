"""What a search looks through: one row for each institution and for each class that takes pupils now, kept up after every change."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Integer, Row, delete, insert, or_, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.db import Base, District
from app.policy.catalogue import KINDS
from app.registry.folding import grams_of, lines_of
from app.registry.models import Institution, TrainingClass

MODES = ("onsite", "online")
PARTS_A_DAY = 3
BATCH = 500
"""Changes that one transaction works off."""
MOST_BATCHES = 20


class InstitutionSearch(Base):
    """An institution, whatever its standing: who doubts one looks for it.

    `names` and `places` are folded fields, `marks` their grams and its properties.
    """

    __tablename__ = "institution_search"
    __table_args__ = (Index(None, "marks", postgresql_using="gin", postgresql_with={"fastupdate": False}),)

    institution_id: Mapped[UUID] = mapped_column(ForeignKey(Institution.id), primary_key=True)
    names: Mapped[str]
    places: Mapped[str]
    marks: Mapped[list[int]] = mapped_column(ARRAY(Integer))


class ClassSearch(Base):
    """A class that a search may find, until its last class session starts."""

    __tablename__ = "class_search"
    __table_args__ = (
        Index(None, "institution_id"),
        Index(None, "open_until"),
        Index(None, "marks", postgresql_using="gin", postgresql_with={"fastupdate": False}),
    )

    class_id: Mapped[UUID] = mapped_column(ForeignKey(TrainingClass.id), primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey(Institution.id))
    price_fen: Mapped[int]
    hours: Mapped[int] = mapped_column(Integer)
    """When it usually meets: bits of 3 × weekday (Monday is 0) + part of the day (before 12, before 18, later), by Shanghai's clock."""
    open_until: Mapped[datetime]
    names: Mapped[str]
    places: Mapped[str]
    marks: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    entry: Mapped[str]
    """What a list shows of it, as a JSON object."""


class SearchDue(Base):
    """What changed and is not searched by yet: a class, or an institution with all its classes. Triggers write it."""

    __tablename__ = "search_due"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    institution_id: Mapped[UUID]
    class_id: Mapped[UUID | None]


def kind_mark(kind: str) -> int:
    """The mark of an institution's kind. Marks of properties stand below every gram: no letter has so low a number."""
    return _mark(1, KINDS.index(kind))


def mode_mark(mode: str) -> int:
    """The mark of how a class meets."""
    return _mark(2, MODES.index(mode))


def hour_mark(weekday: int | None, part: int | None) -> int:
    """The mark of a weekday (Monday is 0) and a part of the day, or of either alone."""
    return _mark(3, (0 if weekday is None else weekday + 1) << 4 | (0 if part is None else part + 1))


def _mark(sort: int, number: int) -> int:
    return sort << 16 | number


# One at a time in a district, so that an older look at a row never overwrites a newer one.
_ALONE = text("SELECT pg_try_advisory_xact_lock(hashtext('search'), hashtext(current_schema()))")
_TAKE = text("""
    DELETE FROM search_due WHERE id IN (SELECT id FROM search_due ORDER BY id LIMIT :limit) RETURNING institution_id, class_id
""")
_INSTITUTIONS = text("""
    SELECT i.id AS institution_id, i.kind, i.name, ARRAY(
        SELECT i.address UNION SELECT m.address FROM campus m WHERE m.institution_id = i.id AND m.closed_at IS NULL
    ) AS addresses
    FROM institution i
    WHERE i.id = ANY (CAST(:institutions AS uuid[]))
""")
# An hour counts where the class meets regularly: in that part of the day one session in eight at least, and on that weekday a quarter as
# often as on its commonest. So a single make-up lesson is none, and each day of a class that meets every third one is.
_CLASSES = text("""
    SELECT c.id AS class_id, c.institution_id, i.kind, c.mode, c.price_fen, c.name, c.subject, i.name AS institution_name,
        t.name AS teacher_name, CASE c.mode WHEN 'onsite' THEN coalesce(m.address, i.address) ELSE '' END AS address, s.open_until, s.hours,
        CAST(json_build_object(
            'id', c.id, 'institution_id', c.institution_id, 'institution_name', i.name, 'kind', i.kind, 'mode', c.mode, 'name', c.name,
            'subject', c.subject, 'teacher_name', t.name, 'price_fen', c.price_fen, 'lesson_count', c.lesson_count, 'seats', c.seats,
            'starts_on', c.starts_on, 'ends_on', c.ends_on, 'hours', s.hours
        ) AS text) AS entry
    FROM training_class c
    JOIN institution i ON i.id = c.institution_id
    JOIN teacher t ON t.id = c.teacher_id
    LEFT JOIN campus m ON m.id = c.campus_id
    CROSS JOIN LATERAL (
        SELECT max(last_at) AS open_until,
            coalesce(bit_or(1 << hour) FILTER (WHERE in_part * 8 >= total AND on_weekday * 4 >= commonest), bit_or(1 << hour)) AS hours
        FROM (SELECT *, max(on_weekday) OVER () AS commonest FROM (
            SELECT hour, sum(count(*)) OVER (PARTITION BY hour / 3) AS on_weekday, sum(count(*)) OVER (PARTITION BY hour % 3) AS in_part,
                sum(count(*)) OVER () AS total, max(starts_at) AS last_at
            FROM (
                SELECT starts_at, CAST(extract(isodow FROM local) AS int) * 3 - 3
                    + CASE WHEN extract(hour FROM local) < 12 THEN 0 WHEN extract(hour FROM local) < 18 THEN 1 ELSE 2 END AS hour
                FROM (
                    SELECT starts_at, starts_at AT TIME ZONE 'Asia/Shanghai' AS local
                    FROM class_session WHERE class_id = c.id AND status <> 'cancelled'
                ) AS meeting
            ) AS placed
            GROUP BY hour
        ) AS counted) AS compared
    ) AS s
    WHERE (c.institution_id = ANY (CAST(:institutions AS uuid[])) OR c.id = ANY (CAST(:classes AS uuid[])))
        AND c.status = 'opened' AND s.open_until > :now
        AND i.status = 'approved' AND i.listing IS DISTINCT FROM 'black' AND i.sales_paused_at IS NULL
""")


async def keep_up(district: District) -> int:
    """Bring the rows that searches look through up to date with what changed; how many changes were worked off."""
    done = 0
    for _ in range(MOST_BATCHES):
        async with district.transaction() as session:
            if not await session.scalar(_ALONE):
                break
            await session.execute(delete(ClassSearch).where(ClassSearch.open_until <= clock.now()))
            taken = (await session.execute(_TAKE, {"limit": BATCH})).all()
            if taken:
                await _renew(session, taken)
        done += len(taken)
        if len(taken) < BATCH:
            break
    return done


async def _renew(session: AsyncSession, taken: Sequence[Row[Any]]) -> None:
    """Write the rows of the institutions that changed, with all their classes, and of the classes that changed by themselves."""
    institutions = sorted({row.institution_id for row in taken if row.class_id is None})
    classes = sorted({row.class_id for row in taken if row.class_id is not None})
    found = await session.execute(_INSTITUTIONS, {"institutions": institutions})
    await session.execute(delete(InstitutionSearch).where(InstitutionSearch.institution_id.in_(institutions)))
    await _write(session, InstitutionSearch, [_institution(row) for row in found])
    changed = {"institutions": institutions, "classes": classes, "now": clock.now()}
    open_classes = await session.execute(_CLASSES, changed)
    renewed = or_(ClassSearch.institution_id.in_(institutions), ClassSearch.class_id.in_(classes))
    await session.execute(delete(ClassSearch).where(renewed))
    await _write(session, ClassSearch, [_class(row) for row in open_classes])


async def _write(session: AsyncSession, table: type[Base], rows: list[dict[str, Any]]) -> None:
    if rows:
        await session.execute(insert(table), rows)


def _institution(row: Row[Any]) -> dict[str, Any]:
    return {"institution_id": row.institution_id} | _searched([row.name], row.addresses, {kind_mark(row.kind)})


def _class(row: Row[Any]) -> dict[str, Any]:
    names = [row.name, row.subject, row.institution_name, row.teacher_name]
    properties = {kind_mark(row.kind), mode_mark(row.mode), *_hour_marks(row.hours)}
    kept = ("class_id", "institution_id", "price_fen", "hours", "open_until", "entry")
    return {name: getattr(row, name) for name in kept} | _searched(names, [row.address], properties)


def _hour_marks(hours: int) -> set[int]:
    met = [divmod(hour, PARTS_A_DAY) for hour in range(7 * PARTS_A_DAY) if hours & 1 << hour]
    return {mark for day, part in met for mark in (hour_mark(day, part), hour_mark(day, None), hour_mark(None, part))}


def _searched(names: Sequence[str], addresses: Sequence[str], properties: set[int]) -> dict[str, Any]:
    lines = {"names": lines_of(names), "places": lines_of(addresses)}
    return lines | {"marks": sorted(grams_of(lines["names"]) | grams_of(lines["places"]) | properties)}
