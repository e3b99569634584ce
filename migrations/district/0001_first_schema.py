"""The first schema of a district: registers, books, bank, the path of money, supervision."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_HERE = Path(__file__).parent


def upgrade() -> None:
    _tables()
    driver = op.get_bind().connection.dbapi_connection
    for name in ("ledger.sql", "rights.sql"):
        script = (_HERE / name).read_text("utf-8")
        driver.run_async(lambda connection, script=script: connection.execute(script))


def _tables() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index(op.f("ix_audit_entry_at"), "audit_entry", ["at"], unique=False)
    op.create_index(op.f("ix_audit_entry_subject_at"), "audit_entry", ["subject", "at"], unique=False)
    op.create_table(
        "bank_notice",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("notice_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("account_no", sa.Text(), nullable=True),
        sa.Column("value_on", sa.Date(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('received', 'processed', 'ignored')", name=op.f("ck_bank_notice_status")),
        sa.PrimaryKeyConstraint("connection", "notice_id", name=op.f("pk_bank_notice")),
    )
    op.create_index(op.f("ix_bank_notice_due_at"), "bank_notice", ["due_at"], unique=False, postgresql_where=sa.text("status = 'received'"))
    op.create_table(
        "book",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_book")),
    )
    op.create_table(
        "guardian",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.Column("phone_enc", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guardian")),
        sa.UniqueConstraint("phone_index", name=op.f("uq_guardian_phone_index")),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(body_sha256) = 32", name=op.f("ck_idempotency_key_body_sha256")),
        sa.PrimaryKeyConstraint("principal", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_index(op.f("ix_idempotency_key_created_at"), "idempotency_key", ["created_at"], unique=False)
    op.create_table(
        "ledger_unsealed",
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("transfer_id", name=op.f("pk_ledger_unsealed")),
    )
    op.create_table(
        "sign_in_code",
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("phone_index", name=op.f("pk_sign_in_code")),
    )
    op.create_table(
        "sign_in_failure",
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_sign_in_failure")),
    )
    op.create_table(
        "student",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name_enc", sa.LargeBinary(), nullable=False),
        sa.Column("birth_month_enc", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_student")),
    )
    op.create_table(
        "supervision_cursor",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_supervision_cursor")),
    )
    op.create_table(
        "transfer_kind",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("debit_type", sa.Text(), nullable=False),
        sa.Column("credit_type", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "debit_type", "credit_type", name=op.f("pk_transfer_kind")),
    )
    op.create_table(
        "bank_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("account_no", sa.Text(), nullable=False),
        sa.Column("holder_name", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("balance_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('supervised', 'settlement')", name=op.f("ck_bank_account_role")),
        sa.ForeignKeyConstraint(["book_id"], ["book.id"], name=op.f("fk_bank_account_book_id_book")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_account")),
        sa.UniqueConstraint("book_id", "role", name=op.f("uq_bank_account_book_id_role")),
        sa.UniqueConstraint("connection", "account_no", name=op.f("uq_bank_account_connection_account_no")),
    )
    op.create_table(
        "guardianship",
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["guardian_id"], ["guardian.id"], name=op.f("fk_guardianship_guardian_id_guardian")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_guardianship_student_id_student")),
        sa.PrimaryKeyConstraint("guardian_id", "student_id", name=op.f("pk_guardianship")),
    )
    op.create_index(op.f("ix_guardianship_student_id"), "guardianship", ["student_id"], unique=False)
    op.create_table(
        "institution",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("credit_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('subject', 'arts', 'sports', 'science', 'other')", name=op.f("ck_institution_kind")),
        sa.CheckConstraint("status IN ('approved', 'suspended', 'closed')", name=op.f("ck_institution_status")),
        sa.ForeignKeyConstraint(["id"], ["book.id"], name=op.f("fk_institution_id_book")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_institution")),
        sa.UniqueConstraint("credit_code", name=op.f("uq_institution_credit_code")),
    )
    op.create_table(
        "ledger_account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "side",
            sa.Text(),
            sa.Computed("CASE WHEN type IN ('cash', 'incoming', 'shortfall') THEN 'asset' ELSE 'liability' END", persisted=True),
            nullable=False,
        ),
        sa.Column("balance_fen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("type = split_part(code, ':', 1)", name=op.f("ck_ledger_account_code")),
        sa.CheckConstraint(
            "type IN ('cash', 'incoming', 'shortfall', 'escrow', 'payable', 'outgoing', 'guarantee', 'interest', 'suspense')",
            name=op.f("ck_ledger_account_type"),
        ),
        sa.CheckConstraint("balance_fen >= 0", name=op.f("ck_ledger_account_balance")),
        sa.CheckConstraint("version >= 0", name=op.f("ck_ledger_account_version")),
        sa.ForeignKeyConstraint(["book_id"], ["book.id"], name=op.f("fk_ledger_account_book_id_book")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_account")),
        sa.UniqueConstraint("book_id", "code", name=op.f("uq_ledger_account_book_id_code")),
        sa.UniqueConstraint("book_id", "id", name=op.f("uq_ledger_account_book_id_id")),
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("level IN ('yellow', 'red')", name=op.f("ck_alert_level")),
        sa.CheckConstraint(
            "rule IN ('large_transfer', 'large_day', 'minimum_balance', 'uninstructed_debit', 'unassigned_money', 'instruction_failed', 'instruction_in_doubt', 'break')",
            name=op.f("ck_alert_rule"),
        ),
        sa.CheckConstraint("status IN ('opened', 'acknowledged', 'resolved')", name=op.f("ck_alert_status")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_alert_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index(op.f("ix_alert_institution_id_id"), "alert", ["institution_id", "id"], unique=False)
    op.create_index("ix_alert_open", "alert", ["id"], unique=False, postgresql_where=sa.text("status <> 'resolved'"))
    op.create_index("uq_alert_one_open", "alert", ["rule", "subject"], unique=True, postgresql_where=sa.text("status <> 'resolved'"))
    op.create_table(
        "balance_report",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bank_account_id", sa.Uuid(), nullable=False),
        sa.Column("balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["bank_account_id"], ["bank_account.id"], name=op.f("fk_balance_report_bank_account_id_bank_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balance_report")),
    )
    op.create_index(op.f("ix_balance_report_bank_account_id_as_of_id"), "balance_report", ["bank_account_id", "as_of", "id"], unique=False)
    op.create_index("ix_balance_report_unjudged", "balance_report", ["as_of"], unique=False, postgresql_where=sa.text("judged_at IS NULL"))
    op.create_table(
        "collection",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("bank_account_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("return_url", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("cashier_url", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('created', 'opened', 'paid', 'closed', 'refused')", name=op.f("ck_collection_status")),
        sa.CheckConstraint("amount_fen BETWEEN 1 AND 10000000000000", name=op.f("ck_collection_amount")),
        sa.ForeignKeyConstraint(["bank_account_id"], ["bank_account.id"], name=op.f("fk_collection_bank_account_id_bank_account")),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_collection")),
    )
    op.create_index(
        op.f("ix_collection_due_at"), "collection", ["due_at"], unique=False, postgresql_where=sa.text("status IN ('created', 'opened')")
    )
    op.create_table(
        "reconciliation",
        sa.Column("bank_account_id", sa.Uuid(), nullable=False),
        sa.Column("value_on", sa.Date(), nullable=False),
        sa.Column("statement_fen", sa.BigInteger(), nullable=False),
        sa.Column("cash_fen", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reconciled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status = 'broken' OR statement_fen = cash_fen", name=op.f("ck_reconciliation_matched")),
        sa.CheckConstraint("status IN ('matched', 'broken')", name=op.f("ck_reconciliation_status")),
        sa.ForeignKeyConstraint(["bank_account_id"], ["bank_account.id"], name=op.f("fk_reconciliation_bank_account_id_bank_account")),
        sa.PrimaryKeyConstraint("bank_account_id", "value_on", name=op.f("pk_reconciliation")),
    )
    op.create_index(
        "ix_reconciliation_unjudged",
        "reconciliation",
        ["value_on"],
        unique=False,
        postgresql_where=sa.text("status = 'broken' AND judged_at IS NULL"),
    )
    op.create_index(op.f("ix_reconciliation_value_on"), "reconciliation", ["value_on"], unique=False)
    op.create_table(
        "settlement_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("business_on", sa.Date(), nullable=False),
        sa.Column("run_no", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_settlement_run_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlement_run")),
        sa.UniqueConstraint("business_on", "run_no", "institution_id", name=op.f("uq_settlement_run_business_on_run_no_institution_id")),
    )
    op.create_table(
        "staff",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(role = 'institution') = (institution_id IS NOT NULL)", name=op.f("ck_staff_institution")),
        sa.CheckConstraint("role IN ('institution', 'settlement', 'supervision')", name=op.f("ck_staff_role")),
        sa.CheckConstraint("username = lower(username)", name=op.f("ck_staff_username")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_staff_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("username", name=op.f("uq_staff_username")),
    )
    op.create_table(
        "statement_day",
        sa.Column("bank_account_id", sa.Uuid(), nullable=False),
        sa.Column("value_on", sa.Date(), nullable=False),
        sa.Column("opening_fen", sa.BigInteger(), nullable=False),
        sa.Column("closing_fen", sa.BigInteger(), nullable=False),
        sa.Column("movements", sa.BigInteger(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["bank_account_id"], ["bank_account.id"], name=op.f("fk_statement_day_bank_account_id_bank_account")),
        sa.PrimaryKeyConstraint("bank_account_id", "value_on", name=op.f("pk_statement_day")),
    )
    op.create_table(
        "teacher",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("certificate_no", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_teacher_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teacher")),
        sa.UniqueConstraint("institution_id", "certificate_no", name=op.f("uq_teacher_institution_id_certificate_no")),
    )
    op.create_table(
        "threshold",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("large_transfer_fen", sa.BigInteger(), nullable=False),
        sa.Column("large_day_fen", sa.BigInteger(), nullable=False),
        sa.Column("minimum_balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("large_transfer_fen > 0 AND large_day_fen > 0 AND minimum_balance_fen >= 0", name=op.f("ck_threshold_lines")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_threshold_institution_id_institution")),
        sa.PrimaryKeyConstraint("institution_id", name=op.f("pk_threshold")),
    )
    op.create_table(
        "transfer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("format", sa.SmallInteger(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("debit_balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("credit_balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("debit_version", sa.BigInteger(), nullable=False),
        sa.Column("credit_version", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value_on", sa.Date(), nullable=False),
        sa.Column("business_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reverses", sa.Uuid(), nullable=True),
        sa.Column("batch", sa.Uuid(), nullable=True),
        sa.Column("posted_by", sa.Text(), nullable=False),
        sa.Column("evidence_sha256", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("amount_fen BETWEEN 1 AND 10000000000000", name=op.f("ck_transfer_amount")),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_transfer_two_accounts")),
        sa.CheckConstraint("debit_balance_fen >= 0 AND credit_balance_fen >= 0", name=op.f("ck_transfer_balances")),
        sa.CheckConstraint("debit_version > 0 AND credit_version > 0", name=op.f("ck_transfer_versions")),
        sa.CheckConstraint("evidence_sha256 IS NULL OR length(evidence_sha256) = 32", name=op.f("ck_transfer_evidence")),
        sa.ForeignKeyConstraint(
            ["book_id", "credit"], ["ledger_account.book_id", "ledger_account.id"], name=op.f("fk_transfer_book_id_credit_ledger_account")
        ),
        sa.ForeignKeyConstraint(
            ["book_id", "debit"], ["ledger_account.book_id", "ledger_account.id"], name=op.f("fk_transfer_book_id_debit_ledger_account")
        ),
        sa.ForeignKeyConstraint(
            ["book_id", "reverses"], ["transfer.book_id", "transfer.id"], name=op.f("fk_transfer_book_id_reverses_transfer")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer")),
        sa.UniqueConstraint("book_id", "id", name=op.f("uq_transfer_book_id_id")),
        sa.UniqueConstraint("kind", "reference", name=op.f("uq_transfer_kind_reference")),
    )
    op.create_index(
        op.f("ix_transfer_credit_recorded_at_credit_version"), "transfer", ["credit", "recorded_at", "credit_version"], unique=True
    )
    op.create_index(op.f("ix_transfer_debit_recorded_at_debit_version"), "transfer", ["debit", "recorded_at", "debit_version"], unique=True)
    op.create_index(op.f("ix_transfer_reverses"), "transfer", ["reverses"], unique=True, postgresql_where=sa.text("reverses IS NOT NULL"))
    op.create_table(
        "alert_event",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_alert_event_alert_id_alert")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_alert_event")),
    )
    op.create_table(
        "bank_movement",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bank_account_id", sa.Uuid(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("movement_no", sa.Text(), nullable=False),
        sa.Column("value_on", sa.Date(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("balance_after_fen", sa.BigInteger(), nullable=False),
        sa.Column("stated_fen", sa.BigInteger(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("counterparty_enc", sa.LargeBinary(), nullable=False),
        sa.Column("booked_as", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=True),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("booked_as IN ('received', 'settled', 'returned', 'taken', 'watched')", name=op.f("ck_bank_movement_booked_as")),
        sa.CheckConstraint("direction IN ('in', 'out')", name=op.f("ck_bank_movement_direction")),
        sa.ForeignKeyConstraint(["bank_account_id"], ["bank_account.id"], name=op.f("fk_bank_movement_bank_account_id_bank_account")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_bank_movement_transfer_id_transfer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_movement")),
        sa.UniqueConstraint(
            "bank_account_id",
            "direction",
            "movement_no",
            "value_on",
            name=op.f("uq_bank_movement_bank_account_id_direction_movement_no_value_on"),
        ),
    )
    op.create_index(op.f("ix_bank_movement_bank_account_id_value_on"), "bank_movement", ["bank_account_id", "value_on"], unique=False)
    op.create_index(op.f("ix_bank_movement_reference"), "bank_movement", ["reference"], unique=False)
    op.create_index(
        "ix_bank_movement_taken",
        "bank_movement",
        ["bank_account_id", "value_on"],
        unique=False,
        postgresql_where=sa.text("booked_as = 'taken'"),
    )
    op.create_index(
        "ix_bank_movement_unassigned",
        "bank_movement",
        ["id"],
        unique=False,
        postgresql_where=sa.text("booked_as = 'received' AND assigned_at IS NULL"),
    )
    op.create_index(
        "ix_bank_movement_unstated",
        "bank_movement",
        ["bank_account_id"],
        unique=False,
        postgresql_where=sa.text("stated_fen IS DISTINCT FROM amount_fen"),
    )
    op.create_table(
        "ledger_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_ledger_log_transfer_id_transfer")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger_log")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_ledger_log_transfer_id")),
    )
    op.create_table(
        "principal_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("guardian_id", sa.Uuid(), nullable=True),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(role = 'parent') = (guardian_id IS NOT NULL) AND (role = 'parent') = (staff_id IS NULL)",
            name=op.f("ck_principal_session_whose"),
        ),
        sa.CheckConstraint("role IN ('parent', 'institution', 'settlement', 'supervision')", name=op.f("ck_principal_session_role")),
        sa.CheckConstraint("length(token_sha256) = 32", name=op.f("ck_principal_session_token_sha256")),
        sa.ForeignKeyConstraint(["guardian_id"], ["guardian.id"], name=op.f("fk_principal_session_guardian_id_guardian")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_principal_session_staff_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal_session")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_principal_session_token_sha256")),
    )
    op.create_index(op.f("ix_principal_session_expires_at"), "principal_session", ["expires_at"], unique=False)
    op.create_index(op.f("ix_principal_session_guardian_id"), "principal_session", ["guardian_id"], unique=False)
    op.create_index(op.f("ix_principal_session_staff_id"), "principal_session", ["staff_id"], unique=False)
    op.create_table(
        "reconciliation_break",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bank_account_id", sa.Uuid(), nullable=False),
        sa.Column("value_on", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('not_at_bank', 'other_amount', 'uninstructed_debit', 'opening_differs', 'closing_differs', 'account_missing')",
            name=op.f("ck_reconciliation_break_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["bank_account_id", "value_on"],
            ["reconciliation.bank_account_id", "reconciliation.value_on"],
            name=op.f("fk_reconciliation_break_bank_account_id_value_on_reconciliation"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation_break")),
    )
    op.create_index(
        op.f("ix_reconciliation_break_bank_account_id_value_on"), "reconciliation_break", ["bank_account_id", "value_on"], unique=False
    )
    op.create_table(
        "training_class",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("teacher_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("lesson_count", sa.Integer(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status IN ('opened', 'closed')", name=op.f("ck_training_class_status")),
        sa.CheckConstraint("lesson_count BETWEEN 1 AND 500", name=op.f("ck_training_class_lesson_count")),
        sa.CheckConstraint("price_fen BETWEEN 1 AND 10000000000000", name=op.f("ck_training_class_price")),
        sa.CheckConstraint("seats BETWEEN 1 AND 500", name=op.f("ck_training_class_seats")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_training_class_institution_id_institution")),
        sa.ForeignKeyConstraint(["teacher_id"], ["teacher.id"], name=op.f("fk_training_class_teacher_id_teacher")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_class")),
    )
    op.create_index(op.f("ix_training_class_institution_id"), "training_class", ["institution_id"], unique=False)
    op.create_table(
        "class_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("class_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('scheduled', 'delivered')", name=op.f("ck_class_session_status")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_class_session_times")),
        sa.ForeignKeyConstraint(["class_id"], ["training_class.id"], name=op.f("fk_class_session_class_id_training_class")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_class_session_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_class_session")),
        sa.UniqueConstraint("class_id", "number", name=op.f("uq_class_session_class_id_number")),
    )
    op.create_index(op.f("ix_class_session_institution_id_starts_at"), "class_session", ["institution_id", "starts_at"], unique=False)
    op.create_table(
        "contract",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_no", sa.Text(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("class_id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.Uuid(), nullable=False),
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("judged_by", sa.Text(), nullable=False),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lapses_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('created', 'paid', 'closed', 'lapsed')", name=op.f("ck_contract_status")),
        sa.CheckConstraint("amount_fen BETWEEN 1 AND 10000000000000", name=op.f("ck_contract_amount")),
        sa.ForeignKeyConstraint(["class_id"], ["training_class.id"], name=op.f("fk_contract_class_id_training_class")),
        sa.ForeignKeyConstraint(["guardian_id"], ["guardian.id"], name=op.f("fk_contract_guardian_id_guardian")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_contract_institution_id_institution")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_contract_student_id_student")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract")),
        sa.UniqueConstraint("contract_no", name=op.f("uq_contract_contract_no")),
    )
    op.create_index(op.f("ix_contract_class_id"), "contract", ["class_id"], unique=False)
    op.create_index(op.f("ix_contract_guardian_id_created_at"), "contract", ["guardian_id", "created_at"], unique=False)
    op.create_index(op.f("ix_contract_institution_id_created_at"), "contract", ["institution_id", "created_at"], unique=False)
    op.create_index(op.f("ix_contract_lapses_at"), "contract", ["lapses_at"], unique=False, postgresql_where=sa.text("status = 'created'"))
    op.create_index(
        "uq_contract_one_seat",
        "contract",
        ["class_id", "student_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('created', 'paid')"),
    )
    op.create_table(
        "instruction",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("bank_account_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("original_movement_id", sa.Uuid(), nullable=True),
        sa.Column("payee_account_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reject_code", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reserving_transfer_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unreserved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(purpose = 'payout') = (payee_account_id IS NOT NULL)", name=op.f("ck_instruction_payout_route")),
        sa.CheckConstraint("(purpose = 'refund') = (original_movement_id IS NOT NULL)", name=op.f("ck_instruction_refund_route")),
        sa.CheckConstraint("purpose IN ('refund', 'payout')", name=op.f("ck_instruction_purpose")),
        sa.CheckConstraint(
            "status IN ('drafted', 'held', 'cleared', 'submitted', 'unknown', 'settled', 'rejected', 'returned')",
            name=op.f("ck_instruction_status"),
        ),
        sa.CheckConstraint("amount_fen BETWEEN 1 AND 10000000000000", name=op.f("ck_instruction_amount")),
        sa.ForeignKeyConstraint(["bank_account_id"], ["bank_account.id"], name=op.f("fk_instruction_bank_account_id_bank_account")),
        sa.ForeignKeyConstraint(["book_id"], ["book.id"], name=op.f("fk_instruction_book_id_book")),
        sa.ForeignKeyConstraint(
            ["original_movement_id"], ["bank_movement.id"], name=op.f("fk_instruction_original_movement_id_bank_movement")
        ),
        sa.ForeignKeyConstraint(["payee_account_id"], ["bank_account.id"], name=op.f("fk_instruction_payee_account_id_bank_account")),
        sa.ForeignKeyConstraint(["reserving_transfer_id"], ["transfer.id"], name=op.f("fk_instruction_reserving_transfer_id_transfer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instruction")),
        sa.UniqueConstraint("reference", name=op.f("uq_instruction_reference")),
    )
    op.create_index(op.f("ix_instruction_book_id_created_at"), "instruction", ["book_id", "created_at"], unique=False)
    op.create_index(
        op.f("ix_instruction_due_at"),
        "instruction",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('cleared', 'submitted', 'unknown')"),
    )
    op.create_index(
        op.f("ix_instruction_purpose_status"),
        "instruction",
        ["purpose", "status"],
        unique=False,
        postgresql_where=sa.text("unreserved_at IS NULL AND status <> 'settled'"),
    )
    op.create_table(
        "clearance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("instruction_id", sa.Uuid(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(decision IN ('released', 'rejected')) = (decided_by IS NOT NULL AND reason IS NOT NULL)", name=op.f("ck_clearance_officer")
        ),
        sa.CheckConstraint("decision IN ('cleared', 'held', 'released', 'rejected')", name=op.f("ck_clearance_decision")),
        sa.ForeignKeyConstraint(["instruction_id"], ["instruction.id"], name=op.f("fk_clearance_instruction_id_instruction")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clearance")),
    )
    op.create_index(
        "uq_clearance_one_decision",
        "clearance",
        ["instruction_id"],
        unique=True,
        postgresql_where=sa.text("decision IN ('released', 'rejected')"),
    )
    op.create_index(
        "uq_clearance_one_judgement",
        "clearance",
        ["instruction_id"],
        unique=True,
        postgresql_where=sa.text("decision IN ('cleared', 'held')"),
    )
    op.create_table(
        "lesson",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("class_session_id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.Uuid(), nullable=False),
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(payment_id IS NULL) = (status IN ('reserved', 'lapsed'))", name=op.f("ck_lesson_paid_for")),
        sa.CheckConstraint(
            "status IN ('reserved', 'scheduled', 'missed', 'delivered', 'disputed', 'confirmed', 'refunded', 'lapsed')",
            name=op.f("ck_lesson_status"),
        ),
        sa.CheckConstraint("price_fen >= 1", name=op.f("ck_lesson_price")),
        sa.ForeignKeyConstraint(["class_session_id"], ["class_session.id"], name=op.f("fk_lesson_class_session_id_class_session")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_lesson_contract_id_contract")),
        sa.ForeignKeyConstraint(["guardian_id"], ["guardian.id"], name=op.f("fk_lesson_guardian_id_guardian")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_lesson_institution_id_institution")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_lesson_student_id_student")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lesson")),
        sa.UniqueConstraint("contract_id", "number", name=op.f("uq_lesson_contract_id_number")),
    )
    op.create_index(op.f("ix_lesson_class_session_id"), "lesson", ["class_session_id"], unique=False)
    op.create_index(op.f("ix_lesson_guardian_id_status"), "lesson", ["guardian_id", "status"], unique=False)
    op.create_index(op.f("ix_lesson_payment_id"), "lesson", ["payment_id"], unique=False)
    op.create_table(
        "payment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("payment_no", sa.Text(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("movement_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'paid') = (movement_id IS NOT NULL)", name=op.f("ck_payment_paid_by")),
        sa.CheckConstraint("status IN ('created', 'paid', 'expired')", name=op.f("ck_payment_status")),
        sa.CheckConstraint("amount_fen BETWEEN 1 AND 10000000000000", name=op.f("ck_payment_amount")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_payment_contract_id_contract")),
        sa.ForeignKeyConstraint(["guardian_id"], ["guardian.id"], name=op.f("fk_payment_guardian_id_guardian")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_payment_institution_id_institution")),
        sa.ForeignKeyConstraint(["movement_id"], ["bank_movement.id"], name=op.f("fk_payment_movement_id_bank_movement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("payment_no", name=op.f("uq_payment_payment_no")),
    )
    op.create_index(op.f("ix_payment_contract_id"), "payment", ["contract_id"], unique=False)
    op.create_index(op.f("ix_payment_expires_at"), "payment", ["expires_at"], unique=False, postgresql_where=sa.text("status = 'created'"))
    op.create_index("uq_payment_one_open", "payment", ["contract_id"], unique=True, postgresql_where=sa.text("status = 'created'"))
    op.create_index("uq_payment_one_paid", "payment", ["contract_id"], unique=True, postgresql_where=sa.text("status = 'paid'"))
    op.create_table(
        "payout",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("payout_no", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("drafted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_fen BETWEEN 1 AND 10000000000000", name=op.f("ck_payout_amount")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_payout_institution_id_institution")),
        sa.ForeignKeyConstraint(["payout_no"], ["instruction.reference"], name=op.f("fk_payout_payout_no_instruction")),
        sa.ForeignKeyConstraint(["run_id"], ["settlement_run.id"], name=op.f("fk_payout_run_id_settlement_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout")),
        sa.UniqueConstraint("payout_no", name=op.f("uq_payout_payout_no")),
        sa.UniqueConstraint("run_id", name=op.f("uq_payout_run_id")),
    )
    op.create_index(op.f("ix_payout_drafted_at"), "payout", ["drafted_at"], unique=False)
    op.create_index(op.f("ix_payout_institution_id_drafted_at"), "payout", ["institution_id", "drafted_at"], unique=False)
    op.create_table(
        "dispute",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lesson_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ruling", sa.Text(), nullable=True),
        sa.Column("ruling_reason", sa.Text(), nullable=True),
        sa.Column("ruled_by", sa.Uuid(), nullable=True),
        sa.Column("ruled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'ruled') = (ruling IS NOT NULL AND ruled_by IS NOT NULL AND ruled_at IS NOT NULL)", name=op.f("ck_dispute_ruled")
        ),
        sa.CheckConstraint("ruling IN ('release', 'return')", name=op.f("ck_dispute_ruling")),
        sa.CheckConstraint("status IN ('opened', 'ruled')", name=op.f("ck_dispute_status")),
        sa.ForeignKeyConstraint(["guardian_id"], ["guardian.id"], name=op.f("fk_dispute_guardian_id_guardian")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_dispute_institution_id_institution")),
        sa.ForeignKeyConstraint(["lesson_id"], ["lesson.id"], name=op.f("fk_dispute_lesson_id_lesson")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispute")),
    )
    op.create_index(op.f("ix_dispute_institution_id_opened_at"), "dispute", ["institution_id", "opened_at"], unique=False)
    op.create_index(op.f("ix_dispute_lesson_id_opened_at"), "dispute", ["lesson_id", "opened_at"], unique=False)
    op.create_index(op.f("ix_dispute_opened_at"), "dispute", ["opened_at"], unique=False)
    op.create_index("uq_dispute_one_open", "dispute", ["lesson_id"], unique=True, postgresql_where=sa.text("status = 'opened'"))
    op.create_table(
        "receipt",
        sa.Column("movement_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("meant_for", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("return_no", sa.Text(), nullable=True),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("return_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(outcome = 'matched') = (payment_id IS NOT NULL AND return_no IS NULL)", name=op.f("ck_receipt_matched")),
        sa.CheckConstraint("outcome IN ('matched', 'late', 'second', 'wrong_amount', 'unknown_payer')", name=op.f("ck_receipt_outcome")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_receipt_institution_id_institution")),
        sa.ForeignKeyConstraint(["meant_for"], ["payment.id"], name=op.f("fk_receipt_meant_for_payment")),
        sa.ForeignKeyConstraint(["movement_id"], ["bank_movement.id"], name=op.f("fk_receipt_movement_id_bank_movement")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_receipt_payment_id_payment")),
        sa.PrimaryKeyConstraint("movement_id", name=op.f("pk_receipt")),
        sa.UniqueConstraint("return_no", name=op.f("uq_receipt_return_no")),
    )
    op.create_index(
        "ix_receipt_unjudged",
        "receipt",
        ["movement_id"],
        unique=False,
        postgresql_where=sa.text("outcome <> 'matched' AND judged_at IS NULL"),
    )
    op.create_index(
        "ix_receipt_waiting",
        "receipt",
        ["movement_id"],
        unique=False,
        postgresql_where=sa.text("outcome <> 'matched' AND returned_at IS NULL"),
    )
    op.create_table(
        "refund",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("refund_no", sa.Text(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("finding", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("cause IN ('guardian', 'ruling')", name=op.f("ck_refund_cause")),
        sa.CheckConstraint("amount_fen BETWEEN 1 AND 10000000000000", name=op.f("ck_refund_amount")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_refund_contract_id_contract")),
        sa.ForeignKeyConstraint(["guardian_id"], ["guardian.id"], name=op.f("fk_refund_guardian_id_guardian")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_refund_institution_id_institution")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_refund_payment_id_payment")),
        sa.ForeignKeyConstraint(["refund_no"], ["instruction.reference"], name=op.f("fk_refund_refund_no_instruction")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
        sa.UniqueConstraint("refund_no", name=op.f("uq_refund_refund_no")),
    )
    op.create_index(op.f("ix_refund_approved_at"), "refund", ["approved_at"], unique=False)
    op.create_index(op.f("ix_refund_contract_id"), "refund", ["contract_id"], unique=False)
    op.create_index(op.f("ix_refund_guardian_id_approved_at"), "refund", ["guardian_id", "approved_at"], unique=False)
    op.create_index(op.f("ix_refund_institution_id_approved_at"), "refund", ["institution_id", "approved_at"], unique=False)
    op.create_table(
        "refund_line",
        sa.Column("refund_id", sa.Uuid(), nullable=False),
        sa.Column("lesson_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("status_before", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.CheckConstraint("status_before IN ('scheduled', 'missed', 'disputed')", name=op.f("ck_refund_line_status_before")),
        sa.ForeignKeyConstraint(["lesson_id"], ["lesson.id"], name=op.f("fk_refund_line_lesson_id_lesson")),
        sa.ForeignKeyConstraint(["refund_id"], ["refund.id"], name=op.f("fk_refund_line_refund_id_refund")),
        sa.PrimaryKeyConstraint("refund_id", "lesson_id", name=op.f("pk_refund_line")),
    )
    op.create_index("uq_refund_line_one_live", "refund_line", ["lesson_id"], unique=True, postgresql_where=sa.text("live"))
    op.create_table(
        "release",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lesson_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_by", sa.Uuid(), nullable=True),
        sa.Column("dispute_id", sa.Uuid(), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("final_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reversed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payout_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("amount_fen >= 1", name=op.f("ck_release_amount")),
        sa.CheckConstraint("num_nonnulls(confirmed_by, dispute_id) = 1", name=op.f("ck_release_one_cause")),
        sa.ForeignKeyConstraint(["confirmed_by"], ["guardian.id"], name=op.f("fk_release_confirmed_by_guardian")),
        sa.ForeignKeyConstraint(["dispute_id"], ["dispute.id"], name=op.f("fk_release_dispute_id_dispute")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_release_institution_id_institution")),
        sa.ForeignKeyConstraint(["lesson_id"], ["lesson.id"], name=op.f("fk_release_lesson_id_lesson")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_release_payment_id_payment")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_release")),
    )
    op.create_index(op.f("ix_release_payout_id"), "release", ["payout_id"], unique=False)
    op.create_index(
        "ix_release_unpaid",
        "release",
        ["institution_id", "final_at"],
        unique=False,
        postgresql_where=sa.text("reversed_at IS NULL AND payout_id IS NULL"),
    )
    op.create_index("uq_release_one_standing", "release", ["lesson_id"], unique=True, postgresql_where=sa.text("reversed_at IS NULL"))
    op.create_table(
        "payout_line",
        sa.Column("payout_id", sa.Uuid(), nullable=False),
        sa.Column("release_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["payout_id"], ["payout.id"], name=op.f("fk_payout_line_payout_id_payout")),
        sa.ForeignKeyConstraint(["release_id"], ["release.id"], name=op.f("fk_payout_line_release_id_release")),
        sa.PrimaryKeyConstraint("payout_id", "release_id", name=op.f("pk_payout_line")),
    )
    op.create_index("uq_payout_line_one_live", "payout_line", ["release_id"], unique=True, postgresql_where=sa.text("live"))
