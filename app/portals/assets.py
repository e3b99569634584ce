"""Style sheets and scripts: ours and the two libraries', compressed once, cached by browsers for good under an address with their hash."""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request, Response

from app.errors import NotFound

router = APIRouter(include_in_schema=False)

_OWN = Path(__file__).parent / "static"
_FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "tabler.css": ("text/css", lambda: files("sqladmin").joinpath("statics/css/tabler.min.css").read_bytes()),
    "htmx.js": ("text/javascript", lambda: files("js_lib_htmx").joinpath("static/htmx/htmx.min.js").read_bytes()),
    "app.css": ("text/css", lambda: (_OWN / "app.css").read_bytes()),
    "family.css": ("text/css", lambda: (_OWN / "family.css").read_bytes()),
    "staff.css": ("text/css", lambda: (_OWN / "staff.css").read_bytes()),
    "app.js": ("text/javascript", lambda: (_OWN / "app.js").read_bytes()),
    "scan.js": ("text/javascript", lambda: (_OWN / "scan.js").read_bytes()),
    "live.js": ("text/javascript", lambda: (_OWN / "live.js").read_bytes()),
    "icon.svg": ("image/svg+xml", lambda: (_OWN / "icon.svg").read_bytes()),
}


@dataclass(frozen=True)
class _Asset:
    media_type: str
    plain: bytes

    @cached_property
    def version(self) -> str:
        return hashlib.sha256(self.plain).hexdigest()[:12]

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.plain, 9, mtime=0)


def address(name: str) -> str:
    """The address of a file; it changes with the content."""
    return f"/static/{_asset(name).version}/{name}"


@router.get("/static/{version}/{name}")
async def static_file(request: Request, version: str, name: str) -> Response:
    """A file of ours. A page of an older version may still ask for an older hash: it gets the present file, uncached."""
    if name not in _FILES:
        raise NotFound("request.not_found", "没有这个地址")
    asset = _asset(name)
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if version == asset.version else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.compressed, headers=headers | {"Content-Encoding": "gzip"}, media_type=asset.media_type)
    return Response(asset.plain, headers=headers, media_type=asset.media_type)


@lru_cache
def _asset(name: str) -> _Asset:
    media_type, read = _FILES[name]
    return _Asset(media_type, read())
