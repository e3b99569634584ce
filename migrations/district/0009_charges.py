"""A contract is paid in charges: one, several at legal times, or one for each lesson after it was taught."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SCRIPT = Path(__file__).parent / "charges.sql"

_ONE_EACH = """
    INSERT INTO charge (id, contract_id, institution_id, number, first_lesson, last_lesson, amount_fen, opens_on, due_on, status, ended_at)
    SELECT gen_random_uuid(), k.id, k.institution_id, 1, 1, sold.lessons, k.amount_fen, sold.signed_on, sold.signed_on,
        CASE k.status WHEN 'created' THEN 'planned' WHEN 'lapsed' THEN 'lapsed' ELSE 'paid' END, coalesce(k.paid_at, k.ended_at)
    FROM contract k CROSS JOIN LATERAL (
        SELECT count(*) AS lessons, (k.created_at AT TIME ZONE 'Asia/Shanghai')::date AS signed_on FROM lesson l WHERE l.contract_id = k.id
    ) AS sold
"""


def upgrade() -> None:
    """Contracts of before were sold in one charge, due when they were signed."""
    op.add_column("contract", sa.Column("way", sa.Text(), server_default="once", nullable=False))
    op.create_check_constraint(op.f("ck_contract_way"), "contract", "way IN ('once', 'parts', 'later')")
    op.add_column("training_class", sa.Column("most_unpaid", sa.Integer(), server_default="2", nullable=False))
    op.create_check_constraint(op.f("ck_training_class_most_unpaid"), "training_class", "most_unpaid BETWEEN 0 AND 20")
    _paid_afterwards()
    _charges()
    op.execute(_ONE_EACH)
    op.add_column("payment", sa.Column("charge_id", sa.Uuid(), nullable=True))
    op.execute("UPDATE payment SET charge_id = charge.id FROM charge WHERE charge.contract_id = payment.contract_id")
    op.alter_column("payment", "charge_id", nullable=False)
    op.create_foreign_key(op.f("fk_payment_charge_id_charge"), "payment", "charge", ["charge_id"], ["id"])
    for name, status in (("uq_payment_one_open", "created"), ("uq_payment_one_paid", "paid")):
        op.drop_index(name, "payment")
        op.create_index(name, "payment", ["charge_id"], unique=True, postgresql_where=sa.text(f"status = '{status}'"))
    driver = op.get_bind().connection.dbapi_connection
    driver.run_async(lambda connection: connection.execute(_SCRIPT.read_text("utf-8")))


def _paid_afterwards() -> None:
    """Contracts that are in force without a payment, and lessons that are taught unpaid."""
    unpaid = "status IN ('reserved', 'agreed', 'owed', 'contested', 'lapsed')"
    states = "'reserved', 'agreed', 'owed', 'contested', 'scheduled', 'missed', 'delivered', 'disputed', 'confirmed', 'refunded', 'lapsed'"
    checks = {
        "contract": {"status": "status IN ('created', 'agreed', 'paid', 'closed', 'lapsed')"},
        "lesson": {"status": f"status IN ({states})", "paid_for": f"(payment_id IS NULL) = ({unpaid})"},
    }
    for table, named in checks.items():
        for name, said in named.items():
            op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
            op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, said)
    live = sa.text("status IN ('created', 'agreed', 'paid')")
    op.drop_index("uq_contract_one_seat", "contract")
    op.create_index("uq_contract_one_seat", "contract", ["class_id", "student_id"], unique=True, postgresql_where=live)


def _charges() -> None:
    op.create_table(
        "charge",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_lesson", sa.Integer(), nullable=False),
        sa.Column("last_lesson", sa.Integer(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("opens_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("to_confirm", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("status IN ('planned', 'paid', 'lapsed')", name=op.f("ck_charge_status")),
        sa.CheckConstraint("number >= 1 AND first_lesson >= 1 AND last_lesson >= first_lesson", name=op.f("ck_charge_lessons")),
        sa.CheckConstraint("amount_fen BETWEEN 1 AND 10000000000000", name=op.f("ck_charge_amount")),
        sa.CheckConstraint("opens_on <= due_on", name=op.f("ck_charge_opens")),
        sa.CheckConstraint("(status = 'planned') = (ended_at IS NULL)", name=op.f("ck_charge_ended")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_charge_contract_id_contract")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_charge_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge")),
        sa.UniqueConstraint("contract_id", "number", name=op.f("uq_charge_contract_id_number")),
    )
    op.create_index(op.f("ix_charge_institution_id"), "charge", ["institution_id"])
    op.create_index("ix_charge_due", "charge", ["due_on"], postgresql_where=sa.text("status = 'planned'"))
    op.create_index("ix_charge_to_confirm", "charge", ["id"], postgresql_where=sa.text("to_confirm"))
