"""Idempotency keys: a repeated request gets the first one's answer, stored in the transaction that did its work."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import Index, SmallInteger, delete, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.db import Base, district_of
from app.errors import BadInput, Conflict, DomainError, Refused

_KNOWN = text("""
    SELECT k.* FROM unnest(CAST(:principals AS text[]), CAST(:keys AS text[])) AS asked (principal, key)
    JOIN idempotency_key k ON k.principal = asked.principal AND k.key = asked.key
""")
_KEEP = text("""
    INSERT INTO idempotency_key (principal, key, route, body_sha256, status, body, created_at)
    SELECT kept.*, :now FROM unnest(CAST(:principals AS text[]), CAST(:keys AS text[]), CAST(:routes AS text[]), CAST(:hashes AS bytea[]),
        CAST(:statuses AS smallint[]), CAST(:bodies AS text[])) AS kept
""")
_TRY_LOCKS = text("SELECT number, pg_try_advisory_xact_lock(number) FROM unnest(CAST(:numbers AS bigint[])) AS number")


class IdempotencyKey(Base):
    """An answered request. Only work that was committed is here, so a refused or failed one may be tried again with its key."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Check("length(body_sha256) = 32", name="body_sha256"), Index(None, "created_at"))

    principal: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str]
    body_sha256: Mapped[bytes]
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[str]
    """The JSON as it was sent: a replay is the same to the byte."""
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer: HTTP status and JSON body."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request under its key: whose, which key, to which route (method and path), with which body."""

    principal: str
    key: str
    route: str
    body_sha256: bytes


def attempt(principal: str, key: str | None, route: str, body: bytes) -> Attempt:
    """Read a request's key, 1 to 128 printable ASCII characters. Raises BadInput `idempotency.missing` or `idempotency.malformed`."""
    if key is None:
        raise BadInput("idempotency.missing", "缺少 Idempotency-Key 请求头")
    if not re.fullmatch(r"[!-~]{1,128}", key):
        raise BadInput("idempotency.malformed", "Idempotency-Key 须为 1 至 128 个可打印字符")
    return Attempt(principal, key, route, hashlib.sha256(_canonical(body)).digest())


async def claim(session: AsyncSession, this: Attempt) -> Answer | None:
    """Take the key for this transaction; the stored answer where its work was done before, None where it is ours to do.

    Raises Conflict `idempotency.running` while another transaction holds the key, Refused `idempotency.other_request`
    where the key stands for another route or body.
    """
    [found] = await claim_all(session, [this])
    if isinstance(found, DomainError):
        raise found
    return found


async def claim_all(session: AsyncSession, attempts: Sequence[Attempt]) -> list[Answer | DomainError | None]:
    """The same for several at once, each for itself: its refusal stands in its place. Of one key twice, the second is running."""
    numbers = [_lock_number(session, this) for this in attempts]
    rows = await session.execute(_TRY_LOCKS, {"numbers": list(dict.fromkeys(numbers))})
    free = {number for number, got in rows if got}
    # A statement of its own: its snapshot begins after the locks were taken, so it sees what the last holders committed.
    asked = {"principals": [this.principal for this in attempts], "keys": [this.key for this in attempts]}
    found = await session.execute(_KNOWN, asked)
    known = {(row.principal, row.key): row for row in found}
    claimed: list[Answer | DomainError | None] = []
    for number, this in zip(numbers, attempts, strict=True):
        stored = known.get((this.principal, this.key))
        if number not in free:
            claimed.append(Conflict("idempotency.running", "相同的请求正在处理，请稍后再查"))
        elif stored is None:
            free.discard(number)
            claimed.append(None)
        elif (stored.route, stored.body_sha256) != (this.route, this.body_sha256):
            claimed.append(Refused("idempotency.other_request", "该 Idempotency-Key 已用于另一个请求"))
        else:
            claimed.append(Answer(stored.status, stored.body))
    return claimed


async def keep(session: AsyncSession, this: Attempt, answer: Answer) -> None:
    """Store the answer beside the work, in the same transaction."""
    await keep_all(session, [(this, answer)])


async def keep_all(session: AsyncSession, answered: Sequence[tuple[Attempt, Answer]]) -> None:
    """The same for several at once."""
    await session.execute(
        _KEEP,
        {
            "principals": [this.principal for this, _ in answered],
            "keys": [this.key for this, _ in answered],
            "routes": [this.route for this, _ in answered],
            "hashes": [this.body_sha256 for this, _ in answered],
            "statuses": [answer.status for _, answer in answered],
            "bodies": [answer.body for _, answer in answered],
            "now": clock.now(),
        },
    )


async def forget(session: AsyncSession, before: datetime) -> None:
    """Drop answers stored before an instant; their keys may then be used again."""
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < before))


async def forget_answers_to(session: AsyncSession, principal: str) -> None:
    """Drop every answer stored for one principal."""
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.principal == principal))


def _canonical(body: bytes) -> bytes:
    try:
        return json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return body


def _lock_number(session: AsyncSession, this: Attempt) -> int:
    named = f"{district_of(session)}\0{this.principal}\0{this.key}".encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:8], signed=True)
