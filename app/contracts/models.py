"""A contract, its charges and its lessons. The lesson is the atom of the money path: one child's paid place in one class session."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of

LESSON_STATES = (
    "reserved",
    "agreed",
    "owed",
    "contested",
    "scheduled",
    "missed",
    "delivered",
    "disputed",
    "confirmed",
    "refunded",
    "lapsed",
)
LIVE = ("created", "agreed", "paid")
"""A contract in these states holds a seat."""
IN_ESCROW = ("scheduled", "missed", "delivered", "disputed")
UNTAUGHT = ("scheduled", "missed")
TO_COME = ("agreed", "scheduled")


class Contract(Base):
    """合同: created (seats held, unpaid) → paid → closed (nothing left to teach) | lapsed (never paid, seat free again).

    Where every lesson is paid after it was taught (先学后付): agreed → closed.
    """

    __tablename__ = "contract"
    __table_args__ = (
        one_of("status", "created", "agreed", "paid", "closed", "lapsed"),
        one_of("way", "once", "parts", "later"),
        Check("amount_fen BETWEEN 1 AND 10000000000000", name="amount"),
        Index(None, "guardian_id", "created_at"),
        Index(None, "institution_id", "created_at"),
        Index(None, "class_id"),
        Index(None, "student_id"),
        Index(None, "lapses_at", postgresql_where=text("status = 'created'")),
        Index(
            "uq_contract_one_seat", "class_id", "student_id", unique=True, postgresql_where=text("status IN ('created', 'agreed', 'paid')")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    contract_no: Mapped[str] = mapped_column(unique=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    class_id: Mapped[UUID] = mapped_column(ForeignKey("training_class.id"))
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"))
    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    amount_fen: Mapped[int]
    """What its charges come to together, paid or not."""
    old_stock: Mapped[bool] = mapped_column(server_default=text("false"))
    """存量: paid before custody, elsewhere; no rule of sale was held against it."""
    way: Mapped[str] = mapped_column(server_default="once")
    status: Mapped[str]
    judged_by: Mapped[str]
    """The rule pack, id and version, that the sale was judged by."""
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    facts: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    """What was judged, charge by charge; empty where the contract is older than the keeping of facts."""
    created_at: Mapped[datetime]
    lapses_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Charge(Base):
    """收费: lessons `first_lesson` to `last_lesson` of a contract, paid together. Planned → paid, or lapsed: not paid in time, or given up.

    The first charge holds the seat. A later one opens on `opens_on` and lapses unpaid once its first lesson begins, with every
    charge after it; the contract goes on with what is paid. Where lessons are paid after they were taught, each is a charge, due once
    it was. Changed only with the contract locked.
    """

    __tablename__ = "charge"
    __table_args__ = (
        UniqueConstraint("contract_id", "number"),
        one_of("status", "planned", "paid", "lapsed"),
        Check("number >= 1 AND first_lesson >= 1 AND last_lesson >= first_lesson", name="lessons"),
        Check("amount_fen BETWEEN 1 AND 10000000000000", name="amount"),
        Check("opens_on <= due_on", name="opens"),
        Check("(status = 'planned') = (ended_at IS NULL)", name="ended"),
        Index(None, "institution_id"),
        Index("ix_charge_due", "due_on", postgresql_where=text("status = 'planned'")),
        Index("ix_charge_to_confirm", "id", postgresql_where=text("to_confirm")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contract.id"))
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    number: Mapped[int] = mapped_column(Integer)
    first_lesson: Mapped[int] = mapped_column(Integer)
    last_lesson: Mapped[int] = mapped_column(Integer)
    amount_fen: Mapped[int]
    opens_on: Mapped[date]
    due_on: Mapped[date]
    """The day of its first lesson as it was agreed; a lesson that was moved later gives time until then."""
    status: Mapped[str]
    ended_at: Mapped[datetime | None]
    """When it was paid, by the bank's clock, or lapsed."""
    judged_by: Mapped[str | None]
    """The rule pack, id and version, that it was judged by again as its payment was opened; empty where it was due at signing."""
    to_confirm: Mapped[bool] = mapped_column(server_default=text("false"))
    """Its lesson was taught before it was paid, so that paying it confirmed the lesson: `lessons.confirm_paid` carries that out."""


class Lesson(Base):
    """课时: reserved → scheduled (paid) → delivered | missed → confirmed | disputed; or refunded, or lapsed unpaid.

    Scheduled, missed, delivered and disputed lessons are what escrow holds. Where they are paid after they were taught: agreed → owed
    (taught, unpaid) → delivered and confirmed as it is paid; or contested (disputed unpaid); or lapsed, when the child was absent.
    """

    __tablename__ = "lesson"
    __table_args__ = (
        UniqueConstraint("contract_id", "number"),
        one_of("status", *LESSON_STATES),
        Check("price_fen >= 1", name="price"),
        Check("(payment_id IS NULL) = (status IN ('reserved', 'agreed', 'owed', 'contested', 'lapsed'))", name="paid_for"),
        Index(None, "institution_id"),
        Index(None, "class_session_id"),
        Index(None, "payment_id"),
        # No index holds the state, and pages keep room for it to change: most updates write no index at all.
        {"postgresql_with": {"fillfactor": "80"}},
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


class ContractText(Base):
    """What contracts say apart from their parties, by its SHA-256; families with the same terms share it. Rows are only ever added."""

    __tablename__ = "contract_text"
    __table_args__ = (Check("sha256 = pg_catalog.sha256(convert_to(text, 'UTF8'))", name="sha256"),)

    sha256: Mapped[bytes] = mapped_column(primary_key=True)
    template: Mapped[str]
    text: Mapped[str]


class ContractDocument(Base):
    """A contract as its guardian accepted it: the text, the sealed lines about its parties, the hash of both. Its id is the contract's.

    A row never changes, except that an erasure empties what is sealed.
    """

    __tablename__ = "contract_document"
    __table_args__ = (Check("length(sha256) = 32", name="sha256"),)

    id: Mapped[UUID] = mapped_column(ForeignKey("contract.id"), primary_key=True)
    text_sha256: Mapped[bytes] = mapped_column(ForeignKey("contract_text.sha256"))
    sha256: Mapped[bytes]
    parties_enc: Mapped[bytes | None]
    accepted_by: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    accepted_at: Mapped[datetime]
