"""The edge of the web process: who calls, in which district, in which transaction. Routes declare these types and nothing else.

    @router.post("/payments", status_code=201)
    async def pay(body: PaymentInput, caller: ParentCaller, once: Once) -> PaymentAnswer:
        async with once.transaction() as session:
            payment = await payments.start(session, caller, body.contract_id)
            return await once.answer(PaymentAnswer.of(payment))

* `ParentCaller`, `InstitutionCaller`, `SettlementCaller`, `SupervisionCaller`: the principal, or 401/403. The same type serves
  JSON under `/api/` (bearer token; a cookie counts for nothing there, save on an event stream) and pages (the cookie of that
  end; every POST needs the form field `csrf`). Nobody signed in: problem+json, or the way to that end's sign-in page.
* `Read`, `Write`: a session in the caller's district. `Read` is one read-only snapshot; `Write` is committed before the answer
  leaves, and rolled back when the route raises. `PublicRead`: the district that an anonymous request names or means.
* `Once`: for money POSTs in JSON, instead of `Write`: a transaction under the request's `Idempotency-Key`. Steps after the commit
  stand after its block. On a replay the route ends where its block would begin.
* `Home`, `Named`: the District itself, for routes that open their transactions one by one.
"""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, TypeVar, cast
from urllib.parse import urlsplit

import structlog
from fastapi import Depends, Header, Query, Request
from fastapi.security import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app import districts, idempotency, security
from app.db import Database, District
from app.errors import Forbidden, NotFound, SignInRequired
from app.security import Holders, InstitutionStaff, Parent, Principal, SettlementStaff, SupervisionStaff
from app.settings import settings

ENDS = ("parent", "institution", "settlement", "supervision")
CSRF_FIELD = "csrf"
_SAFE_METHODS = ("GET", "HEAD")
_EVENT_STREAM = re.compile(r"/api/v1/[a-z]+/(?:.+/)?stream")
_MODES_LAST_SECONDS = 30.0

P = TypeVar("P", Parent, InstitutionStaff, SettlementStaff, SupervisionStaff)
M = TypeVar("M", bound=BaseModel)


class Modes:
    """Districts and their modes, remembered for half a minute, so that a request does not ask for its district every time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[str, float]] = {}
        self._default: tuple[str, float] = ("", 0.0)

    async def default(self) -> str:
        """The district that is meant where none is named. Raises NotFound `districts.unnamed`."""
        code, read_at = self._default
        if not code or time.monotonic() - read_at > _MODES_LAST_SECONDS:
            code = await districts.default_district(self._database, settings().district)
            self._default = (code, time.monotonic())
        return code

    async def of(self, code: str) -> str:
        """A district's mode. Raises NotFound `districts.unknown`."""
        mode, read_at = self._known.get(code, ("", 0.0))
        if not mode or time.monotonic() - read_at > _MODES_LAST_SECONDS:
            mode = await districts.mode_of(self._database, code)
            self._known[code] = (mode, time.monotonic())
        return mode


class Replayed(Exception):
    """The request was answered before: the stored answer goes out again."""

    def __init__(self, answer: idempotency.Answer) -> None:
        super().__init__("replayed")
        self.answer = answer


class OncePerKey:
    """Work that is done once per `Idempotency-Key`, and its stored answer."""

    def __init__(self, district: District, attempt: idempotency.Attempt, status: int) -> None:
        self._district = district
        self._attempt = attempt
        self._status = status
        self._session: AsyncSession | None = None
        self._answered = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A transaction that holds the key. Its block must store an answer; when it raises, nothing is kept and the key stays free.

        Raises Replayed, Conflict `idempotency.running`, Refused `idempotency.other_request`.
        """
        async with self._district.transaction() as session:
            stored = await idempotency.claim(session, self._attempt)
            if stored is not None:
                raise Replayed(stored)
            self._session = session
            yield session
            if not self._answered:
                raise RuntimeError("a route with an idempotency key ended without storing its answer")

    @property
    def district(self) -> District:
        """Where the request is at home."""
        return self._district

    @property
    def attempt(self) -> idempotency.Attempt:
        """The request under its key, for work that shares a transaction with others' and claims the key there."""
        return self._attempt

    async def answer(self, model: M) -> M:
        """Store the model as this key's answer, with the route's status, and hand it back for the route to return."""
        if self._session is None:
            raise RuntimeError("an answer is stored in the transaction of its work")
        await idempotency.keep(self._session, self._attempt, idempotency.Answer(self._status, model.model_dump_json()))
        self._answered = True
        return model


def cookie_name(end: str) -> str:
    """One cookie per end, so that one browser can show several ends side by side."""
    return f"escrow_{end}"


def end_of(path: str) -> str | None:
    """Which of the four ends' pages a path belongs to; None for public pages and for JSON."""
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return first if first in ENDS else None


def csrf_token(session_token: str) -> str:
    """What a page's forms carry: only who knows the session's token can make it."""
    return hmac.new(session_token.encode(), b"csrf", hashlib.sha256).hexdigest()


