"""The audit trail: who did what to what, and why. Rows are only ever added."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.db import Base
from app.ids import uuid7


class AuditEntry(Base):
    """One act. `action` is static (`supervision.payout_released`), `subject` names its object, `facts` hold no personal data."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index(None, "subject", "at"), Index(None, "at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    reason: Mapped[str | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)


async def record(session: AsyncSession, actor: str, action: str, subject: str, reason: str | None = None, **facts: Any) -> None:
    """Add an entry in the transaction of the act itself: both are kept or neither."""
    session.add(AuditEntry(id=uuid7(), at=clock.now(), actor=actor, action=action, subject=subject, reason=reason, facts=facts))
    await session.flush()
