"""What the parent end takes and answers in JSON. Money is whole fen, instants are UTC, names of children come masked."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.banking.payees import PayeeDraft
from app.contracts.checkout import Checkout
from app.contracts.queries import ContractView
from app.payments import codes
from app.payments.models import Payment
from app.payments.queries import PaymentView, ReceiptView
from app.portals.fields import Text
from app.portals.parent.terms import TermsInput
from app.refunds.queries import RefundView
from app.settings import settings

OfView = ConfigDict(from_attributes=True)

LessonStatus = Literal[
    "reserved", "agreed", "owed", "contested", "scheduled", "missed", "delivered", "disputed", "confirmed", "refunded", "lapsed"
]
"""reserved (not paid) → scheduled → delivered or missed → confirmed or disputed; or refunded; or lapsed, never paid.

Where it is paid afterwards: agreed → owed (taught) → delivered and confirmed as it is paid; or contested, a dispute unpaid; or lapsed.
"""


class ContractInput(BaseModel):
    """Which child joins which class, and how it is paid; without terms, all that is left of the class, paid at once."""

    class_id: UUID
    student_id: UUID
    terms: TermsInput | None = None
    document: str = Field(pattern="^[0-9a-f]{64}$", description="The SHA-256 of the text that the guardian has read and accepts")


class Party(BaseModel):
    """An institution, a class or a child (its name masked)."""

    id: UUID
    name: str


class ContractLesson(BaseModel):
    """A lesson of a contract; `number` counts within the contract."""

    model_config = OfView

    id: UUID
    number: int
    status: LessonStatus
    price_fen: int
    starts_at: datetime
    ends_at: datetime
    session_status: str = Field(description="Of its class session: scheduled, delivered, or cancelled until its replacement is set")


class ChildChoice(BaseModel):
    """A child of the caller that can be chosen."""

    model_config = OfView

    id: UUID
    name_masked: str
    birth_month: str
    consented: bool = Field(description="Every guardian who has spoken agrees to the text about a child's data")


class CheckoutAnswer(BaseModel):
    """What joining a class now would buy, and for whom."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    class_: Party = Field(alias="class")
    institution: Party
    teacher_name: str
    seats_left: int
    lesson_count: int
    first_starts_at: datetime | None
    last_ends_at: datetime | None
    amount_fen: int
    document: str | None = Field(description="The SHA-256 of what the contract would say; null when no lesson is left")
    children: list[ChildChoice]

    @classmethod
    def of(cls, checkout: Checkout) -> "CheckoutAnswer":
        """The answer about a checkout."""
        offer, wording = checkout.counter.offer, checkout.counter.wording
        view, lessons = offer.view, offer.lessons
        return cls(
            class_=Party(id=view.id, name=view.name),
            institution=Party(id=view.institution_id, name=view.institution_name),
            teacher_name=view.teacher_name,
            seats_left=checkout.seats_left,
            lesson_count=len(lessons),
            first_starts_at=lessons[0].starts_at if lessons else None,
            last_ends_at=lessons[-1].ends_at if lessons else None,
            amount_fen=offer.amount_fen,
            document=wording.sha256.hex() if wording else None,
            children=[ChildChoice.model_validate(child) for child in checkout.children],
        )


class ChargeItem(BaseModel):
    """A charge of a contract, for its lessons `first_lesson` to `last_lesson`; the first planned one that has a day is paid next."""

    model_config = OfView

    number: int
    first_lesson: int
    last_lesson: int
    amount_fen: int
    opens_on: date = Field(description="It may be paid from this day on")
    due_on: date = Field(description="The day of its first lesson as it was agreed; a later charge lapses unpaid when that begins")
    status: str = Field(description="planned → paid, or lapsed")
    is_due: bool = Field(description="It may be paid now")
    has_day: bool = Field(description="False while all its lessons were cancelled and wait for a new day")
    judged_by: str | None = Field(description="The rule pack that it was judged by again, where its payment was opened after signing")


