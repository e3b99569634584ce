"""What the serving role may not do, also where it was taken over: change what was entered, or who may sign in."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db import District

INSUFFICIENT_PRIVILEGE = "42501"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE bank_account SET account_no = '6228'",
        "UPDATE bank_account SET holder_name = 'x'",
        "UPDATE bank_movement SET amount_fen = 1",
        "UPDATE bank_movement SET reference = NULL",
        "UPDATE staff SET password_hash = 'x'",
        "UPDATE staff SET role = 'supervision'",
        "UPDATE guardianship SET guardian_id = guardian_id",
        "UPDATE student SET created_at = now()",
        "UPDATE guardian SET created_at = now()",
        "UPDATE consent SET act = 'given'",
        "DELETE FROM consent",
        "UPDATE personal_lookup SET reason = ''",
        "DELETE FROM personal_lookup",
        "UPDATE charge SET amount_fen = amount_fen",
        "DELETE FROM charge",
        "UPDATE contract_text SET text = ''",
        "DELETE FROM contract_text",
        "UPDATE contract_document SET parties_enc = NULL",
        "UPDATE contract_document SET sha256 = text_sha256",
        "DELETE FROM contract_document",
        "UPDATE former_guardianship SET ended_at = now()",
        "UPDATE guardian_invitation SET student_id = student_id",
        "UPDATE key_rotation SET finished_at = now()",
        "DELETE FROM student",
        "UPDATE teacher SET name = 'x'",
        "UPDATE teacher SET certificate_no = 'x'",
        "UPDATE institution SET credit_code = 'x'",
        "UPDATE institution SET name = 'x'",
        "UPDATE institution_application SET facts = '{}'",
        "UPDATE institution_change SET new_value = 'x'",
        "UPDATE institution_listing SET reason = 'x'",
        "UPDATE yearly_check SET result = 'passed'",
        "DELETE FROM institution_listing",
        "DELETE FROM campus",
        "UPDATE bulk_upload SET row_count = 1",
        "UPDATE bulk_part SET number = 1",
        "DELETE FROM bulk_upload",
        "DELETE FROM bulk_allowance",
        "UPDATE refund SET amount_fen = 1",
        "UPDATE payee SET account_enc = ''",
        "UPDATE made_good_line SET amount_fen = 1",
        "DELETE FROM made_good_line",
        "UPDATE settlement_run SET run_no = 2",
        "UPDATE reconciliation_break SET amount_fen = 0",
        "UPDATE idempotency_key SET body = ''",
        "DELETE FROM bank_account",
        "DELETE FROM receipt",
        "DELETE FROM staff",
        "DELETE FROM audit_entry",
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "UPDATE public.district SET mode = 'live'",
        "UPDATE public.bank_connection SET base_url = 'http://127.0.0.1'",
        "INSERT INTO public.bank_connection VALUES ('mine', '510112', 'mock', 'http://127.0.0.1')",
        "UPDATE alembic_version SET version_num = ''",
        "SET ROLE escrow_owner",
    ],
)
async def test_the_serving_role_is_refused(district: District, sql: str) -> None:
    with pytest.raises(DBAPIError) as refused:
        async with district.transaction() as session:
            await session.execute(text(sql))
    assert getattr(refused.value.orig, "sqlstate", None) == INSUFFICIENT_PRIVILEGE
