"""Settlement over a whole district, and payouts that a bank did not pay out."""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.banking import service as banking
from app.banking.models import Instruction
from app.db import District, fixed
from app.errors import Refused
from app.ledger.codes import SHORTFALL
from app.ledger.models import LedgerAccount
from app.lessons.models import Release
from app.registry.models import Institution
from app.security import SYSTEM
from app.settlement import service
from app.settlement.models import Payout, PayoutLine

_BATCH = 100
_log = structlog.get_logger()


async def run_district(district: District, business_on: date, run_no: int, actor: str = SYSTEM) -> list[Payout]:
    """Settle every approved institution, many in one transaction; return the run's payouts. Any other only makes its shortfall good.

    An institution that is refused (suspended meanwhile, say) is logged, settled by no row, and stops no other. One whose book lacks
    something pays nothing out.
    Raises BadInput as `service.run` does.
    """
    payouts: list[Payout] = []
    async for batch in _batches(district, Institution.status == "approved"):
        payouts += await _settle(district, batch, business_on, run_no, actor)
    short = exists().where(LedgerAccount.book_id == Institution.id, LedgerAccount.code == SHORTFALL, LedgerAccount.balance_fen > 0)
    async for batch in _batches(district, Institution.status != "approved", short):
        async with district.transaction() as session:
            await service.make_good(session, batch, business_on, run_no, actor)
    return payouts


async def _batches(district: District, *criteria: ColumnElement[bool]) -> AsyncIterator[Sequence[UUID]]:
    """Institutions in the order of their ids."""
    chosen = select(Institution.id).where(*criteria).order_by(Institution.id).limit(_BATCH)
    after = chosen
    while True:
        async with district.reading() as session:
            batch = (await session.scalars(after)).all()
        if batch:
            yield batch
        if len(batch) < _BATCH:
            return
        after = chosen.where(Institution.id > batch[-1])


async def _settle(district: District, institution_ids: Sequence[UUID], business_on: date, run_no: int, actor: str) -> list[Payout]:
    try:
        async with district.transaction() as session:
            return await service.run_all(session, institution_ids, business_on, run_no, actor)
    except Refused as refusal:
        if len(institution_ids) > 1:
            return [payout for each in institution_ids for payout in await _settle(district, [each], business_on, run_no, actor)]
        _log.warning("settlement.run_refused", district=district.code, institution_id=str(institution_ids[0]), code=refusal.code)
        return []


async def free_unpaid(district: District) -> int:
    """Give the money of rejected and returned payouts back to payable, and their releases to the next run; return how many payouts.

    Each in its own transaction; one that fails is logged and stops no other.
    """
    async with district.reading() as session:
        ended = Instruction.status.in_((fixed("rejected"), fixed("returned"))) & Instruction.unreserved_at.is_(None)
        unpaid = (
            await session.scalars(
                select(Payout.id)
                .join(Instruction, Instruction.reference == Payout.payout_no)
                .where(Instruction.purpose == "payout", ended)
                .order_by(Instruction.id)
                .limit(_BATCH)
            )
        ).all()
    return await district.one_by_one("settlement.free_unpaid", unpaid, _free)


async def _free(session: AsyncSession, payout_id: UUID) -> bool:
    """Undo one payout; False where another worker did."""
    payout = await session.scalar(select(Payout).where(Payout.id == payout_id).with_for_update(key_share=True))
    assert payout is not None
    released = await session.scalars(
        update(PayoutLine).where(PayoutLine.payout_id == payout_id, PayoutLine.live).values(live=False).returning(PayoutLine.release_id)
    )
    if not released.all():
        return False
    await session.execute(update(Release).where(Release.payout_id == payout_id).values(payout_id=None))
    instruction_id = (await session.scalars(select(Instruction.id).where(Instruction.reference == payout.payout_no))).one()
    await banking.unreserve(session, [instruction_id], SYSTEM)
    return True
