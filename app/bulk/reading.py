"""A file that somebody uploads, read apart from the service: whatever it holds, it cannot stop or outgrow this process."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from app.bulk.reader import MAX_BYTES, Numbered
from app.errors import BadInput, Unavailable

WALL_SECONDS = 30
"""Longer than any file within the limits takes; the reader's own limit on CPU is shorter."""
AT_ONCE = 2
_READER = Path(__file__).with_name("reader.py")
_places = asyncio.Semaphore(AT_ONCE)
_institutions: set[UUID] = set()
"""Whose files are being read: one of each at a time, so that nobody takes all places."""


async def read(institution_id: UUID, content: bytes) -> list[Numbered]:
    """The rows of an institution's workbook or CSV file that hold anything.

    Raises BadInput("bulk.file_…", "bulk.too_many_rows", …) naming the field `file`, Unavailable("bulk.busy").
    """
    if len(content) > MAX_BYTES:
        raise _refusal("bulk.file_too_large", f"文件不能超过 {MAX_BYTES // 1024 // 1024} MB，请分成几个文件")
    if _places.locked() or institution_id in _institutions:
        raise Unavailable("bulk.busy", "正在读取的文件较多，请稍后再试")
    _institutions.add(institution_id)
    try:
        async with _places:
            answer = await _read_apart(content)
    finally:
        _institutions.remove(institution_id)
    if "rows" not in answer:
        raise _refusal(answer["code"], answer["message_zh"])
    return [Numbered(number, cells) for number, cells in answer["rows"]]


async def _read_apart(content: bytes) -> dict[str, Any]:
    # Neither this process's secrets nor its import path go along.
    reader = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(_READER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        written, _ = await asyncio.wait_for(reader.communicate(content), WALL_SECONDS)
    except TimeoutError as late:
        raise _refusal("bulk.file_broken", "文件过于复杂，没能在限定时间内读完") from late
    finally:
        if reader.returncode is None:
            reader.kill()
            await reader.wait()
    if reader.returncode != 0:
        raise _refusal("bulk.file_broken", "文件内容超出限制或已损坏，无法读取")
    answer: dict[str, Any] = json.loads(written)
    return answer


def _refusal(code: str, message_zh: str) -> BadInput:
    return BadInput(code, message_zh, field="file")
