"""Books, ledger accounts and transfers. Rows are written by the SQL function `ledger_post` alone."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Computed, ForeignKey, ForeignKeyConstraint, Identity, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy import CheckConstraint as Check
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of

ACCOUNT_TYPES = ("cash", "incoming", "shortfall", "escrow", "payable", "outgoing", "guarantee", "interest", "suspense")


class Book(Base):
    """One institution's books; its id is the institution's."""

    __tablename__ = "book"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    opened_at: Mapped[datetime]


class LedgerAccount(Base):
    """A place money can be (分户账). `code` is the type, or `type:detail`."""

    __tablename__ = "ledger_account"
    __table_args__ = (
        UniqueConstraint("book_id", "code"),
        UniqueConstraint("book_id", "id"),
        one_of("type", *ACCOUNT_TYPES),
        Check("type = split_part(code, ':', 1)", name="code"),
        Check("balance_fen >= 0", name="balance"),
        Check("version >= 0", name="version"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    book_id: Mapped[UUID] = mapped_column(ForeignKey("book.id"))
    code: Mapped[str]
    type: Mapped[str]
    side: Mapped[str] = mapped_column(
        Computed("CASE WHEN type IN ('cash', 'incoming', 'shortfall') THEN 'asset' ELSE 'liability' END", persisted=True)
    )
    balance_fen: Mapped[int] = mapped_column(server_default=text("0"))
    version: Mapped[int] = mapped_column(server_default=text("0"))
    changed_at: Mapped[datetime]


class TransferKind(Base):
    """Which kinds of transfer there are, and between which types of ledger account."""

    __tablename__ = "transfer_kind"

    kind: Mapped[str] = mapped_column(primary_key=True)
    debit_type: Mapped[str] = mapped_column(primary_key=True)
    credit_type: Mapped[str] = mapped_column(primary_key=True)


class Transfer(Base):
    """An immutable movement between two ledger accounts of one book (记账凭证)."""

    __tablename__ = "transfer"
    __table_args__ = (
        UniqueConstraint("kind", "reference"),
        UniqueConstraint("book_id", "id"),
        ForeignKeyConstraint(["book_id", "debit"], ["ledger_account.book_id", "ledger_account.id"]),
        ForeignKeyConstraint(["book_id", "credit"], ["ledger_account.book_id", "ledger_account.id"]),
        ForeignKeyConstraint(["book_id", "reverses"], ["transfer.book_id", "transfer.id"]),
        Check("debit <> credit", name="two_accounts"),
        Check("amount_fen BETWEEN 1 AND 10000000000000", name="amount"),
        Check("debit_balance_fen >= 0 AND credit_balance_fen >= 0", name="balances"),
        Check("debit_version > 0 AND credit_version > 0", name="versions"),
        Check("evidence_sha256 IS NULL OR length(evidence_sha256) = 32", name="evidence"),
        Index(None, "debit", "recorded_at", "debit_version", unique=True),
        Index(None, "credit", "recorded_at", "credit_version", unique=True),
        Index(None, "reverses", unique=True, postgresql_where=text("reverses IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    format: Mapped[int] = mapped_column(SmallInteger)
    book_id: Mapped[UUID]
    kind: Mapped[str]
    reference: Mapped[str]
    debit: Mapped[int]
    credit: Mapped[int]
    amount_fen: Mapped[int]
    debit_balance_fen: Mapped[int]
    credit_balance_fen: Mapped[int]
    debit_version: Mapped[int]
    credit_version: Mapped[int]
    occurred_at: Mapped[datetime]
    value_on: Mapped[date]
    business_on: Mapped[date]
    recorded_at: Mapped[datetime]
    reverses: Mapped[UUID | None]
    batch: Mapped[UUID | None]
    posted_by: Mapped[str]
    evidence_sha256: Mapped[bytes | None]


class Unsealed(Base):
    """Committed transfers that the sealer has not numbered yet."""

    __tablename__ = "ledger_unsealed"

    transfer_id: Mapped[UUID] = mapped_column(primary_key=True)


class LogEntry(Base):
    """The gapless log: voucher number 凭证号, Merkle leaf, and the cursor that readers tail."""

    __tablename__ = "ledger_log"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    transfer_id: Mapped[UUID] = mapped_column(ForeignKey("transfer.id"), unique=True)
    leaf_hash: Mapped[bytes]
