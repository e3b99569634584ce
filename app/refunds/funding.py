"""What pays refunds of old stock (存量): cash of the book that belongs to no other family, in the order in which they were asked for.

Old stock came without cash, and stands against a shortfall. Whatever has been made good of that shortfall is there for old
families, and nothing else is: escrow of old stock less shortfall.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.banking.service import RepaymentOrder
from app.ledger import codes
from app.refunds.models import Refund
from app.security import SYSTEM

MOST_AT_ONCE = 200

# Per book with a refund that waits and has its payee: what was made good of its old stock and is not paid out yet.
_FUNDS = """
    SELECT w.institution_id, (
        coalesce((SELECT sum(a.balance_fen) FROM payment p
            JOIN ledger_account a ON a.book_id = p.institution_id AND a.code = 'escrow:' || p.id
            WHERE p.institution_id = w.institution_id AND p.old_stock), 0)
        - coalesce((SELECT a.balance_fen FROM ledger_account a WHERE a.book_id = w.institution_id AND a.code = 'shortfall'), 0)
    )::bigint AS fen, w.amount_fen AS next_fen
    FROM (
        SELECT DISTINCT ON (r.institution_id) r.institution_id, r.amount_fen FROM refund r
        WHERE r.funded_at IS NULL AND r.payee_id IS NOT NULL {chosen}
        ORDER BY r.institution_id, r.approved_at, r.id
    ) AS w
"""
_DUE = text(f"SELECT institution_id FROM ({_FUNDS.format(chosen='')}) AS f WHERE fen >= next_fen ORDER BY institution_id LIMIT :limit")  # noqa: S608
_OF_ONE = text(f"SELECT fen FROM ({_FUNDS.format(chosen='AND r.institution_id = :institution')}) AS f")  # noqa: S608


def covered(waiting: Sequence[int], funds_fen: int) -> int:
    """How many of the refunds (fen, the first asked for first) the funds cover; none overtakes one that they do not reach."""
    count = 0
    for amount_fen in waiting:
        if amount_fen > funds_fen:
            break
        funds_fen -= amount_fen
        count += 1
    return count


async def due(session: AsyncSession, limit: int) -> list[UUID]:
    """Institutions whose next waiting refund is covered."""
    return list(await session.scalars(_DUE, {"limit": limit}))


async def fund(session: AsyncSession, institution_id: UUID) -> int:
    """Reserve and instruct an institution's waiting refunds as far as its funds reach; how many."""
    await banking.lock_supervised(session, [institution_id])
    funds_fen = await session.scalar(_OF_ONE, {"institution": institution_id}) or 0
    waiting = (
        await session.scalars(
            select(Refund)
            .where(Refund.institution_id == institution_id, Refund.funded_at.is_(None), Refund.payee_id.is_not(None))
            .order_by(Refund.approved_at, Refund.id)
            .limit(MOST_AT_ONCE)
            .with_for_update(key_share=True)
        )
    ).all()
    paid = waiting[: covered([refund.amount_fen for refund in waiting], funds_fen)]
    orders = []
    for refund in paid:
        assert refund.payee_id is not None
        source = codes.escrow(refund.payment_id)
        orders.append(RepaymentOrder(refund.refund_no, institution_id, refund.payee_id, source, refund.amount_fen))
        refund.funded_at = clock.now()
    await banking.instruct_refunds(session, orders, SYSTEM)
    return len(paid)
