"""The settlement run: what is final and unpaid becomes one payout per institution, waiting for supervision."""

from collections.abc import Collection, Mapping
from datetime import date
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.banking.service import PayoutOrder
from app.db import district_of
from app.errors import BadInput, NotFound, Refused
from app.ids import number, uuid7
from app.ledger import service as ledger
from app.registry.models import Institution
from app.settlement import making_good, tranches
from app.settlement.models import Payout, SettlementRun

LAST_RUN_NO = 999

_BEGIN = text("""
    INSERT INTO settlement_run (id, institution_id, business_on, run_no, created_at)
    SELECT begun.id, begun.institution_id, :business_on, :run_no, :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:institutions AS uuid[])) AS begun (id, institution_id) ORDER BY begun.institution_id
    ON CONFLICT (business_on, run_no, institution_id) DO NOTHING
    RETURNING id, institution_id
""")
_MARK = text("""
    WITH due AS (
        SELECT release.id, drafted.payout_id
        FROM unnest(CAST(:institutions AS uuid[]), CAST(:payouts AS uuid[])) AS drafted (institution_id, payout_id)
        JOIN release ON release.institution_id = drafted.institution_id
            AND release.payout_id IS NULL AND release.reversed_at IS NULL AND release.made_good_fen < release.amount_fen
            AND release.final_at <= :now AND release.id <> ALL (CAST(:kept AS uuid[]))
        ORDER BY release.id FOR NO KEY UPDATE OF release
    ), marked AS (
        UPDATE release SET payout_id = due.payout_id FROM due WHERE release.id = due.id
        RETURNING release.payout_id, release.amount_fen - release.made_good_fen AS amount_fen
    )
    SELECT payout_id, sum(amount_fen)::bigint AS amount_fen FROM marked GROUP BY payout_id
""")
_LIST = text("""
    INSERT INTO payout_line (payout_id, release_id, amount_fen, live)
    SELECT payout_id, id, amount_fen - made_good_fen, true FROM release WHERE payout_id = ANY (CAST(:payouts AS uuid[]))
""")


async def run(session: AsyncSession, institution_id: UUID, business_on: date, run_no: int, actor: str) -> Payout | None:
    """Draft one payout out of the institution's final, unpaid releases, and reserve its money; None where there are none.

    Where the book has a shortfall, they make that good first; fees of old stock wait for their tranche.
    The same institution, business date and run number again answers what the first one drafted. Raises BadInput
    "settlement.future_date" or "settlement.run_no", NotFound "settlement.institution_not_found", Refused
    "settlement.institution_not_approved", and banking's refusals, after which the run may be repeated.
    """
    payouts = await run_all(session, [institution_id], business_on, run_no, actor)
    return payouts[0] if payouts else None


async def run_all(session: AsyncSession, institution_ids: Collection[UUID], business_on: date, run_no: int, actor: str) -> list[Payout]:
    """The same for several institutions, each once, all or none: their payouts by institution."""
    _check(business_on, run_no)
    institutions = (await session.scalars(select(Institution).where(Institution.id.in_(institution_ids)))).all()
    if len(institutions) < len(institution_ids):
        raise NotFound("settlement.institution_not_found", "没有这家机构")
    if any(institution.status != "approved" for institution in institutions):
        raise Refused("settlement.institution_not_approved", "机构不在正常状态，暂不结算")
    await _draft(session, await _begin(session, institution_ids, business_on, run_no), actor)
    drafted = select(Payout).join(SettlementRun, SettlementRun.id == Payout.run_id)
    of_this_run = (
        SettlementRun.institution_id.in_(institution_ids),
        SettlementRun.business_on == business_on,
        SettlementRun.run_no == run_no,
    )
    return list(await session.scalars(drafted.where(*of_this_run).order_by(SettlementRun.institution_id)))


async def make_good(session: AsyncSession, institution_ids: Collection[UUID], business_on: date, run_no: int, actor: str) -> None:
    """Let institutions that are paid nothing, suspended or closed, make their shortfalls good from what they have earned.

    The same institution, business date and run number again takes nothing. Raises BadInput as `run` does.
    """
    _check(business_on, run_no)
    made_good = await making_good.make_good(session, await _begin(session, institution_ids, business_on, run_no), clock.now())
    await ledger.post(session, made_good.postings, posted_by=actor)


def _check(business_on: date, run_no: int) -> None:
    if business_on > clock.today():
        raise BadInput("settlement.future_date", "结算日期不能晚于今天", field="business_date")
    if not 1 <= run_no <= LAST_RUN_NO:
        raise BadInput("settlement.run_no", f"结算批次号须在 1 至 {LAST_RUN_NO} 之间", field="run_no")


async def _begin(session: AsyncSession, institution_ids: Collection[UUID], business_on: date, run_no: int) -> dict[UUID, UUID]:
    """The runs that these institutions have not had, by institution."""
    key = {"business_on": business_on, "run_no": run_no}
    begun = {"ids": [uuid7() for _ in institution_ids], "institutions": list(institution_ids), "now": clock.now()}
    return {row.institution_id: row.id for row in await session.execute(_BEGIN, key | begun)}


async def _draft(session: AsyncSession, runs: Mapping[UUID, UUID], actor: str) -> None:
    """A payout for each of these runs, by institution, that finds anything to pay."""
    now = clock.now()
    made_good = await making_good.make_good(session, runs, now)
    paying = [institution_id for institution_id in runs if institution_id not in made_good.lacking]
    kept = await tranches.kept(session, paying, clock.today())
    chosen = {"institutions": paying, "payouts": [uuid7() for _ in paying]}
    institutions = dict(zip(chosen["payouts"], paying, strict=True))
    marked = sorted((row.payout_id, row.amount_fen) for row in await session.execute(_MARK, {**chosen, "kept": kept, "now": now}))
    if not marked:
        await ledger.post(session, made_good.postings, posted_by=actor)
        return
    orders = [PayoutOrder(number("T", district_of(session)), institutions[payout_id], amount_fen) for payout_id, amount_fen in marked]
    instructed = await banking.instruct_payouts(session, orders, actor, first=made_good.postings)
    session.add_all(
        Payout(
            id=payout_id,
            payout_no=instruction.reference,
            run_id=runs[instruction.book_id],
            institution_id=instruction.book_id,
            amount_fen=instruction.amount_fen,
            drafted_at=now,
        )
        for (payout_id, _), instruction in zip(marked, instructed, strict=True)
    )
    await session.flush()
    await session.execute(_LIST, {"payouts": [payout_id for payout_id, _ in marked]})
