"""Cashier orders at the bank: open, ask, close. Each is three steps: claim, call with no transaction open, record."""

import asyncio
from collections.abc import Collection as Several
from datetime import timedelta

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking.banks import Banks
from app.banking.facts import book_lines
from app.banking.models import BankAccount, Collection
from app.db import District, fixed
from app.errors import NotFound, Unavailable
from bank_adapters.port import Bank, BankRefused, BankUnknown, CollectionRequest, Order

LEASE = timedelta(seconds=30)
"""How long a claimed order stays with the worker that claimed it; longer than any bank call may take."""
RETRY = timedelta(seconds=3)
ASK_EVERY = timedelta(seconds=20)
"""How often the bank is asked about an open order, in case its notice got lost."""
_CALLS_AT_ONCE = 8

_OPENED = text("""
    UPDATE collection SET status = 'opened', cashier_url = answer.cashier_url, due_at = :due_at
    FROM unnest(CAST(:references AS text[]), CAST(:cashier_urls AS text[])) AS answer (reference, cashier_url)
    WHERE collection.reference = answer.reference AND collection.status = 'created'
""")


async def open_collection(district: District, banks: Banks, reference: str) -> Collection:
    """Open a written-down order at its bank. The order is unchanged where the bank does not answer: the worker tries again."""
    async with district.transaction() as session:
        row, account = await _claim(session, reference)
        if row.status != "created":
            return row
        row.sent_at = clock.now()
        request = CollectionRequest(row.reference, account.account_no, row.amount_fen, row.subject, row.expires_at, row.return_url)
    bank = banks.get(account.connection)
    try:
        order = await bank.collect(request)
    except BankUnknown:
        return await _later(district, reference)
    except BankRefused:
        return await _end(district, reference, "refused")
    return await _record(district, reference, order)


async def open_collections(district: District, banks: Banks, references: Several[str]) -> None:
    """The same for several orders: claimed in one transaction, asked for side by side, recorded in one transaction."""
    opened: list[Order] = []
    slots = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def ask(connection: str, request: CollectionRequest) -> None:
        async with slots:
            try:
                order = await banks.get(connection).collect(request)
            except BankUnknown:
                await _later(district, request.reference)
            except BankRefused:
                await _end(district, request.reference, "refused")
            else:
                if order.status == "open" and not order.movements:
                    opened.append(order)
                else:
                    await _record(district, request.reference, order)

    async with asyncio.TaskGroup() as group:
        for connection, request in await _claim_created(district, references):
            group.create_task(ask(connection, request))
    async with district.transaction() as session:
        answers = {"references": [order.reference for order in opened], "cashier_urls": [order.cashier_url for order in opened]}
        await session.execute(_OPENED, {**answers, "due_at": clock.now() + ASK_EVERY})


async def ask_collection(district: District, banks: Banks, reference: str) -> Collection:
    """Ask the bank about an open order and book what it received. Unchanged where the bank does not answer."""
    async with district.transaction() as session:
        row, account = await _claim(session, reference)
    if row.status != "opened":
        return row
    try:
        answer = await banks.get(account.connection).query(reference)
    except BankUnknown:
        return row
    return await _record(district, reference, answer) if isinstance(answer, Order) else row


async def close_collection(district: District, banks: Banks, reference: str) -> Collection:
    """Close an order at the bank first, then here; `paid` where the payer was faster.

    Raises Unavailable `banking.no_answer` where the bank does not answer: then it may still be payable.
    """
    async with district.transaction() as session:
        row, account = await _claim(session, reference)
    if row.status not in ("created", "opened"):
        return row
    bank = banks.get(account.connection)
    try:
        order = await bank.close(reference)
    except BankUnknown as error:
        raise Unavailable("banking.no_answer", "银行暂时没有应答,请稍后再试") from error
    if order is not None:
        return await _record(district, reference, order)
    if _may_still_arrive(row, bank):
        raise Unavailable("banking.no_answer", "银行暂时没有应答,请稍后再试")
    return await _end(district, reference, "closed")


async def due_collections(district: District) -> list[tuple[str, str]]:
    """References and states of the orders to open or to ask about now, at most 50."""
    async with district.reading() as session:
        rows = await session.execute(
            select(Collection.reference, Collection.status)
            .where(Collection.status.in_([fixed("created"), fixed("opened")]), Collection.due_at <= clock.now())
            .order_by(Collection.due_at)
            .limit(50)
        )
        return [(reference, status) for reference, status in rows]


def _may_still_arrive(row: Collection, bank: Bank) -> bool:
    """A request that we sent may reach the bank as late as its declared latency."""
    return row.sent_at is not None and clock.now() < row.sent_at + bank.max_latency


async def _claim(session: AsyncSession, reference: str) -> tuple[Collection, BankAccount]:
    row = await session.get(Collection, reference, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise NotFound("banking.collection_not_found", "没有这笔收款")
    row.attempts += 1
    row.due_at = clock.now() + LEASE
    return row, await session.get_one(BankAccount, row.bank_account_id)


async def _claim_created(district: District, references: Several[str]) -> list[tuple[str, CollectionRequest]]:
    """Connections and requests of the orders among these that no bank knows yet."""
    async with district.transaction() as session:
        rows = await session.execute(
            select(Collection, BankAccount.connection, BankAccount.account_no)
            .join(BankAccount, BankAccount.id == Collection.bank_account_id)
            .where(Collection.reference.in_(references), Collection.status == "created")
            .order_by(Collection.reference)
            .with_for_update(of=Collection, key_share=True)
        )
        claimed = []
        for row, connection, account_no in rows:
            row.attempts += 1
            row.sent_at, row.due_at = clock.now(), clock.now() + LEASE
            request = CollectionRequest(row.reference, account_no, row.amount_fen, row.subject, row.expires_at, row.return_url)
            claimed.append((connection, request))
        return claimed


async def _record(district: District, reference: str, order: Order) -> Collection:
    async with district.transaction() as session:
        row = await session.get_one(Collection, reference)
        if order.movements:
            await book_lines(session, row.bank_account_id, order.movements)
        row = await session.get_one(Collection, reference, with_for_update={"key_share": True}, populate_existing=True)
        if row.status in ("created", "opened"):
            row.status = {"open": "opened", "paid": "paid", "closed": "closed"}[order.status]
            row.ended_at = None if row.status == "opened" else clock.now()
        row.cashier_url = order.cashier_url
        row.due_at = clock.now() + ASK_EVERY
        return row


async def _later(district: District, reference: str) -> Collection:
    """The bank did not answer: its next turn comes long before the lease would end."""
    async with district.transaction() as session:
        row = await session.get_one(Collection, reference, with_for_update={"key_share": True}, populate_existing=True)
        row.due_at = clock.now() + RETRY
        return row


async def _end(district: District, reference: str, status: str) -> Collection:
    async with district.transaction() as session:
        row = await session.get_one(Collection, reference, with_for_update={"key_share": True}, populate_existing=True)
        if row.status in ("created", "opened"):
            row.status, row.ended_at = status, clock.now()
        return row
