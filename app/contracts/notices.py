"""What the families of an institution must be told: that it sells nothing new for now, since when and why."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.families import contracts_of
from app.contracts.models import LIVE, Contract
from app.registry.models import Institution


@dataclass(frozen=True, slots=True)
class PauseNotice:
    """An institution whose new sales are paused."""

    institution_id: UUID
    institution_name: str
    paused_at: datetime
    reason: str


async def notices_of(session: AsyncSession, guardian_id: UUID) -> list[PauseNotice]:
    """Of the institutions where the guardian has a live contract, those whose sales are paused, by name."""
    known = select(Contract.institution_id).where(Contract.id.in_(contracts_of(guardian_id)), Contract.status.in_(LIVE))
    paused = (Institution.id.in_(known), Institution.sales_paused_at.is_not(None))
    rows = await session.scalars(select(Institution).where(*paused).order_by(Institution.name))
    return [PauseNotice(row.id, row.name, row.sales_paused_at, row.sales_pause_reason or "") for row in rows if row.sales_paused_at]
