"""Errors as answers: problem+json (RFC 9457) for programs, a Chinese page for people. Nothing echoes what was sent."""

import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from app.errors import BadInput, DomainError, NotFound, Refused, SignInRequired, Unavailable
from app.portals.edge import Replayed, end_of, local_path
from app.portals.pages import render, sign_in_address

_log = structlog.get_logger()

_UNREACHABLE = ("08", "40", "53", "57")
"""SQLSTATE classes of a lost connection, a transaction to repeat, a full and a stopping server."""
_UNSTORABLE_TEXT = "22021"
_FOR_PROGRAMS = ("/api/", "/qr/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/static/")


def install(app: FastAPI) -> None:
    """Answer every kind of error that a route can raise."""
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Replayed, _replayed)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_exception_handler(PoolTimeout, _unreachable)
    app.add_exception_handler(asyncpg.PostgresError, _database_error)
    app.add_exception_handler(OSError, _system_error)


def problem(request: Request, error: DomainError, headers: Mapping[str, str] | None = None, status: int | None = None) -> Response:
    """The answer for a domain error, in the form that this path's callers read."""
    status = status or error.status
    if not _is_program(request):
        return render(request, "error.html", status=status, headers=headers, error=error, back=_back(request))
    facts = jsonable_encoder(error.facts)
    about = {
        "type": f"urn:problem:{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": error.code,
        "detail": error.message_zh,
        "request_id": request.state.request_id,
    }
    return JSONResponse({**facts, **about}, status, headers=dict(headers or {}), media_type="application/problem+json")


def _back(request: Request) -> str:
    """The page of ours that the caller came from; empty where that is not known, or where it is the same page."""
    try:
        came_from = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return ""
    if came_from.netloc != request.headers.get("host") or (request.method == "GET" and came_from.path == request.url.path):
        return ""
    return local_path(came_from.path + (f"?{came_from.query}" if came_from.query else ""), "")


def unexpected(request: Request, error: Exception) -> Response:
    """The answer for a fault of ours, which the log explains under the same request id."""
    _log.error("request_failed", exc_info=error)
    return problem(request, DomainError("server.error", f"系统出错了，请稍后再试（编号 {request.state.request_id}）"))


def too_large(request: Request) -> Response:
    """The answer for a body over the limit."""
    return problem(request, BadInput("request.too_large", "提交的内容过大"), status=413)


async def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    if not isinstance(error, SignInRequired):
        return problem(request, error)
    end = end_of(request.url.path)
    if end is None:
        return problem(request, error, {"WWW-Authenticate": "Bearer"})
    address = sign_in_address(end, request)
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return problem(request, BadInput("request.malformed", "请求内容不是有效的 JSON"))
    if any(each["loc"][0] == "path" for each in found):
        return problem(request, _no_such_page())
    fields = [{"field": _field(each), "reason": each["type"]} for each in found]
    return problem(request, Refused("request.invalid", "填写的内容有误", fields=fields))


def _field(error: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in error["loc"][:4])[:100]


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 400:
            known: DomainError = BadInput("request.malformed", "无法读取请求内容")
        case 404:
            known = _no_such_page()
        case 405:
            known = BadInput("request.method", "不支持这种请求方式")
        case 413:
            known = BadInput("request.too_large", "提交的内容过大")
        case _:
            known = BadInput("request.refused", "请求无法处理")
    return problem(request, known, error.headers, error.status_code)


async def _replayed(request: Request, replay: Exception) -> Response:
    assert isinstance(replay, Replayed)
    return Response(replay.answer.body, replay.answer.status, {"Idempotent-Replayed": "true"}, "application/json")


async def _database_error(request: Request, error: Exception) -> Response:
    cut = isinstance(error, DBAPIError) and error.connection_invalidated
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None) or ""
    if state == _UNSTORABLE_TEXT:
        return problem(request, Refused("request.invalid", "填写的内容有误", fields=[]))
    if cut or state.startswith(_UNREACHABLE):
        return await _unreachable(request, error)
    raise error


async def _system_error(request: Request, error: Exception) -> Response:
    # A connection that cannot be opened fails before SQLAlchemy has anything to wrap.
    if any(frame.f_globals.get("__name__", "").startswith("asyncpg.") for frame, _ in traceback.walk_tb(error.__traceback__)):
        return await _unreachable(request, error)
    raise error


async def _unreachable(request: Request, error: Exception) -> Response:
    _log.error("database_unreachable", exc_info=error)
    return problem(request, Unavailable("server.unavailable", "系统暂时无法访问，请稍后再试"), {"Retry-After": "2"})


def _no_such_page() -> NotFound:
    return NotFound("request.not_found", "没有这个地址")


def _is_program(request: Request) -> bool:
    return request.url.path.startswith(_FOR_PROGRAMS)
