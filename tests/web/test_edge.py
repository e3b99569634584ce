"""Who gets in, in which transaction, and once per key."""

import asyncio
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select, text

from app.audit import AuditEntry
from app.db import District
from app.portals.edge import cookie_name, csrf_token, snapshot
from tests.web.conftest import bearer

PROBE = "/api/v1/supervision/probe"


async def subjects(district: District) -> list[str]:
    async with district.reading() as session:
        return list(await session.scalars(select(AuditEntry.subject).order_by(AuditEntry.id)))


async def test_a_bearer_token_says_who_calls(client: httpx.AsyncClient, officer_token: str) -> None:
    answer = await client.get(f"{PROBE}/me", headers=bearer(officer_token))
    assert (answer.status_code, answer.json()) == (200, {"role": "supervision", "district": "510112"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer 510112." + "a" * 43},
        {"Authorization": "Bearer 999999." + "a" * 43},
    ],
)
async def test_without_a_good_token_nobody_gets_in(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get(f"{PROBE}/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] in ("auth.required", "auth.ended")


async def test_another_role_is_refused(client: httpx.AsyncClient, parent_token: str, officer_token: str) -> None:
    for path, token in (("me", parent_token), ("whose", officer_token)):
        answer = await client.get(f"{PROBE}/{path}", headers=bearer(token))
        assert (answer.status_code, answer.json()["code"]) == (403, "auth.wrong_role")


async def test_a_cookie_opens_pages_and_event_streams_but_no_json(client: httpx.AsyncClient, officer_token: str) -> None:
    client.cookies.set(cookie_name("supervision"), officer_token)
    assert (await client.get("/supervision/probe")).status_code == 200
    assert (await client.get(f"{PROBE}/me")).status_code == 401
    streamed = await client.get(f"{PROBE}/stream")
    assert (streamed.status_code, streamed.text) == (200, 'data: {"role": "supervision"}\n\n')
    assert (await client.post(f"{PROBE}/notes", json={"note": "x"})).status_code == 401


async def test_a_stream_takes_a_bearer_token_too_and_nobody_without_either(client: httpx.AsyncClient, officer_token: str) -> None:
    assert (await client.get(f"{PROBE}/stream", headers=bearer(officer_token))).status_code == 200
    assert (await client.get(f"{PROBE}/stream")).status_code == 401


async def test_a_bearer_token_opens_no_page(client: httpx.AsyncClient, officer_token: str) -> None:
    assert (await client.get("/supervision/probe", headers=bearer(officer_token))).status_code == 303


async def test_another_ends_cookie_opens_no_page_and_another_role_behind_it_neither(
    client: httpx.AsyncClient, parent_token: str, officer_token: str
) -> None:
    client.cookies.set(cookie_name("parent"), officer_token)
    assert (await client.get("/supervision/probe")).status_code == 303
    client.cookies.set(cookie_name("supervision"), parent_token)
    answer = await client.get("/supervision/probe")
    assert answer.status_code == 403
    assert "您的身份无权进行此操作" in answer.text


async def test_work_is_committed_before_the_answer_leaves(client: httpx.AsyncClient, district: District, officer_token: str) -> None:
    answer = await client.post(f"{PROBE}/notes", json={"note": "一"}, headers=bearer(officer_token))
    assert (answer.status_code, answer.json()) == (201, {"note": "一", "entries": 1})
    assert await subjects(district) == ["一"]


async def test_refused_work_is_not_kept(client: httpx.AsyncClient, district: District, officer_token: str) -> None:
    answer = await client.post(f"{PROBE}/refused", json={"note": "一"}, headers=bearer(officer_token))
    assert answer.status_code == 422
    assert await subjects(district) == []


async def test_a_reading_route_cannot_write(client: httpx.AsyncClient, district: District, officer_token: str) -> None:
    answer = await client.post(f"{PROBE}/read", json={"note": "一"}, headers=bearer(officer_token))
    assert answer.status_code == 500
    assert await subjects(district) == []
    assert (await client.post(f"{PROBE}/notes", json={"note": "二"}, headers=bearer(officer_token))).status_code == 201


async def test_a_repeated_request_is_done_once_and_answered_twice(
    client: httpx.AsyncClient, district: District, officer_token: str
) -> None:
    headers = bearer(officer_token, **{"Idempotency-Key": "k-1"})
    first, second = [await client.post(f"{PROBE}/once", json={"note": "一"}, headers=headers) for _ in range(2)]
    assert (first.status_code, first.content) == (second.status_code, second.content) == (201, b'{"note":"\xe4\xb8\x80","entries":1}')
    assert (first.headers["content-type"], second.headers["content-type"]) == ("application/json", "application/json")
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert await subjects(district) == ["一"]


async def test_a_money_route_wants_a_key_and_the_same_request_under_it(client: httpx.AsyncClient, officer_token: str) -> None:
    assert (await client.post(f"{PROBE}/once", json={"note": "一"}, headers=bearer(officer_token))).json()["code"] == "idempotency.missing"
    headers = bearer(officer_token, **{"Idempotency-Key": "k-1"})
    assert (await client.post(f"{PROBE}/once", json={"note": "一"}, headers=headers)).status_code == 201
    other = await client.post(f"{PROBE}/once", json={"note": "二"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.other_request")


@pytest.mark.parametrize(("note", "status"), [("fails", 500), ("refused", 422)])
async def test_failed_or_refused_work_may_be_tried_again_under_its_key(
    client: httpx.AsyncClient, district: District, officer_token: str, note: str, status: int
) -> None:
    headers = bearer(officer_token, **{"Idempotency-Key": "k-1"})
    for _ in range(2):
        assert (await client.post(f"{PROBE}/once", json={"note": note}, headers=headers)).status_code == status
    assert await subjects(district) == []
    assert (await client.post(f"{PROBE}/once", json={"note": "一"}, headers=headers)).status_code == 201


async def test_a_route_that_stores_no_answer_does_no_work(client: httpx.AsyncClient, district: District, officer_token: str) -> None:
    answer = await client.post(f"{PROBE}/silent", headers=bearer(officer_token, **{"Idempotency-Key": "k-1"}))
    assert answer.status_code == 500
    assert await subjects(district) == []


async def test_fifty_identical_requests_at_once_do_the_work_once(client: httpx.AsyncClient, district: District, officer_token: str) -> None:
    headers = bearer(officer_token, **{"Idempotency-Key": "k-1"})
    answers = await asyncio.gather(*(client.post(f"{PROBE}/once", json={"note": "一"}, headers=headers) for _ in range(50)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"idempotency.running"}
    assert await subjects(district) == ["一"]


async def test_a_list_is_read_page_by_page(client: httpx.AsyncClient, officer_token: str) -> None:
    headers = bearer(officer_token)
    for note in "一二三四五":
        await client.post(f"{PROBE}/notes", json={"note": note}, headers=headers)
    seen, cursor = [], ""
    for _ in range(3):
        page = (await client.get(f"{PROBE}/list", params={"limit": 2, "cursor": cursor}, headers=headers)).json()
        seen += page["items"]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (list("五四三二一"), None)
    assert (await client.get(f"{PROBE}/list", params={"cursor": "x"}, headers=headers)).json()["code"] == "request.cursor"
    assert (await client.get(f"{PROBE}/list", params={"limit": 101}, headers=headers)).status_code == 422


async def test_a_form_needs_the_token_of_its_session_and_our_own_page(
    client: httpx.AsyncClient, district: District, officer_token: str, parent_token: str
) -> None:
    client.cookies.set(cookie_name("supervision"), officer_token)
    page = await client.get("/supervision/probe")
    token = csrf_token(officer_token)
    assert token in page.text
    own = {"note": "一", "csrf": token}
    for form, headers in (
        ({"note": "一"}, {}),
        ({"note": "一", "csrf": csrf_token(parent_token)}, {}),
        ({"note": "一", "csrf": "é"}, {}),
        (own, {"Origin": "https://other.example"}),
        (own, {"Origin": "null"}),
        (own, {"Sec-Fetch-Site": "cross-site"}),
        (own, {"Sec-Fetch-Site": "same-site"}),
    ):
        assert (await client.post("/supervision/probe", data=form, headers=headers)).status_code == 403
    assert await subjects(district) == []

    answer = await client.post("/supervision/probe", data=own, headers={"Origin": "http://escrow.test", "Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/supervision/probe")
    assert await subjects(district) == ["一"]
    assert "已记下 一" in (await client.get("/supervision/probe")).text
    assert "已记下 一" not in (await client.get("/supervision/probe")).text


async def test_an_anonymous_route_means_the_only_district_or_the_named_one(client: httpx.AsyncClient) -> None:
    path = f"{PROBE}/things/{uuid4()}/X"
    assert (await client.get(path)).json()["code"] == "probe.not_found"
    assert (await client.get(path, params={"district": "510112"})).json()["code"] == "probe.not_found"
    for unknown in ("999999", "x", "510112; DROP"):
        answer = await client.get(path, params={"district": unknown})
        assert (answer.status_code, answer.json()["code"]) == (404, "districts.unknown")


async def test_reading_sees_one_instant(client: httpx.AsyncClient, district: District) -> None:
    async with snapshot(district) as session:
        assert await session.scalar(text("SHOW transaction_isolation")) == "repeatable read"
        assert await session.scalar(text("SHOW transaction_read_only")) == "on"
    async with district.reading() as session:
        assert await session.scalar(text("SHOW transaction_isolation")) == "read committed"
        assert await session.scalar(text("SHOW transaction_read_only")) == "off"
