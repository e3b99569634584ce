"""在境外的外籍人员: an officer's mark of who may not teach a school subject."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("teacher", sa.Column("foreigner_abroad", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.execute("GRANT UPDATE (foreigner_abroad) ON teacher TO escrow_app")
