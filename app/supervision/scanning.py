"""扫码核验: whether a QR code is this district's, and reports of those that are not. No address in a code is ever opened."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.banking.models import BankAccount, Collection
from app.db import district_of, fixed
from app.errors import BadInput, Conflict, NotFound, Refused, TooManyAttempts
from app.ids import uuid7
from app.payments import codes
from app.payments.models import Payment
from app.registry.models import Institution
from app.security import SupervisionStaff
from app.settings import settings
from app.supervision.models import ScanReport

Kind = Literal["payment_code", "district_code", "cashier", "custody_account", "own_page", "settlement_account", "personal_code", "unknown"]
LONGEST_CODE = 2000
LONGEST_PLACE = 100
LONGEST_NOTE = 500
MOST_IN_AN_HOUR = 120
"""Reports of a whole district; more than that is somebody with a machine."""
PAGE = 100

_PAYABLE: tuple[Kind, ...] = ("payment_code", "cashier", "custody_account")
_OURS: tuple[Kind, ...] = (*_PAYABLE, "district_code", "own_page")
_ACCOUNT_NO = re.compile(r"[0-9A-Z]{6,34}")
_WALLETS = (
    "wxp://",
    "weixin://",
    "https://wx.tenpay.com/",
    "https://payapp.wechatpay.cn/",
    "https://qr.alipay.com/",
    "https://qr.95516.com/",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a code is. `ours` it is when it belongs to this district's custody, `payable` when tuition paid through it is in custody.

    The institution is named where the code is one's; `ended` says why a payment code opens nothing more.
    """

    content: str
    kind: Kind
    institution_name: str | None = None
    ended: str | None = None

    @property
    def ours(self) -> bool:
        return self.kind in _OURS

    @property
    def payable(self) -> bool:
        return self.kind in _PAYABLE and self.ended is None


def clean_code(text: str) -> str:
    """What a code says, without the space around it. Raises BadInput `scan.empty` or `scan.too_long`."""
    said = "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cs")).strip()
    if not said:
        raise BadInput("scan.empty", "请填写或扫描二维码的内容", field="content")
    if len(said) > LONGEST_CODE:
        raise BadInput("scan.too_long", f"二维码内容不能超过 {LONGEST_CODE} 字", field="content")
    return said


async def judge(session: AsyncSession, content: str) -> Verdict:
    """What a code is to this district, by its own text alone. Raises BadInput `scan.empty` or `scan.too_long`."""
    content = clean_code(content)
    for judged in (_own_address, _signed, _cashier, _account):
        verdict = await judged(session, content)
        if verdict is not None:
            return verdict
    return Verdict(content, "personal_code" if content.lower().startswith(_WALLETS) else "unknown")


async def report(session: AsyncSession, content: str, place: str, note: str) -> ScanReport:
    """Keep what somebody met for the officers; the same code again within ten minutes is the same report.

    Raises BadInput `scan.empty`, `scan.too_long`, Refused `scan.ours`, TooManyAttempts `scan.too_many_reports`.
    """
    verdict = await judge(session, content)
    if verdict.ours:
        raise Refused("scan.ours", "这是本区备案的码，不需要举报")
    now = clock.now()
    digest = hashlib.sha256(verdict.content.encode()).digest()
    again = (ScanReport.content_sha256 == digest, ScanReport.reported_at > now - timedelta(minutes=10))
    known = await session.scalar(select(ScanReport).where(*again).limit(1))
    if known is not None:
        return known
    lately = select(func.count()).select_from(ScanReport).where(ScanReport.reported_at > now - timedelta(hours=1))
    if (await session.scalar(lately) or 0) >= MOST_IN_AN_HOUR:
        raise TooManyAttempts("scan.too_many_reports", "当前举报的人太多，请稍后再试，或直接拨打监管部门电话")
    made = ScanReport(
        id=uuid7(),
        content=verdict.content,
        content_sha256=digest,
        place=_line(place, LONGEST_PLACE, "place", "地点"),
        note=_line(note, LONGEST_NOTE, "note", "说明"),
        status="opened",
        reported_at=now,
    )
    session.add(made)
    await session.flush()
    return made


async def reports(session: AsyncSession, *, open_only: bool = False, before: UUID | None = None, limit: int = PAGE) -> list[ScanReport]:
    """Reports, the latest first; `before` is the id of the last one seen."""
    query = select(ScanReport).order_by(ScanReport.id.desc()).limit(min(limit, PAGE))
    if open_only:
        query = query.where(ScanReport.status == fixed("opened"))
    if before is not None:
        query = query.where(ScanReport.id < before)
    return list(await session.scalars(query))