def refuse_other_sites(request: Request) -> None:
    """A form of ours is sent by a page of ours. Raises Forbidden `request.other_site`."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    own = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if site not in (None, "same-origin", "none") or not own:
        raise Forbidden("request.other_site", "请从本站页面提交")


async def district_called(request: Request, code: str) -> District:
    """The district of this code, for codes out of numbers and slugs. Raises NotFound `districts.unknown`."""
    request.state.mode = await cast(Modes, request.app.state.modes).of(code)
    return cast(Database, request.app.state.database).district(code)


def stopping(request: Request) -> asyncio.Event:
    """Set when the process is told to end; an event stream ends then, for the server waits for it."""
    return cast(asyncio.Event, request.app.state.stopping)


@dataclass(frozen=True, slots=True)
class _Visit:
    """Who calls, and in which district."""

    principal: Principal
    home: District


class _Door(SecurityBase):
    """Finds out who calls: one dependency of all routes, for each further one would be solved anew wherever it is named."""

    def __init__(self) -> None:
        self._bearer = HTTPBearer(auto_error=False, description="access_token of POST /api/v1/auth/…/session")
        self.model = self._bearer.model
        self.scheme_name = self._bearer.scheme_name

    async def __call__(self, request: Request) -> _Visit:
        """Raises SignInRequired, for a page's form Forbidden."""
        token = await self._token(request)
        home = await _home_of(request, token)
        principal = await cast(Holders, request.app.state.holders).principal_of(home, token)
        if principal is None:
            raise SignInRequired("auth.ended", "登录已失效，请重新登录")
        request.state.principal = principal
        structlog.contextvars.bind_contextvars(role=principal.role)
        if end_of(request.url.path) is not None:
            await _check_form(request, token)
        return _Visit(principal, home)

    async def _token(self, request: Request) -> str:
        path = request.url.path
        end = end_of(path)
        if end is not None:
            token = request.cookies.get(cookie_name(end))
        elif bearer := await self._bearer(request):
            token = bearer.credentials
        elif request.method == "GET" and _EVENT_STREAM.fullmatch(path):
            token = request.cookies.get(cookie_name(path.split("/")[3]))
        else:
            token = None
        if not token:
            raise SignInRequired("auth.required", "请先登录")
        return token


async def _home_of(request: Request, token: str) -> District:
    code = security.token_district(token)
    if code is None:
        raise SignInRequired("auth.ended", "登录已失效，请重新登录")
    try:
        return await district_called(request, code)
    except NotFound as cause:
        raise SignInRequired("auth.ended", "登录已失效，请重新登录") from cause


async def _check_form(request: Request, token: str) -> None:
    request.state.csrf = csrf_token(token)
    if request.method in _SAFE_METHODS:
        return
    refuse_other_sites(request)
    sent = (await request.form(max_files=0)).get(CSRF_FIELD)
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), request.state.csrf.encode()):
        raise Forbidden("request.stale_form", "页面已过期，请返回刷新后重试")


_Visited = Annotated[_Visit, Depends(_Door())]


async def _home(visit: _Visited) -> District:
    return visit.home


Home = Annotated[District, Depends(_home)]


async def _named(
    request: Request,
    district: Annotated[str | None, Query(max_length=12, description="GB/T 2260 code; by default the only or configured one")] = None,
) -> District:
    return await district_called(request, district or await cast(Modes, request.app.state.modes).default())


Named = Annotated[District, Depends(_named)]


async def _principal(visit: _Visited) -> Principal:
    return visit.principal


Anyone = Annotated[Principal, Depends(_principal)]
"""Whoever is signed in, in any role."""


def _only(kind: type[P]) -> Callable[..., Awaitable[P]]:
    async def caller(visit: _Visited) -> P:
        if not isinstance(visit.principal, kind):
            raise Forbidden("auth.wrong_role", "您的身份无权进行此操作")
        return visit.principal

    return caller


ParentCaller = Annotated[Parent, Depends(_only(Parent))]
InstitutionCaller = Annotated[InstitutionStaff, Depends(_only(InstitutionStaff))]
SettlementCaller = Annotated[SettlementStaff, Depends(_only(SettlementStaff))]
SupervisionCaller = Annotated[SupervisionStaff, Depends(_only(SupervisionStaff))]


@asynccontextmanager
async def snapshot(district: District) -> AsyncIterator[AsyncSession]:
    """A read-only session in which every query sees the same instant."""
    async with district.reading() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
        yield session


async def _read(visit: _Visited) -> AsyncIterator[AsyncSession]:
    async with snapshot(visit.home) as session:
        yield session


async def _public_read(named: Named) -> AsyncIterator[AsyncSession]:
    async with snapshot(named) as session:
        yield session


async def _write(visit: _Visited) -> AsyncIterator[AsyncSession]:
    async with visit.home.transaction() as session:
        yield session


# Scope "function": the session ends, and Write commits, before the answer leaves.
Read = Annotated[AsyncSession, Depends(_read, scope="function")]
PublicRead = Annotated[AsyncSession, Depends(_public_read, scope="function")]
Write = Annotated[AsyncSession, Depends(_write, scope="function")]


Key = Annotated[str | None, Header(alias="Idempotency-Key", description="Required: 1 to 128 printable characters, new for each intention")]
"""The header alone, for routes that nobody signs in for: they make their own `OncePerKey`."""


async def _once(request: Request, visit: _Visited, key: Key = None) -> OncePerKey:
    attempt = idempotency.attempt(visit.principal.actor, key, f"{request.method} {request.url.path}", await request.body())
    return OncePerKey(visit.home, attempt, request.scope["route"].status_code or 200)


Once = Annotated[OncePerKey, Depends(_once)]


def local_path(wanted: str | None, otherwise: str) -> str:
    """Where to go after signing in: a path of this site only, never another site's address."""
    if wanted and re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", wanted):
        return wanted
    return otherwise
