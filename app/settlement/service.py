"""The settlement run: what is final and unpaid becomes one payout per institution, waiting for supervision."""

from datetime import date
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.db import district_of
from app.errors import BadInput, NotFound, Refused
from app.ids import number, uuid7
from app.registry.models import Institution
from app.settlement.models import Payout, SettlementRun

LAST_RUN_NO = 999

_MARK = text("""
    WITH due AS (
        SELECT id FROM release
        WHERE institution_id = :institution AND payout_id IS NULL AND reversed_at IS NULL AND final_at <= :now
        ORDER BY id FOR NO KEY UPDATE
    ), marked AS (
        UPDATE release SET payout_id = :payout FROM due WHERE release.id = due.id RETURNING release.amount_fen
    )
    SELECT coalesce(sum(amount_fen), 0)::bigint FROM marked
""")
_LIST = text("""
    INSERT INTO payout_line (payout_id, release_id, amount_fen, live)
    SELECT payout_id, id, amount_fen, true FROM release WHERE payout_id = :payout
""")


async def run(session: AsyncSession, institution_id: UUID, business_on: date, run_no: int, actor: str) -> Payout | None:
    """Draft one payout out of the institution's final, unpaid releases, and reserve its money; None where there are none.

    The same institution, business date and run number again answers what the first one drafted. Raises BadInput
    "settlement.future_date" or "settlement.run_no", NotFound "settlement.institution_not_found", Refused
    "settlement.institution_not_approved", and banking's refusals, after which the run may be repeated.
    """
    if business_on > clock.today():
        raise BadInput("settlement.future_date", "结算日期不能晚于今天", field="business_date")
    if not 1 <= run_no <= LAST_RUN_NO:
        raise BadInput("settlement.run_no", f"结算批次号须在 1 至 {LAST_RUN_NO} 之间", field="run_no")
    institution = await session.get(Institution, institution_id)
    if institution is None:
        raise NotFound("settlement.institution_not_found", "没有这家机构")
    if institution.status != "approved":
        raise Refused("settlement.institution_not_approved", "机构不在正常状态，暂不结算")
    key = SettlementRun.institution_id, SettlementRun.business_on, SettlementRun.run_no
    run_id = await session.scalar(
        insert(SettlementRun)
        .values(id=uuid7(), institution_id=institution_id, business_on=business_on, run_no=run_no, created_at=clock.now())
        .on_conflict_do_nothing(index_elements=key)
        .returning(SettlementRun.id)
    )
    if run_id is not None:
        return await _draft(session, run_id, institution_id, actor)
    earlier = select(SettlementRun.id).where(tuple_(*key) == (institution_id, business_on, run_no))
    return await session.scalar(select(Payout).where(Payout.run_id == earlier.scalar_subquery()))


async def _draft(session: AsyncSession, run_id: UUID, institution_id: UUID, actor: str) -> Payout | None:
    payout_id, now = uuid7(), clock.now()
    amount_fen = await session.scalar(_MARK, {"institution": institution_id, "now": now, "payout": payout_id})
    if not amount_fen:
        return None
    instruction = await banking.instruct_payout(
        session, reference=number("T", district_of(session)), book_id=institution_id, amount_fen=amount_fen, posted_by=actor
    )
    payout = Payout(
        id=payout_id,
        payout_no=instruction.reference,
        run_id=run_id,
        institution_id=institution_id,
        amount_fen=amount_fen,
        drafted_at=now,
    )
    session.add(payout)
    await session.flush()
    await session.execute(_LIST, {"payout": payout_id})
    return payout
