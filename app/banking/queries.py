"""What instructions and their movements look like to their readers; pages of 100 rows at most."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.banking.models import LIVE_STATES, BankAccount, BankMovement, Instruction
from app.errors import NotFound

PAGE = 100


@dataclass(frozen=True, slots=True)
class InstructionView:
    """What we told a bank to pay, from which account, and how far it is."""

    id: UUID
    reference: str
    book_id: UUID
    purpose: str
    holder_name: str
    account_no: str
    amount_fen: int
    status: str
    reject_code: str | None
    attempts: int
    created_at: datetime
    last_sent_at: datetime | None
    ended_at: datetime | None
    unreserved_at: datetime | None


@dataclass(frozen=True, slots=True)
class MovementView:
    """One line of the bank's, and how it was booked."""

    movement_no: str
    direction: str
    value_on: date
    occurred_at: datetime
    amount_fen: int
    balance_after_fen: int
    booked_as: str


@dataclass(frozen=True, slots=True)
class Underway:
    """Instructions of one purpose and state that have not ended."""

    purpose: str
    status: str
    instructions: int
    amount_fen: int


async def underway(session: AsyncSession) -> list[Underway]:
    """What has not ended, counted and summed by purpose and state."""
    rows = await session.execute(
        select(Instruction.purpose, Instruction.status, func.count(), func.sum(Instruction.amount_fen))
        .where(Instruction.status.in_(LIVE_STATES), Instruction.unreserved_at.is_(None))
        .group_by(Instruction.purpose, Instruction.status)
        .order_by(Instruction.purpose, Instruction.status)
    )
    return [Underway(purpose, status, count, int(amount_fen)) for purpose, status, count, amount_fen in rows]


async def instructions(
    session: AsyncSession,
    status: str | None = None,
    purpose: str | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = PAGE,
) -> list[InstructionView]:
    """Instructions, newest first, of one state or purpose where given; `after` is (created_at, id) of the last one seen."""
    query = _instructions().order_by(Instruction.created_at.desc(), Instruction.id.desc()).limit(min(limit, PAGE))
    if status is not None:
        query = query.where(Instruction.status == status)
    if purpose is not None:
        query = query.where(Instruction.purpose == purpose)
    if after is not None:
        query = query.where(tuple_(Instruction.created_at, Instruction.id) < after)
    return [_view(row) for row in await session.execute(query)]


async def instruction(session: AsyncSession, reference: str) -> tuple[InstructionView, list[MovementView]]:
    """One instruction with the bank's lines that carry its reference. Raises NotFound("banking.instruction_not_found")."""
    row = (await session.execute(_instructions().where(Instruction.reference == reference))).one_or_none()
    if row is None:
        raise NotFound("banking.instruction_not_found", "没有这条付款指令")
    lines = await session.scalars(
        select(BankMovement)
        .where(BankMovement.reference == reference, BankMovement.bank_account_id == row.Instruction.bank_account_id)
        .order_by(BankMovement.id)
        .limit(PAGE)
    )
    return _view(row), [
        MovementView(
            movement_no=line.movement_no,
            direction=line.direction,
            value_on=line.value_on,
            occurred_at=line.occurred_at,
            amount_fen=line.amount_fen,
            balance_after_fen=line.balance_after_fen,
            booked_as=line.booked_as,
        )
        for line in lines
    ]


def _instructions() -> Select[*tuple[Any, ...]]:
    return select(Instruction, BankAccount.holder_name, BankAccount.account_no).join(
        BankAccount, BankAccount.id == Instruction.bank_account_id
    )


def _view(row: Any) -> InstructionView:
    told, holder_name, account_no = row
    return InstructionView(
        id=told.id,
        reference=told.reference,
        book_id=told.book_id,
        purpose=told.purpose,
        holder_name=holder_name,
        account_no=account_no,
        amount_fen=told.amount_fen,
        status=told.status,
        reject_code=told.reject_code,
        attempts=told.attempts,
        created_at=told.created_at,
        last_sent_at=told.last_sent_at,
        ended_at=told.ended_at,
        unreserved_at=told.unreserved_at,
    )
