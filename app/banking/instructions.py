"""Instructions at the bank: send what is cleared, resolve what is in doubt. A time-out is unknown, never failed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import aliased

from app import clock
from app.banking.banks import Banks
from app.banking.facts import book_lines
from app.banking.models import BankAccount, BankMovement, Instruction
from app.db import District, fixed
from bank_adapters import port
from bank_adapters.port import Bank, BankRefused, BankUnknown, RefundRequest, TransferRequest

LEASE = timedelta(seconds=30)
"""How long a claimed instruction stays with its worker; longer than any bank call may take."""
ASK_AFTER = timedelta(seconds=2)
ASK_AT_MOST_EVERY = timedelta(minutes=10)
MAX_SENDS = 8
_AT_ONCE = 8


async def send_instructions(district: District, banks: Banks) -> int:
    """Send up to 40 cleared instructions; how many were claimed."""
    claimed = await _claim(district, ("cleared",))
    await _each(claimed, lambda reference: send(district, banks, reference))
    return len(claimed)


async def resolve_instructions(district: District, banks: Banks) -> int:
    """Ask the bank about up to 40 instructions that it has not yet ended; how many were claimed."""
    claimed = await _claim(district, ("submitted", "unknown"))
    await _each(claimed, lambda reference: resolve(district, banks, reference))
    return len(claimed)


async def send(district: District, banks: Banks, reference: str) -> None:
    """Call the bank for one claimed instruction and record the answer; the reference is the same on every retry."""
    row, connection, request = await _request(district, reference)
    bank = banks.get(connection)
    if not bank.deduplicates:
        # Whoever claims it after us must find it at the bank, or be sure that it never gets there.
        await _change(district, row.id, ("cleared",), due_at=clock.now() + bank.max_latency + LEASE)
    try:
        answer = None if bank.deduplicates or row.attempts == 1 else await bank.query(reference)
        if not isinstance(answer, port.Instruction):
            answer = await (bank.refund(request) if isinstance(request, RefundRequest) else bank.transfer(request))
    except BankUnknown:
        await _doubt(district, row.id)
        return
    except BankRefused as refused:
        await _reject(district, row.id, refused.code)
        return
    await record(district, answer)


async def resolve(district: District, banks: Banks, reference: str) -> None:
    """Ask the bank what became of a reference. Never heard of it counts as not executed only after its declared latency."""
    row, connection, _ = await _request(district, reference)
    bank = banks.get(connection)
    try:
        answer = await bank.query(reference)
    except BankUnknown:
        await _later(district, row)
        return
    if isinstance(answer, port.Instruction):
        await record(district, answer)
    elif not _surely_absent(row, bank):
        await _later(district, row)
    elif row.attempts >= MAX_SENDS:
        await _reject(district, row.id, "not_executed")
    else:
        await _send_again(district, row.id)


async def record(district: District, answer: port.Instruction) -> None:
    """Record what the bank says of an instruction: its movements first, they are the facts."""
    async with district.transaction() as session:
        row = await session.scalar(select(Instruction).where(Instruction.reference == answer.reference))
        if row is None:
            return
        if answer.movements:
            await book_lines(session, row.bank_account_id, answer.movements)
        values: dict[str, object] = {"status": "submitted", "due_at": clock.now() + _backoff(row)}
        if answer.status == "rejected":
            values = {"status": "rejected", "reject_code": answer.reject_code or "rejected", "ended_at": clock.now()}
        await session.execute(
            update(Instruction)
            .where(Instruction.id == row.id, Instruction.status.in_(["cleared", "submitted", "unknown"]))
            .values(**values)
        )


async def _claim(district: District, states: tuple[str, ...]) -> list[str]:
    due = (
        select(Instruction.id)
        .where(Instruction.status.in_([fixed(state) for state in states]), Instruction.due_at <= clock.now())
        .order_by(Instruction.due_at)
        .limit(40)
        .with_for_update(skip_locked=True, key_share=True)
    )
    sending: dict[str, object] = {}
    if states == ("cleared",):
        sending = {"attempts": Instruction.attempts + 1, "last_sent_at": clock.now()}
    async with district.transaction() as session:
        rows = await session.scalars(
            update(Instruction)
            .where(Instruction.id.in_(due))
            .values(due_at=clock.now() + LEASE, **sending)
            .returning(Instruction.reference)
            .execution_options(synchronize_session=False)
        )
        return list(rows)


async def _each(references: list[str], work: Callable[[str], Awaitable[None]]) -> None:
    """Raises what failed once all the others are done: a call that is cut off would be in doubt for another's fault."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(reference: str) -> None:
        async with slots:
            await work(reference)

    ended = await asyncio.gather(*(one(reference) for reference in references), return_exceptions=True)
    failed = [each for each in ended if isinstance(each, Exception)]
    if failed:
        raise ExceptionGroup("instructions failed", failed)


async def _request(district: District, reference: str) -> tuple[Instruction, str, RefundRequest | TransferRequest]:
    payee = aliased(BankAccount)
    async with district.reading() as session:
        found = await session.execute(
            select(Instruction, BankAccount, BankMovement, payee)
            .join(BankAccount, BankAccount.id == Instruction.bank_account_id)
            .outerjoin(BankMovement, BankMovement.id == Instruction.original_movement_id)
            .outerjoin(payee, payee.id == Instruction.payee_account_id)
            .where(Instruction.reference == reference)
        )
        row, account, original, to = found.one()
    request: RefundRequest | TransferRequest
    if original is not None:
        request = RefundRequest(reference, account.account_no, original.movement_no, row.amount_fen)
    else:
        request = TransferRequest(reference, account.account_no, to.account_no, to.holder_name, row.amount_fen)
    return row, account.connection, request


def _surely_absent(row: Instruction, bank: Bank) -> bool:
    return row.last_sent_at is not None and clock.now() > row.last_sent_at + bank.max_latency


def _backoff(row: Instruction) -> timedelta:
    waited: timedelta = clock.now() - (row.last_sent_at or clock.now())
    return min(max(ASK_AFTER, waited // 2), ASK_AT_MOST_EVERY)


async def _doubt(district: District, instruction_id: UUID) -> None:
    await _change(district, instruction_id, ("cleared", "submitted"), status="unknown", due_at=clock.now() + ASK_AFTER)


async def _later(district: District, row: Instruction) -> None:
    await _change(district, row.id, ("submitted", "unknown"), due_at=clock.now() + _backoff(row))


async def _send_again(district: District, instruction_id: UUID) -> None:
    await _change(district, instruction_id, ("submitted", "unknown"), status="cleared", due_at=clock.now())


async def _reject(district: District, instruction_id: UUID, code: str) -> None:
    ended: datetime = clock.now()
    await _change(district, instruction_id, ("cleared", "submitted", "unknown"), status="rejected", reject_code=code, ended_at=ended)


async def _change(district: District, instruction_id: UUID, before: tuple[str, ...], **values: object) -> None:
    async with district.transaction() as session:
        await session.execute(update(Instruction).where(Instruction.id == instruction_id, Instruction.status.in_(before)).values(**values))