class ContractAnswer(BaseModel):
    """A contract with its lessons. Its `escrow_fen` is what its lessons still hold in the supervised account."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    id: UUID
    contract_no: str
    status: str = Field(description="created (a seat is held until lapses_at) → paid → closed, or lapsed; paid afterwards: agreed → closed")
    institution: Party
    class_: Party = Field(alias="class")
    student: Party
    amount_fen: int
    escrow_fen: int
    old_stock: bool = Field(description="存量: made and paid before custody, entered by the institution")
    way: str = Field(description="once; parts: several charges at legal times; later: each lesson after it was taught")
    charges: list[ChargeItem]
    judged_by: str = Field(description="The rule pack, id and version, that the sale was judged by")
    findings: list[dict[str, Any]] = Field(
        description="Each rule that was held against the sale, with its source and the numbers of the charges it was found of"
    )
    created_at: datetime
    lapses_at: datetime
    paid_at: datetime | None
    ended_at: datetime | None
    lessons: list[ContractLesson]

    @classmethod
    def of(cls, view: ContractView) -> "ContractAnswer":
        """The answer about a contract."""
        return cls(
            id=view.id,
            contract_no=view.contract_no,
            status=view.status,
            institution=Party(id=view.institution_id, name=view.institution_name),
            class_=Party(id=view.class_id, name=view.class_name),
            student=Party(id=view.student_id, name=view.student_name_masked),
            amount_fen=view.amount_fen,
            escrow_fen=view.escrow_fen,
            old_stock=view.old_stock,
            way=view.way,
            charges=[ChargeItem.model_validate(charge) for charge in view.charges],
            judged_by=view.judged_by,
            findings=view.findings,
            created_at=view.created_at,
            lapses_at=view.lapses_at,
            paid_at=view.paid_at,
            ended_at=view.ended_at,
            lessons=[ContractLesson.model_validate(lesson) for lesson in view.lessons],
        )


class PaymentAnswer(BaseModel):
    """A payment of a contract's charge. Its QR code leads to `pay_url`, and from there to the bank's cashier page."""

    payment_no: str
    contract_id: UUID
    amount_fen: int
    status: str = Field(description="created → paid or expired")
    pay_url: str
    qr_png_url: str
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, payment: Payment) -> "PaymentAnswer":
        """The answer about a payment that has just been opened."""
        return cls(contract_id=payment.contract_id, **_asked(payment, codes.code_for(payment)))


class ReceiptItem(BaseModel):
    """Money that arrived for a payment and was not matched: it goes back to its payer."""

    amount_fen: int
    outcome: str = Field(description="late, second, wrong_amount or unknown_payer")
    occurred_at: datetime
    return_status: str | None = Field(description="The status of the instruction that sends it back; null while it waits")
    returned_at: datetime | None

    @classmethod
    def of(cls, view: ReceiptView) -> "ReceiptItem":
        """The answer about a receipt."""
        return cls(
            amount_fen=view.amount_fen,
            outcome=view.outcome,
            occurred_at=view.occurred_at,
            return_status=view.return_status,
            returned_at=view.returned_at,
        )


class PaymentItem(PaymentAnswer):
    """A payment with what became of it."""

    order_status: str = Field(description="The cashier order at the bank: created (not there yet) → opened → paid, closed or refused")
    cashier_url: str | None = Field(description="The bank's page, once the order exists there")
    institution_name: str
    class_name: str
    student_name: str = Field(description="Masked")
    paid_at: datetime | None

    @classmethod
    def of_view(cls, view: PaymentView) -> "PaymentItem":
        """The answer about a payment."""
        return cls(**_followed(view))


class PaymentDetail(PaymentItem):
    """A payment with the money that arrived for it and was not matched."""

    receipts: list[ReceiptItem]

    @classmethod
    def of_money(cls, view: PaymentView, receipts: list[ReceiptView]) -> "PaymentDetail":
        """The answer about a payment and its receipts."""
        return cls(receipts=[ReceiptItem.of(each) for each in receipts], **_followed(view))


class LessonItem(ContractLesson):
    """A lesson in the caller's calendar."""

    contract_id: UUID
    class_name: str
    student_name: str = Field(validation_alias="student_name_masked", description="Masked")


