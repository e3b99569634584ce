"""What we tell the banks, written down before it is told; and the inbox for what they tell us."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking.models import BankAccount, BankMovement, BankNotice, Instruction
from app.banking.models import Collection as CashierOrder
from app.errors import Conflict, NotFound, Refused
from app.ids import uuid7
from app.ledger import codes
from app.ledger import service as ledger
from app.ledger.models import LedgerAccount
from app.ledger.service import Posting
from bank_adapters.port import Notice


@dataclass(frozen=True, slots=True)
class CollectionOrder:
    """A cashier order in the words of who wants it; `expires_at` in UTC."""

    reference: str
    book_id: UUID
    amount_fen: int
    subject: str
    expires_at: datetime
    return_url: str


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """Money to go out of the ledger account `source` (its code), back to who paid the movement `original`."""

    reference: str
    book_id: UUID
    original: UUID
    source: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class RepaymentOrder:
    """Money to go out of the ledger account `source` (its code) to a payee: none came from anywhere, or it could not go back there."""

    reference: str
    book_id: UUID
    payee_id: UUID
    source: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class PayoutOrder:
    """Released money to go to the settlement account."""

    reference: str
    book_id: UUID
    amount_fen: int


async def open_accounts(
    session: AsyncSession, book_id: UUID, connection: str, holder_name: str, supervised_no: str, settlement_no: str
) -> tuple[BankAccount, BankAccount]:
    """Bind an institution's two accounts: supervised 监管账户 and settlement 结算账户.

    Raises Conflict `banking.account_taken` where a number is bound already.
    """
    made = tuple(
        BankAccount(
            id=uuid7(),
            book_id=book_id,
            connection=connection,
            role=role,
            account_no=number,
            holder_name=holder_name,
            opened_at=clock.now(),
            balance_due_at=clock.now() if role == "supervised" else None,
        )
        for role, number in (("supervised", supervised_no), ("settlement", settlement_no))
    )
    numbers = [account.account_no for account in made]
    taken = select(BankAccount.id).where(BankAccount.connection == connection, BankAccount.account_no.in_(numbers))
    if supervised_no == settlement_no or await session.scalar(taken.limit(1)):
        raise Conflict("banking.account_taken", "银行账号已被绑定")
    session.add_all(made)
    await session.flush()
    return made[0], made[1]


async def replace_settlement_account(session: AsyncSession, book_id: UUID, account_no: str) -> BankAccount:
    """Bind another settlement account 结算账户 at the same bank: what is instructed from now on goes there.

    What was instructed before still goes to the old one, and its lines are watched as before.
    Raises NotFound, Conflict `banking.account_taken` where the number is or was bound.
    """
    old = await account_of(session, book_id, "settlement")
    taken = select(BankAccount.id).where(BankAccount.connection == old.connection, BankAccount.account_no == account_no)
    if await session.scalar(taken.limit(1)):
        raise Conflict("banking.account_taken", "银行账号已被绑定")
    old.replaced_at = clock.now()
    await session.flush()
    new = BankAccount(
        id=uuid7(),
        book_id=book_id,
        connection=old.connection,
        role="settlement",
        account_no=account_no,
        holder_name=old.holder_name,
        opened_at=clock.now(),
    )
    session.add(new)
    await session.flush()
    return new


async def account_of(session: AsyncSession, book_id: UUID, role: str = "supervised") -> BankAccount:
    """An institution's supervised or settlement account, as it is now. Raises NotFound."""
    current = (BankAccount.book_id == book_id, BankAccount.role == role, BankAccount.replaced_at.is_(None))
    account = await session.scalar(select(BankAccount).where(*current))
    if account is None:
        raise _no_account()
    return account


async def ask_balance(session: AsyncSession, book_id: UUID) -> None:
    """Let the bank be asked at once what an institution's supervised account holds."""
    supervised = (BankAccount.book_id == book_id, BankAccount.role == "supervised")
    await session.execute(update(BankAccount).where(*supervised).values(balance_due_at=clock.now()))


def _no_account() -> NotFound:
    return NotFound("banking.account_not_found", "该机构尚未绑定银行账户")


async def order_collections(session: AsyncSession, orders: Sequence[CollectionOrder]) -> None:
    """Write down cashier orders that the bank has yet to open (`collections.open_collection`). Raises NotFound."""
    supervised = (BankAccount.book_id.in_({order.book_id for order in orders}), BankAccount.role == "supervised")
    rows = await session.execute(select(BankAccount.book_id, BankAccount.id).where(*supervised))
    accounts = {book_id: account_id for book_id, account_id in rows}
    for order in orders:
        if order.book_id not in accounts:
            raise _no_account()
        session.add(
            CashierOrder(
                reference=order.reference,
                bank_account_id=accounts[order.book_id],
                amount_fen=order.amount_fen,
                subject=order.subject,
                return_url=order.return_url,
                expires_at=order.expires_at,
                status="created",
                due_at=clock.now(),
                created_at=clock.now(),
            )
        )
    await session.flush()


