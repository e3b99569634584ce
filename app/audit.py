"""The audit trail: who did what to what, and why. Rows are only ever added."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, insert
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.db import Base
from app.errors import BadInput
from app.ids import uuid7

LONGEST_REASON = 500

_UNSTORABLE = {"Cc", "Cs"}
_INVISIBLE = {"Cf", "Co", "Cn", "Mn", "Zs"}


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


async def record_all(session: AsyncSession, actor: str, action: str, subjects: Sequence[str]) -> None:
    """The same act on several objects, an entry for each."""
    values = {"at": clock.now(), "actor": actor, "action": action, "reason": None, "facts": {}}
    await session.execute(insert(AuditEntry), [{"id": uuid7(), "subject": subject, **values} for subject in subjects])


def clean_reason(reason: str) -> str:
    """A reason on one line, of 1 to 500 characters, not all of them invisible. Raises BadInput "reason.invalid"."""
    line = " ".join(reason.split())
    found = {unicodedata.category(char) for char in line}
    if not found - _INVISIBLE or found & _UNSTORABLE or len(line) > LONGEST_REASON:
        raise BadInput("reason.invalid", f"请填写理由，不超过 {LONGEST_REASON} 字", field="reason")
    return line
