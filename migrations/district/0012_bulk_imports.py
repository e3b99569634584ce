"""Imported files: how far each is, and its rows, sealed, until they are entered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_RIGHTS = (
    "GRANT SELECT, INSERT ON bulk_upload, bulk_part, bulk_allowance TO escrow_app",
    "GRANT UPDATE (since, files) ON bulk_allowance TO escrow_app",
    "GRANT UPDATE (status, done, attempts, known_count, problem_count, problems, leased_by, leased_until, checked_at, ended_at)"
    " ON bulk_upload TO escrow_app",
    "GRANT DELETE ON bulk_part TO escrow_app",
)


def upgrade() -> None:
    op.create_table(
        "bulk_upload",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("places", JSONB(), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("known_count", sa.Integer(), nullable=True),
        sa.Column("problem_count", sa.Integer(), nullable=True),
        sa.Column("problems", JSONB(), nullable=False),
        sa.Column("leased_by", sa.Uuid(), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("uploaded_by", sa.Text(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('uploaded', 'checked', 'faulty', 'confirmed', 'imported', 'discarded')", name=op.f("ck_bulk_upload_status")
        ),
        sa.CheckConstraint("(status IN ('faulty', 'imported', 'discarded')) = (ended_at IS NOT NULL)", name=op.f("ck_bulk_upload_ended")),
        sa.CheckConstraint("length(content_hash) = 32", name=op.f("ck_bulk_upload_content_hash")),
        sa.CheckConstraint("(leased_by IS NULL) = (leased_until IS NULL)", name=op.f("ck_bulk_upload_lease")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_bulk_upload_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_upload")),
    )
    op.create_index(op.f("ix_bulk_upload_institution_id_uploaded_at_id"), "bulk_upload", ["institution_id", "uploaded_at", "id"])
    imported, unended = sa.text("status = 'imported'"), sa.text("ended_at IS NULL")
    same = ["institution_id", "kind", "content_hash"]
    op.create_index("uq_bulk_upload_imported", "bulk_upload", same, unique=True, postgresql_where=imported)
    op.create_index("ix_bulk_upload_unended", "bulk_upload", ["uploaded_at"], postgresql_where=unended)
    op.create_table(
        "bulk_part",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rows_enc", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["upload_id"], ["bulk_upload.id"], name=op.f("fk_bulk_part_upload_id_bulk_upload")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_part")),
        sa.UniqueConstraint("upload_id", "number", name=op.f("uq_bulk_part_upload_id_number")),
    )
    op.create_table(
        "bulk_allowance",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_bulk_allowance_institution_id_institution")),
        sa.PrimaryKeyConstraint("institution_id", name=op.f("pk_bulk_allowance")),
    )
    for grant in _RIGHTS:
        op.execute(grant)
