"""Idempotency keys: a repeated request gets the first one's answer, stored in the transaction that did its work."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import Index, Row, SmallInteger, delete, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.db import Base, district_of
from app.errors import BadInput, Conflict, DomainError, Refused

_CLAIM = text("""
    SELECT claim, status, body FROM idempotency_claim(CAST(:locks AS bigint[]), CAST(:principals AS text[]), CAST(:keys AS text[]),
        CAST(:routes AS text[]), CAST(:bodies AS bytea[]))
""")


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
    found = (await session.execute(_CLAIM, named(district_of(session), [this]))).one()
    claimed = answer_of(found)
    if isinstance(claimed, DomainError):
        raise claimed
    return None if found.claim == "ours" else claimed


async def keep(session: AsyncSession, this: Attempt, answer: Answer) -> None:
    """Store the answer beside the work, in the same transaction."""
    session.add(
        IdempotencyKey(
            principal=this.principal,
            key=this.key,
            route=this.route,
            body_sha256=this.body_sha256,
            status=answer.status,
            body=answer.body,
            created_at=clock.now(),
        )
    )
    await session.flush()


def named(district: str, attempts: Sequence[Attempt]) -> dict[str, list[Any]]:
    """Attempts as `idempotency_claim` takes them."""
    return {
        "locks": [_lock_number(district, this) for this in attempts],
        "principals": [this.principal for this in attempts],
        "keys": [this.key for this in attempts],
        "routes": [this.route for this in attempts],
        "bodies": [this.body_sha256 for this in attempts],
    }


def answer_of(claimed: Row[Any]) -> Answer | DomainError:
    """A row of `idempotency_claim` in the domain's words."""
    match claimed.claim:
        case "running":
            return Conflict("idempotency.running", "相同的请求正在处理，请稍后再查")
        case "other_request":
            return Refused("idempotency.other_request", "该 Idempotency-Key 已用于另一个请求")
        case _:
            return Answer(claimed.status, claimed.body)


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


def _lock_number(district: str, this: Attempt) -> int:
    named = f"{district}\0{this.principal}\0{this.key}".encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:8], signed=True)
