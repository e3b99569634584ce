"""What payments and undecided money look like to their readers; names of children come masked, pages have 100 rows at most."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.banking.models import BankMovement, Collection, Instruction
from app.contracts.families import contracts_of
from app.contracts.models import Charge, Contract
from app.errors import NotFound
from app.payments import codes, ruling
from app.payments.codes import PaymentCode
from app.payments.models import Payment, Receipt
from app.registry.models import Institution, Student, TrainingClass
from app.registry.queries import PAGE, Cursor, masked_name

_Rows = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment as its page shows it: payee, class, child and amount, all from the database.

    `cashier_url` is None until the order exists at the bank; `order_status` is the cashier order's.
    """

    id: UUID
    payment_no: str
    code: str
    contract_id: UUID
    contract_no: str
    contract_status: str
    charge_number: int
    charge_status: str
    first_lesson: int
    last_lesson: int
    institution_name: str
    class_name: str
    student_name_masked: str
    amount_fen: int
    status: str
    order_status: str
    cashier_url: str | None
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """Money that arrived and was not matched, with where it is on its way back.

    `return_status` is the return instruction's status, None while the money waits in suspense. While it `awaits_ruling` it does not
    go back; after one, `made_good_fen` of it have made the book's shortfall good.
    """

    movement_id: UUID
    institution_id: UUID
    institution_name: str
    payment_no: str | None
    outcome: str
    amount_fen: int
    occurred_at: datetime
    decided_at: datetime
    return_no: str | None
    return_status: str | None
    return_attempts: int
    returned_at: datetime | None
    awaits_ruling: bool
    ruling: str | None
    ruling_reason: str | None
    made_good_fen: int


async def payment_of_guardian(session: AsyncSession, guardian_id: UUID, payment_no: str) -> PaymentView:
    """The guardian's own payment. Raises NotFound("payments.not_found") for an absent one and somebody else's alike."""
    own = Payment.contract_id.in_(contracts_of(guardian_id))
    row = (await session.execute(_payments().where(Payment.payment_no == payment_no, own))).one_or_none()
    if row is None:
        raise NotFound("payments.not_found", "没有这笔付款")
    return _payment_view(row)


async def payments_of_guardian(
    session: AsyncSession, guardian_id: UUID, after: Cursor | None = None, limit: int = PAGE
) -> list[PaymentView]:
    """The guardian's payments, newest first; `after` is (created_at, id) of the last one seen."""
    query = _payments().where(Payment.contract_id.in_(contracts_of(guardian_id))).order_by(Payment.created_at.desc(), Payment.id.desc())
    if after is not None:
        query = query.where(tuple_(Payment.created_at, Payment.id) < after)
    return [_payment_view(row) for row in await session.execute(query.limit(min(limit, PAGE)))]


async def payments_of_contract(session: AsyncSession, contract_id: UUID, limit: int = PAGE) -> list[PaymentView]:
    """A contract's payments, newest first."""
    query = _payments().where(Payment.contract_id == contract_id).order_by(Payment.created_at.desc(), Payment.id.desc())
    return [_payment_view(row) for row in await session.execute(query.limit(min(limit, PAGE)))]


async def payment_by_code(session: AsyncSession, code: PaymentCode) -> PaymentView:
    """The payment of a genuine code, whatever has become of it, for whoever holds the code.

    `codes.why_ended` says whether it still opens. Raises BadInput("payments.code_invalid") for a foreign code.
    """
    row = (await session.execute(_payments().where(Payment.payment_no == code.payment_no))).one_or_none()
    codes.check_genuine(code, row[0] if row else None)
    return _payment_view(row)


async def receipts_of_payment(session: AsyncSession, payment_id: UUID) -> list[ReceiptView]:
    """What arrived under a payment's number and was not matched, newest first, at most 100."""
    return await _receipt_views(session, _receipts(None, PAGE).where(Receipt.meant_for == payment_id))


async def receipts_of_contract(session: AsyncSession, contract_id: UUID) -> list[ReceiptView]:
    """What arrived for a contract and was not matched, newest first, at most 100."""
    return await _receipt_views(session, _receipts(None, PAGE).where(Payment.contract_id == contract_id))


