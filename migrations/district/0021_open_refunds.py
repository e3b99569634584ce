"""What is not paid back yet is published too, and institutions that may not enrol are found by their names."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Counted anew within the hour; those that no search found are looked at again."""
    op.add_column("published_facts", sa.Column("refunds_unpaid", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_check_constraint(op.f("ck_published_facts_refunds_unpaid"), "published_facts", "refunds_unpaid >= 0")
    op.execute("INSERT INTO search_due (institution_id) SELECT id FROM institution WHERE status <> 'approved' OR listing = 'black'")
