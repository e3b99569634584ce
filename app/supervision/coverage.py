"""复核覆盖: before an institution may sell again, an officer confirms that the bank holds what parents have prepaid."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Refused
from app.registry import institutions
from app.security import SupervisionStaff
from app.supervision import queries
from app.supervision.queries import Money

COVERED_BPS = 10_000


async def confirm_coverage(session: AsyncSession, officer: SupervisionStaff, institution_id: UUID, reason: str) -> Money:
    """Let an institution sell again, with the figures that were confirmed kept in the audit trail.

    Raises BadInput, NotFound("registry.institution_not_found"), Conflict("registry.sales_not_paused"),
    Refused("registry.change_undecided"), Refused("supervision.coverage_unknown") while parents' money is there and the bank has not
    reported, Refused("supervision.uncovered") where the bank holds less than is in escrow.
    """
    institution = await institutions.lock(session, institution_id)
    found, _ = await queries.institution(session, institution_id)
    money = found.money
    if money.escrow_fen > 0 and money.coverage_bps is None:
        raise Refused("supervision.coverage_unknown", "银行尚未报告监管账户余额，无法确认资金覆盖")
    if money.coverage_bps is not None and money.coverage_bps < COVERED_BPS:
        raise Refused("supervision.uncovered", "监管账户资金不足以覆盖未上课的学费，不能恢复招生", coverage_bps=money.coverage_bps)
    facts = {"escrow_fen": money.escrow_fen, "reported_fen": money.reported_fen, "coverage_bps": money.coverage_bps}
    await institutions.resume_sales(session, officer, institution, reason, **facts)
    return money
