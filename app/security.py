"""Who is calling: principals typed by role, sign-in by password or by code, sessions kept on the server."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import count
from typing import Any, ClassVar, Literal, TypeVar, get_args
from uuid import UUID

import anyio
import anyio.to_thread
from pwdlib import PasswordHash
from sqlalchemy import CheckConstraint as Check
from sqlalchemy import ForeignKey, Index, Integer, Row, case, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.crypto import keyed_hash
from app.db import Base, District, district_of, one_of
from app.errors import BadInput, Conflict, TooManyAttempts, Unavailable
from app.gathering import Gathering
from app.ids import uuid7

T = TypeVar("T")

SYSTEM = "system"
"""The actor of background work."""

StaffRole = Literal["institution", "settlement", "supervision"]
Role = Literal["parent", "institution", "settlement", "supervision"]

MAX_FAILURES = 5
LOCKED_FOR = timedelta(minutes=15)
CODE_LASTS = timedelta(minutes=5)
CODE_TRIES = 5
CODE_EVERY = timedelta(minutes=1)
CODES_AT_ONCE = 500
"""Codes sent in a district within CODE_LASTS: it bounds what messages cost, and how many guesses all phones together allow."""
SESSION_LASTS: dict[Role, timedelta] = {
    "parent": timedelta(days=30),
    "institution": timedelta(hours=12),
    "settlement": timedelta(hours=12),
    "supervision": timedelta(hours=12),
}
LOOK_UPS_AT_ONCE = 2
MOST_TOKENS = 100
_MAX_WAITING = 64
_HOLDERS = text("""
    SELECT s.token_sha256, s.id, s.role, s.guardian_id, s.staff_id, f.institution_id, f.role AS staff_role
    FROM principal_session s LEFT JOIN staff f ON f.id = s.staff_id
    WHERE s.token_sha256 = ANY (CAST(:tokens AS bytea[])) AND s.ended_at IS NULL AND s.expires_at > :now AND f.disabled_at IS NULL
