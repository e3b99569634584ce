"""One supervised account's value day held against the books, and every difference by name."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of


class Reconciliation(Base):
    """Matched (平账) when statement and cash agree and no break stands; else broken (差错)."""

    __tablename__ = "reconciliation"
    __table_args__ = (
        one_of("status", "matched", "broken"),
        Check("status = 'broken' OR statement_fen = cash_fen", name="matched"),
        Index(None, "value_on"),
        Index("ix_reconciliation_unjudged", "value_on", postgresql_where=text("status = 'broken' AND judged_at IS NULL")),
    )

    bank_account_id: Mapped[UUID] = mapped_column(ForeignKey("bank_account.id"), primary_key=True)
    value_on: Mapped[date] = mapped_column(primary_key=True)
    statement_fen: Mapped[int]
    cash_fen: Mapped[int]
    status: Mapped[str]
    reconciled_at: Mapped[datetime]
    judged_at: Mapped[datetime | None]
    """When supervision looked at it; broken rows without it are its work list."""


class Break(Base):
    """A named difference (差错) of one account and day.

    `amount_fen` is what the bank shows beyond the books, negative where it shows less; of an uninstructed debit,
    which is in the books too, it is what nobody has made good yet.
    """

    __tablename__ = "reconciliation_break"
    __table_args__ = (
        ForeignKeyConstraint(["bank_account_id", "value_on"], ["reconciliation.bank_account_id", "reconciliation.value_on"]),
        one_of("kind", "not_at_bank", "other_amount", "uninstructed_debit", "opening_differs", "closing_differs", "account_missing"),
        Index(None, "bank_account_id", "value_on"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    bank_account_id: Mapped[UUID]
    value_on: Mapped[date]
    kind: Mapped[str]
    amount_fen: Mapped[int]
    reference: Mapped[str]
    """Ours of the line, or the bank's number for it; the value date where the whole day differs."""
