"""Background work on payments: match what arrived, close what expired, free seats, send back what is nobody's."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Select, exists, func, or_, select, union_all
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking import service as banking
from app.banking.banks import Banks
from app.banking.collections import close_collection
from app.banking.models import BankAccount, BankMovement, Instruction
from app.banking.models import Collection as CashierOrder
from app.banking.service import RefundOrder
from app.contracts import charges, lifecycle
from app.contracts import service as contracts
from app.contracts.models import Charge, Contract
from app.contracts.service import PaidCharge
from app.db import District, district_of, fixed
from app.errors import DomainError, Unavailable
from app.ids import number
from app.ledger import service as ledger
from app.ledger.codes import SUSPENSE, escrow
from app.ledger.service import Posting
from app.payments import rules, ruling, service
from app.payments.models import Payment, Receipt
from app.payments.rules import Arrival, Awaited
from app.security import SYSTEM

BATCH = 200
"""Rows that one round of a job takes up; the next round continues."""
CALLS = 40
"""The same for work that asks the bank, which may be slow."""

_CALLS_AT_ONCE = 8

T = TypeVar("T")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Meant:
    """What arrived money is for: a contract, already locked, with the payment and its charge."""

    contract: Contract
    charge: Charge
    payment: Payment


async def match_receipts(district: District) -> int:
    """Decide about every received movement that nobody has decided about, oldest first by the bank's clock; how many were decided."""
    query = (
        select(BankMovement.id)
        .where(BankMovement.booked_as == fixed("received"), BankMovement.assigned_at.is_(None))
        .order_by(BankMovement.occurred_at, BankMovement.id)
        .limit(BATCH)
    )
    return await _together(district, "payments.match_receipts", await _listed(district, query), _match)


async def expire_payments(district: District, banks: Banks) -> int:
    """Close overdue payments, at the bank first; how many expired.

    Where the bank says that it was paid, matching decides; where it does not answer, the payment stays for the next round.
    """
    query = (
        select(Payment.payment_no)
        .where(Payment.status == fixed("created"), Payment.expires_at <= clock.now())
        .order_by(Payment.expires_at)
        .limit(CALLS)
    )
    return await close_codes(district, banks, await _listed(district, query))


async def close_codes(district: District, banks: Banks, payment_nos: Sequence[str]) -> int:
    """Close these payments that are over, at the bank first, as far as it answers and has taken nothing for them; how many expired."""
    slots = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def close(payment_no: str) -> str | None:
        async with slots:
            try:
                await close_collection(district, banks, payment_no)
            except Unavailable:
                return None
        return payment_no

    async with asyncio.TaskGroup() as group:
        closing = [group.create_task(close(payment_no)) for payment_no in payment_nos]
    closed = [payment_no for task in closing if (payment_no := task.result())]
    return await _together(district, "payments.expire_payments", closed, _expire)


async def lapse_contracts(district: District) -> int:
    """Free the seats of unpaid contracts whose time is over and that have no open payment; how many lapsed."""
    open_payment = exists().where(Payment.contract_id == Contract.id, Payment.status == "created")
    query = (
        select(Contract.id)
        .where(Contract.status == fixed("created"), Contract.lapses_at <= clock.now(), ~open_payment)
        .order_by(Contract.lapses_at)
        .limit(BATCH)
    )
    return await _together(district, "payments.lapse_contracts", await _listed(district, query), _lapse)


async def lapse_charges(district: District) -> int:
    """Give up charges whose first lesson has begun unpaid, with all after them, while no payment is open; of how many contracts."""
    open_payment = exists().where(Payment.contract_id == Charge.contract_id, Payment.status == "created")
    going_on = exists().where(Contract.id == Charge.contract_id, Contract.status == "paid")
    query = select(Charge.contract_id).where(charges.overdue(), going_on, ~open_payment)
    query = query.group_by(Charge.contract_id).order_by(func.min(Charge.due_on)).limit(BATCH)
    return await _together(district, "payments.lapse_charges", await _listed(district, query), _lapse_charges)


async def return_unassigned(district: District) -> int:
    """Instruct the return of received money that was not matched, to whoever paid it; how many were instructed.

    What waits for an officer's ruling stays, and what has made a shortfall good.
    """
    due = [
        (Receipt.return_attempts == attempts) & (Receipt.decided_at <= until) for attempts, until in rules.returns_due(clock.now()).items()
    ]
    query = (
        select(Receipt.movement_id)
        .where(Receipt.outcome != fixed("matched"), Receipt.returned_at.is_(None), Receipt.return_no.is_(None), or_(*due))
        .where(~ruling.waits(), Receipt.made_good_fen < Receipt.amount_fen)
        .order_by(Receipt.return_attempts, Receipt.decided_at)
        .limit(BATCH)
    )
    return await _together(district, "payments.return_receipts", await _listed(district, query), _send_back)


