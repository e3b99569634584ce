"""A shortfall is made good out of what the institution has earned before anything is paid out to it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.banking import service as banking
from app.ledger.codes import PAYABLE, SHORTFALL
from app.ledger.models import LedgerAccount
from app.ledger.service import Posting

# Before the bank accounts, as drafting locks them too.
_LOCK = text("""
    SELECT FROM release WHERE institution_id = ANY (CAST(:institutions AS uuid[])) AND payout_id IS NULL AND reversed_at IS NULL
        AND made_good_fen < amount_fen AND final_at <= :now
    ORDER BY id FOR NO KEY UPDATE
""")
# The oldest release gives first; the last one that is reached gives a part.
_TAKE = text("""
    WITH due AS (
        SELECT release.id, missing.run_id, missing.fen AS missing_fen, release.amount_fen - release.made_good_fen AS left_fen,
            sum(release.amount_fen - release.made_good_fen) OVER (PARTITION BY release.institution_id ORDER BY release.id) AS upto_fen
        FROM unnest(CAST(:institutions AS uuid[]), CAST(:runs AS uuid[]), CAST(:missing AS bigint[]))
            AS missing (institution_id, run_id, fen)
        JOIN release ON release.institution_id = missing.institution_id AND release.payout_id IS NULL AND release.reversed_at IS NULL
            AND release.made_good_fen < release.amount_fen AND release.final_at <= :now
    ), taken AS (
        SELECT id, run_id, least(left_fen, missing_fen - (upto_fen - left_fen))::bigint AS fen FROM due
        WHERE upto_fen - left_fen < missing_fen
    ), counted AS (
        UPDATE release SET made_good_fen = made_good_fen + taken.fen FROM taken WHERE release.id = taken.id
        RETURNING release.id, release.institution_id, taken.run_id, taken.fen
    ), listed AS (
        INSERT INTO made_good_line (run_id, release_id, amount_fen) SELECT run_id, id, fen FROM counted
    )
    SELECT institution_id, sum(fen)::bigint AS fen FROM counted GROUP BY institution_id ORDER BY institution_id
""")


@dataclass(frozen=True, slots=True)
class MadeGood:
    """What is to be posted, before anything that is paid out, and the institutions whose books lack something all the same."""

    postings: list[Posting]
    lacking: frozenset[UUID]


async def make_good(session: AsyncSession, runs: Mapping[UUID, UUID], now: datetime) -> MadeGood:
    """Take what these institutions' books lack, as far as it reaches, from their final, unpaid releases; `runs` by institution.

    A book that lacks something afterwards pays nothing out, not even what has become final a moment ago.
    """
    if not await _lacking(session, runs):
        return MadeGood([], frozenset())
    await session.execute(_LOCK, {"institutions": list(runs), "now": now})
    await banking.lock_supervised(session, runs)
    # Read anew: until the commit nobody takes, recognises or makes good beside us.
    missing = await _lacking(session, runs)
    asked = {"institutions": list(missing), "runs": [runs[each] for each in missing], "missing": list(missing.values())}
    taken = {row.institution_id: row.fen for row in await session.execute(_TAKE, {**asked, "now": now})}
    postings = [Posting("made_good", runs[book_id], book_id, PAYABLE, SHORTFALL, fen) for book_id, fen in taken.items()]
    return MadeGood(postings, frozenset(book_id for book_id, fen in missing.items() if taken.get(book_id, 0) < fen))


async def _lacking(session: AsyncSession, institution_ids: Collection[UUID]) -> dict[UUID, int]:
    """The shortfalls (fen) of those of these books that have any."""
    chosen = LedgerAccount.book_id.in_(institution_ids), LedgerAccount.code == SHORTFALL, LedgerAccount.balance_fen > 0
    rows = await session.execute(select(LedgerAccount.book_id, LedgerAccount.balance_fen).where(*chosen).order_by(LedgerAccount.book_id))
    return {book_id: balance_fen for book_id, balance_fen in rows}
