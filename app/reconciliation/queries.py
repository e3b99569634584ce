"""Reading what reconciliation found."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.banking.models import BankAccount
from app.reconciliation.models import Break, Reconciliation
from app.registry.models import Institution

PAGE = 100


@dataclass(frozen=True, slots=True)
class BreakView:
    """One named difference, in fen."""

    kind: str
    amount_fen: int
    reference: str


@dataclass(frozen=True, slots=True)
class AccountDay:
    """One supervised account's value day: the bank's closing balance, our cash by value date, and every difference."""

    bank_account_id: UUID
    institution_id: UUID
    institution_name: str
    account_no: str
    value_on: date
    statement_fen: int
    cash_fen: int
    status: str
    reconciled_at: datetime
    breaks: tuple[BreakView, ...]


@dataclass(frozen=True, slots=True)
class DaySummary:
    """How many supervised accounts of one value day agreed with the bank's statement, and how many did not."""

    value_on: date
    matched: int
    broken: int


async def days(session: AsyncSession, before: date | None = None, limit: int = PAGE) -> list[DaySummary]:
    """Reconciled value days, newest first, before one; at most 100."""
    broken = func.count().filter(Reconciliation.status == "broken")
    query = select(Reconciliation.value_on, func.count() - broken, broken).group_by(Reconciliation.value_on)
    if before is not None:
        query = query.where(Reconciliation.value_on < before)
    rows = await session.execute(query.order_by(Reconciliation.value_on.desc()).limit(min(limit, PAGE)))
    return [DaySummary(*row) for row in rows]


async def latest_day(session: AsyncSession) -> date | None:
    """The newest value day with a reconciliation."""
    newest: date | None = await session.scalar(select(func.max(Reconciliation.value_on)))
    return newest


async def account_days(
    session: AsyncSession, value_on: date, institution_id: UUID | None = None, after: UUID | None = None, limit: int = PAGE
) -> list[AccountDay]:
    """Every supervised account of one value day by bank account id, after one; at most 100."""
    query = (
        select(Reconciliation, BankAccount, Institution.name)
        .join(BankAccount, BankAccount.id == Reconciliation.bank_account_id)
        .join(Institution, Institution.id == BankAccount.book_id)
        .where(Reconciliation.value_on == value_on)
        .order_by(Reconciliation.bank_account_id)
        .limit(min(limit, PAGE))
    )
    if institution_id is not None:
        query = query.where(BankAccount.book_id == institution_id)
    if after is not None:
        query = query.where(Reconciliation.bank_account_id > after)
    rows = (await session.execute(query)).all()
    named = await _breaks(session, value_on, [row.BankAccount.id for row in rows])
    return [
        AccountDay(
            bank_account_id=account.id,
            institution_id=account.book_id,
            institution_name=name,
            account_no=account.account_no,
            value_on=value_on,
            statement_fen=reconciliation.statement_fen,
            cash_fen=reconciliation.cash_fen,
            status=reconciliation.status,
            reconciled_at=reconciliation.reconciled_at,
            breaks=named[account.id],
        )
        for reconciliation, account, name in rows
    ]


async def _breaks(session: AsyncSession, value_on: date, accounts: list[UUID]) -> dict[UUID, tuple[BreakView, ...]]:
    found: dict[UUID, tuple[BreakView, ...]] = defaultdict(tuple)
    query = select(Break).where(Break.value_on == value_on, Break.bank_account_id.in_(accounts)).order_by(Break.id)
    for each in await session.scalars(query):
        found[each.bank_account_id] += (BreakView(each.kind, each.amount_fen, each.reference),)
    return found
