"""Registers of institutions and teachers in full: licence, applications, changes, lists, yearly checks, campuses, photos."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MAIN_CAMPUS = """
    INSERT INTO campus (id, institution_id, name, address, created_at)
    SELECT gen_random_uuid(), id, '主校区', address, created_at FROM institution
"""
_RIGHTS = (
    "GRANT SELECT, INSERT ON institution_application, institution_change, institution_listing, yearly_check, campus, teacher_photo"
    " TO escrow_app",
    "GRANT UPDATE (status, username, password_hash, contact_name_enc, contact_phone_enc, decided_at, decided_by, decision_reason)"
    " ON institution_application TO escrow_app",
    "GRANT UPDATE (status, decided_at, decided_by, decision_reason) ON institution_change TO escrow_app",
    "GRANT UPDATE (address, area_m2, lease_ends_on, closed_at) ON campus TO escrow_app",
    "GRANT UPDATE (content, sha256, uploaded_at), DELETE ON teacher_photo TO escrow_app",
    "GRANT UPDATE (subject, certificate_subject, certificate_to_on, employed_from_on, employed_to_on, serving_school_teacher)"
    " ON teacher TO escrow_app",
    "GRANT UPDATE (replaced_at) ON bank_account TO escrow_app",
    # Who an institution is stays as it was entered.
    "REVOKE UPDATE ON institution FROM escrow_app",
    "GRANT UPDATE (stage, for_profit, address, legal_representative, contact_name_enc, contact_phone_enc, licence_no, licence_issuer,"
    " licence_scope, licence_from_on, licence_to_on, status, listing, sales_paused_at, sales_pause_reason) ON institution TO escrow_app",
)
_APPEND_ONLY = ("institution_listing", "yearly_check")


def upgrade() -> None:
    _institution()
    _application()
    _campus()
    _change()
    _history()
    _teacher()
    _account()
    op.execute(_MAIN_CAMPUS)
    for grant in _RIGHTS:
        op.execute(grant)
    for table in _APPEND_ONLY:
        op.execute(f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()")
        op.execute(f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")


def _institution() -> None:
    texts = ("stage", "legal_representative", "licence_no", "licence_issuer", "licence_scope", "listing", "sales_pause_reason")
    for name in texts:
        op.add_column("institution", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("institution", sa.Column("for_profit", sa.Boolean(), nullable=True))
    for name in ("contact_name_enc", "contact_phone_enc"):
        op.add_column("institution", sa.Column(name, sa.LargeBinary(), nullable=True))
    for name in ("licence_from_on", "licence_to_on"):
        op.add_column("institution", sa.Column(name, sa.Date(), nullable=True))
    op.add_column("institution", sa.Column("sales_paused_at", sa.DateTime(timezone=True), nullable=True))
    checks = {
        "stage": "stage IN ('preschool', 'primary', 'middle', 'high')",
        "listing": "listing IN ('white', 'black')",
        "licence": "licence_from_on <= licence_to_on",
        "sales_pause": "(sales_paused_at IS NULL) = (sales_pause_reason IS NULL)",
    }
    for name, condition in checks.items():
        op.create_check_constraint(op.f(f"ck_institution_{name}"), "institution", condition)


def _application() -> None:
    op.create_table(
        "institution_application",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("application_no", sa.Text(), nullable=False),
        sa.Column("credit_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("contact_name_enc", sa.LargeBinary(), nullable=True),
        sa.Column("contact_phone_enc", sa.LargeBinary(), nullable=True),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("staff_name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("status IN ('applied', 'approved', 'refused')", name=op.f("ck_institution_application_status")),
        sa.CheckConstraint("(status = 'applied') = (decided_at IS NULL)", name=op.f("ck_institution_application_decided")),
        sa.CheckConstraint("(status = 'applied') = (password_hash IS NOT NULL)", name=op.f("ck_institution_application_password_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_institution_application")),
        sa.UniqueConstraint("application_no", name=op.f("uq_institution_application_application_no")),
    )
    op.create_index(op.f("ix_institution_application_applied_at_id"), "institution_application", ["applied_at", "id"])
    op.create_index(
        "ix_institution_application_undecided",
        "institution_application",
        ["applied_at", "id"],
        postgresql_where=sa.text("status = 'applied'"),
    )


def _campus() -> None:
    op.create_table(
        "campus",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("area_m2", sa.Integer(), nullable=True),
        sa.Column("lease_ends_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("area_m2 BETWEEN 1 AND 1000000", name=op.f("ck_campus_area")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_campus_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campus")),
    )
    op.create_index(op.f("ix_campus_institution_id_created_at_id"), "campus", ["institution_id", "created_at", "id"])


def _change() -> None:
    op.create_table(
        "institution_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("campus_id", sa.Uuid(), nullable=True),
        sa.Column("old_value", sa.Text(), nullable=True),
        sa.Column("new_value", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('legal_representative', 'address', 'campus_address', 'settlement_account')", name=op.f("ck_institution_change_kind")
        ),
        sa.CheckConstraint("status IN ('proposed', 'confirmed', 'refused')", name=op.f("ck_institution_change_status")),
        sa.CheckConstraint("(kind = 'campus_address') = (campus_id IS NOT NULL)", name=op.f("ck_institution_change_campus")),
        sa.CheckConstraint("(status = 'proposed') = (decided_at IS NULL)", name=op.f("ck_institution_change_decided")),
        sa.ForeignKeyConstraint(["campus_id"], ["campus.id"], name=op.f("fk_institution_change_campus_id_campus")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_institution_change_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_institution_change")),
    )
    op.create_index(
        op.f("ix_institution_change_institution_id_proposed_at_id"), "institution_change", ["institution_id", "proposed_at", "id"]
    )
    op.create_index(
        "uq_institution_change_undecided",
        "institution_change",
        ["institution_id", "kind"],
        unique=True,
        postgresql_where=sa.text("status = 'proposed'"),
    )


def _history() -> None:
    op.create_table(
        "institution_listing",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("listing", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=False),
        sa.CheckConstraint("listing IN ('white', 'black')", name=op.f("ck_institution_listing_listing")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_institution_listing_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_institution_listing")),
    )
    op.create_index(
        op.f("ix_institution_listing_institution_id_decided_at_id"), "institution_listing", ["institution_id", "decided_at", "id"]
    )
    op.create_table(
        "yearly_check",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.CheckConstraint("result IN ('passed', 'conditional', 'failed')", name=op.f("ck_yearly_check_result")),
        sa.CheckConstraint("year BETWEEN 2000 AND 2199", name=op.f("ck_yearly_check_year")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_yearly_check_institution_id_institution")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_yearly_check")),
    )
    op.create_index(op.f("ix_yearly_check_institution_id_year_id"), "yearly_check", ["institution_id", "year", "id"])


def _teacher() -> None:
    op.add_column("teacher", sa.Column("certificate_subject", sa.Text(), nullable=True))
    for name in ("certificate_to_on", "employed_from_on", "employed_to_on"):
        op.add_column("teacher", sa.Column(name, sa.Date(), nullable=True))
    op.add_column("teacher", sa.Column("serving_school_teacher", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_check_constraint(op.f("ck_teacher_employed"), "teacher", "employed_from_on <= employed_to_on")
    op.create_table(
        "teacher_photo",
        sa.Column("teacher_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(content) BETWEEN 1 AND 204800", name=op.f("ck_teacher_photo_content")),
        sa.ForeignKeyConstraint(["teacher_id"], ["teacher.id"], name=op.f("fk_teacher_photo_teacher_id_teacher")),
        sa.PrimaryKeyConstraint("teacher_id", name=op.f("pk_teacher_photo")),
    )


def _account() -> None:
    op.add_column("bank_account", sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint("uq_bank_account_book_id_role", "bank_account", type_="unique")
    op.create_index(
        "uq_bank_account_current", "bank_account", ["book_id", "role"], unique=True, postgresql_where=sa.text("replaced_at IS NULL")
    )
    op.create_check_constraint(op.f("ck_bank_account_replaced_at"), "bank_account", "replaced_at IS NULL OR role = 'settlement'")