async def settle_returns(district: District) -> int:
    """Record how returns ended: settled ones are done; a rejected or returned one goes back to suspense. How many were recorded."""
    instructed = select(Receipt.movement_id).join(Instruction, Instruction.reference == Receipt.return_no)
    ended = Instruction.status.in_((fixed("rejected"), fixed("returned"))) & Instruction.unreserved_at.is_(None)
    done = instructed.where(Receipt.outcome != fixed("matched"), Receipt.returned_at.is_(None), Instruction.status == "settled")
    failed = instructed.where(Instruction.purpose == "refund", ended)
    query = select(union_all(done, failed).subquery().c.movement_id).limit(BATCH)
    return await _together(district, "payments.settle_returns", await _listed(district, query), _settle_returns)


async def _match(session: AsyncSession, movement_ids: Sequence[UUID]) -> int:
    """Decide about movements in the order of their arrival, those that another worker has left out; how many."""
    arrived = await session.execute(
        select(BankMovement, BankAccount.book_id)
        .join(BankAccount, BankAccount.id == BankMovement.bank_account_id)
        .where(BankMovement.id.in_(movement_ids), BankMovement.assigned_at.is_(None))
        .order_by(BankMovement.occurred_at, BankMovement.id)
        .with_for_update(of=BankMovement, skip_locked=True, key_share=True)
    )
    movements = arrived.all()
    named = await _meant(session, [movement.reference for movement, _ in movements if movement.reference])
    taken: list[tuple[BankMovement, _Meant]] = []
    paid: set[UUID] = set()
    for movement, book_id in movements:
        meant = named.get(movement.reference or "")
        outcome = rules.judge(Arrival(book_id, movement.amount_fen, movement.occurred_at), _awaited(meant, paid) if meant else None)
        if outcome == "matched":
            assert meant is not None
            paid.add(meant.charge.id)
            taken.append((movement, meant))
        movement.assigned_at = clock.now()
        session.add(
            Receipt(
                movement_id=movement.id,
                institution_id=book_id,
                payment_id=meant.payment.id if meant and outcome == "matched" else None,
                meant_for=meant.payment.id if meant else None,
                outcome=outcome,
                amount_fen=movement.amount_fen,
                decided_at=clock.now(),
            )
        )
    await _take(session, taken)
    return len(movements)


async def _meant(session: AsyncSession, references: Sequence[str]) -> dict[str, _Meant]:
    """What movements are for by the number they carry, all contracts locked before all payments."""
    known = (await session.execute(select(Payment.id, Payment.contract_id).where(Payment.payment_no.in_(references)))).all()
    contract_ids = {row.contract_id for row in known}
    locked = {contract.id: contract for contract in await lifecycle.lock_contracts(session, Contract.id.in_(contract_ids))}
    of_these = select(Charge).where(Charge.contract_id.in_(contract_ids))
    charged = {charge.id: charge for charge in await session.scalars(of_these, execution_options={"populate_existing": True})}
    return {
        payment.payment_no: _Meant(locked[payment.contract_id], charged[payment.charge_id], payment)
        for payment in await service.lock_all(session, [row.id for row in known])
    }


def _awaited(meant: _Meant, paid: Collection[UUID]) -> Awaited:
    """`paid` are the charges that a movement before this one has just paid."""
    payment = meant.payment
    status = "paid" if meant.charge.id in paid else meant.charge.status
    return Awaited(payment.institution_id, payment.amount_fen, payment.expires_at, payment.status, status)


async def _take(session: AsyncSession, taken: Sequence[tuple[BankMovement, _Meant]]) -> None:
    """Turn payments, charges and their lessons into paid ones, and suspense into escrow."""
    if not taken:
        return
    for movement, meant in taken:
        meant.payment.status, meant.payment.movement_id = "paid", movement.id
        meant.payment.paid_at, meant.payment.ended_at = movement.occurred_at, clock.now()
    paid = [PaidCharge(meant.contract, meant.charge, meant.payment.id, movement.occurred_at) for movement, meant in taken]
    await contracts.pay_all(session, paid)
    matched = [
        Posting("payment_matched", payment.id, payment.institution_id, SUSPENSE, escrow(payment.id), payment.amount_fen)
        for payment in (meant.payment for _, meant in taken)
    ]
    await ledger.post(session, matched, posted_by=SYSTEM)


