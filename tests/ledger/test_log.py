"""The leaf of a transfer, computed once more outside the database: the bytes are a promise to auditors."""

import hashlib
import struct
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from app.db import District
from app.ids import uuid7
from app.ledger import jobs
from tests.ledger.postings import post_every_field


def field(value: bytes | None) -> bytes:
    return struct.pack(">i", -1 if value is None else len(value)) + (value or b"")


def micros(at: datetime) -> bytes:
    delta = at - datetime(1970, 1, 1, tzinfo=UTC)
    return struct.pack(">q", (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds)


def leaf(row: dict[str, object], district: str, debit: str, credit: str) -> bytes:
    def number(name: str) -> bytes:
        return struct.pack(">q", row[name])

    def words(name: str) -> bytes:
        return str(row[name]).encode()

    def uuid(name: str) -> bytes | None:
        value = row[name]
        return value.bytes if isinstance(value, UUID) else None

    fields = [
        struct.pack(">h", row["format"]),
        district.encode(),
        uuid("id"),
        uuid("book_id"),
        words("kind"),
        words("reference"),
        debit.encode(),
        credit.encode(),
        number("amount_fen"),
        number("debit_balance_fen"),
        number("credit_balance_fen"),
        number("debit_version"),
        number("credit_version"),
        micros(row["occurred_at"]),  # type: ignore[arg-type]
        words("value_on"),
        words("business_on"),
        micros(row["recorded_at"]),  # type: ignore[arg-type]
        uuid("reverses"),
        uuid("batch"),
        words("posted_by"),
        row["evidence_sha256"],
    ]
    return hashlib.sha256(b"".join(field(value) for value in fields)).digest()  # type: ignore[arg-type]


@pytest.mark.books_of("ledger")
async def test_a_leaf_is_the_hash_of_the_transfers_canonical_bytes(district: District) -> None:
    await post_every_field(district, uuid7())
    assert await jobs.seal(district) == 4
    async with district.reading() as session:
        rows = await session.execute(
            text("""
                SELECT t.*, d.code AS debit_code, c.code AS credit_code, l.leaf_hash FROM ledger_log l
                JOIN transfer t ON t.id = l.transfer_id JOIN ledger_account d ON d.id = t.debit JOIN ledger_account c ON c.id = t.credit
                ORDER BY l.seq
            """)
        )
        for row in rows.mappings():
            assert row["leaf_hash"] == leaf(dict(row), "510112", row["debit_code"], row["credit_code"])
