"""What surrounds every request: an id, a limit on its body, safe headers on its answer, one line in the log."""

import re
import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import telemetry
from app.portals.problems import too_large, unexpected

MAX_BODY_BYTES = 64 * 1024
LARGER_BODIES = (
    (re.compile(r"(/api/v1)?/institution/teachers/[^/]+/photo"), 3 * 1024 * 1024 + 64 * 1024),
    (re.compile(r"/institution/imports|/api/v1/institution/imports/[^/]+"), 5 * 1024 * 1024 + 64 * 1024),
    (re.compile(r"/scan|/api/v1/public/scan/picture"), 8 * 1024 * 1024 + 64 * 1024),
)
"""Paths that take a file, each with the most bytes of a body there."""
# Files hold what is only ever stored sealed: no part of a body waits on the disk.
MultiPartParser.spool_max_size = max(most for _, most in LARGER_BODIES)
_log = structlog.get_logger()

CONTENT_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Envelope:
    """The outermost middleware. It answers faults that no handler knows, so that also these answers carry the headers."""

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self._app = app
        self._headers = dict(_HEADERS)
        if https:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(self._headers, scope, receive, send).run(self._app)


class _Exchange:
    """One request and its answer."""

    def __init__(self, headers: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._headers = headers
        self._request_id = _request_id(scope)
        self._began = time.perf_counter()
        self._answered_after = 0.0
        self._status: int | None = None
        self._received = 0
        self._most = _most_bytes(scope["path"])

    async def run(self, app: ASGIApp) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=self._request_id)
        request = Request(self._scope, self._limited)
        request.state.request_id = self._request_id
        try:
            if _declared_length(self._scope) > self._most:
                await too_large(request)(self._scope, self._receive, self._answer)
            else:
                await app(self._scope, self._limited, self._answer)
        except ClientDisconnect:
            _log.info("client_left")
        except Exception as error:
            answer = unexpected(request, error)
            if self._status is None:
                await answer(self._scope, self._receive, self._answer)
        finally:
            self._record()

    async def _limited(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self._most:
            raise HTTPException(413)
        return message

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._answered_after = time.perf_counter() - self._began
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
            headers["X-Request-ID"] = self._request_id
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)

    def _record(self) -> None:
        method, route = _known_method(self._scope["method"]), _template(self._scope)
        telemetry.REQUESTS.labels(method, route, str(self._status)).inc()
        telemetry.REQUEST_SECONDS.labels(method, route).observe(self._answered_after)
        _log.info("request_answered", method=method, route=route, status=self._status, ms=round(self._answered_after * 1000, 1))


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if re.fullmatch(r"[A-Za-z0-9-]{8,64}", given) else secrets.token_hex(8)


def _declared_length(scope: Scope) -> int:
    declared = Headers(scope=scope).get("content-length", "0")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 19 else 0


def _most_bytes(path: str) -> int:
    return next((most for pattern, most in LARGER_BODIES if pattern.fullmatch(path)), MAX_BODY_BYTES)


def _template(scope: Scope) -> str:
    """The route as it was declared: an address itself may hold what should not be in a log."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    found = context or scope.get("route")
    return getattr(found, "path", None) or "unknown"


def _known_method(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "OTHER"
