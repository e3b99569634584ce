"""Which rule pack a charge was judged by again that opened after its contract was signed."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("charge", sa.Column("judged_by", sa.Text(), nullable=True))
    op.execute("GRANT UPDATE (judged_by) ON charge TO escrow_app")