""")
_TOKEN = re.compile(r"\d{6}\.[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Parent:
    """家长: a guardian."""

    role: ClassVar[Role] = "parent"
    district: str
    session_id: UUID
    guardian_id: UUID

    @property
    def actor(self) -> str:
        """Who stands in the books and in the audit trail."""
        return f"guardian:{self.guardian_id}"


@dataclass(frozen=True, slots=True)
class InstitutionStaff:
    """机构: acts for one institution only."""

    role: ClassVar[Role] = "institution"
    district: str
    session_id: UUID
    staff_id: UUID
    institution_id: UUID

    @property
    def actor(self) -> str:
        """Who stands in the books and in the audit trail."""
        return f"staff:{self.staff_id}"


@dataclass(frozen=True, slots=True)
class SettlementStaff:
    """结算: the bank's and settlement's end."""

    role: ClassVar[Role] = "settlement"
    district: str
    session_id: UUID
    staff_id: UUID

    @property
    def actor(self) -> str:
        """Who stands in the books and in the audit trail."""
        return f"staff:{self.staff_id}"


@dataclass(frozen=True, slots=True)
class SupervisionStaff:
    """监管: an officer."""

    role: ClassVar[Role] = "supervision"
    district: str
    session_id: UUID
    staff_id: UUID

    @property
    def actor(self) -> str:
        """Who stands in the books and in the audit trail."""
        return f"staff:{self.staff_id}"


Principal = Parent | InstitutionStaff | SettlementStaff | SupervisionStaff


class Staff(Base):
    """A person who signs in with user name and password."""

    __tablename__ = "staff"
    __table_args__ = (
        one_of("role", *get_args(StaffRole)),
        Check("(role = 'institution') = (institution_id IS NOT NULL)", name="institution"),
        Check("username = lower(username)", name="username"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str]
    institution_id: Mapped[UUID | None] = mapped_column(ForeignKey("institution.id"))
    display_name: Mapped[str]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class PrincipalSession(Base):
    """A sign-in. Only the hash of its token is kept."""

    __tablename__ = "principal_session"
    __table_args__ = (
        one_of("role", *get_args(Role)),
        Check("length(token_sha256) = 32", name="token_sha256"),
        Check("(role = 'parent') = (guardian_id IS NOT NULL) AND (role = 'parent') = (staff_id IS NULL)", name="whose"),
        Index(None, "expires_at"),
        Index(None, "staff_id"),
        Index(None, "guardian_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    role: Mapped[str]
    guardian_id: Mapped[UUID | None] = mapped_column(ForeignKey("guardian.id"))
    staff_id: Mapped[UUID | None] = mapped_column(ForeignKey("staff.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class SignInCode(Base):
    """The last code sent to a phone, by keyed hashes of both."""

    __tablename__ = "sign_in_code"

    phone_index: Mapped[bytes] = mapped_column(primary_key=True)
    code_hash: Mapped[bytes]
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer)


class SignInFailure(Base):
    """How often sign-in was tried for a user name or phone since it last succeeded."""

    __tablename__ = "sign_in_failure"

    subject: Mapped[bytes] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    last_at: Mapped[datetime]


def token_district(token: str) -> str | None:
    """The district code that a token carries, None where it is no token of ours."""
    return token[:6] if _TOKEN.fullmatch(token) else None


async def open_session(session: AsyncSession, role: Role, *, guardian_id: UUID | None = None, staff_id: UUID | None = None) -> str:
    """Start a session for a guardian or a member of staff; the answer is its token, which is stored nowhere."""
    token = f"{district_of(session)}.{secrets.token_urlsafe(32)}"
    at = clock.now()
    await session.execute(
        insert(PrincipalSession).values(
            id=uuid7(),
            token_sha256=_sha256(token),
            role=role,
            guardian_id=guardian_id,
            staff_id=staff_id,
            created_at=at,
            expires_at=at + SESSION_LASTS[role],
        )
    )
    return token


async def principals_of(district: District, tokens: Sequence[str]) -> list[Principal | None]:
    """Who holds each token, by one query on their hashes; None where it is unknown, ended, expired, or its holder disabled."""
    hashes = [_sha256(token) for token in tokens]
    rows = await district.at_once(_HOLDERS, {"tokens": hashes, "now": clock.now()})
    found = {row.token_sha256: _principal(district.code, row) for row in rows}
    return [found.get(each) for each in hashes]


class Holders:
    """Looks up who holds a token; requests that ask at the same time share a query."""

    def __init__(self) -> None:
        self._of: dict[District, Gathering[str, Principal | None]] = {}

    async def principal_of(self, district: District, token: str) -> Principal | None:
        """The same for one token."""
        if district not in self._of:
            self._of[district] = Gathering(partial(principals_of, district), LOOK_UPS_AT_ONCE, MOST_TOKENS)
        return await self._of[district].ask(token)


def _principal(district: str, row: Row[Any]) -> Principal | None:
    match row.role, row.staff_role:
        case "parent", None:
            return Parent(district, row.id, row.guardian_id)
        case "institution", "institution":
            return InstitutionStaff(district, row.id, row.staff_id, row.institution_id)
        case "settlement", "settlement":
            return SettlementStaff(district, row.id, row.staff_id)
        case "supervision", "supervision":
            return SupervisionStaff(district, row.id, row.staff_id)
    return None


async def end_session(session: AsyncSession, session_id: UUID) -> None:
    """Sign out."""
    await session.execute(update(PrincipalSession).where(PrincipalSession.id == session_id).values(ended_at=clock.now()))


def staff_username(username: str) -> str:
    """A user name as it is stored. Raises BadInput `staff.username`."""
    name = _normal_username(username)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,63}", name):
        raise BadInput("staff.username", "用户名须为 2 至 64 位小写字母、数字或 . _ -", field="username")
    return name


async def hash_password(password: str) -> str:
    """What is stored of a password; it takes long, so no transaction waits for it. Raises BadInput `staff.weak_password`."""
    if not 10 <= len(password) <= 200:
        raise BadInput("staff.weak_password", "密码至少 10 个字符", field="password")
    return await _in_thread(_hasher().hash, password)


async def end_sessions_of_guardian(session: AsyncSession, guardian_id: UUID) -> None:
    """Sign a guardian out everywhere."""
    standing = (PrincipalSession.guardian_id == guardian_id, PrincipalSession.ended_at.is_(None))
    await session.execute(update(PrincipalSession).where(*standing).values(ended_at=clock.now()))


async def create_staff(
    session: AsyncSession, role: StaffRole, username: str, password: str, display_name: str, institution_id: UUID | None = None
) -> Staff:
    """Enter a member of staff. Raises BadInput `staff.weak_password` or `staff.username`, Conflict `staff.known`."""
    name = staff_username(username)
    if await session.scalar(select(Staff.id).where(Staff.username == name)):
        raise Conflict("staff.known", "该用户名已存在")
    return await _enter_staff(session, role, name, await hash_password(password), display_name, institution_id)


async def admit_staff(session: AsyncSession, username: str, password_hash: str, display_name: str, institution_id: UUID) -> Staff:
    """Enter an institution's member of staff whose password was hashed before; a number makes a user name that is taken their own."""
    taken = set(await session.scalars(select(Staff.username).where(Staff.username.startswith(username, autoescape=True))))
    name = username if username not in taken else next(name for number in count(2) if (name := f"{username}-{number}") not in taken)
    return await _enter_staff(session, "institution", name, password_hash, display_name, institution_id)


