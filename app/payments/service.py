"""Opening a payment for a contract, and reading the one that a code leads to."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.banking.service import CollectionOrder
from app.contracts import lifecycle
from app.contracts.families import check_own
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
    [payment] = await start_all(session, [(parent, contract_id)])
    return payment


async def start_all(session: AsyncSession, wanted: Sequence[tuple[Parent, UUID]]) -> list[Payment]:
    """The same for several guardians' contracts, each named once, in their order; all or none."""
    ids = [contract_id for _, contract_id in wanted]
    known = {contract.id: contract for contract in await lifecycle.lock_contracts(session, Contract.id.in_(ids))}
    await check_own(session, [(parent.guardian_id, known.get(contract_id)) for parent, contract_id in wanted])
    now = clock.now()
    open_payments = select(Payment).where(Payment.contract_id.in_(ids), Payment.status == "created")
    standing = {payment.contract_id: payment for payment in await session.scalars(open_payments)}
    new = []
    for _, contract_id in wanted:
        contract = known[contract_id]
        if contract.status != "created":
            raise Conflict("payments.contract_not_open", "这份合同不在待付款状态", status=contract.status)
        if contract_id not in standing and now >= contract.created_at + SEAT_HELD:
            raise Conflict("payments.seat_expired", "名额保留时间已过，请重新报名")
        if contract_id not in standing:
            new.append(contract)
        elif standing[contract_id].expires_at <= now:
            raise Conflict("payments.closing", "上一个付款码刚刚到期，正在向银行关闭，请稍后再试")
    if new:
        standing |= {payment.contract_id: payment for payment in await _open(session, new)}
    return [standing[contract_id] for contract_id in ids]


async def lock_all(session: AsyncSession, payment_ids: Sequence[UUID]) -> Sequence[Payment]:
    """The payments as they stand now, locked in the order of their ids; their contracts must have been locked before."""
    locked = select(Payment).where(Payment.id.in_(payment_ids)).order_by(Payment.id).with_for_update(key_share=True)
    return (await session.scalars(locked, execution_options={"populate_existing": True})).all()


async def _open(session: AsyncSession, unpaid: Sequence[Contract]) -> list[Payment]:
    rows = await session.execute(
        select(TrainingClass.id, TrainingClass.name, Institution)
        .join(Institution, Institution.id == TrainingClass.institution_id)
        .where(TrainingClass.id.in_({contract.class_id for contract in unpaid}))
    )
    courses = {class_id: (name, institution) for class_id, name, institution in rows}
    if any(institution.status != "approved" for _, institution in courses.values()):
        raise Refused("payments.institution_not_open", "机构已被暂停或注销，不能再付款")
    now = clock.now()
    opened, orders = [], []
    for contract in unpaid:
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
        opened.append(payment)
        contract.lapses_at = max(contract.lapses_at, payment.expires_at)
        name, institution = courses[contract.class_id]
        orders.append(
            CollectionOrder(
                reference=payment.payment_no,
                book_id=contract.institution_id,
                amount_fen=payment.amount_fen,
                subject=f"{institution.name} {name}",
                expires_at=payment.expires_at,
                return_url=codes.url_for(payment),
            )
        )
    session.add_all(opened)
    await session.flush()
    await banking.order_collections(session, orders)
    return opened
