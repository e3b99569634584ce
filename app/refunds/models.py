"""A refund and the lessons it gives back."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of


class Refund(Base):
    """退费. `refund_no` is the reference of its instruction, whose status is the refund's.

    That of old stock (存量) waits, without an instruction, until the institution has funded it; its money stays in escrow meanwhile.
    """

    __tablename__ = "refund"
    __table_args__ = (
        one_of("cause", "guardian", "ruling"),
        Check("amount_fen BETWEEN 1 AND 10000000000000", name="amount"),
        Check("(payee_id IS NULL) = (named_by IS NULL)", name="named"),
        Index(None, "contract_id"),
        Index(None, "institution_id", "approved_at"),
        Index(None, "guardian_id", "approved_at"),
        Index(None, "approved_at"),
        Index("ix_refund_waiting", "institution_id", "approved_at", "id", postgresql_where=text("funded_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    refund_no: Mapped[str] = mapped_column(unique=True)
    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contract.id"))
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payment.id"))
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    cause: Mapped[str]
    reason: Mapped[str]
    amount_fen: Mapped[int]
    finding: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The rule that approved it, with its source."""
    approved_at: Mapped[datetime]
    funded_at: Mapped[datetime | None]
    """When its money was reserved: at once, but for old stock."""
    payee_id: Mapped[UUID | None] = mapped_column(ForeignKey("payee.id"))
    """Where it is paid to, as a guardian said: old stock, of which nothing came from anywhere, once one has said it; other money only
    after a refund of its payment ended unpaid.
    """
    named_by: Mapped[UUID | None] = mapped_column(ForeignKey("guardian.id"))
    """Who named the payee: nobody else may change it."""


class RefundLine(Base):
    """One lesson given back at its allocated price; `live` until the refund ends unpaid and the lesson returns."""

    __tablename__ = "refund_line"
    __table_args__ = (
        one_of("status_before", "scheduled", "missed", "disputed"),
        Index("uq_refund_line_one_live", "lesson_id", unique=True, postgresql_where=text("live")),
    )

    refund_id: Mapped[UUID] = mapped_column(ForeignKey("refund.id"), primary_key=True)
    lesson_id: Mapped[UUID] = mapped_column(ForeignKey("lesson.id"), primary_key=True)
    amount_fen: Mapped[int]
    status_before: Mapped[str]
    live: Mapped[bool]
