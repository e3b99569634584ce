"""The log of look-ups."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of

CASES = ("dispute", "refund", "alert", "complaint", "inspection", "court")
SHOWN = ("student", "guardians", "both")


class PersonalLookup(Base):
    """An officer looked at who stands behind a contract: for which case, why, and what was shown. Rows are only ever added."""

    __tablename__ = "personal_lookup"
    __table_args__ = (
        one_of("shown", *SHOWN),
        one_of("case_kind", *CASES),
        Index(None, "student_id", "at"),
        Index(None, "staff_id", "at"),
        Index(None, "contract_id"),
        Index(None, "at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    staff_id: Mapped[UUID]
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"))
    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contract.id"))
    shown: Mapped[str]
    case_kind: Mapped[str]
    case_no: Mapped[str]
    reason: Mapped[str]