async def handle(session: AsyncSession, officer: SupervisionStaff, report_id: UUID, answer: str) -> ScanReport:
    """Opened → handled, with what was done about it.

    Raises BadInput `reason.invalid`, NotFound `scan.report_not_found`, Conflict `scan.report_handled`.
    """
    answer = audit.clean_reason(answer)
    handled: ScanReport | None = await session.scalar(
        update(ScanReport)
        .where(ScanReport.id == report_id, ScanReport.status == "opened")
        .values(status="handled", answer=answer, handled_by=officer.staff_id, handled_at=clock.now())
        .returning(ScanReport)
        .execution_options(populate_existing=True)
    )
    if handled is None:
        if await session.get(ScanReport, report_id) is None:
            raise NotFound("scan.report_not_found", "没有这条举报")
        raise Conflict("scan.report_handled", "这条举报已处理")
    await audit.record(session, officer.actor, "supervision.scan_report_handled", f"scan_report:{report_id}", answer)
    return handled


async def _own_address(session: AsyncSession, content: str) -> Verdict | None:
    """An address of this very service: the same scheme, host and port, to the letter. Look-alikes differ in one of them."""
    own = urlsplit(settings().base_url)
    try:
        address = urlsplit(content)
    except ValueError:
        return None
    if (address.scheme.lower(), address.netloc.lower()) != (own.scheme, own.netloc.lower()):
        return None
    if address.path.startswith("/pay/"):
        return await _signed(session, address.path.removeprefix("/pay/")) or Verdict(content, "unknown")
    named = parse_qs(address.query).get("district", [district_of(session)])
    if named != [district_of(session)]:
        return Verdict(content, "unknown")
    return Verdict(content, "district_code" if address.path in ("", "/") else "own_page")


async def _signed(session: AsyncSession, content: str) -> Verdict | None:
    """The signed text of a payment code, whose payment is in the books of this district."""
    try:
        said = codes.read_code(content)
    except BadInput:
        return None
    if said.district != district_of(session):
        return None
    row = (
        await session.execute(
            select(Payment, Institution.name)
            .join(Institution, Institution.id == Payment.institution_id)
            .where(Payment.payment_no == said.payment_no)
        )
    ).one_or_none()
    try:
        codes.check_genuine(said, row[0] if row else None)
    except BadInput:
        return None
    assert row is not None
    return Verdict(codes.url_of(content), "payment_code", row[1], _ended(row[0].status, row[0].expires_at))


async def _cashier(session: AsyncSession, content: str) -> Verdict | None:
    """The bank's page of a payment, exactly as this service had the bank open it."""
    order = (
        await session.execute(
            select(Collection, Institution.name)
            .join(BankAccount, BankAccount.id == Collection.bank_account_id)
            .join(Institution, Institution.id == BankAccount.book_id)
            .where(Collection.cashier_url == content)
            .limit(1)
        )
    ).one_or_none()
    if order is None:
        return None
    return Verdict(content, "cashier", order[1], None if order[0].status == "opened" else "这笔付款已结束")


async def _account(session: AsyncSession, content: str) -> Verdict | None:
    """A bank account's number, as it is posted at the counter."""
    number = re.sub(r"[\s-]", "", content)
    if not _ACCOUNT_NO.fullmatch(number):
        return None
    row = (
        await session.execute(
            select(BankAccount.role, Institution.name)
            .join(Institution, Institution.id == BankAccount.book_id)
            .where(BankAccount.account_no == number)
            .order_by(BankAccount.role.desc())
            .limit(1)
        )
    ).one_or_none()
    if row is None:
        return None
    return Verdict(content, "custody_account" if row.role == "supervised" else "settlement_account", row.name)


def _ended(status: str, expires_at: datetime) -> str | None:
    ended = codes.why_ended(status, expires_at, None)
    return ended.message_zh if ended else None


def _line(text: str, longest: int, field: str, name_zh: str) -> str:
    line = " ".join("".join(char for char in text if unicodedata.category(char) not in ("Cs", "Co", "Cn")).split())
    if len(line) > longest:
        raise BadInput(f"scan.{field}_too_long", f"{name_zh}不能超过 {longest} 字", field=field)
    return line.replace("\0", "")
