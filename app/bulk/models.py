"""Imported files: how far each is, and its rows, sealed, until they are entered or given up."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of


class BulkUpload(Base):
    """导入: one file of rows for a register.

    Uploaded → checked | faulty; checked → confirmed → imported | faulty; whatever is given up before its end: discarded.
    """

    __tablename__ = "bulk_upload"
    __table_args__ = (
        one_of("status", "uploaded", "checked", "faulty", "confirmed", "imported", "discarded"),
        Check("(status IN ('faulty', 'imported', 'discarded')) = (ended_at IS NOT NULL)", name="ended"),
        Check("length(content_hash) = 32", name="content_hash"),
        Check("(leased_by IS NULL) = (leased_until IS NULL)", name="lease"),
        Index(None, "institution_id", "uploaded_at", "id"),
        Index(
            "uq_bulk_upload_imported", "institution_id", "kind", "content_hash", unique=True, postgresql_where=text("status = 'imported'")
        ),
        Index("ix_bulk_upload_unended", "uploaded_at", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    kind: Mapped[str]
    """A slug of `app.bulk.kinds`."""
    content_hash: Mapped[bytes]
    """Of the rows, keyed: the same rows saved anew are the same file."""
    places: Mapped[list[str | None]] = mapped_column(JSONB)
    """The letter of each of the kind's columns in the file; null for an optional one that the file lacks."""
    row_count: Mapped[int] = mapped_column(Integer)
    status: Mapped[str]
    done: Mapped[int] = mapped_column(Integer)
    """Rows that the present step is through with."""
    attempts: Mapped[int] = mapped_column(Integer)
    """How often the present step was begun."""
    known_count: Mapped[int | None] = mapped_column(Integer)
    """Rows that stand in the register already, as the last step found; of families only the institution's own are counted."""
    problem_count: Mapped[int | None] = mapped_column(Integer)
    """Bad rows."""
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """All of them: `row`, `cell`, `heading` and `message_zh`, without what the cell holds."""
    leased_by: Mapped[UUID | None]
    leased_until: Mapped[datetime | None]
    uploaded_by: Mapped[str]
    uploaded_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class BulkAllowance(Base):
    """How many files an institution has handed in since its present hour began."""

    __tablename__ = "bulk_allowance"

    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"), primary_key=True)
    since: Mapped[datetime]
    files: Mapped[int] = mapped_column(Integer)


class BulkPart(Base):
    """Some rows of a file, in order; deleted when the file's import ends."""

    __tablename__ = "bulk_part"
    __table_args__ = (UniqueConstraint("upload_id", "number"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    upload_id: Mapped[UUID] = mapped_column(ForeignKey("bulk_upload.id"))
    number: Mapped[int] = mapped_column(Integer)
    rows_enc: Mapped[bytes]
