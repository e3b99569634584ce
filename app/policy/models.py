"""The district's calendar: what sort of day each date is."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of
from app.policy.catalogue import DayKind


class BusinessDay(Base):
    """One date: working (make-up workdays 调休 too), rest (weekends and days off in lieu), or holiday (法定节假日, as arranged).

    `changed_by` and `reason` are empty where the published arrangement stands as it came.
    """

    __tablename__ = "business_day"
    __table_args__ = (
        one_of("kind", "working", "rest", "holiday"),
        Check("num_nulls(changed_at, changed_by, reason) IN (0, 3)", name="changed"),
    )

    on_date: Mapped[date] = mapped_column(primary_key=True)
    kind: Mapped[DayKind] = mapped_column(Text)
    name_zh: Mapped[str | None]
    """The holiday that it belongs to, or makes up for."""
    changed_at: Mapped[datetime | None]
    changed_by: Mapped[str | None]
    reason: Mapped[str | None]
