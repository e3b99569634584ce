"""Leaves in one expression that a check of everything shares among workers, and indexes by which one institution's rows are found."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SCRIPT = Path(__file__).with_name("leaves.sql")


def upgrade() -> None:
    op.create_index(op.f("ix_lesson_institution_id"), "lesson", ["institution_id"], unique=False)
    op.create_index(op.f("ix_release_institution_id"), "release", ["institution_id"], unique=False)
    op.get_bind().connection.dbapi_connection.run_async(lambda connection: connection.execute(_SCRIPT.read_text("utf-8")))
