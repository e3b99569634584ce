"""Why a fee left escrow: a guardian's confirmation, or an officer's ruling on a dispute. And who attends without a fee: trial lessons."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of


class Dispute(Base):
    """A guardian says that a delivered lesson was not as it should be; only that lesson stops. Opened → ruled."""

    __tablename__ = "dispute"
    __table_args__ = (
        one_of("status", "opened", "ruled"),
        Check("ruling IN ('release', 'return')", name="ruling"),
        Check("(status = 'ruled') = (ruling IS NOT NULL AND ruled_by IS NOT NULL AND ruled_at IS NOT NULL)", name="ruled"),
        Index("uq_dispute_one_open", "lesson_id", unique=True, postgresql_where=text("status = 'opened'")),
        Index(None, "lesson_id", "opened_at"),
        Index(None, "institution_id", "opened_at"),
        Index(None, "opened_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    lesson_id: Mapped[UUID] = mapped_column(ForeignKey("lesson.id"))
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    reason: Mapped[str]
    status: Mapped[str]
    opened_at: Mapped[datetime]
    ruling: Mapped[str | None]
    ruling_reason: Mapped[str | None]
    ruled_by: Mapped[UUID | None]
    ruled_at: Mapped[datetime | None]


class Release(Base):
    """划拨: the cause row of one `lesson_released` transfer, whose reference is this id. Exactly one of guardian and dispute caused it."""

    __tablename__ = "release"
    __table_args__ = (
        Check("num_nonnulls(confirmed_by, dispute_id) = 1", name="one_cause"),
        Check("amount_fen >= 1", name="amount"),
        Check("made_good_fen BETWEEN 0 AND amount_fen AND (made_good_fen = 0 OR reversed_at IS NULL)", name="made_good"),
        Index("uq_release_one_standing", "lesson_id", unique=True, postgresql_where=text("reversed_at IS NULL")),
        Index(None, "institution_id"),
        Index(
            "ix_release_unpaid",
            "institution_id",
            "final_at",
            postgresql_where=text("reversed_at IS NULL AND payout_id IS NULL AND made_good_fen < amount_fen"),
        ),
        Index(None, "payout_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    lesson_id: Mapped[UUID] = mapped_column(ForeignKey("lesson.id"))
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payment.id"))
    amount_fen: Mapped[int]
    confirmed_by: Mapped[UUID | None] = mapped_column(ForeignKey("guardian.id"))
    dispute_id: Mapped[UUID | None] = mapped_column(ForeignKey("dispute.id"))
    released_at: Mapped[datetime]
    final_at: Mapped[datetime]
    """From here on it may be paid out and no longer disputed."""
    reversed_at: Mapped[datetime | None]
    payout_id: Mapped[UUID | None]
    """The live payout that lists it: settlement sets it when it drafts, and empties it when that payout ends unpaid."""
    made_good_fen: Mapped[int] = mapped_column(server_default=text("0"))
    """What of it made the book's shortfall good instead of being paid out; settlement counts it up."""


class Trial(Base):
    """试听: a child's free place in one class session. Booked → attended | absent, or cancelled by the guardian."""

    __tablename__ = "trial"
    __table_args__ = (
        one_of("status", "booked", "attended", "absent", "cancelled"),
        Check("(status = 'booked') = (ended_at IS NULL)", name="ended"),
        Check("(status IN ('attended', 'absent')) = (marked_by IS NOT NULL)", name="marked"),
        Check("rating BETWEEN 1 AND 5", name="rating"),
        Check("num_nonnulls(rating, comment, rated_at) IN (0, 3) AND (rating IS NULL OR status = 'attended')", name="feedback"),
        Check("length(comment) <= 200", name="comment"),
        Index("uq_trial_one_a_class", "class_id", "student_id", unique=True, postgresql_where=text("status <> 'cancelled'")),
        Index(None, "class_session_id"),
        Index(None, "student_id"),
        Index(None, "guardian_id", "booked_at", "id"),
        Index("ix_trial_rated", "institution_id", "rated_at", "id", postgresql_where=text("rated_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    class_id: Mapped[UUID] = mapped_column(ForeignKey("training_class.id"))
    class_session_id: Mapped[UUID] = mapped_column(ForeignKey("class_session.id"))
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"))
    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    status: Mapped[str]
    booked_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    """When it was cancelled, or its attendance entered."""
    marked_by: Mapped[UUID | None]
    rating: Mapped[int | None] = mapped_column(Integer)
    comment: Mapped[str | None]
    rated_at: Mapped[datetime | None]


class CalendarFeed(Base):
    """A secret address under which a calendar reads a child's timetable. Only the hash of its token is kept."""

    __tablename__ = "calendar_feed"
    __table_args__ = (
        Check("length(token_sha256) = 32", name="token_sha256"),
        Index("uq_calendar_feed_one", "guardian_id", "student_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index(None, "student_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"))
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
