"""The QR codes in a picture that somebody uploaded. Decoding runs in a process of its own, a few at once, and not for long."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from functools import lru_cache
from pathlib import Path

import anyio

from app.errors import BadInput, Unavailable
from app.portals.public.code_reader import MOST_PIXELS

MOST_BYTES = 8 * 1024 * 1024
PATIENCE_SECONDS = 8.0
AT_ONCE = 2
MOST_WAITING = 6

_READER = Path(__file__).with_name("code_reader.py")


async def codes_in(picture: bytes) -> list[str]:
    """What the codes in a JPEG, PNG or WebP picture say, at most five, as text.

    Raises BadInput `scan.no_picture`, `scan.picture_too_large`, `scan.picture_invalid` or `scan.no_code`, Unavailable `scan.busy`.
    """
    if not picture:
        raise BadInput("scan.no_picture", "请选择一张图片，或粘贴二维码的内容", field="picture")
    if len(picture) > MOST_BYTES:
        raise BadInput("scan.picture_too_large", f"图片不能超过 {MOST_BYTES // 1024 // 1024} MB", field="picture")
    if _limiter().statistics().tasks_waiting >= MOST_WAITING:
        raise Unavailable("scan.busy", "识别的人较多，请稍后再试")
    async with _limiter():
        answer = json.loads(await _read(picture) or '{"refused": "invalid"}')
    match answer:
        case {"codes": []}:
            raise BadInput("scan.no_code", "图片里没有找到二维码，请把二维码拍得完整、清楚一些", field="picture")
        case {"codes": codes}:
            return [str(code) for code in codes]
        case {"refused": "pixels"}:
            raise BadInput("scan.picture_too_large", f"图片的像素太多，不能超过 {MOST_PIXELS // 10_000} 万", field="picture")
    raise BadInput("scan.picture_invalid", "这不是可以识别的图片，请上传 JPG、PNG 或 WebP 格式", field="picture")


async def _read(picture: bytes) -> bytes:
    """What the reader wrote; nothing where it was killed by its limits or took too long."""
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-B", str(_READER), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={"LANG": "C.UTF-8"}
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            written, _ = await reader.communicate(picture)
    except TimeoutError:
        return b""
    finally:
        if reader.returncode is None:
            reader.kill()
            await reader.wait()
    return written if reader.returncode == 0 else b""


@lru_cache(maxsize=1)
def _limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(AT_ONCE)
