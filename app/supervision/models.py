"""Thresholds, alerts and clearances; what is published about institutions, and what the public reports."""

from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, text
from sqlalchemy import CheckConstraint as Check
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of
from app.supervision.rules import Level, Rule


class Threshold(Base):
    """An institution's alarm lines, in fen."""

    __tablename__ = "threshold"
    __table_args__ = (Check("large_transfer_fen > 0 AND large_day_fen > 0 AND minimum_balance_fen >= 0", name="lines"),)

    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"), primary_key=True)
    large_transfer_fen: Mapped[int]
    large_day_fen: Mapped[int]
    minimum_balance_fen: Mapped[int]
    changed_at: Mapped[datetime]


class Alert(Base):
    """预警: a rule fired. Opened → acknowledged → resolved; one per `subject` while not resolved."""

    __tablename__ = "alert"
    __table_args__ = (
        one_of("rule", *get_args(Rule)),
        one_of("status", "opened", "acknowledged", "resolved"),
        one_of("level", *get_args(Level)),
        Index("uq_alert_one_open", "rule", "subject", unique=True, postgresql_where=text("status <> 'resolved'")),
        Index(None, "institution_id", "id"),
        Index("ix_alert_open", "id", postgresql_where=text("status <> 'resolved'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    rule: Mapped[str]
    level: Mapped[str]
    subject: Mapped[str]
    """What it is about, `instruction:…`, `movement:…`, `account:…`, `day:…`: the key that de-duplicates."""
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[str]
    opened_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    note: Mapped[str | None]
    changed_by: Mapped[UUID | None]


class AlertEvent(Base):
    """What dashboards tail. `seq` is taken under the cursor row's lock and held to the commit, so no reader can skip one."""

    __tablename__ = "alert_event"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    alert_id: Mapped[UUID] = mapped_column(ForeignKey("alert.id"))
    status: Mapped[str]
    at: Mapped[datetime]


class Cursor(Base):
    """Gapless counters and how far a tail has read; one row each."""

    __tablename__ = "supervision_cursor"

    name: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int]


class Clearance(Base):
    """What was decided about one drafted payout or refund to a named payee: cleared or held by rule, released or rejected by an
    officer with a reason.
    """

    __tablename__ = "clearance"
    __table_args__ = (
        one_of("decision", "cleared", "held", "released", "rejected"),
        Check("(decision IN ('released', 'rejected')) = (decided_by IS NOT NULL AND reason IS NOT NULL)", name="officer"),
        Index("uq_clearance_one_judgement", "instruction_id", unique=True, postgresql_where=text("decision IN ('cleared', 'held')")),
        Index("uq_clearance_one_decision", "instruction_id", unique=True, postgresql_where=text("decision IN ('released', 'rejected')")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instruction_id: Mapped[UUID] = mapped_column(ForeignKey("instruction.id"))
    decision: Mapped[str]
    rule: Mapped[str | None]
    reason: Mapped[str | None]
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[datetime]


class PublishedFacts(Base):
    """公示: what parents may know about an institution's money and reliability, counted now and then, never while a page is shown."""

    __tablename__ = "published_facts"
    __table_args__ = (
        Check("least(refunds, lessons, disputes, class_sessions, cancelled, moved) >= 0", name="counts"),
        Check("(refunds = 0) = (refund_median_hours IS NULL)", name="refunds"),
        Check("refunds_unpaid >= 0", name="refunds_unpaid"),
        Check("(coverage_bps IS NULL) = (coverage_at IS NULL)", name="coverage"),
        Index(None, "counted_at"),
    )

    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"), primary_key=True)
    coverage_bps: Mapped[int | None]
    """What the bank reported against what untaught lessons are worth; empty without either."""
    coverage_at: Mapped[datetime | None]
    refunds: Mapped[int] = mapped_column(Integer)
    """Paid back in the window, and the median time from request to payment."""
    refund_median_hours: Mapped[int | None] = mapped_column(Integer)
    refunds_unpaid: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Agreed at any time and not paid yet, whatever they wait for: then the median alone would flatter."""
    lessons: Mapped[int] = mapped_column(Integer)
    """Taught in the window, and how many of them were disputed."""
    disputes: Mapped[int] = mapped_column(Integer)
    class_sessions: Mapped[int] = mapped_column(Integer)
    """Planned in the window, and how many of them were called off or moved to another time."""
    cancelled: Mapped[int] = mapped_column(Integer)
    moved: Mapped[int] = mapped_column(Integer)
    counted_at: Mapped[datetime]


class ScanReport(Base):
    """A QR code that somebody met and that is not this district's, as the public reported it. Opened → handled."""

    __tablename__ = "scan_report"
    __table_args__ = (
        one_of("status", "opened", "handled"),
        Check("(status = 'handled') = (handled_at IS NOT NULL AND handled_by IS NOT NULL AND answer IS NOT NULL)", name="handled"),
        Check("length(content) BETWEEN 1 AND 2000 AND length(place) <= 100 AND length(note) <= 500", name="lengths"),
        Index(None, "content_sha256"),
        Index(None, "reported_at"),
        Index("ix_scan_report_opened", "id", postgresql_where=text("status = 'opened'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    content: Mapped[str]
    """What the code says. Shown as text only, never opened."""
    content_sha256: Mapped[bytes]
    place: Mapped[str]
    """Where it was met, in the reporter's words; may be empty."""
    note: Mapped[str]
    status: Mapped[str]
    reported_at: Mapped[datetime]
    answer: Mapped[str | None]
    handled_by: Mapped[UUID | None]
    handled_at: Mapped[datetime | None]
