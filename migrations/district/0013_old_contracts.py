"""Old contracts (存量): paid before custody, with no cash behind them until the institution has made it good."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_UNPAID = "reversed_at IS NULL AND payout_id IS NULL"
_PAID_BY = "(status = 'paid') = (movement_id IS NOT NULL OR old_stock) AND NOT (old_stock AND movement_id IS NOT NULL)"
_RULED = (
    "num_nonnulls(ruling, ruling_reason, ruled_by, ruled_at) IN (0, 4)"
    " AND (ruling IS NULL OR (outcome = 'unknown_payer' AND meant_for IS NULL))"
)


def upgrade() -> None:
    op.execute("INSERT INTO transfer_kind (kind, debit_type, credit_type) VALUES ('old_stock_recognised', 'shortfall', 'escrow')")
    for table in ("contract", "payment"):
        op.add_column(table, sa.Column("old_stock", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.drop_constraint(op.f("ck_payment_paid_by"), "payment")
    op.create_check_constraint(op.f("ck_payment_paid_by"), "payment", _PAID_BY)
    op.create_index("ix_payment_old_stock", "payment", ["institution_id"], postgresql_where=sa.text("old_stock"))
    _made_good()
    _rulings()
    _waiting_refunds()
    op.execute("GRANT SELECT, INSERT ON payee, made_good_line TO escrow_app")
    op.execute("GRANT UPDATE (funded_at, payee_id, named_by) ON refund TO escrow_app")


def _made_good() -> None:
    op.add_column("release", sa.Column("made_good_fen", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_check_constraint(
        op.f("ck_release_made_good"), "release", "made_good_fen BETWEEN 0 AND amount_fen AND (made_good_fen = 0 OR reversed_at IS NULL)"
    )
    op.drop_index("ix_release_unpaid", "release")
    left = sa.text(f"{_UNPAID} AND made_good_fen < amount_fen")
    op.create_index("ix_release_unpaid", "release", ["institution_id", "final_at"], postgresql_where=left)
    op.create_table(
        "made_good_line",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("release_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen >= 1", name=op.f("ck_made_good_line_amount")),
        sa.ForeignKeyConstraint(["run_id"], ["settlement_run.id"], name=op.f("fk_made_good_line_run_id_settlement_run")),
        sa.ForeignKeyConstraint(["release_id"], ["release.id"], name=op.f("fk_made_good_line_release_id_release")),
        sa.PrimaryKeyConstraint("run_id", "release_id", name=op.f("pk_made_good_line")),
    )
    op.create_index(op.f("ix_made_good_line_release_id"), "made_good_line", ["release_id"])
    op.execute("CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON made_good_line FOR EACH ROW EXECUTE FUNCTION refuse_change()")
    op.execute("CREATE TRIGGER never_emptied BEFORE TRUNCATE ON made_good_line EXECUTE FUNCTION refuse_change()")


def _rulings() -> None:
    op.add_column("receipt", sa.Column("ruling", sa.Text(), nullable=True))
    op.add_column("receipt", sa.Column("ruling_reason", sa.Text(), nullable=True))
    op.add_column("receipt", sa.Column("ruled_by", sa.Uuid(), nullable=True))
    op.add_column("receipt", sa.Column("ruled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("receipt", sa.Column("made_good_fen", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_check_constraint(op.f("ck_receipt_ruling"), "receipt", "ruling IN ('made_good', 'return')")
    op.create_check_constraint(op.f("ck_receipt_ruled"), "receipt", _RULED)
    op.create_check_constraint(
        op.f("ck_receipt_made_good"),
        "receipt",
        "made_good_fen BETWEEN 0 AND amount_fen AND (made_good_fen > 0) = (ruling IS NOT DISTINCT FROM 'made_good')",
    )


def _waiting_refunds() -> None:
    op.create_table(
        "payee",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_enc", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payee")),
    )
    for table in ("instruction", "refund"):
        op.add_column(table, sa.Column("payee_id", sa.Uuid(), nullable=True))
        op.create_foreign_key(op.f(f"fk_{table}_payee_id_payee"), table, "payee", ["payee_id"], ["id"])
    op.drop_constraint(op.f("ck_instruction_refund_route"), "instruction")
    op.create_check_constraint(
        op.f("ck_instruction_refund_route"),
        "instruction",
        "num_nonnulls(original_movement_id, payee_id) = CASE purpose WHEN 'refund' THEN 1 ELSE 0 END",
    )
    op.drop_constraint(op.f("fk_refund_refund_no_instruction"), "refund")
    op.add_column("refund", sa.Column("funded_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE refund SET funded_at = approved_at")
    op.add_column("refund", sa.Column("named_by", sa.Uuid(), nullable=True))
    op.create_foreign_key(op.f("fk_refund_named_by_guardian"), "refund", "guardian", ["named_by"], ["id"])
    op.create_check_constraint(op.f("ck_refund_named"), "refund", "(payee_id IS NULL) = (named_by IS NULL)")
    op.create_index("ix_refund_waiting", "refund", ["institution_id", "approved_at", "id"], postgresql_where=sa.text("funded_at IS NULL"))
