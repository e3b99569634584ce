"""What the bank accepts in a call, and within which limits."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from bank_adapters import webhooks
from bank_adapters.mock_bank.knobs import KnobKind, Operation

MAX_AMOUNT_FEN = 10**13

Fen = Annotated[int, Field(strict=True, ge=1, le=MAX_AMOUNT_FEN)]
OpeningFen = Annotated[int, Field(strict=True, ge=0, le=MAX_AMOUNT_FEN)]
Reference = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{1,30}$")]
AccountNo = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,34}$")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
Slug = Annotated[str, StringConstraints(pattern=r"^[0-9a-z_-]{1,64}$")]
Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]


class Form(BaseModel):
    """Unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CollectionForm(Form):
    """A cashier order."""

    reference: Reference
    account_no: AccountNo
    amount_fen: Fen
    subject: Annotated[str, StringConstraints(max_length=128)]
    expires_at: AwareDatetime
    return_url: Annotated[str, StringConstraints(max_length=1000)]


class CloseForm(Form):
    """Close an order."""

    reference: Reference


class RefundForm(Form):
    """Money back to whoever paid a movement."""

    reference: Reference
    account_no: AccountNo
    original_movement_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    amount_fen: Fen


class TransferForm(Form):
    """Money to another account."""

    reference: Reference
    account_no: AccountNo
    payee_account_no: AccountNo
    payee_name: Name
    amount_fen: Fen


class HolderForm(Form):
    """Does this account bear this name?"""

    account_no: AccountNo
    holder_name: Name


class PayerForm(Form):
    """Who pays at the cashier."""

    payer_account_no: AccountNo
    payer_name: Name


class ClientForm(Form):
    """A connection to the bank: who calls with which key, and where its notices go."""

    slug: Slug
    api_key: Annotated[str, StringConstraints(min_length=8, max_length=200)]
    notice_url: Annotated[str, StringConstraints(pattern=r"^https?://", max_length=1000)] | None = None
    notice_secret: str

    @field_validator("notice_secret")
    @classmethod
    def _can_sign(cls, secret: str) -> str:
        webhooks.secret_key(secret)
        return secret


class AccountForm(Form):
    """An account to open; without a client it belongs to the outside world."""

    account_no: AccountNo
    holder_name: Name
    client: Slug | None = None
    opening_fen: OpeningFen = 0


class OrderPaymentForm(PayerForm):
    """Pay an order whatever its state, also again, late (`late` closes it first) or another amount."""

    reference: Reference
    client: Slug | None = None
    amount_fen: Fen | None = None
    late: bool = False


class OrderPaymentsForm(Form):
    """Several payments of orders, in their order, all or none."""

    items: Annotated[list[OrderPaymentForm], Field(max_length=10_000)]


class DepositForm(PayerForm):
    """Money that arrives without a reference; `anonymous` hides the payer from the statement."""

    account_no: AccountNo
    amount_fen: Fen
    anonymous: bool = False


class DebitForm(Form):
    """Money that somebody takes without our instruction, such as a fee or a court's order."""

    account_no: AccountNo
    amount_fen: Fen
    taker_account_no: AccountNo
    taker_name: Name


class InstructionForm(Form):
    """One instruction of a client."""

    client: Slug
    reference: Reference


class ClockForm(Form):
    """A standing clock, or one that runs beside the real one; neither is real time."""

    fixed_at: AwareDatetime | None = None
    offset_seconds: Annotated[float, Field(allow_inf_nan=False, ge=-4e9, le=4e9)] = 0.0


class NoticeSettingsForm(Form):
    """Whether notices are written at all, and the first pause before a retry."""

    enabled: bool = True
    retry_base_seconds: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 0.5


class WalkInForm(Form):
    """Whether an account that nobody has is opened for the client that asks whose it is, in the name that it asks about."""

    enabled: bool


class KnobForm(Form):
    """A fault to order; `times` None fires until cleared."""

    kind: KnobKind
    operation: Operation = "any"
    reference: Reference | None = None
    account_no: AccountNo | None = None
    times: Annotated[int, Field(ge=1)] | None = 1
    seconds: Seconds | None = None
    code: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")] = "declined"
    after_accept: bool = False
    drop_connection: bool = False


class ReleaseForm(Form):
    """Let what is late happen now: all of it, or what one reference waits for."""

    reference: Reference | None = None
