"""A payment is one try at a charge: one code, one cashier order, one escrow account. A receipt is what was decided about arrived money."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of


class Payment(Base):
    """Created → paid | expired. `payment_no` is also the cashier order's reference at the bank."""

    __tablename__ = "payment"
    __table_args__ = (
        one_of("status", "created", "paid", "expired"),
        Check("amount_fen BETWEEN 1 AND 10000000000000", name="amount"),
        Check("(status = 'paid') = (movement_id IS NOT NULL OR old_stock) AND NOT (old_stock AND movement_id IS NOT NULL)", name="paid_by"),
        Index("uq_payment_one_open", "charge_id", unique=True, postgresql_where=text("status = 'created'")),
        Index("uq_payment_one_paid", "charge_id", unique=True, postgresql_where=text("status = 'paid'")),
        Index(None, "expires_at", postgresql_where=text("status = 'created'")),
        Index("ix_payment_old_stock", "institution_id", postgresql_where=text("old_stock")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    payment_no: Mapped[str] = mapped_column(unique=True)
    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contract.id"), index=True)
    charge_id: Mapped[UUID] = mapped_column(ForeignKey("charge.id"))
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    amount_fen: Mapped[int]
    status: Mapped[str]
    nonce: Mapped[str]
    """Stands in the signed code; a code of another payment, or an altered one, does not carry it."""
    movement_id: Mapped[UUID | None] = mapped_column(ForeignKey("bank_movement.id"))
    old_stock: Mapped[bool] = mapped_column(server_default=text("false"))
    """存量: paid to the institution before custody; no bank movement of ours stands behind it."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Receipt(Base):
    """What was decided about one received movement: matched, or going back to its payer, with the reason."""

    __tablename__ = "receipt"
    __table_args__ = (
        one_of("outcome", "matched", "late", "second", "wrong_amount", "unknown_payer"),
        Check("(outcome = 'matched') = (payment_id IS NOT NULL AND return_no IS NULL)", name="matched"),
        one_of("ruling", "made_good", "return"),
        Check(
            "num_nonnulls(ruling, ruling_reason, ruled_by, ruled_at) IN (0, 4)"
            " AND (ruling IS NULL OR (outcome = 'unknown_payer' AND meant_for IS NULL))",
            name="ruled",
        ),
        Check(
            "made_good_fen BETWEEN 0 AND amount_fen AND (made_good_fen > 0) = (ruling IS NOT DISTINCT FROM 'made_good')", name="made_good"
        ),
        Index("ix_receipt_waiting", "movement_id", postgresql_where=text("outcome <> 'matched' AND returned_at IS NULL")),
        Index("ix_receipt_unjudged", "movement_id", postgresql_where=text("outcome <> 'matched' AND judged_at IS NULL")),
    )

    movement_id: Mapped[UUID] = mapped_column(ForeignKey("bank_movement.id"), primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payment.id"))
    meant_for: Mapped[UUID | None] = mapped_column(ForeignKey("payment.id"))
    """The payment whose reference an unmatched movement carried."""
    outcome: Mapped[str]
    amount_fen: Mapped[int]
    decided_at: Mapped[datetime]
    return_no: Mapped[str | None] = mapped_column(unique=True)
    """Reference of the live instruction that sends it back; empty while it waits in suspense."""
    judged_at: Mapped[datetime | None]
    """When supervision looked at it; unmatched rows without it are its work list."""
    return_attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    returned_at: Mapped[datetime | None]
    ruling: Mapped[str | None]
    """What an officer decided about money from an unknown payer while the book had a shortfall: it makes that good, or goes back."""
    ruling_reason: Mapped[str | None]
    ruled_by: Mapped[UUID | None]
    ruled_at: Mapped[datetime | None]
    made_good_fen: Mapped[int] = mapped_column(server_default=text("0"))
    """What of it made a shortfall good; the rest goes back."""
