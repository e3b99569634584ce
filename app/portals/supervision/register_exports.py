"""The four registers as workbooks for officers, sent while they are read. Contacts, phones and children's names are masked."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter

from app.bulk import exports
from app.bulk.workbooks import EXCEL
from app.db import District
from app.errors import Unavailable
from app.portals.download import Download
from app.portals.edge import Home, SupervisionCaller
from app.portals.words import word
from app.security import SupervisionStaff

api = APIRouter(prefix="/api/v1/supervision/registers", tags=["supervision"])
pages = APIRouter(prefix="/supervision/registers", include_in_schema=False)

AT_ONCE = 2
"""Registers that a process sends at a time: each is written to disk, and keeps a connection meanwhile."""
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {EXCEL: {"schema": {"type": "string", "format": "binary"}}}}
}
_places = asyncio.Semaphore(AT_ONCE)


@api.get("/{register}.xlsx", response_class=Download, responses=_ANSWER, summary="A register as an Excel workbook")
async def register_file(register: str, caller: SupervisionCaller, home: Home) -> Download:
    """One of institutions, teachers, classes, students; who takes it away is recorded."""
    return await _download(home, caller, register)


@pages.get("/{register}.xlsx")
async def register_page(register: str, caller: SupervisionCaller, home: Home) -> Download:
    """The same file, for a browser."""
    return await _download(home, caller, register)


async def _download(home: District, caller: SupervisionStaff, slug: str) -> Download:
    register = exports.register_of(slug)
    if _places.locked():
        raise Unavailable("bulk.exports_busy", "正在导出的登记库较多，请稍后再试")
    async with home.transaction() as session:
        await exports.record(session, caller.actor, register)
    headers = {"Content-Disposition": f'attachment; filename="{exports.file_name(home, register)}"'}
    return Download(_in_turn(exports.stream(home, register, word)), headers=headers, media_type=EXCEL)


async def _in_turn(parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with _places, aclosing(parts):
        async for part in parts:
            yield part
