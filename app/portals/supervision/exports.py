"""The books as files, for auditors: Beancount, CSV and Excel, sent while they are read."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from app.db import District
from app.errors import Unavailable
from app.ledger import export
from app.ledger.export import BEANCOUNT, CSV, EXCEL, Form
from app.ledger.journal import Scope
from app.portals.download import Download
from app.portals.edge import Home, SupervisionCaller
from app.portals.glossary import glossary

router = APIRouter(prefix="/api/v1/supervision", tags=["supervision"])

AT_ONCE = 2
"""Exports that a process sends at a time: each keeps a connection to the database as long as its reader needs."""
_places = asyncio.Semaphore(AT_ONCE)


async def _scope(
    book: Annotated[UUID | None, Query(description="An institution's id; by default every book")] = None,
    from_on: Annotated[date | None, Query(alias="from", description="First day (Asia/Shanghai); by default from the beginning")] = None,
    to_on: Annotated[date | None, Query(alias="to", description="Last day; by default up to now")] = None,
) -> Scope:
    return Scope(book, from_on, to_on)


Asked = Annotated[Scope, Depends(_scope)]


def _answers(form: Form) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string", "format": "binary"} if form is EXCEL else {"type": "string"}
    return {200: {"description": "The file", "content": {form.media_type: {"schema": schema}}}}


@router.get("/ledger.beancount", response_class=Download, responses=_answers(BEANCOUNT), summary="The books as a Beancount file")
async def ledger_beancount(caller: SupervisionCaller, home: Home, scope: Asked) -> Download:
    """Ledger accounts with their balances before and after, and every sealed transfer; `bean-check` proves one by the other."""
    return await _download(home, caller.actor, BEANCOUNT, scope)


@router.get("/ledger.csv", response_class=Download, responses=_answers(CSV), summary="The journal as CSV")
async def ledger_csv(caller: SupervisionCaller, home: Home, scope: Asked) -> Download:
    """Every sealed transfer by voucher number, with all that its leaf is computed from."""
    return await _download(home, caller.actor, CSV, scope)


@router.get("/ledger.xlsx", response_class=Download, responses=_answers(EXCEL), summary="The journal as an Excel workbook")
async def ledger_xlsx(caller: SupervisionCaller, home: Home, scope: Asked) -> Download:
    """The same as the CSV, with amounts and days as numbers and dates."""
    return await _download(home, caller.actor, EXCEL, scope)


async def _download(home: District, actor: str, form: Form, scope: Scope) -> Download:
    if _places.locked():
        raise Unavailable("ledger.exports_busy", "正在导出的账册较多，请稍后再试")
    async with home.transaction() as session:
        await export.record(session, actor, form, scope)
        words = await glossary(session)
    headers = {"Content-Disposition": f'attachment; filename="{export.file_name(home, form, scope)}"'}
    return Download(_in_turn(export.stream(home, form, scope, words)), headers=headers, media_type=form.media_type)


async def _in_turn(parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with _places, aclosing(parts):
        async for part in parts:
            yield part