class ConfirmationInput(BaseModel):
    """The lessons that took place."""

    lesson_ids: Annotated[list[UUID], Field(min_length=1, max_length=100)]


class ConfirmedLesson(BaseModel):
    """What the confirmation did to one lesson; only `confirmed` moved money."""

    model_config = OfView

    lesson_id: UUID
    outcome: str = Field(description="confirmed, already_confirmed, not_delivered, disputed, refunded or not_found")
    released_fen: int


class Confirmations(BaseModel):
    """One item for each lesson, in the order they were named."""

    items: list[ConfirmedLesson]


class DisputeInput(BaseModel):
    """What was wrong."""

    reason: Text


class DisputeAnswer(BaseModel):
    """The lesson has stopped until supervision rules on it."""

    lesson_id: UUID
    status: LessonStatus
    dispute_id: UUID
    opened_at: datetime


class PayeeInput(BaseModel):
    """The account that a refund is to be paid to which cannot go back to who paid: an old contract (存量), or one that came back."""

    account_no: Annotated[str, Field(max_length=64)]
    holder_name: Text

    def draft(self) -> PayeeDraft:
        """In the words of banking."""
        return PayeeDraft(self.account_no, self.holder_name)


class RefundInput(BaseModel):
    """The contract whose untaught lessons are to be given back, and why.

    An old contract needs a payee. Another may have one after a refund of it was rejected or returned; an officer checks it then.
    """

    contract_id: UUID
    reason: Text
    payee: PayeeInput | None = None


class RefundLineItem(BaseModel):
    """One lesson given back; `live` is false once the bank did not pay and the fee is back in escrow."""

    model_config = OfView

    lesson_id: UUID
    starts_at: datetime
    amount_fen: int
    live: bool


class RefundAnswer(BaseModel):
    """A refund to the account that paid; `status` is its instruction's.

    That of an old contract goes to its payee, and is `waiting` until the institution has funded it. What goes to a payee is `drafted`,
    then `held` until an officer has checked the account.
    """

    model_config = OfView

    refund_no: str
    contract_id: UUID
    contract_no: str
    amount_fen: int
    status: str = Field(description="waiting, drafted, held, cleared, submitted, unknown, settled, returned or rejected")
    payee_known: bool = Field(description="False for a waiting one that nobody has named an account for")
    cause: str = Field(description="guardian or ruling")
    reason: str
    finding: dict[str, Any] = Field(description="The rule that approved it, with its source")
    approved_at: datetime
    ended_at: datetime | None
    lines: list[RefundLineItem]


class RequestedRefund(RefundAnswer):
    """A refund that was asked for, with those of the other payments that the same request gave back."""

    also: list[str] = Field(default=[], description="`refund_no` of each further refund, one for each payment of the contract")

    @classmethod
    def of_request(cls, view: RefundView, also: list[str]) -> "RequestedRefund":
        """The answer about the first refund of a request."""
        return cls.model_validate(view).model_copy(update={"also": also})


def _asked(payment: Payment | PaymentView, code: str) -> dict[str, Any]:
    return {
        "payment_no": payment.payment_no,
        "amount_fen": payment.amount_fen,
        "status": payment.status,
        "pay_url": codes.url_of(code),
        "qr_png_url": f"{settings().base_url}/qr/payments/{code}.png",
        "created_at": payment.created_at,
        "expires_at": payment.expires_at,
    }


def _followed(view: PaymentView) -> dict[str, Any]:
    return _asked(view, view.code) | {
        "contract_id": view.contract_id,
        "order_status": view.order_status,
        "cashier_url": view.cashier_url,
        "institution_name": view.institution_name,
        "class_name": view.class_name,
        "student_name": view.student_name_masked,
        "paid_at": view.paid_at,
    }