async def instruct_refund(
    session: AsyncSession, *, reference: str, book_id: UUID, original: UUID, source: str, amount_fen: int, posted_by: str
) -> Instruction:
    """Reserve money out of a ledger account and instruct its way back to who paid the original movement; cleared at once.

    Raises Refused `ledger.insufficient_funds` where the source, or the cash behind all live instructions, does not reach.
    """
    [instruction] = await instruct_refunds(session, [RefundOrder(reference, book_id, original, source, amount_fen)], posted_by)
    return instruction


async def instruct_refunds(session: AsyncSession, orders: Sequence[RefundOrder | RepaymentOrder], posted_by: str) -> list[Instruction]:
    """The same for several refunds in their order, all or none; the error's `item` is the first one that is refused.

    One to a payee leaves custody for an account that somebody named, so it is drafted, until supervision clears or holds it.

    Raises NotFound for a payee of a book without an account.
    """
    originals = {order.original for order in orders if isinstance(order, RefundOrder)}
    books = {order.book_id for order in orders if isinstance(order, RepaymentOrder)}
    paid_into = select(BankMovement.id, BankMovement.bank_account_id).where(BankMovement.id.in_(originals))
    supervised = select(BankAccount.book_id, BankAccount.id).where(BankAccount.book_id.in_(books), BankAccount.role == "supervised")
    accounts = {key: account_id for key, account_id in await session.execute(paid_into.union_all(supervised))}
    if not accounts.keys() >= books:
        raise _no_account()
    return await _reserve(session, "refund_reserved", [_refund(order, accounts) for order in orders], posted_by)


def _refund(order: RefundOrder | RepaymentOrder, accounts: Mapping[UUID, UUID]) -> Instruction:
    """`accounts` has the bank account of each original movement, and that of each book."""
    if isinstance(order, RefundOrder):
        route = {"bank_account_id": accounts[order.original], "original_movement_id": order.original, "status": "cleared"}
    else:
        route = {"bank_account_id": accounts[order.book_id], "payee_id": order.payee_id, "status": "drafted"}
    return Instruction(
        id=uuid7(),
        reference=order.reference,
        book_id=order.book_id,
        purpose="refund",
        source=order.source,
        amount_fen=order.amount_fen,
        **route,
    )


async def instruct_payout(session: AsyncSession, *, reference: str, book_id: UUID, amount_fen: int, posted_by: str) -> Instruction:
    """Reserve released money for the settlement account; drafted, until supervision clears or holds it.

    Raises Refused `ledger.insufficient_funds`.
    """
    [instruction] = await instruct_payouts(session, [PayoutOrder(reference, book_id, amount_fen)], posted_by)
    return instruction


async def instruct_payouts(
    session: AsyncSession, orders: Sequence[PayoutOrder], posted_by: str, first: Sequence[Posting] = ()
) -> list[Instruction]:
    """The same for several payouts in their order, all or none; the error's `item` is the first one that is refused.

    What goes `first` is posted with them, before them.
    """
    bound = select(BankAccount.book_id, BankAccount.role, BankAccount.id).where(
        BankAccount.book_id.in_({order.book_id for order in orders}), BankAccount.replaced_at.is_(None)
    )
    accounts = {(book_id, role): account_id for book_id, role, account_id in await session.execute(bound)}
    if any((order.book_id, role) not in accounts for order in orders for role in ("supervised", "settlement")):
        raise _no_account()
    rows = [
        Instruction(
            id=uuid7(),
            reference=order.reference,
            book_id=order.book_id,
            bank_account_id=accounts[order.book_id, "supervised"],
            purpose="payout",
            source=codes.PAYABLE,
            amount_fen=order.amount_fen,
            payee_account_id=accounts[order.book_id, "settlement"],
            status="drafted",
        )
        for order in orders
    ]
    return await _reserve(session, "payout_reserved", rows, posted_by, first)


async def clear(session: AsyncSession, instruction_ids: Collection[UUID]) -> None:
    """Drafted → cleared: a worker may send them. Raises Conflict `banking.not_drafted`."""
    await _move(session, instruction_ids, "drafted", "cleared", due_at=clock.now())


async def hold(session: AsyncSession, instruction_ids: Collection[UUID]) -> None:
    """Drafted → held (暂扣). Raises Conflict `banking.not_drafted`."""
    await _move(session, instruction_ids, "drafted", "held")


