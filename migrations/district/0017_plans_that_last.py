"""Plans made while a table was empty stay good when it has grown: no list is held against all of a table again and again."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    "ledger_post",
    "idempotency_claim",
    "contracts_close_done",
    "lessons_release",
    "lessons_confirm",
    "lessons_confirm_once",
)


def upgrade() -> None:
    """Without materialisation a nested loop looks each row up by its index, however few rows the planner thinks there are."""
    for name in _FUNCTIONS:
        op.execute(f"ALTER FUNCTION {name} SET enable_material = off")
