"""What the bank is asked before an officer decides: whose an account is, and what it holds. No transaction is open meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from uuid import UUID

from fastapi import Request

from app.banking import jobs as banking_jobs
from app.banking import service as banking
from app.banking.banks import Banks
from app.banking.holders import check_holder
from app.db import District
from app.errors import Unavailable
from app.portals.cashier import PATIENCE_SECONDS
from app.portals.edge import snapshot
from app.registry import institution_queries as registry
from app.registry.applications import draft_of


async def check_applicant(request: Request, home: District, application_id: UUID) -> None:
    """Both accounts of an application bear its name, and the supervised one is under supervision; a decided one is not asked about.

    Raises NotFound, Refused `banking.account_unknown`, `banking.holder_differs`, `banking.not_supervised`, Unavailable.
    """
    async with snapshot(home) as session:
        application = await registry.application(session, application_id)
    if application.status != "applied":
        return
    draft = draft_of(application)
    async with _patience():
        for number, field, supervised in ((draft.supervised_no, "supervised_no", True), (draft.settlement_no, "settlement_no", False)):
            await check_holder(_banks(request), draft.connection, number, draft.name, field, supervised=supervised)


async def check_change(request: Request, home: District, change_id: UUID) -> None:
    """A new settlement account bears the institution's name; other changes are not the bank's business. Raises the same."""
    async with snapshot(home) as session:
        change = await registry.change(session, change_id)
        if change.kind != "settlement_account" or change.status != "proposed":
            return
        old = await banking.account_of(session, change.institution_id, "settlement")
    async with _patience():
        await check_holder(_banks(request), old.connection, change.new_value, old.holder_name, "new_value", supervised=False)


async def ask_balance(request: Request, home: District, institution_id: UUID) -> None:
    """Have the bank report what the supervised account holds now; a bank that is silent leaves its last word standing."""
    async with home.transaction() as session:
        await banking.ask_balance(session, institution_id)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await banking_jobs.fetch_balances(home, _banks(request))
    except TimeoutError:
        return


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield
    except TimeoutError as silent:
        raise Unavailable("banking.silent", "银行暂时没有答复，请稍后再试") from silent


def _banks(request: Request) -> Banks:
    return cast(Banks, request.app.state.banks)
