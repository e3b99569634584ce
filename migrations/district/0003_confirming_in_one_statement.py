"""Confirmations in one statement instead of eight."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SCRIPT = Path(__file__).with_name("confirming.sql")


def upgrade() -> None:
    op.get_bind().connection.dbapi_connection.run_async(lambda connection: connection.execute(_SCRIPT.read_text("utf-8")))