async def release_held(session: AsyncSession, instruction_id: UUID) -> None:
    """Held → cleared, by an officer. Raises Conflict `banking.not_held`."""
    await _move(session, [instruction_id], "held", "cleared", due_at=clock.now())


async def reject_held(session: AsyncSession, instruction_id: UUID) -> None:
    """Held → rejected, by an officer: the bank never hears of it. Raises Conflict `banking.not_held`."""
    await _move(session, [instruction_id], "held", "rejected", reject_code="officer", ended_at=clock.now())


async def unreserve(session: AsyncSession, instruction_ids: Collection[UUID], posted_by: str) -> None:
    """Give the reserved money of rejected or returned instructions back to its sources.

    The slice that drafted them calls this in the transaction in which it gives back its own state.
    Raises Conflict `banking.not_ended` where one is not so, or was done before.
    """
    chosen = select(Instruction).where(Instruction.id.in_(instruction_ids)).order_by(Instruction.id).with_for_update(key_share=True)
    rows = (await session.scalars(chosen, execution_options={"populate_existing": True})).all()
    if any(row.status not in ("rejected", "returned") or row.unreserved_at is not None for row in rows):
        raise Conflict("banking.not_ended", "该指令尚未终结或已退回")
    back = []
    for row in rows:
        row.unreserved_at = clock.now()
        outgoing, original = codes.outgoing(row.bank_account_id), row.reserving_transfer_id
        back.append(Posting("unreserved", original, row.book_id, outgoing, row.source, row.amount_fen, reverses=original))
    await ledger.post(session, back, posted_by=posted_by)


async def store_notice(session: AsyncSession, connection: str, notice: Notice, body: bytes) -> bool:
    """Put a verified notice into the inbox; False where the same one is there already."""
    stored = await session.execute(
        insert(BankNotice)
        .values(
            connection=connection,
            notice_id=notice.notice_id,
            event=notice.event,
            reference=notice.reference,
            account_no=notice.account_no,
            value_on=notice.value_on,
            body=body,
            status="received",
            due_at=clock.now(),
            received_at=clock.now(),
        )
        .on_conflict_do_nothing()
        .returning(BankNotice.notice_id)
    )
    return stored.scalar() is not None


async def lock_supervised(session: AsyncSession, book_ids: Collection[UUID]) -> None:
    """Lock supervised accounts, in the order of their ids: until the commit nothing is booked on them or reserved out of them."""
    chosen = BankAccount.book_id.in_(book_ids), BankAccount.role == "supervised"
    await session.execute(select(BankAccount.id).where(*chosen).order_by(BankAccount.id).with_for_update(key_share=True))


async def _reserve(
    session: AsyncSession, kind: str, rows: list[Instruction], posted_by: str, first: Sequence[Posting] = ()
) -> list[Instruction]:
    if not rows and not first:
        return []
    accounts = {row.bank_account_id for row in rows}
    await session.execute(
        select(BankAccount.id).where(BankAccount.id.in_(accounts)).order_by(BankAccount.id).with_for_update(key_share=True)
    )
    mirrored = {code(account_id) for account_id in accounts for code in (codes.cash, codes.outgoing)}
    chosen = LedgerAccount.book_id.in_({row.book_id for row in rows}), LedgerAccount.code.in_(mirrored)
    held = {code: fen for code, fen in await session.execute(select(LedgerAccount.code, LedgerAccount.balance_fen).where(*chosen))}
    for item, row in enumerate(rows):
        cash, outgoing = codes.cash(row.bank_account_id), codes.outgoing(row.bank_account_id)
        held[outgoing] = held.get(outgoing, 0) + row.amount_fen
        if held[outgoing] > held.get(cash, 0):
            raise Refused("ledger.insufficient_funds", "监管账户余额不足以支付", item=item)
    postings = [Posting(kind, row.id, row.book_id, row.source, codes.outgoing(row.bank_account_id), row.amount_fen) for row in rows]
    posted = (await ledger.post(session, [*first, *postings], posted_by=posted_by))[len(first) :]
    for row, result in zip(rows, posted, strict=True):
        row.reserving_transfer_id = result.transfer_id
        row.created_at = row.due_at = clock.now()
    session.add_all(rows)
    await session.flush()
    return rows


async def _move(session: AsyncSession, instruction_ids: Collection[UUID], before: str, after: str, **values: object) -> None:
    if not instruction_ids:
        return
    moved = await session.scalars(
        update(Instruction)
        .where(Instruction.id.in_(instruction_ids), Instruction.status == before)
        .values(status=after, **values)
        .returning(Instruction.id)
    )
    if len(moved.all()) < len(instruction_ids):
        raise Conflict(f"banking.not_{before}", "该付款指令的状态已改变")
