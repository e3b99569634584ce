"""Real accounts at real banks, what we told the banks, and what they told us."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of

COLLECTION_STATES = ("created", "opened", "paid", "closed", "refused")
INSTRUCTION_STATES = ("drafted", "held", "cleared", "submitted", "unknown", "settled", "rejected", "returned")
LIVE_STATES = ("drafted", "held", "cleared", "submitted", "unknown")


class BankAccount(Base):
    """A real account (银行账户): the supervised 监管账户, mirrored by cash in the book, or the settlement 结算账户, only watched."""

    __tablename__ = "bank_account"
    __table_args__ = (
        UniqueConstraint("connection", "account_no"),
        Index("uq_bank_account_current", "book_id", "role", unique=True, postgresql_where=text("replaced_at IS NULL")),
        one_of("role", "supervised", "settlement"),
        Check("replaced_at IS NULL OR role = 'settlement'", name="replaced_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    book_id: Mapped[UUID] = mapped_column(ForeignKey("book.id"))
    connection: Mapped[str]
    role: Mapped[str]
    account_no: Mapped[str]
    holder_name: Mapped[str]
    opened_at: Mapped[datetime]
    replaced_at: Mapped[datetime | None]
    """When another settlement account took its place: what was instructed before still goes here, nothing new does."""
    balance_due_at: Mapped[datetime | None]
    """When the bank should next be asked for the balance; set after each outflow and daily."""


class BalanceReport(Base):
    """What the bank said an account holds, with its time."""

    __tablename__ = "balance_report"
    __table_args__ = (
        Index(None, "bank_account_id", "as_of", "id"),
        Index("ix_balance_report_unjudged", "as_of", postgresql_where=text("judged_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    bank_account_id: Mapped[UUID] = mapped_column(ForeignKey("bank_account.id"))
    balance_fen: Mapped[int]
    as_of: Mapped[datetime]
    judged_at: Mapped[datetime | None]
    """When supervision looked at it; empty rows are its work list."""


class Collection(Base):
    """A cashier order: the bank's page on which one payment may be made. Created → opened → paid | closed | refused."""

    __tablename__ = "collection"
    __table_args__ = (
        one_of("status", *COLLECTION_STATES),
        Check("amount_fen BETWEEN 1 AND 10000000000000", name="amount"),
        Index(None, "due_at", postgresql_where=text("status IN ('created', 'opened')")),
        Index(None, "cashier_url", postgresql_using="hash"),
    )

    reference: Mapped[str] = mapped_column(primary_key=True)
    bank_account_id: Mapped[UUID] = mapped_column(ForeignKey("bank_account.id"))
    amount_fen: Mapped[int]
    subject: Mapped[str]
    return_url: Mapped[str]
    expires_at: Mapped[datetime]
    status: Mapped[str]
    cashier_url: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime]
    """When the worker should next act on it: open it, or ask about it."""
    sent_at: Mapped[datetime | None]
    """When the bank was last asked to open it."""
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Instruction(Base):
    """What we told a bank to pay: drafted → cleared | held → submitted → settled | returned | rejected | unknown.

    Drafting reserves the money in `outgoing`; `unreserved_at` is set when a rejected or returned amount has gone back to its source.
    """

    __tablename__ = "instruction"
    __table_args__ = (
        one_of("status", *INSTRUCTION_STATES),
        one_of("purpose", "refund", "payout"),
        Check("amount_fen BETWEEN 1 AND 10000000000000", name="amount"),
        Check("num_nonnulls(original_movement_id, payee_id) = CASE purpose WHEN 'refund' THEN 1 ELSE 0 END", name="refund_route"),
        Check("(purpose = 'payout') = (payee_account_id IS NOT NULL)", name="payout_route"),
        Index(None, "due_at", postgresql_where=text("status IN ('cleared', 'submitted', 'unknown')")),
        Index(None, "purpose", "status", postgresql_where=text("unreserved_at IS NULL AND status <> 'settled'")),
        Index(None, "book_id", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    """At most 30 characters of 0-9A-Z, the same on every retry."""
    book_id: Mapped[UUID] = mapped_column(ForeignKey("book.id"))
    bank_account_id: Mapped[UUID] = mapped_column(ForeignKey("bank_account.id"))
    purpose: Mapped[str]
    source: Mapped[str]
    """The code of the ledger account that the reservation came from, and goes back to."""
    amount_fen: Mapped[int]
    original_movement_id: Mapped[UUID | None] = mapped_column(ForeignKey("bank_movement.id"))
    payee_id: Mapped[UUID | None] = mapped_column(ForeignKey("payee.id"))
    payee_account_id: Mapped[UUID | None] = mapped_column(ForeignKey("bank_account.id"))
    status: Mapped[str]
    reject_code: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    """Counted when a worker claims it, before the call."""
    due_at: Mapped[datetime]
    """When a worker may next claim it; a claim moves it forward by the lease."""
    last_sent_at: Mapped[datetime | None]
    reserving_transfer_id: Mapped[UUID] = mapped_column(ForeignKey("transfer.id"))
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    unreserved_at: Mapped[datetime | None]


class Payee(Base):
    """收款人: an account that money goes to though none came from it."""

    __tablename__ = "payee"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_enc: Mapped[bytes]
    """Number and name of the account, encrypted."""
    created_at: Mapped[datetime]


class BankMovement(Base):
    """One line of the bank's, booked once: unique by bank account, direction, the bank's id and value date.

    Lines of settlement accounts are kept, not booked (`transfer_id` stays empty).
    """

    __tablename__ = "bank_movement"
    __table_args__ = (
        UniqueConstraint("bank_account_id", "direction", "movement_no", "value_on"),
        one_of("direction", "in", "out"),
        one_of("booked_as", "received", "settled", "returned", "taken", "watched"),
        Index(None, "bank_account_id", "value_on"),
        Index(None, "reference"),
        Index("ix_bank_movement_unassigned", "id", postgresql_where=text("booked_as = 'received' AND assigned_at IS NULL")),
        Index("ix_bank_movement_taken", "bank_account_id", "value_on", postgresql_where=text("booked_as = 'taken'")),
        Index("ix_bank_movement_unstated", "bank_account_id", postgresql_where=text("stated_fen IS DISTINCT FROM amount_fen")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    bank_account_id: Mapped[UUID] = mapped_column(ForeignKey("bank_account.id"))
    direction: Mapped[str]
    movement_no: Mapped[str]
    """The bank's id of the line."""
    value_on: Mapped[date]
    occurred_at: Mapped[datetime]
    amount_fen: Mapped[int]
    balance_after_fen: Mapped[int]
    stated_fen: Mapped[int | None]
    """The amount of this line in the day's statement as last fetched; empty while no statement shows it."""
    reference: Mapped[str | None]
    """Ours, where the bank's line carries one."""
    counterparty_enc: Mapped[bytes]
    """Account and name of the other side, encrypted."""
    booked_as: Mapped[str]
    transfer_id: Mapped[UUID | None] = mapped_column(ForeignKey("transfer.id"))
    booked_at: Mapped[datetime]
    assigned_at: Mapped[datetime | None]
    """When payments decided about a received movement; empty rows are its work list."""


class BankNotice(Base):
    """The inbox: verified notices, raw, stored before the answer 200 and processed afterwards."""

    __tablename__ = "bank_notice"
    __table_args__ = (
        one_of("status", "received", "processed", "ignored"),
        Index(None, "due_at", postgresql_where=text("status = 'received'")),
    )

    connection: Mapped[str] = mapped_column(primary_key=True)
    notice_id: Mapped[str] = mapped_column(primary_key=True)
    event: Mapped[str]
    reference: Mapped[str | None]
    account_no: Mapped[str | None]
    value_on: Mapped[date | None]
    body: Mapped[bytes]
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime]
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]


class StatementDay(Base):
    """The bank's opening and closing balance of one account for one value day, as last fetched."""

    __tablename__ = "statement_day"

    bank_account_id: Mapped[UUID] = mapped_column(ForeignKey("bank_account.id"), primary_key=True)
    value_on: Mapped[date] = mapped_column(primary_key=True)
    opening_fen: Mapped[int]
    closing_fen: Mapped[int]
    movements: Mapped[int]
    fetched_at: Mapped[datetime]
