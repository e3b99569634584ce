"""Districts and their connections to banks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "district",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("mode IN ('live', 'sample', 'drill', 'restored')", name="ck_district_mode"),
        sa.CheckConstraint("code ~ '^[0-9]{6}$'", name="ck_district_code"),
    )
    op.create_table(
        "bank_connection",
        sa.Column("slug", sa.Text, primary_key=True),
        sa.Column("district", sa.Text, sa.ForeignKey("district.code"), nullable=False),
        sa.Column("adapter", sa.Text, nullable=False),
        sa.Column("base_url", sa.Text, nullable=False),
        sa.CheckConstraint("adapter IN ('mock')", name="ck_bank_connection_adapter"),
    )
    # A sample never becomes live, and a live district never a sample: money that moved once must stay real.
    op.execute("""
        CREATE FUNCTION keep_mode() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF (OLD.mode = 'sample') <> (NEW.mode = 'sample') THEN
                RAISE EXCEPTION 'a district is a sample from its first day to its last, or never';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("CREATE TRIGGER keep_mode BEFORE UPDATE OF mode ON district FOR EACH ROW EXECUTE FUNCTION keep_mode()")
    op.execute("GRANT SELECT ON district, bank_connection TO escrow_app")
