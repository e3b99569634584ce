"""A search finds what its list shows in the row that it looks through, and is read by PostgreSQL once."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_SCRIPT = Path(__file__).parent / "search_entries.sql"


def upgrade() -> None:
    """Rows that are there get their entries now, so that searches go on finding them."""
    op.add_column("class_search", sa.Column("entry", sa.Text(), nullable=True))
    driver = op.get_bind().connection.dbapi_connection
    driver.run_async(lambda connection: connection.execute(_SCRIPT.read_text("utf-8")))
    op.alter_column("class_search", "entry", nullable=False)
