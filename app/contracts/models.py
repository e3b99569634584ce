"""A contract and its lessons. The lesson is the atom of the money path: one child's paid place in one class session."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of

LESSON_STATES = ("reserved", "scheduled", "missed", "delivered", "disputed", "confirmed", "refunded", "lapsed")
LIVE = ("created", "paid")
"""A contract in these states holds a seat."""
IN_ESCROW = ("scheduled", "missed", "delivered", "disputed")
UNTAUGHT = ("scheduled", "missed")


class Contract(Base):
    """合同: created (seats held, unpaid) → paid → closed (nothing left to teach) | lapsed (never paid, seat free again)."""

    __tablename__ = "contract"
    __table_args__ = (
        one_of("status", "created", "paid", "closed", "lapsed"),
        Check("amount_fen BETWEEN 1 AND 10000000000000", name="amount"),
        Index(None, "guardian_id", "created_at"),
        Index(None, "institution_id", "created_at"),
        Index(None, "class_id"),
        Index(None, "student_id"),
        Index(None, "lapses_at", postgresql_where=text("status = 'created'")),
        Index("uq_contract_one_seat", "class_id", "student_id", unique=True, postgresql_where=text("status IN ('created', 'paid')")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    contract_no: Mapped[str] = mapped_column(unique=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    class_id: Mapped[UUID] = mapped_column(ForeignKey("training_class.id"))
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"))
    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    amount_fen: Mapped[int]
    status: Mapped[str]
    judged_by: Mapped[str]
    """The rule pack, id and version, that the sale was judged by."""
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    created_at: Mapped[datetime]
    lapses_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Lesson(Base):
    """课时: reserved → scheduled (paid) → delivered | missed → confirmed | disputed; or refunded, or lapsed unpaid.

    Scheduled, missed, delivered and disputed lessons are what escrow holds.
    """

    __tablename__ = "lesson"
    __table_args__ = (
        UniqueConstraint("contract_id", "number"),
        one_of("status", *LESSON_STATES),
        Check("price_fen >= 1", name="price"),
        Check("(payment_id IS NULL) = (status IN ('reserved', 'lapsed'))", name="paid_for"),
        Index(None, "institution_id"),
        Index(None, "class_session_id"),
        Index(None, "payment_id"),
        Index(None, "guardian_id", "status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contract.id"))
    payment_id: Mapped[UUID | None]
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    class_session_id: Mapped[UUID] = mapped_column(ForeignKey("class_session.id"))
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"))
    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    number: Mapped[int] = mapped_column(Integer)
    price_fen: Mapped[int]
    status: Mapped[str]
    changed_at: Mapped[datetime]
