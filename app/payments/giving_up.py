"""Paying no more of a contract, also while a code for its first charge is out."""

import asyncio
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking.banks import Banks
from app.contracts import service as contracts
from app.contracts.models import Contract
from app.db import District
from app.errors import Conflict
from app.payments import jobs
from app.payments.models import Payment
from app.security import Parent

PATIENCE_SECONDS = 4.0
"""A person waits that long for a bank; after that the worker goes on."""
_log = structlog.get_logger()


async def decline(district: District, banks: Banks, parent: Parent, contract_id: UUID) -> None:
    """Pay no more of the parent's own contract, as `contracts.decline` says; a code of its first charge is closed at the bank before.

    From now on the code takes no money: what the bank took before is matched and pays the contract, what it takes later goes back.

    Raises what `contracts.decline` raises, Conflict("payments.closing") while the bank has not closed the code,
    Conflict("payments.paid_meanwhile") where the payer was faster.
    """
    async with district.transaction() as session:
        await contracts.own_contract(session, parent, contract_id)
        code = await _open_code(session, await contracts.lock(session, contract_id))
        if code is None:
            await contracts.decline(session, parent, contract_id)
            return
        code.expires_at = min(code.expires_at, clock.now())
        payment_no = code.payment_no
    await _close(district, banks, payment_no)
    async with district.transaction() as session:
        contract = await contracts.lock(session, contract_id)
        if await _open_code(session, contract):
            raise Conflict("payments.closing", "付款码正在向银行关闭，请稍后再放弃名额")
        if contract.status == "paid":
            raise Conflict("payments.paid_meanwhile", "银行已经收到这笔付款，合同已生效；不上的课可以申请退费")
        if contract.status == "created":
            await contracts.decline(session, parent, contract_id)


async def _open_code(session: AsyncSession, contract: Contract) -> Payment | None:
    """The open payment that a seat waits for, locked after its contract."""
    if contract.status != "created":
        return None
    waiting = select(Payment).where(Payment.contract_id == contract.id, Payment.status == "created").with_for_update(key_share=True)
    found: Payment | None = await session.scalar(waiting, execution_options={"populate_existing": True})
    return found


async def _close(district: District, banks: Banks, payment_no: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await jobs.close_codes(district, banks, [payment_no])
    except TimeoutError:
        _log.warning("giving_up_bank_silent", payment_no=payment_no)
        return
    await jobs.match_receipts(district)
