"""What a parent's phone gets: how much, and how soon when others ask at the same time."""

import gzip
import re

from tests.bench.confirming import token
from tests.bench.serving import Load, Request, Serving

PAGES = ("/parent", "/parent/lessons", "/parent/contracts", "/parent/classes")
FIRST = "/parent"
FAMILIES = 64
SECONDS = 4.0


def requests(path: str) -> list[Request]:
    """The page, for one family after the other."""
    return [("GET", path, token(family), "", "") for family in range(1, FAMILIES + 1)]


async def first_page(server: Serving) -> Load:
    """The parents' home page under 32 connections."""
    await server.load(requests(FIRST), SECONDS / 4, again=True)
    return await server.load(requests(FIRST), SECONDS, again=True)


async def weights(server: Serving) -> dict[str, int]:
    """Bytes on the wire of each page with all it loads, headers included, on a first visit."""
    found = {}
    for path in PAGES:
        answer = await server.get(path, token(1))
        assets = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', _text(answer)))
        found[path] = len(answer) + sum([len(await server.get(asset, token(1))) for asset in sorted(assets)])
    return found


def _text(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    return (gzip.decompress(body) if b"content-encoding: gzip" in head.lower() else body).decode()
