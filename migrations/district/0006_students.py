"""Families: several guardians of a child, consent, invitations, look-ups, erasure; and how far a change of keys is."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_RIGHTS = (
    "GRANT SELECT ON key_rotation TO escrow_app",
    "GRANT SELECT, INSERT ON consent, former_guardianship, guardian_invitation, personal_lookup TO escrow_app",
    "GRANT UPDATE (outcome, ended_at, accepted_by) ON guardian_invitation TO escrow_app",
    "GRANT DELETE ON guardianship TO escrow_app",
    # What a guardian may correct, and what an erasure empties.
    "GRANT UPDATE (name_enc, birth_month_enc, stage, consent_version, hidden_at, erased_at) ON student TO escrow_app",
    "REVOKE UPDATE ON guardian FROM escrow_app",
    "GRANT UPDATE (phone_index, phone_enc, erased_at) ON guardian TO escrow_app",
)
_APPEND_ONLY = ("consent", "former_guardianship", "personal_lookup")


def upgrade() -> None:
    _people()
    _guardianships()
    _consent()
    _lookups()
    _rotation()
    for grant in _RIGHTS:
        op.execute(grant)
    for table in _APPEND_ONLY:
        op.execute(f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()")
        op.execute(f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")


def _people() -> None:
    for column in ("phone_index", "phone_enc"):
        op.alter_column("guardian", column, nullable=True)
    op.add_column("guardian", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_guardian_erased"),
        "guardian",
        "(phone_enc IS NULL) = (erased_at IS NOT NULL) AND (phone_index IS NULL) = (erased_at IS NOT NULL)",
    )
    for column in ("name_enc", "birth_month_enc"):
        op.alter_column("student", column, nullable=True)
    op.add_column("student", sa.Column("stage", sa.Text(), nullable=True))
    op.add_column("student", sa.Column("consent_version", sa.Text(), nullable=True))
    op.add_column("student", sa.Column("hidden_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("student", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f("ck_student_stage"), "student", "stage IN ('preschool', 'primary', 'middle', 'high')")
    op.create_check_constraint(
        op.f("ck_student_erased"),
        "student",
        "(name_enc IS NULL) = (erased_at IS NOT NULL) AND (birth_month_enc IS NULL) = (erased_at IS NOT NULL)",
    )
    op.create_check_constraint(
        op.f("ck_student_consent"), "student", "consent_version IS NULL OR (hidden_at IS NULL AND erased_at IS NULL)"
    )


def _guardianships() -> None:
    op.create_table(
        "former_guardianship",
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["guardian_id"], ["guardian.id"], name=op.f("fk_former_guardianship_guardian_id_guardian")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_former_guardianship_student_id_student")),
        sa.PrimaryKeyConstraint("guardian_id", "student_id", "since", name=op.f("pk_former_guardianship")),
    )
    op.create_index(op.f("ix_former_guardianship_student_id"), "former_guardianship", ["student_id"], unique=False)
    op.create_table(
        "guardian_invitation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.Uuid(), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=True),
        sa.Column("phone_index", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("num_nonnulls(code_hash, phone_index) = 1", name=op.f("ck_guardian_invitation_way")),
        sa.CheckConstraint("outcome IN ('accepted', 'declined', 'revoked')", name=op.f("ck_guardian_invitation_outcome")),
        sa.CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name=op.f("ck_guardian_invitation_ended")),
        sa.CheckConstraint(
            "(outcome IS NOT DISTINCT FROM 'accepted') = (accepted_by IS NOT NULL)", name=op.f("ck_guardian_invitation_accepted")
        ),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_guardian_invitation_student_id_student")),
        sa.ForeignKeyConstraint(["invited_by"], ["guardian.id"], name=op.f("fk_guardian_invitation_invited_by_guardian")),
        sa.ForeignKeyConstraint(["accepted_by"], ["guardian.id"], name=op.f("fk_guardian_invitation_accepted_by_guardian")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guardian_invitation")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_guardian_invitation_code_hash")),
    )
    op.create_index(op.f("ix_guardian_invitation_student_id"), "guardian_invitation", ["student_id"], unique=False)
    op.create_index(
        "ix_guardian_invitation_open_phone",
        "guardian_invitation",
        ["phone_index"],
        unique=False,
        postgresql_where=sa.text("outcome IS NULL AND phone_index IS NOT NULL"),
    )


def _consent() -> None:
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.Uuid(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("text_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("act IN ('given', 'withdrawn')", name=op.f("ck_consent_act")),
        sa.CheckConstraint("length(text_sha256) = 32", name=op.f("ck_consent_text_sha256")),
        sa.ForeignKeyConstraint(["guardian_id"], ["guardian.id"], name=op.f("fk_consent_guardian_id_guardian")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_consent_student_id_student")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
    )
    op.create_index(op.f("ix_consent_student_id_at"), "consent", ["student_id", "at"], unique=False)
    op.create_index(op.f("ix_consent_guardian_id"), "consent", ["guardian_id"], unique=False)


def _lookups() -> None:
    op.create_table(
        "personal_lookup",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.Uuid(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("case_kind", sa.Text(), nullable=False),
        sa.Column("case_no", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("shown IN ('student', 'guardians', 'both')", name=op.f("ck_personal_lookup_shown")),
        sa.CheckConstraint(
            "case_kind IN ('dispute', 'refund', 'alert', 'complaint', 'inspection', 'court')", name=op.f("ck_personal_lookup_case_kind")
        ),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_personal_lookup_student_id_student")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_personal_lookup_contract_id_contract")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personal_lookup")),
    )
    op.create_index(op.f("ix_personal_lookup_student_id_at"), "personal_lookup", ["student_id", "at"], unique=False)
    op.create_index(op.f("ix_personal_lookup_staff_id_at"), "personal_lookup", ["staff_id", "at"], unique=False)
    op.create_index(op.f("ix_personal_lookup_contract_id"), "personal_lookup", ["contract_id"], unique=False)
    op.create_index(op.f("ix_personal_lookup_at_id"), "personal_lookup", ["at", "id"], unique=False)


def _rotation() -> None:
    op.create_table(
        "key_rotation",
        sa.Column("sealed_table", sa.Text(), nullable=False),
        sa.Column("keys", sa.LargeBinary(), nullable=False),
        sa.Column("last_id", sa.Uuid(), nullable=True),
        sa.Column("walked", sa.BigInteger(), nullable=False),
        sa.Column("resealed", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(keys) = 8", name=op.f("ck_key_rotation_keys")),
        sa.CheckConstraint("walked >= 0 AND resealed >= 0", name=op.f("ck_key_rotation_counts")),
        sa.PrimaryKeyConstraint("sealed_table", "keys", name=op.f("pk_key_rotation")),
    )
