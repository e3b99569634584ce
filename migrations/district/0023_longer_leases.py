"""A longer lease of a campus waits for an officer like other changes: one for each campus at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_institution_change_kind"), "institution_change")
    op.drop_constraint(op.f("ck_institution_change_campus"), "institution_change")
    kinds = "kind IN ('legal_representative', 'address', 'campus_address', 'settlement_account', 'lease')"
    op.create_check_constraint(op.f("ck_institution_change_kind"), "institution_change", kinds)
    campus = "(kind IN ('campus_address', 'lease')) = (campus_id IS NOT NULL)"
    op.create_check_constraint(op.f("ck_institution_change_campus"), "institution_change", campus)
    op.drop_index("uq_institution_change_undecided", "institution_change")
    _one_waits("uq_institution_change_undecided", ["institution_id", "kind"], "kind <> 'lease'")
    _one_waits("uq_institution_change_undecided_lease", ["campus_id"], "kind = 'lease'")


def _one_waits(name: str, columns: list[str], kinds: str) -> None:
    waiting = sa.text(f"status = 'proposed' AND {kinds}")
    op.create_index(name, "institution_change", columns, unique=True, postgresql_where=waiting)