async def _enter_staff(
    session: AsyncSession, role: StaffRole, username: str, password_hash: str, display_name: str, institution_id: UUID | None
) -> Staff:
    values = {
        "id": uuid7(),
        "username": username,
        "password_hash": password_hash,
        "role": role,
        "institution_id": institution_id,
        "display_name": display_name,
        "created_at": clock.now(),
    }
    # Not through the unit of work: it would need the institution's table, which this module does not know.
    return (await session.scalars(insert(Staff).values(**values).returning(Staff))).one()


async def disable_staff(session: AsyncSession, staff_id: UUID) -> None:
    """Bar a member of staff; their sessions stop counting at once."""
    await session.execute(update(Staff).where(Staff.id == staff_id).values(disabled_at=clock.now()))


async def sign_in_staff(district: District, username: str, password: str, role: StaffRole | None = None) -> tuple[str, StaffRole] | None:
    """Token and role for a user name and its password; None for an unknown name, a wrong password or another role, alike also in time.

    Three steps, for hashing is slow and no transaction waits for it: count the try, check, open the session.
    Raises TooManyAttempts `auth.locked` after five failures, Unavailable `auth.busy`.
    """
    name = _normal_username(username)
    subject = keyed_hash("staff", name)
    async with district.transaction() as session:
        await _count_attempt(session, subject)
        staff = await session.scalar(select(Staff).where(Staff.username == name, Staff.disabled_at.is_(None)))
    matches = await _in_thread(_verify, password, staff.password_hash if staff else None)
    if staff is None or not matches or (role is not None and staff.role != role):
        return None
    found: StaffRole = staff.role  # type: ignore[assignment]  # the CHECK on the column holds it to these
    async with district.transaction() as session:
        await _clear_attempts(session, subject)
        return await open_session(session, found, staff_id=staff.id), found


async def new_code(session: AsyncSession, phone: str) -> str:
    """A fresh sign-in code of six digits for a phone (E.164), replacing its last one.

    Raises TooManyAttempts `auth.code_too_soon` within a minute of the last one, `auth.locked` after five that were not used,
    `auth.too_many_codes` while the whole district asks for too many.
    """
    at = clock.now()
    if (await session.scalar(select(func.count()).where(SignInCode.sent_at > at - CODE_LASTS)) or 0) >= CODES_AT_ONCE:
        raise TooManyAttempts("auth.too_many_codes", "当前获取验证码的人太多，请几分钟后再试")
    code = f"{secrets.randbelow(10**6):06d}"
    values = {"code_hash": _code_hash(phone, code), "sent_at": at, "expires_at": at + CODE_LASTS, "attempts": 0}
    fresh = insert(SignInCode).values(phone_index=keyed_hash("phone", phone), **values)
    stored = await session.scalar(
        fresh.on_conflict_do_update(
            index_elements=[SignInCode.phone_index], set_=values, where=SignInCode.sent_at <= at - CODE_EVERY
        ).returning(SignInCode.attempts)
    )
    if stored is None:
        raise TooManyAttempts("auth.code_too_soon", "验证码发送过于频繁，请一分钟后再试")
    await _count_attempt(session, _messages_to(phone))
    return code


