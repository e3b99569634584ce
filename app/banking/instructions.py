"""Instructions at the bank: send what is cleared, resolve what is in doubt. A time-out is unknown, never failed."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import aliased

from app import clock
from app.banking.banks import Banks
from app.banking.facts import book_all
from app.banking.models import BankAccount, BankMovement, Instruction, Payee
from app.banking.payees import account_of
from app.db import District, fixed
from bank_adapters import port
from bank_adapters.port import Bank, BankRefused, BankUnknown, RefundRequest, TransferRequest

LEASE = timedelta(seconds=30)
"""How long a claimed instruction stays with its worker; longer than any bank call may take."""
ASK_AFTER = timedelta(seconds=2)
ASK_AT_MOST_EVERY = timedelta(minutes=10)
MAX_SENDS = 8
_AT_ONCE = 8
_UNDERWAY = ("cleared", "submitted", "unknown")


@dataclass(frozen=True, slots=True)
class Told:
    """An instruction, the connection to its bank, and its words there."""

    row: Instruction
    connection: str
    request: RefundRequest | TransferRequest


async def send_instructions(district: District, banks: Banks) -> int:
    """Send up to 40 cleared instructions; how many were claimed."""
    return await _each(district, await _claim(district, ("cleared",)), lambda sent: _send(district, banks, sent))


async def resolve_instructions(district: District, banks: Banks) -> int:
    """Ask the bank about up to 40 instructions that it has not yet ended; how many were claimed."""
    return await _each(district, await _claim(district, ("submitted", "unknown")), lambda asked: _resolve(district, banks, asked))


async def send(district: District, banks: Banks, reference: str) -> None:
    """Call the bank for one claimed instruction and record the answer; the reference is the same on every retry."""
    await _each(district, [reference], lambda sent: _send(district, banks, sent))


async def resolve(district: District, banks: Banks, reference: str) -> None:
    """Ask the bank what became of a reference. Never heard of it counts as not executed only after its declared latency."""
    await _each(district, [reference], lambda asked: _resolve(district, banks, asked))


async def record(district: District, answer: port.Instruction) -> None:
    """Record what the bank says of an instruction: its movements first, they are the facts."""
    await record_all(district, [answer])


async def record_all(district: District, answers: Sequence[port.Instruction]) -> None:
    """The same for several instructions in one transaction."""
    if not answers:
        return
    async with district.transaction() as session:
        told = {answer.reference: answer for answer in answers}
        rows = (await session.scalars(select(Instruction).where(Instruction.reference.in_(told)).order_by(Instruction.id))).all()
        lines: dict[UUID, list[port.Movement]] = defaultdict(list)
        for row in rows:
            lines[row.bank_account_id] += told[row.reference].movements
        # Sorted by time alone: of one instruction, the bank's order stands.
        moved = {account_id: sorted(of_one, key=lambda line: line.occurred_at) for account_id, of_one in lines.items() if of_one}
        if moved:
            await book_all(session, moved)
        for row in rows:
            answer = told[row.reference]
            values: dict[str, object] = {"status": "submitted", "due_at": clock.now() + _backoff(row)}
            if answer.status == "rejected":
                values = {"status": "rejected", "reject_code": answer.reject_code or "rejected", "ended_at": clock.now()}
            underway = (Instruction.id == row.id, Instruction.status.in_(_UNDERWAY))
            await session.execute(update(Instruction).where(*underway).values(**values))


async def _send(district: District, banks: Banks, sent: Told) -> port.Instruction | None:
    """The bank's answer to record; None where it gave none, or a refusal, which is recorded."""
    row, request, bank = sent.row, sent.request, banks.get(sent.connection)
    if not bank.deduplicates:
        # Whoever claims it after us must find it at the bank, or be sure that it never gets there.
        await _change(district, row.id, ("cleared",), due_at=clock.now() + bank.max_latency + LEASE)
    try:
        answer = None if bank.deduplicates or row.attempts == 1 else await bank.query(row.reference)
        if isinstance(answer, port.Instruction):
            return answer
        return await (bank.refund(request) if isinstance(request, RefundRequest) else bank.transfer(request))
    except BankUnknown:
        await _doubt(district, row.id)
    except BankRefused as refused:
        await _reject(district, row.id, refused.code)
    return None


async def _resolve(district: District, banks: Banks, asked: Told) -> port.Instruction | None:
    row, bank = asked.row, banks.get(asked.connection)
    try:
        answer = await bank.query(row.reference)
    except BankUnknown:
        await _later(district, row)
        return None
    if isinstance(answer, port.Instruction):
        return answer
    if not _surely_absent(row, bank):
        await _later(district, row)
    elif row.attempts >= MAX_SENDS:
        await _reject(district, row.id, "not_executed")
    else:
        await _send_again(district, row.id)
    return None


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


async def _each(district: District, references: list[str], work: Callable[[Told], Awaitable[port.Instruction | None]]) -> int:
    """Ask the bank about each, a few at a time, and record the answers together; how many references.

    Raises what failed once all the others are done: a call that is cut off would be in doubt for another's fault.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(told: Told) -> port.Instruction | None:
        async with slots:
            return await work(told)

    ended = await asyncio.gather(*(one(each) for each in await _read(district, references)), return_exceptions=True)
    failed = [each for each in ended if isinstance(each, Exception)]
    answers = [each for each in ended if isinstance(each, port.Instruction)]
    try:
        await record_all(district, answers)
    except Exception as error:
        failed += await _record_apart(district, answers) if len(answers) > 1 else [error]
    if failed:
        raise ExceptionGroup("instructions failed", failed)
    return len(references)


async def _record_apart(district: District, answers: Sequence[port.Instruction]) -> list[Exception]:
    """Each in a transaction of its own, so that one poison fails alone; what failed."""
    failed = []
    for answer in answers:
        try:
            await record(district, answer)
        except Exception as error:
            failed.append(error)
    return failed


async def _read(district: District, references: Sequence[str]) -> list[Told]:
    payee = aliased(BankAccount)
    query = (
        select(Instruction, BankAccount, BankMovement.movement_no, payee.account_no, payee.holder_name, Payee.account_enc)
        .join(BankAccount, BankAccount.id == Instruction.bank_account_id)
        .outerjoin(BankMovement, BankMovement.id == Instruction.original_movement_id)
        .outerjoin(payee, payee.id == Instruction.payee_account_id)
        .outerjoin(Payee, Payee.id == Instruction.payee_id)
        .where(Instruction.reference.in_(references))
        .order_by(Instruction.due_at, Instruction.id)
    )
    told = []
    async with district.reading() as session:
        for row, account, original_no, payee_no, payee_name, account_enc in await session.execute(query):
            request: RefundRequest | TransferRequest
            if original_no is not None:
                request = RefundRequest(row.reference, account.account_no, original_no, row.amount_fen)
            else:
                if account_enc is not None:
                    payee_no, payee_name = account_of(row.payee_id, account_enc)
                request = TransferRequest(row.reference, account.account_no, payee_no, payee_name, row.amount_fen)
            told.append(Told(row, account.connection, request))
    return told


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
