"""A family's own data as a download."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from app import clock
from app.db import District
from app.errors import Unavailable
from app.portals.download import Download
from app.portals.words import word
from app.privacy import export
from app.privacy.export import JSON as JSON
from app.privacy.export import Form
from app.security import Parent

CSV = export.as_csv(lambda status: word(status, "lesson"))
AT_ONCE = 4
"""Downloads that a process sends at a time: each keeps a connection to the database as long as its reader needs."""
_places = asyncio.Semaphore(AT_ONCE)


def answers(form: Form) -> dict[int | str, dict[str, Any]]:
    """What the schema says about a download."""
    schema = {"type": "object"} if form is JSON else {"type": "string"}
    return {200: {"description": "The file", "content": {form.media_type: {"schema": schema}}}}


async def download(home: District, parent: Parent, form: Form) -> Download:
    """The caller's data as a file. Raises Unavailable "privacy.exports_busy"."""
    if _places.locked():
        raise Unavailable("privacy.exports_busy", "正在导出的人较多，请稍后再试")
    async with home.transaction() as session:
        await export.record(session, parent, form)
    headers = {"Content-Disposition": f'attachment; filename="family-{clock.today()}.{form.suffix}"'}
    return Download(_in_turn(export.stream(home, parent.guardian_id, form)), headers=headers, media_type=form.media_type)


async def _in_turn(parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with _places, aclosing(parts):
        async for part in parts:
            yield part
