"""Background work of banking: the inbox, orders, instructions, balances, statements. Each answers how much it did."""

import asyncio
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from app import clock
from app.banking.banks import Banks
from app.banking.collections import ask_collection, due_collections, open_collection
from app.banking.facts import book_all, book_lines, report_balances, store_statement_days
from app.banking.instructions import record, resolve_instructions, send_instructions
from app.banking.models import BankAccount, BankNotice, Collection
from app.db import District, fixed
from app.errors import DomainError, Unavailable
from bank_adapters.port import AccountStatement, Balance, BankRefused, BankUnknown, Instruction, Order

__all__ = ["fetch_balances", "import_statement", "process_inbox", "resolve_instructions", "run_collections", "send_instructions"]

LEASE = timedelta(seconds=30)
RETRY = timedelta(seconds=2)
_CALLS_AT_ONCE = 8
LINES = 400
"""Lines of a statement that one transaction takes up; the books take 1,000 postings at once."""

_log = structlog.get_logger()


async def process_inbox(district: District, banks: Banks) -> int:
    """Ask the bank about up to 40 stored notices and book what it confirms; how many were claimed."""
    due = (
        select(BankNotice)
        .where(BankNotice.status == fixed("received"), BankNotice.due_at <= clock.now())
        .order_by(BankNotice.due_at)
        .limit(40)
        .with_for_update(skip_locked=True)
    )
    async with district.transaction() as session:
        notices = (await session.scalars(due)).all()
        for notice in notices:
            notice.attempts += 1
            notice.due_at = clock.now() + LEASE
    for notice in notices:
        try:
            status = "processed" if await _follow(district, banks, notice) else "ignored"
            values = {"status": status, "processed_at": clock.now()}
        except (BankUnknown, DomainError) as error:
            if not isinstance(error, BankUnknown | Unavailable):
                _log.error("banking.notice_refused", district=district.code, notice=notice.notice_id, code=error.code)
            values = {"due_at": clock.now() + RETRY * min(notice.attempts, 30)}
        async with district.transaction() as session:
            await session.execute(
                update(BankNotice)
                .where(BankNotice.connection == notice.connection, BankNotice.notice_id == notice.notice_id)
                .values(**values)
            )
    return len(notices)


async def run_collections(district: District, banks: Banks) -> int:
    """Open the orders that their bank does not know yet, and ask about open ones now and then; how many were due."""
    due = await due_collections(district)
    for reference, status in due:
        await (open_collection if status == "created" else ask_collection)(district, banks, reference)
    return len(due)


async def fetch_balances(district: District, banks: Banks) -> int:
    """Ask the bank for the balances that are due: after each outflow, and daily; how many were reported."""
    async with district.transaction() as session:
        due = (
            select(BankAccount.id)
            .where(BankAccount.balance_due_at <= clock.now())
            .order_by(BankAccount.balance_due_at)
            .limit(40)
            .with_for_update(skip_locked=True, key_share=True)
        )
        accounts = list(
            await session.scalars(
                update(BankAccount).where(BankAccount.id.in_(due)).values(balance_due_at=clock.now() + LEASE).returning(BankAccount)
            )
        )
    slots = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def ask(account: BankAccount) -> Balance | None:
        async with slots:
            try:
                return await banks.get(account.connection).balance(account.account_no)
            except (BankUnknown, BankRefused, Unavailable):
                return None

    answers = await asyncio.gather(*(ask(account) for account in accounts))
    told = [(account, balance) for account, balance in zip(accounts, answers, strict=True) if balance is not None]
    async with district.transaction() as session:
        await report_balances(session, told)
    return len(told)


async def import_statement(district: District, banks: Banks, connection: str, value_on: date) -> int:
    """Fetch one value day of all accounts of a connection in one call and book every line not booked yet; how many were new.

    An account whose lines no books can hold is logged and counts as left out of the statement, so that reconciliation names it.
    Raises BankUnknown where the bank does not answer.
    """
    asked_at = clock.now()
    statement = await banks.get(connection).statement(value_on)
    async with district.reading() as session:
        known = {
            number: account_id
            for number, account_id in await session.execute(
                select(BankAccount.account_no, BankAccount.id).where(BankAccount.connection == connection)
            )
        }
    stated = {known[account.account_no]: account for account in statement.accounts if account.account_no in known}
    new = 0
    for part in _parts(stated):
        try:
            new += await _import(district, part, value_on, asked_at)
        except (DomainError, DBAPIError) as refused:
            if isinstance(refused, DBAPIError) and refused.connection_invalidated:
                raise
            for account_id, account in part.items():
                new += await _import_alone(district, account_id, account, value_on, asked_at)
    return new


async def _import(district: District, stated: dict[UUID, AccountStatement], value_on: date, asked_at: datetime) -> int:
    async with district.transaction() as session:
        moved = {account_id: account.movements for account_id, account in stated.items() if account.movements}
        new = await book_all(session, moved, stated=True) if moved else 0
        await store_statement_days(session, value_on, stated, asked_at)
        return new


async def _import_alone(district: District, account_id: UUID, account: AccountStatement, value_on: date, asked_at: datetime) -> int:
    try:
        return await _import(district, {account_id: account}, value_on, asked_at)
    except DomainError as refused:
        _log.error("banking.statement_refused", district=district.code, account_id=str(account_id), code=refused.code)
        return 0


def _parts(stated: dict[UUID, AccountStatement]) -> Iterator[dict[UUID, AccountStatement]]:
    """Accounts whose lines go into one transaction: as many as LINES allows, and at least one."""
    part: dict[UUID, AccountStatement] = {}
    lines = 0
    for account_id in sorted(stated):
        lines += len(stated[account_id].movements)
        if part and lines > LINES:
            yield part
            part, lines = {}, len(stated[account_id].movements)
        part[account_id] = stated[account_id]
    if part:
        yield part


async def _follow(district: District, banks: Banks, notice: BankNotice) -> bool:
    """A notice is a hint: ask the bank itself. False where the bank, or we, know nothing of it."""
    if notice.reference is None:
        if notice.value_on is None:
            return False
        await import_statement(district, banks, notice.connection, notice.value_on)
        return True
    answer = await banks.get(notice.connection).query(notice.reference)
    if isinstance(answer, Instruction):
        await record(district, answer)
        return True
    if isinstance(answer, Order):
        async with district.transaction() as session:
            order = await session.get(Collection, notice.reference)
            if order is not None:
                await book_lines(session, order.bank_account_id, answer.movements)
        return order is not None
    return False