async def receipts_to_rule(session: AsyncSession, after: Cursor | None = None, limit: int = PAGE) -> list[ReceiptView]:
    """Money that waits for an officer's ruling, newest first; `after` is (decided_at, movement_id) of the last one seen."""
    return await _receipt_views(session, _receipts(after, limit).where(ruling.waits()))


async def receipt(session: AsyncSession, movement_id: UUID) -> ReceiptView:
    """What was decided about one movement that was not matched. Raises NotFound("payments.receipt_not_found")."""
    views = await _receipt_views(session, _receipts(None, 1).where(Receipt.movement_id == movement_id))
    if not views:
        raise NotFound("payments.receipt_not_found", "没有这笔挂账款项")
    return views[0]


async def unmatched_receipts(
    session: AsyncSession, institution_id: UUID | None = None, waiting: bool = False, after: Cursor | None = None, limit: int = PAGE
) -> list[ReceiptView]:
    """Money that was not matched, newest first; with `waiting` only what has not gone back yet.

    `after` is (decided_at, movement_id) of the last one seen.
    """
    query = _receipts(after, limit)
    if institution_id is not None:
        query = query.where(Receipt.institution_id == institution_id)
    if waiting:
        query = query.where(Receipt.returned_at.is_(None), Receipt.made_good_fen < Receipt.amount_fen)
    return await _receipt_views(session, query)


def _payments() -> _Rows:
    return (
        select(Payment, Contract, Charge, Collection, Institution.name, TrainingClass.name, Student)
        .join(Contract, Contract.id == Payment.contract_id)
        .join(Charge, Charge.id == Payment.charge_id)
        .join(Collection, Collection.reference == Payment.payment_no)
        .join(Institution, Institution.id == Payment.institution_id)
        .join(TrainingClass, TrainingClass.id == Contract.class_id)
        .join(Student, Student.id == Contract.student_id)
    )


def _payment_view(row: Any) -> PaymentView:
    payment, contract, charge, order, institution_name, class_name, student = row
    return PaymentView(
        id=payment.id,
        payment_no=payment.payment_no,
        code=codes.code_for(payment),
        contract_id=contract.id,
        contract_no=contract.contract_no,
        contract_status=contract.status,
        charge_number=charge.number,
        charge_status=charge.status,
        first_lesson=charge.first_lesson,
        last_lesson=charge.last_lesson,
        institution_name=institution_name,
        class_name=class_name,
        student_name_masked=masked_name(student),
        amount_fen=payment.amount_fen,
        status=payment.status,
        order_status=order.status,
        cashier_url=order.cashier_url,
        created_at=payment.created_at,
        expires_at=payment.expires_at,
        paid_at=payment.paid_at,
        ended_at=payment.ended_at,
    )


def _receipts(after: Cursor | None, limit: int) -> _Rows:
    query = (
        select(Receipt, Institution.name, Payment.payment_no, BankMovement.occurred_at, Instruction.status, ruling.waits())
        .join(Institution, Institution.id == Receipt.institution_id)
        .join(BankMovement, BankMovement.id == Receipt.movement_id)
        .outerjoin(Payment, Payment.id == Receipt.meant_for)
        .outerjoin(Instruction, Instruction.reference == Receipt.return_no)
        .where(Receipt.outcome != "matched")
        .order_by(Receipt.decided_at.desc(), Receipt.movement_id.desc())
        .limit(min(limit, PAGE))
    )
    return query if after is None else query.where(tuple_(Receipt.decided_at, Receipt.movement_id) < after)


async def _receipt_views(session: AsyncSession, query: _Rows) -> list[ReceiptView]:
    return [
        ReceiptView(
            movement_id=receipt.movement_id,
            institution_id=receipt.institution_id,
            institution_name=institution_name,
            payment_no=payment_no,
            outcome=receipt.outcome,
            amount_fen=receipt.amount_fen,
            occurred_at=occurred_at,
            decided_at=receipt.decided_at,
            return_no=receipt.return_no,
            return_status=return_status,
            return_attempts=receipt.return_attempts,
            returned_at=receipt.returned_at,
            awaits_ruling=awaits_ruling,
            ruling=receipt.ruling,
            ruling_reason=receipt.ruling_reason,
            made_good_fen=receipt.made_good_fen,
        )
        for receipt, institution_name, payment_no, occurred_at, return_status, awaits_ruling in await session.execute(query)
    ]
