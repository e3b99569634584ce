"""复核覆盖: before an institution may sell again, an officer confirms that the bank holds what parents have prepaid."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Refused
from app.reconciliation import service as reconciliation
from app.registry import institutions
from app.security import SupervisionStaff
from app.supervision import queries
from app.supervision.queries import Money
from app.supervision.rules import coverage_bps, unfunded_old_stock

COVERED_BPS = 10_000

_OLD_ESCROW = text("""
    SELECT coalesce(sum(a.balance_fen), 0)::bigint FROM payment p
    JOIN ledger_account a ON a.book_id = p.institution_id AND a.code = 'escrow:' || p.id
    WHERE p.institution_id = :institution AND p.old_stock
""")


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the bank has to hold before an institution may sell again, in fen: `due_fen`, its escrow less what old stock (存量) brought
    no cash for.

    `due_bps` is what covers that, in basis points; None where nothing is due or the bank has not reported.
    """

    money: Money
    old_stock_fen: int
    due_fen: int
    due_bps: int | None


async def coverage_of(session: AsyncSession, institution_id: UUID) -> Coverage:
    """How far an institution's escrow is covered now. Raises NotFound("supervision.institution_not_found")."""
    found, _ = await queries.institution(session, institution_id)
    money, old_stock_fen = found.money, 0
    if money.shortfall_fen:
        debits_fen = await reconciliation.missing_debits(session, institution_id)
        old_escrow_fen = await session.scalar(_OLD_ESCROW, {"institution": institution_id}) or 0
        old_stock_fen = unfunded_old_stock(money.shortfall_fen, debits_fen, old_escrow_fen)
    due_fen, due_bps = money.escrow_fen - old_stock_fen, None
    if money.reported_fen is not None:
        due_bps = coverage_bps(money.reported_fen, money.incoming_fen, money.unresolved_fen, due_fen)
    return Coverage(money, old_stock_fen, due_fen, due_bps)


async def confirm_coverage(session: AsyncSession, officer: SupervisionStaff, institution_id: UUID, reason: str) -> Coverage:
    """Let an institution sell again, with the figures that were confirmed kept in the audit trail.

    Raises BadInput, NotFound("registry.institution_not_found"), Conflict("registry.sales_not_paused"),
    Refused("registry.change_undecided"), Refused("supervision.coverage_unknown") while parents' money is there and the bank has not
    reported, Refused("supervision.uncovered") where the bank holds less than is due.
    """
    institution = await institutions.lock(session, institution_id)
    coverage = await coverage_of(session, institution_id)
    money = coverage.money
    if money.escrow_fen > 0 and money.reported_fen is None:
        raise Refused("supervision.coverage_unknown", "银行尚未报告监管账户余额，无法确认资金覆盖")
    figures = {
        "escrow_fen": money.escrow_fen,
        "old_stock_fen": coverage.old_stock_fen,
        "due_fen": coverage.due_fen,
        "reported_fen": money.reported_fen,
        "coverage_bps": money.coverage_bps,
        "due_bps": coverage.due_bps,
    }
    if coverage.due_bps is not None and coverage.due_bps < COVERED_BPS:
        raise Refused("supervision.uncovered", "监管账户资金不足以覆盖未上课的学费，不能恢复招生", **figures)
    await institutions.resume_sales(session, officer, institution, reason, **figures)
    return coverage
