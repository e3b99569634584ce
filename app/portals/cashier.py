"""The bank's part of a payment, done while somebody waits: open the order, or ask what became of it. Both are three steps of banking."""

import asyncio
from typing import cast

import structlog
from fastapi import Request

from app.banking.banks import Banks
from app.banking.collections import ask_collection, open_collection
from app.db import District
from app.errors import Unavailable
from app.lessons import jobs as lessons
from app.payments import jobs as payments

PATIENCE_SECONDS = 4.0
"""A person waits that long for a bank; after that the worker goes on."""
_log = structlog.get_logger()


async def reach_bank(request: Request, district: District, payment_no: str) -> None:
    """Open a payment's order at the bank, or ask about an open one, and match what it received, so that it shows in escrow at once.

    A bank that is down changes nothing here: the page says that it is being reached, and the worker tries again.
    """
    banks = cast(Banks, request.app.state.banks)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            order = await open_collection(district, banks, payment_no)
            if order.status == "opened":
                await ask_collection(district, banks, payment_no)
    except (TimeoutError, Unavailable):
        _log.warning("cashier_bank_silent", payment_no=payment_no)
        return
    await payments.match_receipts(district)
    await lessons.confirm_paid(district)