async def spend_code(session: AsyncSession, phone: str, code: str, fixed_code: str | None = None) -> bool:
    """Whether this is the phone's code, which is used up then. `fixed_code` is a sample phone's and never used up.

    The caller commits either way, so that a wrong try counts. Raises TooManyAttempts `auth.locked` after five wrong ones.
    """
    subject = keyed_hash("guardian", phone)
    await _count_attempt(session, subject)
    sent = await session.scalar(
        update(SignInCode)
        .where(
            SignInCode.phone_index == keyed_hash("phone", phone),
            SignInCode.expires_at > clock.now(),
            SignInCode.attempts < CODE_TRIES,
        )
        .values(attempts=SignInCode.attempts + 1)
        .returning(SignInCode.code_hash)
    )
    expected = [_code_hash(phone, fixed_code)] if fixed_code else []
    expected += [sent] if sent else []
    if not any([hmac.compare_digest(_code_hash(phone, code), each) for each in expected]):
        return False
    await session.execute(delete(SignInCode).where(SignInCode.phone_index == keyed_hash("phone", phone)))
    await _clear_attempts(session, subject)
    await _clear_attempts(session, _messages_to(phone))
    return True


async def forget_expired(session: AsyncSession) -> None:
    """Drop sessions, codes and counts that mean nothing any more."""
    at = clock.now()
    await session.execute(delete(PrincipalSession).where(PrincipalSession.expires_at <= at))
    await session.execute(delete(SignInCode).where(SignInCode.expires_at <= at - CODE_EVERY))
    await session.execute(delete(SignInFailure).where(SignInFailure.last_at <= at - LOCKED_FOR))


async def _count_attempt(session: AsyncSession, subject: bytes) -> None:
    """Counted before the check, so that tries at the same time cannot all slip in under the limit."""
    at = clock.now()
    stale = SignInFailure.last_at <= at - LOCKED_FOR
    counted = await session.scalar(
        insert(SignInFailure)
        .values(subject=subject, failures=1, last_at=at)
        .on_conflict_do_update(
            index_elements=[SignInFailure.subject],
            set_={"failures": case((stale, 1), else_=SignInFailure.failures + 1), "last_at": at},
            where=or_(stale, SignInFailure.failures < MAX_FAILURES),
        )
        .returning(SignInFailure.failures)
    )
    if counted is None:
        raise TooManyAttempts("auth.locked", "尝试次数过多，请 15 分钟后再试")


async def _clear_attempts(session: AsyncSession, subject: bytes) -> None:
    await session.execute(delete(SignInFailure).where(SignInFailure.subject == subject))


def _messages_to(phone: str) -> bytes:
    return keyed_hash("messages", phone)


def _normal_username(username: str) -> str:
    return username.strip().lower()


def _code_hash(phone: str, code: str) -> bytes:
    return keyed_hash("code", f"{phone}\0{code}")


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


@lru_cache(maxsize=1)
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    return _hasher().hash(secrets.token_urlsafe(16))


def _verify(password: str, stored: str | None) -> bool:
    """An unknown name costs as much time as a known one."""
    return _hasher().verify(password, stored or _nobodys_hash()) and stored is not None


@lru_cache(maxsize=1)
def _hashing() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(2)


async def _in_thread(work: Callable[..., T], *args: str | None) -> T:
    """Argon2 takes long enough to stop the loop; two at once, and a queue with an end."""
    if _hashing().statistics().tasks_waiting >= _MAX_WAITING:
        raise Unavailable("auth.busy", "系统繁忙，请稍后再试")
    return await anyio.to_thread.run_sync(work, *args, limiter=_hashing())
