"""Signing in with a browser."""

import re

import httpx
import pytest
from fastapi import FastAPI

from app.portals.edge import csrf_token
from app.security import Staff
from tests.web.conftest import PASSWORD, PHONE, SAMPLE_PHONE


async def test_a_parent_types_the_phone_then_the_code(app: FastAPI, client: httpx.AsyncClient) -> None:
    assert 'name="phone"' in (await client.get("/parent/sign-in")).text
    asked = await client.post("/parent/sign-in", data={"phone": PHONE})
    assert asked.status_code == 200
    assert f'name="phone" value="{PHONE}"' in asked.text
    assert '验证码已发到 <span class="number">138****8000</span>' in asked.text
    ((_, code),) = app.state.sms.sent
    entered = await client.post("/parent/sign-in/code", data={"phone": PHONE, "code": code})
    assert (entered.status_code, entered.headers["location"]) == (303, "/parent")
    cookie = entered.headers["set-cookie"]
    assert re.match(r"escrow_parent=510112\.[\w-]{43}; HttpOnly; Max-Age=2592000; Path=/; SameSite=lax", cookie)


async def test_who_asks_again_too_soon_can_still_type_the_code_that_came(client: httpx.AsyncClient) -> None:
    await client.post("/parent/sign-in", data={"phone": PHONE})
    again = await client.post("/parent/sign-in", data={"phone": PHONE})
    assert again.status_code == 429
    assert "验证码发送过于频繁" in again.text
    assert 'name="code"' in again.text


async def test_who_mistyped_the_phone_goes_back_for_another(client: httpx.AsyncClient) -> None:
    where = "?next=/parent/lessons"
    sent = await client.post(f"/parent/sign-in{where}", data={"phone": f"+86 {PHONE}"})
    wrong = await client.post(f"/parent/sign-in/code{where}", data={"phone": PHONE, "code": "000000"})
    for page in (sent.text, wrong.text):
        assert "138****8000" in page
        assert f'<a class="btn btn-link btn-block" href="/parent/sign-in{where}">换手机号</a>' in page
    unknown = await client.post("/parent/sign-in/code", data={"phone": "12", "code": "000000"})
    assert (unknown.status_code, "换手机号" in unknown.text, "获取验证码" in unknown.text) == (400, False, True)


@pytest.mark.parametrize(
    ("path", "form", "status", "words"),
    [
        ("/parent/sign-in", {"phone": "12"}, 400, "请输入正确的手机号码"),
        ("/parent/sign-in", {}, 400, "请输入正确的手机号码"),
        ("/parent/sign-in/code", {"phone": PHONE, "code": "000000"}, 401, "验证码不正确或已过期"),
        ("/supervision/sign-in", {"username": "nobody", "password": "x"}, 401, "用户名或密码不正确"),
        ("/supervision/sign-in", {"username": "no\0body", "password": "\0"}, 401, "用户名或密码不正确"),
    ],
)
async def test_what_is_wrong_is_said_on_the_same_page(
    client: httpx.AsyncClient, path: str, form: dict[str, str], status: int, words: str
) -> None:
    answer = await client.post(path, data=form)
    assert answer.status_code == status
    assert words in answer.text
    assert "<form" in answer.text
    assert "set-cookie" not in answer.headers


async def test_staff_sign_in_at_their_own_end_only(client: httpx.AsyncClient, officer: Staff) -> None:
    form = {"username": "zhang.san", "password": PASSWORD}
    assert (await client.post("/settlement/sign-in", data=form)).status_code == 401
    entered = await client.post("/supervision/sign-in", data=form)
    assert (entered.status_code, entered.headers["location"]) == (303, "/supervision")
    assert (await client.get("/supervision/probe")).status_code == 200


async def test_who_is_not_signed_in_is_led_there_and_back(client: httpx.AsyncClient, officer: Staff) -> None:
    led = await client.get("/supervision/probe?a=1&b=%E7%8E%8B")
    assert led.status_code == 303
    assert led.headers["location"] == "/supervision/sign-in?next=/supervision/probe%3Fa%3D1%26b%3D%25E7%258E%258B"
    form_action = re.search(r'action="([^"]+)"', (await client.get(led.headers["location"])).text)
    assert form_action is not None
    address = form_action.group(1).replace("&amp;", "&")
    entered = await client.post(address, data={"username": "zhang.san", "password": PASSWORD})
    assert entered.headers["location"] == "/supervision/probe?a=1&b=%E7%8E%8B"


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "\\evil", "javascript:alert(1)", "/a\nb", "x"]
)
async def test_no_other_site_is_led_to(client: httpx.AsyncClient, wanted: str) -> None:
    entered = await client.post("/parent/sign-in/code", params={"next": wanted}, data={"phone": SAMPLE_PHONE, "code": "246810"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/parent")


async def test_a_fragment_asks_the_browser_to_go_to_sign_in(client: httpx.AsyncClient) -> None:
    answer = await client.get("/supervision/probe", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/supervision/sign-in?next=/supervision/probe")


async def test_no_other_site_signs_a_browser_in(client: httpx.AsyncClient) -> None:
    form = {"phone": SAMPLE_PHONE, "code": "246810"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await client.post("/parent/sign-in/code", data=form, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_signing_out_ends_the_session(client: httpx.AsyncClient, officer: Staff) -> None:
    await client.post("/supervision/sign-in", data={"username": "zhang.san", "password": PASSWORD})
    token = client.cookies["escrow_supervision"]
    assert (await client.post("/supervision/sign-out")).status_code == 403
    left = await client.post("/supervision/sign-out", data={"csrf": csrf_token(token)})
    assert (left.status_code, left.headers["location"]) == (303, "/supervision/sign-in")
    client.cookies.set("escrow_supervision", token)
    assert (await client.get("/supervision/probe")).status_code == 303


async def test_two_ends_share_a_browser(client: httpx.AsyncClient, officer: Staff) -> None:
    await client.post("/supervision/sign-in", data={"username": "zhang.san", "password": PASSWORD})
    await client.post("/parent/sign-in/code", data={"phone": SAMPLE_PHONE, "code": "246810"})
    assert (await client.get("/supervision/probe")).status_code == 200


async def test_a_sample_says_so_on_every_page(client: httpx.AsyncClient) -> None:
    assert "示例数据" in (await client.get("/parent/sign-in")).text


async def test_nobody_signs_in_at_an_end_that_does_not_exist(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere/sign-in")).status_code == 404
