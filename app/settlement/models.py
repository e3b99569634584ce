"""Settlement runs, the payouts they draft, the shortfalls they make good. A payout pays listed releases, not a balance."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class SettlementRun(Base):
    """One run of one business date; a repeated request for the same number drafts nothing twice."""

    __tablename__ = "settlement_run"
    __table_args__ = (UniqueConstraint("business_on", "run_no", "institution_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    business_on: Mapped[date]
    run_no: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime]


class Payout(Base):
    """结算款. `payout_no` is the reference of its instruction, whose status is the payout's."""

    __tablename__ = "payout"
    __table_args__ = (
        Check("amount_fen BETWEEN 1 AND 10000000000000", name="amount"),
        Index(None, "institution_id", "drafted_at"),
        Index(None, "drafted_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    payout_no: Mapped[str] = mapped_column(ForeignKey("instruction.reference"), unique=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("settlement_run.id"), unique=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    amount_fen: Mapped[int]
    drafted_at: Mapped[datetime]


class MadeGoodLine(Base):
    """What a run took of one release to make the book's shortfall good; the run is the cause of one `made_good` transfer."""

    __tablename__ = "made_good_line"
    __table_args__ = (Check("amount_fen >= 1", name="amount"),)

    run_id: Mapped[UUID] = mapped_column(ForeignKey("settlement_run.id"), primary_key=True)
    release_id: Mapped[UUID] = mapped_column(ForeignKey("release.id"), primary_key=True, index=True)
    amount_fen: Mapped[int]


class PayoutLine(Base):
    """One release that a payout pays; a release has one live payout at most."""

    __tablename__ = "payout_line"
    __table_args__ = (Index("uq_payout_line_one_live", "release_id", unique=True, postgresql_where=text("live")),)

    payout_id: Mapped[UUID] = mapped_column(ForeignKey("payout.id"), primary_key=True)
    release_id: Mapped[UUID] = mapped_column(ForeignKey("release.id"), primary_key=True)
    amount_fen: Mapped[int]
    live: Mapped[bool]
