"""缺口: the institutions whose book lacks money that somebody has to make good."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

MOST = 100
"""Institutions that are told at once."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What an institution's book lacks, in fen, and since when without a break; of old stock (存量) that is its recognition."""

    institution_id: UUID
    institution_name: str
    amount_fen: int
    since_at: datetime


# The shortfall began with the last transfer that raised it from nothing.
_SHORT = text("""
    SELECT i.id AS institution_id, i.name AS institution_name, a.balance_fen AS amount_fen, began.occurred_at AS since_at
    FROM institution i
    JOIN ledger_account a ON a.book_id = i.id AND a.code = 'shortfall' AND a.balance_fen > 0
    CROSS JOIN LATERAL (
        SELECT t.occurred_at FROM transfer t WHERE t.debit = a.id AND t.debit_balance_fen = t.amount_fen
        ORDER BY t.recorded_at DESC, t.debit_version DESC LIMIT 1
    ) AS began
    ORDER BY a.balance_fen DESC, i.id LIMIT :limit
""")


async def shortfalls(session: AsyncSession) -> list[Shortfall]:
    """The institutions that have one, the largest first, at most a hundred."""
    return [Shortfall(**row._mapping) for row in await session.execute(_SHORT, {"limit": MOST})]
