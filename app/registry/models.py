"""四库: institutions, teachers, classes with their sessions, students and guardians. Personal columns end in `_enc`."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of


class Institution(Base):
    """机构库. Its id is also its book's."""

    __tablename__ = "institution"
    __table_args__ = (one_of("kind", "subject", "arts", "sports", "science", "other"), one_of("status", "approved", "suspended", "closed"))

    id: Mapped[UUID] = mapped_column(ForeignKey("book.id"), primary_key=True)
    credit_code: Mapped[str] = mapped_column(unique=True)
    """统一社会信用代码, 18 characters with a check digit (GB 32100)."""
    name: Mapped[str]
    kind: Mapped[str]
    address: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime]


class Teacher(Base):
    """教师库. Name and certificate are shown to parents, as the rules for training institutions ask."""

    __tablename__ = "teacher"
    __table_args__ = (UniqueConstraint("institution_id", "certificate_no"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    name: Mapped[str]
    certificate_no: Mapped[str]
    subject: Mapped[str]
    created_at: Mapped[datetime]


class TrainingClass(Base):
    """班课库: lessons sold together at one price, taught in the class sessions of its schedule."""

    __tablename__ = "training_class"
    __table_args__ = (
        Check("price_fen BETWEEN 1 AND 10000000000000", name="price"),
        Check("lesson_count BETWEEN 1 AND 500", name="lesson_count"),
        Check("seats BETWEEN 1 AND 500", name="seats"),
        one_of("status", "opened", "closed"),
        Index(None, "institution_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    teacher_id: Mapped[UUID] = mapped_column(ForeignKey("teacher.id"))
    name: Mapped[str]
    subject: Mapped[str]
    price_fen: Mapped[int]
    lesson_count: Mapped[int] = mapped_column(Integer)
    seats: Mapped[int] = mapped_column(Integer)
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    status: Mapped[str]
    created_at: Mapped[datetime]


class ClassSession(Base):
    """课次: one meeting of a class."""

    __tablename__ = "class_session"
    __table_args__ = (
        UniqueConstraint("class_id", "number"),
        Check("ends_at > starts_at", name="times"),
        one_of("status", "scheduled", "delivered"),
        Index(None, "institution_id", "starts_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    class_id: Mapped[UUID] = mapped_column(ForeignKey("training_class.id"))
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    number: Mapped[int] = mapped_column(Integer)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    status: Mapped[str]
    delivered_at: Mapped[datetime | None]


class Guardian(Base):
    """监护人: the contracting party; found by the blind index of the phone."""

    __tablename__ = "guardian"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    phone_index: Mapped[bytes] = mapped_column(unique=True)
    phone_enc: Mapped[bytes]
    created_at: Mapped[datetime]


class Student(Base):
    """学生库: only what is needed, a name and a month of birth."""

    __tablename__ = "student"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name_enc: Mapped[bytes]
    birth_month_enc: Mapped[bytes]
    created_at: Mapped[datetime]


class Guardianship(Base):
    """Which guardian answers for which child."""

    __tablename__ = "guardianship"
    __table_args__ = (Index(None, "student_id"),)

    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"), primary_key=True)
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"), primary_key=True)
    since: Mapped[datetime]
