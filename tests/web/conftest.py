"""The web process without a socket: the real application on the real database, with a few routes to try its edge on."""

from collections.abc import AsyncIterator, Iterator

import httpx
import jinja2
import pytest
from fastapi import FastAPI

from app import security
from app.banking.banks import Banks
from app.db import Database, District
from app.main import attach, create_app
from app.portals import pages
from app.registry import families
from app.settings import Settings, settings
from tests.web import probe

PHONE = "13800138000"
SAMPLE_PHONE = "13900139000"
PASSWORD = "correct horse battery"

PROBE_PAGE = """
{% extends "base.html" %}
{% from "macros.html" import badge, csrf_field, empty, figure, header, pager %}
{% block page %}
{% call header("试页", "副题", "/supervision") %}<a class="btn" href="/">动作</a>{% endcall %}
{{ figure("监管余额", 123456789|amount, "截至今日") }}
{{ badge("held", "instruction") }}
{{ empty("还没有记录") }}
{{ pager("/supervision/probe", "abc") }}
<form method="post" action="/supervision/probe">{{ csrf_field(csrf) }}<input name="note"></form>
{% endblock %}
"""


class Messages:
    """A carrier that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    async def send_code(self, phone: str, code: str) -> None:
        self.sent.append((phone, code))


@pytest.fixture
def configured() -> Settings:
    return settings().model_copy(update={"sample_sign_in": {SAMPLE_PHONE: "246810"}})


@pytest.fixture(scope="package")
def application() -> Iterator[FastAPI]:
    """With the routes and the page to try it on; all tests share them."""
    made = create_app(settings())
    made.include_router(probe.api)
    made.include_router(probe.pages)
    with pytest.MonkeyPatch.context() as patch:
        loader = jinja2.ChoiceLoader([pages.environment.loader, jinja2.DictLoader({"probe.html": PROBE_PAGE})])
        patch.setattr(pages.environment, "loader", loader)
        yield made


@pytest.fixture
async def app(application: FastAPI, configured: Settings, database: Database, district: District) -> FastAPI:
    attach(application, configured, database, Banks({}))
    application.state.sms = Messages()
    return application


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with a browser or a program, not signed in."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://escrow.test") as made:
        yield made


@pytest.fixture
async def parent_token(district: District) -> str:
    async with district.transaction() as session:
        guardian = await families.guardian_for_phone(session, PHONE)
        return await security.open_session(session, "parent", guardian_id=guardian.id)


@pytest.fixture
async def officer(district: District) -> security.Staff:
    async with district.transaction() as session:
        return await security.create_staff(session, "supervision", "zhang.san", PASSWORD, "张三")


@pytest.fixture
async def officer_token(district: District, officer: security.Staff) -> str:
    async with district.transaction() as session:
        return await security.open_session(session, "supervision", staff_id=officer.id)


def bearer(token: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **headers}
