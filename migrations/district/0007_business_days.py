"""The district's calendar; the years whose holidays are published are entered after every upgrade (`migrations/env.py`)."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "business_day",
        sa.Column("on_date", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('working', 'rest', 'holiday')", name=op.f("ck_business_day_kind")),
        sa.CheckConstraint("num_nulls(changed_at, changed_by, reason) IN (0, 3)", name=op.f("ck_business_day_changed")),
        sa.PrimaryKeyConstraint("on_date", name=op.f("pk_business_day")),
    )
    op.execute("GRANT SELECT, INSERT ON business_day TO escrow_app")
    op.execute("GRANT UPDATE (kind, changed_at, changed_by, reason) ON business_day TO escrow_app")
