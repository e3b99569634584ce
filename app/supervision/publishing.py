"""公示: what parents may know about an institution beyond its entry, counted by a job so that showing it costs one row.

Counted over the last half year: the coverage of its prepaid money (as supervision computes it), how long its refunds took and how
many are not paid yet, how many of its lessons were disputed, how many of its class sessions were called off or moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.db import District
from app.supervision import queries
from app.supervision.coverage import COVERED_BPS
from app.supervision.models import PublishedFacts

WINDOW = timedelta(days=182)
RECOUNTED_AFTER = timedelta(hours=1)
BATCH = 100
"""Institutions that one call counts."""
ENOUGH = 20
"""Of fewer lessons or class sessions no rate is told: one bad day would be most of it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told. Rates are in basis points, None where there is too little to tell; times are UTC."""

    coverage_bps: int | None
    coverage_at: datetime | None
    refunds: int
    refunds_unpaid: int
    refund_median_hours: int | None
    dispute_bps: int | None
    rearranged_bps: int | None
    counted_at: datetime


# A shortfall that appeared, grew, shrank or ended since then does not wait for its hour.
_DUE = text("""
    SELECT p.institution_id FROM published_facts p
    WHERE p.counted_at <= :before OR EXISTS (
        SELECT FROM ledger_account a WHERE a.book_id = p.institution_id AND a.code = 'shortfall' AND a.changed_at > p.counted_at)
    ORDER BY p.counted_at LIMIT :limit
""")
_NEW = text("""
    SELECT i.id FROM institution i WHERE NOT EXISTS (SELECT FROM published_facts p WHERE p.institution_id = i.id)
    ORDER BY i.id LIMIT :limit
""")
_REFUNDS = text("""
    SELECT r.institution_id, count(*) AS refunds,
        ceil(extract(epoch FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY o.ended_at - r.approved_at)) / 3600)::int AS refund_median_hours
    FROM refund r JOIN instruction o ON o.reference = r.refund_no
    WHERE r.institution_id = ANY (CAST(:institutions AS uuid[])) AND r.approved_at >= :since AND o.status = 'settled'
    GROUP BY r.institution_id
""")
# Without an instruction one waits for the institution's funds; whose instruction failed has given its lessons back, and is none.
_UNPAID = text("""
    SELECT institution_id, count(*) AS refunds_unpaid FROM (
        SELECT institution_id FROM refund WHERE institution_id = ANY (CAST(:institutions AS uuid[])) AND funded_at IS NULL
        UNION ALL
        SELECT r.institution_id FROM instruction o JOIN refund r ON r.refund_no = o.reference
        WHERE o.book_id = ANY (CAST(:institutions AS uuid[])) AND o.purpose = 'refund'
            AND o.unreserved_at IS NULL AND o.status IN ('drafted', 'held', 'cleared', 'submitted', 'unknown')
    ) AS waiting GROUP BY institution_id
""")
# A class that was refused was never announced; its cancelled meetings count as nothing.
_TAUGHT = text("""
    WITH disputed AS MATERIALIZED (
        SELECT l.class_session_id, count(DISTINCT l.id) AS lessons FROM dispute d JOIN lesson l ON l.id = d.lesson_id
        WHERE d.institution_id = ANY (CAST(:institutions AS uuid[])) AND d.opened_at >= :since GROUP BY l.class_session_id
    ), moved AS MATERIALIZED (
        SELECT DISTINCT v.class_session_id FROM class_session_change v
        WHERE v.institution_id = ANY (CAST(:institutions AS uuid[])) AND (v.kind = 'replaced' OR v.new_starts_at <> v.old_starts_at)
    )
    SELECT s.institution_id, count(*) AS class_sessions, count(*) FILTER (WHERE s.status = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE s.status <> 'cancelled' AND moved.class_session_id IS NOT NULL) AS moved,
        coalesce(sum(s.attended), 0) AS lessons, coalesce(sum(disputed.lessons), 0) AS disputes
    FROM class_session s
    JOIN training_class c ON c.id = s.class_id AND c.status IN ('opened', 'closed')
    LEFT JOIN disputed ON disputed.class_session_id = s.id
    LEFT JOIN moved ON moved.class_session_id = s.id
    WHERE s.institution_id = ANY (CAST(:institutions AS uuid[])) AND s.starts_at >= :since AND s.starts_at < :now
    GROUP BY s.institution_id
""")
_NOTHING = {
    "refunds": 0,
    "refunds_unpaid": 0,
    "refund_median_hours": None,
    "class_sessions": 0,
    "cancelled": 0,
    "moved": 0,
    "lessons": 0,
    "disputes": 0,
}


async def publish(district: District) -> int:
    """Count what never was counted, and anew what was counted more than an hour ago or before its shortfall changed; how many
    institutions, at most a hundred.
    """
    async with district.reading() as session:
        chosen = list(await session.scalars(_NEW, {"limit": BATCH}))
        chosen += await session.scalars(_DUE, {"before": clock.now() - RECOUNTED_AFTER, "limit": BATCH - len(chosen)})
    if chosen:
        async with district.transaction() as session:
            await count(session, chosen)
    return len(chosen)


async def correct(session: AsyncSession, coverage: Mapping[UUID, int | None]) -> None:
    """Count those at once whose coverage (bps) is whole now and is told as less, or the other way round."""
    told = select(PublishedFacts.institution_id, PublishedFacts.coverage_bps).where(PublishedFacts.institution_id.in_(coverage))
    crossed = [each for each, told_bps in await session.execute(told) if _short(told_bps) != _short(coverage[each])]
    if crossed:
        await count(session, crossed)


async def count(session: AsyncSession, institution_ids: Sequence[UUID]) -> None:
    """Count these institutions' facts now."""
    now = clock.now()
    since = {"institutions": list(institution_ids), "since": now - WINDOW, "now": now}
    found = {
        view.id: {
            "institution_id": view.id,
            "coverage_bps": view.money.coverage_bps,
            "coverage_at": view.money.reported_at if view.money.coverage_bps is not None else None,
            "counted_at": now,
            **_NOTHING,
        }
        for view in await queries.institutions_of(session, institution_ids)
    }
    for counted in (_REFUNDS, _UNPAID, _TAUGHT):
        for row in await session.execute(counted, since):
            found[row.institution_id] |= row._mapping
    if found:
        await session.execute(_write(), [found[each] for each in sorted(found)])


@cache
def _write() -> Insert:
    """The same statement for however many rows, so that it is compiled once."""
    written = insert(PublishedFacts)
    counts = {column.name: written.excluded[column.name] for column in PublishedFacts.__table__.columns if not column.primary_key}
    return written.on_conflict_do_update(index_elements=[PublishedFacts.institution_id], set_=counts)


async def facts_of(session: AsyncSession, institution_id: UUID) -> Facts | None:
    """What was counted last about an institution, None before the first time."""
    row = await session.get(PublishedFacts, institution_id)
    if row is None:
        return None
    return Facts(
        coverage_bps=row.coverage_bps,
        coverage_at=row.coverage_at,
        refunds=row.refunds,
        refunds_unpaid=row.refunds_unpaid,
        refund_median_hours=row.refund_median_hours,
        dispute_bps=_rate(row.disputes, row.lessons),
        rearranged_bps=_rate(row.cancelled + row.moved, row.class_sessions),
        counted_at=row.counted_at,
    )


def _short(coverage_bps: int | None) -> bool:
    return coverage_bps is not None and coverage_bps < COVERED_BPS


def _rate(part: int, whole: int) -> int | None:
    return part * 10_000 // whole if whole >= ENOUGH else None
