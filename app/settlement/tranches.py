"""Where a locality's pack releases old stock (存量) in tranches: which confirmed fees are not paid out yet.

From the guardian's confirmation a fee is owed to the institution, as any other; in custody it stays until its contract's tranche is
reached. Fees are paid out whole, in the order of confirmation, so a tranche is never exceeded.
"""

from collections.abc import Collection
from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import district_of
from app.policy.packs import pack_for
from app.settlement.rules import reached_fen

# What is no longer to be taught counts with what was confirmed: a contract whose rest was refunded has come to its end.
_GOING_ON = text("""
    SELECT p.id, p.amount_fen, count(*) AS lessons, count(*) FILTER (WHERE l.status = 'confirmed') AS confirmed
    FROM payment p JOIN lesson l ON l.payment_id = p.id
    WHERE p.institution_id = ANY (CAST(:institutions AS uuid[])) AND p.old_stock
    GROUP BY p.id
    HAVING bool_or(l.status IN ('scheduled', 'delivered', 'disputed'))
""")
_BEYOND = text("""
    SELECT r.id FROM (
        SELECT release.id, reached.fen, release.payout_id,
            sum(release.amount_fen) OVER (PARTITION BY release.payment_id ORDER BY release.id) AS upto_fen
        FROM unnest(CAST(:payments AS uuid[]), CAST(:reached AS bigint[])) AS reached (payment_id, fen)
        JOIN lesson ON lesson.payment_id = reached.payment_id
        JOIN release ON release.lesson_id = lesson.id AND release.reversed_at IS NULL
    ) AS r
    WHERE r.upto_fen > r.fen AND r.payout_id IS NULL
""")


async def kept(session: AsyncSession, institution_ids: Collection[UUID], on: date) -> list[UUID]:
    """Those releases of these institutions that wait for a tranche on a business date; none where the pack knows no tranches."""
    rule = pack_for(district_of(session), on).find("custody.old")
    if rule is None or not rule.binding:
        return []
    rows = (await session.execute(_GOING_ON, {"institutions": list(institution_ids)})).all()
    reached = {row.id: reached_fen(rule, row.amount_fen, row.lessons, row.confirmed) for row in rows}
    return list(await session.scalars(_BEYOND, {"payments": list(reached), "reached": list(reached.values())}))