async def _expire(session: AsyncSession, payment_nos: Sequence[str]) -> int:
    """Created → expired, once the bank takes no more money for them and what it took has been decided about; how many."""
    meant = await _meant(session, payment_nos)
    ended = select(CashierOrder.reference, CashierOrder.status).where(
        CashierOrder.reference.in_(payment_nos), CashierOrder.status.not_in(("created", "opened"))
    )
    orders = {reference: status for reference, status in await session.execute(ended)}
    arrived = BankMovement.reference.in_(payment_nos), BankMovement.booked_as == "received", BankMovement.assigned_at.is_(None)
    undecided = set(await session.scalars(select(BankMovement.reference).where(*arrived)))
    of_these = Receipt.meant_for.in_([each.payment.id for each in meant.values()])
    decided = set(await session.scalars(select(Receipt.meant_for).where(of_these)))
    expired = 0
    for payment_no, payment in ((payment_no, each.payment) for payment_no, each in meant.items()):
        waits = payment_no in undecided or (orders.get(payment_no) == "paid" and payment.id not in decided)
        if payment.status == "created" and payment_no in orders and not waits:
            payment.status, payment.ended_at = "expired", clock.now()
            expired += 1
    return expired


async def _lapse(session: AsyncSession, contract_ids: Sequence[UUID]) -> int:
    return await contracts.lapse(session, await _without_open_payment(session, Contract.id.in_(contract_ids)))


async def _lapse_charges(session: AsyncSession, contract_ids: Sequence[UUID]) -> int:
    going_on = Contract.id.in_(contract_ids), Contract.status == "paid"
    return await charges.lapse_overdue(session, await _without_open_payment(session, *going_on))


async def _without_open_payment(session: AsyncSession, *criteria: ColumnElement[bool]) -> list[Contract]:
    """Those of some contracts, all locked, that nobody is just paying."""
    locked = await lifecycle.lock_contracts(session, *criteria)
    of_these = select(Payment.contract_id).where(Payment.contract_id.in_([contract.id for contract in locked]), Payment.status == "created")
    waiting = set(await session.scalars(of_these))
    return [contract for contract in locked if contract.id not in waiting]


async def _send_back(session: AsyncSession, movement_ids: Sequence[UUID]) -> int:
    locked = await _locked(session, movement_ids)
    receipts = [receipt for receipt in locked if receipt.return_no is None and receipt.made_good_fen < receipt.amount_fen]
    orders = []
    for receipt in receipts:
        left_fen = receipt.amount_fen - receipt.made_good_fen
        orders.append(RefundOrder(number("S", district_of(session)), receipt.institution_id, receipt.movement_id, SUSPENSE, left_fen))
    for receipt, instruction in zip(receipts, await banking.instruct_refunds(session, orders, SYSTEM), strict=True):
        receipt.return_no = instruction.reference
        receipt.return_attempts += 1
    return len(receipts)


async def _settle_returns(session: AsyncSession, movement_ids: Sequence[UUID]) -> int:
    receipts = {receipt.return_no: receipt for receipt in await _locked(session, movement_ids) if receipt.return_no is not None}
    failed = []
    for instruction in await session.scalars(select(Instruction).where(Instruction.reference.in_(receipts)).order_by(Instruction.id)):
        receipt = receipts[instruction.reference]
        if instruction.status == "settled":
            receipt.returned_at = instruction.ended_at
        else:
            receipt.return_no, receipt.returned_at = None, None
            failed.append(instruction.id)
    if failed:
        await banking.unreserve(session, failed, SYSTEM)
    return len(receipts)


async def _locked(session: AsyncSession, movement_ids: Sequence[UUID]) -> Sequence[Receipt]:
    """The receipts, locked, without those that another worker has."""
    chosen = select(Receipt).where(Receipt.movement_id.in_(movement_ids)).order_by(Receipt.movement_id)
    return (await session.scalars(chosen.with_for_update(skip_locked=True, key_share=True))).all()


async def _listed(district: District, query: Select[T]) -> list[T]:
    async with district.reading() as session:
        return list(await session.scalars(query))


async def _together(district: District, job: str, keys: Sequence[T], act: Callable[[AsyncSession, Sequence[T]], Awaitable[int]]) -> int:
    """Act on all rows in one transaction, and where that fails on each in its own, so that one poison fails alone and is named;
    how many were acted on.
    """
    if not keys:
        return 0
    try:
        async with district.transaction() as session:
            return await act(session, keys)
    except (DomainError, DBAPIError) as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
        _log.warning("payments.together_failed", job=job, rows=len(keys), error=type(error).__name__)
    return await district.one_by_one(job, keys, lambda session, key: act(session, [key]))
