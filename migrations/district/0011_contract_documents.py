"""The text of a contract as its guardian accepted it: what is common stands once, what is personal is sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_RIGHTS = (
    "GRANT SELECT, INSERT ON contract_text, contract_document TO escrow_app",
    "REVOKE EXECUTE ON FUNCTION forget_contract_parties FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION forget_contract_parties TO escrow_app",
)
_TRIGGERS = (
    "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON contract_text FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    # Keys are rotated by the owner, and an erasure goes through the function below: nothing but the sealed column is ever written again.
    """CREATE TRIGGER append_only BEFORE UPDATE OF id, text_sha256, sha256, accepted_by, accepted_at OR DELETE ON contract_document
    FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
    "CREATE TRIGGER never_emptied BEFORE TRUNCATE ON contract_text EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER never_emptied BEFORE TRUNCATE ON contract_document EXECUTE FUNCTION refuse_change()",
)
# The one way in which the serving role empties a sealed part: only where the child or who signed is erased already.
_FORGET = """
CREATE FUNCTION forget_contract_parties(p_students uuid[], p_guardians uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE contract_document d SET parties_enc = NULL
    FROM contract k JOIN student s ON s.id = k.student_id JOIN guardian g ON g.id = k.guardian_id
    WHERE k.id = d.id AND d.parties_enc IS NOT NULL
        AND (k.student_id = ANY (p_students) AND s.erased_at IS NOT NULL OR k.guardian_id = ANY (p_guardians) AND g.erased_at IS NOT NULL)
$$
"""


def upgrade() -> None:
    op.create_table(
        "contract_text",
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.CheckConstraint("sha256 = pg_catalog.sha256(convert_to(text, 'UTF8'))", name=op.f("ck_contract_text_sha256")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_contract_text")),
    )
    op.create_table(
        "contract_document",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("text_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("parties_enc", sa.LargeBinary(), nullable=True),
        sa.Column("accepted_by", sa.Uuid(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(sha256) = 32", name=op.f("ck_contract_document_sha256")),
        sa.ForeignKeyConstraint(["accepted_by"], ["guardian.id"], name=op.f("fk_contract_document_accepted_by_guardian")),
        sa.ForeignKeyConstraint(["id"], ["contract.id"], name=op.f("fk_contract_document_id_contract")),
        sa.ForeignKeyConstraint(["text_sha256"], ["contract_text.sha256"], name=op.f("fk_contract_document_text_sha256_contract_text")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract_document")),
    )
    for statement in (_FORGET, *_RIGHTS, *_TRIGGERS):
        op.execute(statement)
