"""What all pages share: templates and their words for people, navigation, one-time messages, redirects."""

import base64
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup

from app import clock, money
from app.clock import SHANGHAI
from app.crypto import mask_account, mask_name, mask_phone
from app.portals import assets, hours, words
from app.portals.edge import ENDS, end_of
from app.settings import settings

_FOLDER = Path(__file__).parent
_NOTICE_COOKIE = "escrow_notice"
_NOTICE_SECONDS = 60
_MAX_NOTICE = 400


class Link(NamedTuple):
    """An entry of an end's navigation, or (with links of its own) a menu of them; the icon is one of `macros.html`."""

    path: str
    label: str
    icon: str
    links: tuple["Link", ...] = ()


NAVIGATION: Mapping[str, tuple[Link, ...]] = {
    "parent": (
        Link("/parent", "首页", "home"),
        Link("/parent/lessons", "课时", "calendar"),
        Link("/parent/classes", "报名", "plus"),
        Link("/parent/contracts", "合同", "file"),
        Link("/parent/refunds", "退费", "refund"),
    ),
    "institution": (
        Link("/institution", "概览", "home"),
        Link("/institution/class-sessions", "课次", "calendar"),
        Link("/institution/classes", "班课", "book"),
        Link(
            "",
            "登记",
            "building",
            (
                Link("/institution/profile", "机构档案", "building"),
                Link("/institution/teachers", "教师", "user"),
                Link("/institution/imports", "批量导入", "inbox"),
                Link("/institution/trial-feedback", "试听评价", "flag"),
            ),
        ),
        Link(
            "",
            "资金",
            "coins",
            (
                Link("/institution/payouts", "结算款", "coins"),
                Link("/institution/refunds", "退费", "refund"),
                Link("/institution/statement", "应付款明细", "file"),
            ),
        ),
    ),
    "settlement": (
        Link("/settlement", "概览", "home"),
        Link("/settlement/payouts", "结算款", "coins"),
        Link("/settlement/reconciliation", "对账", "scale"),
        Link("/settlement/receipts", "挂账", "inbox"),
        Link("/settlement/instructions", "指令", "file"),
    ),
    "supervision": (
        Link("/supervision", "总览", "home"),
        Link(
            "",
            "审批",
            "check",
            (
                Link("/supervision/applications", "入库申请", "inbox"),
                Link("/supervision/changes", "机构变更", "file"),
                Link("/supervision/classes", "班课备案", "calendar"),
                Link("/supervision/disputes", "课时争议", "flag"),
                Link("/supervision/scan-reports", "扫码举报", "qr"),
            ),
        ),
        Link(
            "",
            "资金",
            "coins",
            (
                Link("/supervision/alerts", "预警", "bell"),
                Link("/supervision/payouts", "结算款", "coins"),
                Link("/supervision/receipts", "缺口与补足", "scale"),
                Link("/supervision/books", "账簿", "book"),
            ),
        ),
        Link(
            "",
            "登记",
            "building",
            (
                Link("/supervision/institutions", "机构", "building"),
                Link("/supervision/students", "学生", "user"),
                Link("/supervision/contracts", "合同", "file"),
                Link("/supervision/lookups", "实名查看", "shield"),
            ),
        ),
        Link("/supervision/days", "日历", "calendar"),
    ),
}


def render(request: Request, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any) -> HTMLResponse:
    """A page out of `templates/`, or out of an end's own as `parent/home.html`.

    Every template also knows request, path, end, title_of_end, navigation, csrf, sample and notice.
    """
    common = _common(request)
    page = HTMLResponse(environment.get_template(template).render(common | context), status, dict(headers or {}))
    if common["notice"] is not None:
        page.delete_cookie(_NOTICE_COOKIE, httponly=True, samesite="lax", secure=_https())
    return page


class Frames:
    """Pages that differ between callers in a few parts only: each is made once for as long as its subject lives, the parts put in then."""

    def __init__(self) -> None:
        self._frames: WeakKeyDictionary[object, dict[Hashable, _Frame]] = WeakKeyDictionary()

    def render(
        self,
        request: Request,
        subject: object,
        variant: Hashable,
        template: str,
        parts: Mapping[str, Markup],
        context: Callable[[], Mapping[str, Any]],
    ) -> HTMLResponse:
        """A template's page about a subject. Callers of one variant differ by no more than `csrf` and these parts of it.

        The context is asked for only where the page is made.
        """
        if _read_notice(request) is not None:
            return render(request, template, **{**context(), **parts})
        variants = self._frames.setdefault(subject, {})
        frame = variants.get(variant)
        parts = {**parts, "csrf": Markup(_csrf(request))}  # noqa: S704
        if frame is None:
            places = {name: _place(name) for name in parts}
            frame = _Frame.of(environment.get_template(template).render({**_common(request), **context(), **places}))
            variants[variant] = frame
        return HTMLResponse(frame.filled(parts))


