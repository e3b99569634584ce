"""What the service needs of a bank, in the service's words.

Amounts are integer fen. Instants are aware UTC datetimes; dates are the bank's value dates (Asia/Shanghai).
A bank never pays twice for one reference if it `deduplicates`; where it does not, the caller asks `query` before a retry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, Protocol

Direction = Literal["in", "out"]
OrderStatus = Literal["open", "paid", "closed"]
InstructionStatus = Literal["accepted", "executed", "rejected", "returned"]


class BankError(Exception):
    """Something between us and the bank; subclasses say what is known about the effect."""


class BankRefused(BankError):
    """The bank answered and refused: nothing was or will be executed.

    `code` is the bank's own stable reason, such as `account_closed`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class BankUnknown(BankError):
    """No usable answer (time-out, broken connection, 5xx): the effect may or may not have happened."""


class NoticeRefused(BankError):
    """A notice whose signature, time or form does not hold. Nothing in it may be believed or stored."""


@dataclass(frozen=True, slots=True)
class CollectionRequest:
    """Ask for a cashier order: a page at the bank where anybody may pay `amount_fen` into `account_no` until `expires_at`."""

    reference: str
    account_no: str
    amount_fen: int
    subject: str
    expires_at: datetime
    return_url: str


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Send (part of) a received movement back to whoever paid it, by the original route."""

    reference: str
    account_no: str
    original_movement_id: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Move money from a supervised account to another one: the institution's settlement account, or a payee's who gets old stock back."""

    reference: str
    account_no: str
    payee_account_no: str
    payee_name: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Movement:
    """One line on one bank account, as the bank states it.

    `movement_id` is unique per account, direction and value date. `reference` is ours where the movement carries one.
    `returns` is True where money we sent under `reference` came back after success (退汇).
    `counterparty_no` may be empty: banks do not always say.
    """

    account_no: str
    direction: Direction
    movement_id: str
    amount_fen: int
    balance_after_fen: int
    occurred_at: datetime
    value_on: date
    reference: str | None
    returns: bool
    counterparty_no: str
    counterparty_name: str


@dataclass(frozen=True, slots=True)
class Order:
    """A cashier order at the bank, with every movement it received (a second payment is a second movement)."""

    reference: str
    status: OrderStatus
    cashier_url: str
    movements: tuple[Movement, ...]


@dataclass(frozen=True, slots=True)
class Instruction:
    """A refund or transfer at the bank: its present status and every movement that it caused on our account."""

    reference: str
    status: InstructionStatus
    reject_code: str | None
    movements: tuple[Movement, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """What the bank says an account holds at an instant."""

    account_no: str
    balance_fen: int
    as_of: datetime


@dataclass(frozen=True, slots=True)
class HolderCheck:
    """Whether an account bears the name that was asked about, and whether this connection sees and instructs it.

    A bank does not say whose account it is.
    """

    account_no: str
    name_matches: bool
    instructable: bool


@dataclass(frozen=True, slots=True)
class AccountStatement:
    """One account's value day: opening + in − out = closing."""

    account_no: str
    opening_fen: int
    closing_fen: int
    movements: tuple[Movement, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """All accounts of this connection for one value day."""

    value_on: date
    accounts: tuple[AccountStatement, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified hint that something happened to `reference`; only `query` or the statement makes it a fact.

    `notice_id` is the bank's id of the message, the same on every delivery. `event` is such as `order.paid`,
    `instruction.executed`, `instruction.rejected`, `instruction.returned`, `account.moved`.
    `reference` is None for a movement nobody ordered (`account.moved`), where `account_no` and `value_on` say where to look.
    """

    notice_id: str
    event: str
    reference: str | None
    account_no: str | None
    value_on: date | None


class Bank(Protocol):
    """One connection to one bank. Every coroutine raises BankUnknown when the effect is unknown."""

    max_latency: timedelta
    deduplicates: bool

    async def collect(self, request: CollectionRequest) -> Order:
        """Create the cashier order, or return the existing one of the same reference.

        Raises BankRefused where the bank will not take it.
        """
        ...

    async def close(self, reference: str) -> Order | None:
        """Close an open order for good; answers its status then (`paid` when the payer was faster), None when unknown there."""
        ...

    async def refund(self, request: RefundRequest) -> Instruction:
        """Instruct a refund. Raises BankRefused."""
        ...

    async def transfer(self, request: TransferRequest) -> Instruction:
        """Instruct a transfer. Raises BankRefused."""
        ...

    async def query(self, reference: str) -> Order | Instruction | None:
        """What the bank knows under a reference of ours; None when it has never heard of it."""
        ...

    async def balance(self, account_no: str) -> Balance:
        """The account's balance as of now. Raises BankRefused for an account that is not on this connection."""
        ...

    async def check_holder(self, account_no: str, holder_name: str) -> HolderCheck | None:
        """Whether an account, on this connection or not, bears a name; None where there is no such account. Raises BankRefused."""
        ...

    async def statement(self, value_on: date) -> Statement:
        """All accounts of the connection for one value day, in one call."""
        ...

    def verify_notice(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """Check the signature over the raw bytes and the time stamp (±5 minutes). Raises NoticeRefused."""
        ...

    async def aclose(self) -> None:
        """Give the connection's sockets back."""
        ...
