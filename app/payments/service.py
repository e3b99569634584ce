"""Opening a payment for a contract, and reading the one that a code leads to."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.contracts import service as contracts
from app.contracts.models import Contract
from app.contracts.rules import SEAT_HELD
from app.db import district_of
from app.errors import Conflict, Refused
from app.ids import number, uuid7
from app.payments import codes
from app.payments.models import Payment
from app.payments.rules import CODE_VALID
from app.registry.models import Institution, TrainingClass
from app.security import Parent


async def start(session: AsyncSession, parent: Parent, contract_id: UUID) -> Payment:
    """Open a payment of the whole contract for 15 minutes and order its cashier page; an open one is answered again.

    The order reaches the bank after the commit. Raises NotFound("contracts.not_found"),
    Conflict("payments.contract_not_open") unless the contract waits for its payment,
    Conflict("payments.closing") while an expired code is being closed at the bank,
    Conflict("payments.seat_expired") once the seat's half hour is over, Refused("payments.institution_not_open").
    """
    await contracts.own_contract(session, parent, contract_id)
    contract = await contracts.lock(session, contract_id)
    if contract.status != "created":
        raise Conflict("payments.contract_not_open", "这份合同不在待付款状态", status=contract.status)
    now = clock.now()
    standing = await session.scalar(select(Payment).where(Payment.contract_id == contract_id, Payment.status == "created"))
    if standing is not None:
        if standing.expires_at <= now:
            raise Conflict("payments.closing", "上一个付款码刚刚到期，正在向银行关闭，请稍后再试")
        return standing
    if now >= contract.created_at + SEAT_HELD:
        raise Conflict("payments.seat_expired", "名额保留时间已过，请重新报名")
    return await _open(session, contract)


async def lock_all(session: AsyncSession, payment_ids: Sequence[UUID]) -> Sequence[Payment]:
    """The payments as they stand now, locked in the order of their ids; their contracts must have been locked before."""
    locked = select(Payment).where(Payment.id.in_(payment_ids)).order_by(Payment.id).with_for_update(key_share=True)
    return (await session.scalars(locked, execution_options={"populate_existing": True})).all()


async def _open(session: AsyncSession, contract: Contract) -> Payment:
    institution = (await session.scalars(select(Institution).where(Institution.id == contract.institution_id))).one()
    if institution.status != "approved":
        raise Refused("payments.institution_not_open", "机构已被暂停或注销，不能再付款")
    now = clock.now()
    payment = Payment(
        id=uuid7(),
        payment_no=number("P", district_of(session)),
        contract_id=contract.id,
        institution_id=contract.institution_id,
        guardian_id=contract.guardian_id,
        amount_fen=contract.amount_fen,
        status="created",
        nonce=codes.new_nonce(),
        created_at=now,
        expires_at=now + CODE_VALID,
    )
    session.add(payment)
    contract.lapses_at = max(contract.lapses_at, payment.expires_at)
    await session.flush()
    class_name = await session.scalar(select(TrainingClass.name).where(TrainingClass.id == contract.class_id))
    await banking.order_collection(
        session,
        reference=payment.payment_no,
        book_id=contract.institution_id,
        amount_fen=payment.amount_fen,
        subject=f"{institution.name} {class_name}",
        expires_at=payment.expires_at,
        return_url=codes.url_for(payment),
    )
    return payment
