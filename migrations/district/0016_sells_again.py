"""Since when an institution may sell again, so that families have time for what fell due while it might not."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("institution", sa.Column("sells_again_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("GRANT UPDATE (sells_again_at) ON institution TO escrow_app")