@dataclass(frozen=True, slots=True)
class _Frame:
    """The bytes of a page, and the names of the parts that stand between them."""

    texts: list[bytes]
    names: list[str]

    @classmethod
    def of(cls, page: str) -> "_Frame":
        pieces = _PLACE.split(page)
        return cls([text.encode() for text in pieces[::2]], pieces[1::2])

    def filled(self, parts: Mapping[str, Markup]) -> bytes:
        between = [parts[name].encode() for name in self.names]
        return b"".join(chain.from_iterable(zip_longest(self.texts, between, fillvalue=b"")))


_PLACE = re.compile("<!--([a-z_]+)-->")


def _place(name: str) -> Markup:
    """No text can look like it: every sign < of a text is escaped."""
    return Markup("<!--{}-->").format(name)


def _common(request: Request) -> dict[str, Any]:
    end = end_of(request.url.path)
    return {
        "request": request,
        "path": request.url.path,
        "end": end,
        "title_of_end": words.ENDS.get(end or "", ""),
        "navigation": NAVIGATION.get(end or "", ()),
        "principal": getattr(request.state, "principal", None),
        "csrf": _csrf(request),
        "sample": getattr(request.state, "mode", "live") == "sample",
        "notice": _read_notice(request),
    }


def _csrf(request: Request) -> str:
    """Only pages that somebody is signed in to have one."""
    return getattr(request.state, "csrf", "")


def see_other(path: str, notice: str = "", kind: Literal["success", "danger"] = "success") -> RedirectResponse:
    """After a form: go and look at a page of ours, which shows the notice once."""
    answer = RedirectResponse(path, 303)
    if notice:
        packed = base64.urlsafe_b64encode(f"{kind}\n{notice[:_MAX_NOTICE]}".encode()).decode()
        answer.set_cookie(_NOTICE_COOKIE, packed, max_age=_NOTICE_SECONDS, httponly=True, samesite="lax", secure=_https())
    return answer


def set_session_cookie(answer: Response, name: str, token: str, seconds: int) -> None:
    """Keep a session's token where no script can read it and no other site's form can send it."""
    answer.set_cookie(name, token, max_age=seconds, httponly=True, samesite="lax", secure=_https())


def sign_in_address(end: str, request: Request) -> str:
    """The sign-in page of an end, and the way back to where the caller wanted to go."""
    asked = {}
    if request.method == "GET" and request.url.path != f"/{end}":
        asked["next"] = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if district := request.query_params.get("district"):
        asked["district"] = district
    return f"/{end}/sign-in" + (f"?{urlencode(asked, quote_via=quote, safe='/')}" if asked else "")


def _https() -> bool:
    return settings().base_url.startswith("https:")


def _read_notice(request: Request) -> dict[str, str] | None:
    packed = request.cookies.get(_NOTICE_COOKIE)
    if not packed:
        return None
    try:
        kind, _, text = base64.urlsafe_b64decode(packed).decode().partition("\n")
    except ValueError:
        return None
    return {"kind": "danger" if kind == "danger" else "success", "text": text[:_MAX_NOTICE]}


def _time(instant: datetime | None) -> str:
    return instant.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M") if instant else "—"


def _clock_time(instant: datetime) -> str:
    return instant.astimezone(SHANGHAI).strftime("%H:%M")


def _day(on: date | datetime | None) -> str:
    if on is None:
        return "—"
    local = on.astimezone(SHANGHAI).date() if isinstance(on, datetime) else on
    return f"{local.year}年{local.month}月{local.day}日 周{'一二三四五六日'[local.weekday()]}"


def _near_day(instant: datetime) -> str:
    """A day without its year where that is the present one."""
    year = f"{clock.today().year}年"
    return _day(instant).removeprefix(year)


def _machine_time(instant: datetime) -> str:
    return instant.astimezone(SHANGHAI).isoformat(timespec="seconds")


def _is_past(instant: datetime) -> bool:
    return instant < clock.now()


def _amount(fen: int) -> Markup:
    return Markup('<span class="amount">{}</span>').format(money.yuan(fen))


def _plain_yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def _percent(bps: int) -> str:
    return f"{'−' if bps < 0 else ''}{abs(bps) // 100}.{abs(bps) % 100:02d}%"


def _build() -> jinja2.Environment:
    own: jinja2.BaseLoader = jinja2.FileSystemLoader(_FOLDER / "templates")
    by_end = jinja2.PrefixLoader({end: jinja2.FileSystemLoader(_FOLDER / end / "templates") for end in (*ENDS, "public")})
    built = jinja2.Environment(
        loader=jinja2.ChoiceLoader([own, by_end]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    built.filters.update(
        yuan=money.yuan,
        plain_yuan=_plain_yuan,
        percent=_percent,
        amount=_amount,
        time=_time,
        clock=_clock_time,
        hours=hours.told,
        day=_day,
        near_day=_near_day,
        iso=_machine_time,
        mask_name=mask_name,
        mask_phone=mask_phone,
        mask_account=mask_account,
        word=words.word,
        tone=words.tone,
    )
    built.tests["past"] = _is_past
    built.globals.update(asset=assets.address)
    return built


environment = _build()
