"""Opening the payment of a contract's charge."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.banking.service import CollectionOrder
from app.contracts import charges, lifecycle
from app.contracts.charges import Due
from app.contracts.families import check_own
from app.contracts.judging import judge_due
from app.contracts.models import Contract
from app.contracts.rules import SEAT_HELD
from app.db import district_of
from app.errors import Conflict, Refused
from app.ids import number, uuid7
from app.payments import codes
from app.payments.models import Payment
from app.payments.rules import CODE_VALID
from app.registry.institutions import check_may_sell
from app.registry.models import Institution, TrainingClass
from app.security import Parent


async def start(session: AsyncSession, parent: Parent, contract_id: UUID) -> Payment:
    """Open a payment of a contract's charge that is due, for 15 minutes, and order its cashier page; an open one is answered again.

    The order reaches the bank after the commit. Raises NotFound("contracts.not_found"),
    Conflict("payments.contract_not_open") unless the contract waits for a payment, Conflict("payments.not_due") before its next charge
    opens, Conflict("payments.closing") while an expired code is being closed at the bank, Conflict("payments.seat_expired") once the
    seat's half hour, or the day of a first charge after signing, is over, Conflict("payments.charge_lapsed") once the first lesson of
    a later charge has begun, Refused("payments.institution_not_open"), but for lessons that were taught
    Refused("registry.blacklisted", "registry.sales_paused"), and for a charge that opened after signing what `judging.judge_due` raises.
    """
    [payment] = await start_all(session, [(parent, contract_id)])
    return payment


async def start_all(session: AsyncSession, wanted: Sequence[tuple[Parent, UUID]]) -> list[Payment]:
    """The same for several guardians' contracts, each named once, in their order; all or none."""
    ids = [contract_id for _, contract_id in wanted]
    known = {contract.id: contract for contract in await lifecycle.lock_contracts(session, Contract.id.in_(ids))}
    await check_own(session, [(parent.guardian_id, known.get(contract_id)) for parent, contract_id in wanted])
    due = await charges.due_of(session, known.values())
    open_payments = select(Payment).where(Payment.contract_id.in_(ids), Payment.status == "created")
    standing = {payment.charge_id: payment for payment in await session.scalars(open_payments)}
    new = []
    for contract_id in ids:
        owed = due.get(contract_id)
        if owed is None:
            raise _nothing_due(known[contract_id])
        if owed.charge.id not in standing:
            _check_in_time(known[contract_id], owed)
            new.append((known[contract_id], owed))
        elif standing[owed.charge.id].expires_at <= clock.now():
            raise Conflict("payments.closing", "上一个付款码刚刚到期，正在向银行关闭，请稍后再试")
    if new:
        standing |= {payment.charge_id: payment for payment in await _open(session, new)}
    return [standing[due[contract_id].charge.id] for contract_id in ids]


async def lock_all(session: AsyncSession, payment_ids: Sequence[UUID]) -> Sequence[Payment]:
    """The payments as they stand now, locked in the order of their ids; their contracts must have been locked before."""
    locked = select(Payment).where(Payment.id.in_(payment_ids)).order_by(Payment.id).with_for_update(key_share=True)
    return (await session.scalars(locked, execution_options={"populate_existing": True})).all()


def _nothing_due(contract: Contract) -> Conflict:
    if contract.status == "created" or (contract.status in ("agreed", "paid") and contract.way != "once"):
        return Conflict("payments.not_due", "这份合同现在没有到期应付的费用", status=contract.status)
    return Conflict("payments.contract_not_open", "这份合同不在待付款状态", status=contract.status)


def _check_in_time(contract: Contract, due: Due) -> None:
    now = clock.now()
    if contract.status == "created":
        if now >= (due.until or contract.created_at + SEAT_HELD):
            raise Conflict("payments.seat_expired", "名额保留时间已过，请重新报名")
    elif due.until is not None and now >= due.until:
        raise Conflict("payments.charge_lapsed", "这笔费用对应的课次已经开始，不能再付款")


async def _open(session: AsyncSession, unpaid: Sequence[tuple[Contract, Due]]) -> list[Payment]:
    rows = await session.execute(
        select(TrainingClass.id, TrainingClass.name, Institution)
        .join(Institution, Institution.id == TrainingClass.institution_id)
        .where(TrainingClass.id.in_({contract.class_id for contract, _ in unpaid}))
    )
    courses = {class_id: (name, institution) for class_id, name, institution in rows}
    if any(institution.status != "approved" for _, institution in courses.values()):
        raise Refused("payments.institution_not_open", "机构已被暂停或注销，不能再付款")
    await judge_due(session, [due.charge for contract, due in unpaid if contract.status == "paid" or due.until])
    opened, orders = [], []
    for contract, due in unpaid:
        name, institution = courses[contract.class_id]
        if contract.status == "created":
            check_may_sell(institution)
        payment = _opened(contract, due, district_of(session))
        opened.append(payment)
        if contract.status == "created":
            contract.lapses_at = max(contract.lapses_at, payment.expires_at)
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


def _opened(contract: Contract, due: Due, district: str) -> Payment:
    now = clock.now()
    expires_at = now + CODE_VALID
    return Payment(
        id=uuid7(),
        payment_no=number("P", district),
        contract_id=contract.id,
        charge_id=due.charge.id,
        institution_id=contract.institution_id,
        guardian_id=contract.guardian_id,
        amount_fen=due.charge.amount_fen,
        status="created",
        nonce=codes.new_nonce(),
        created_at=now,
        expires_at=min(expires_at, due.until or expires_at),
    )
