"""What goes wrong, as programs and people are told; never with what they sent, or with what we hold."""

import asyncio
from http import HTTPStatus

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.db import Database
from tests.conftest import Server
from tests.web.conftest import bearer

PROBE = "/api/v1/supervision/probe"


async def test_a_refusal_is_a_problem_with_code_words_and_facts(client: httpx.AsyncClient, officer_token: str) -> None:
    answer = await client.post(f"{PROBE}/refused", json={"note": "x", "amount_fen": 7}, headers=bearer(officer_token))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem.pop("request_id") == answer.headers["x-request-id"]
    assert problem == {
        "type": "urn:problem:probe.refused",
        "title": HTTPStatus(422).phrase,
        "status": 422,
        "code": "probe.refused",
        "detail": "不行",
        "amount_fen": 7,
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "request.not_found"),
        ("GET", "/qr/nothing", 404, "request.not_found"),
        ("PUT", f"{PROBE}/notes", 405, "request.method"),
        ("GET", f"{PROBE}/numbers/x", 404, "request.not_found"),
    ],
)
async def test_what_is_not_there(client: httpx.AsyncClient, method: str, path: str, status: int, code: str) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert status != 405 or answer.headers["allow"] == "POST"


@pytest.mark.parametrize("thing_id", ["x", "1", "%00", "%ff", "..%2f..", "a" * 300, "0190-zz", "0197F3A1-0000-7000-8000-000000000001"])
async def test_a_malformed_id_is_one_that_nobody_has(client: httpx.AsyncClient, thing_id: str) -> None:
    answer = await client.get(f"{PROBE}/things/{thing_id}/%00")
    assert answer.status_code == 404
    assert answer.json()["code"] in ("probe.not_found", "request.not_found")


@pytest.mark.parametrize(
    "body", [b"{", b"", b"nope", b'{"note": "\xff"}', b'{"note": ' + b"[" * 60_000, b'{"amount_fen": ' + b"9" * 5000 + b"}"]
)
async def test_malformed_json_is_a_bad_request(client: httpx.AsyncClient, officer_token: str, body: bytes) -> None:
    answer = await client.post(f"{PROBE}/notes", content=body, headers=bearer(officer_token, **{"Content-Type": "application/json"}))
    assert (answer.status_code, answer.json()["code"]) in ((400, "request.malformed"), (422, "request.invalid"))
    assert answer.status_code == 400 or not body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"note": "13800138000" * 10}, "body.note"),
        ({"note": ""}, "body.note"),
        ({"note": "   "}, "body.note"),
        ({"note": "a\0b"}, "body.note"),
        ({"note": 5}, "body.note"),
        ({}, "body.note"),
        (["13800138000"], "body"),
        ({"note": "x", "amount_fen": 0}, "body.amount_fen"),
        ({"note": "x", "amount_fen": -1}, "body.amount_fen"),
        ({"note": "x", "amount_fen": 1.5}, "body.amount_fen"),
        ({"note": "x", "amount_fen": 1.0}, "body.amount_fen"),
        ({"note": "x", "amount_fen": True}, "body.amount_fen"),
        ({"note": "x", "amount_fen": "100"}, "body.amount_fen"),
        ({"note": "x", "amount_fen": 10**13 + 1}, "body.amount_fen"),
        ({"note": "x", "amount_fen": 10**30}, "body.amount_fen"),
        ({"note": "x", "amount_fen": None}, "body.amount_fen"),
    ],
)
async def test_invalid_fields_are_named_and_not_repeated(client: httpx.AsyncClient, officer_token: str, body: object, field: str) -> None:
    answer = await client.post(f"{PROBE}/notes", json=body, headers=bearer(officer_token))
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert [each["field"] for each in answer.json()["fields"]] == [field]
    assert "13800138000" not in answer.text


@pytest.mark.parametrize("raw", [b'{"note": "\\ud800"}', b'{"note": "x", "amount_fen": NaN}', b'{"note": "x", "amount_fen": 1e5}'])
async def test_json_that_the_database_could_not_keep_is_refused(client: httpx.AsyncClient, officer_token: str, raw: bytes) -> None:
    answer = await client.post(f"{PROBE}/notes", content=raw, headers=bearer(officer_token, **{"Content-Type": "application/json"}))
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


async def test_a_text_that_slips_through_to_the_database_is_still_no_fault(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{PROBE}/unstorable", params={"text_of": "a\0b"})
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


async def test_a_fault_is_told_by_its_number_and_nothing_else(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{PROBE}/fault")
    assert (answer.status_code, answer.json()["code"]) == (500, "server.error")
    assert answer.json()["request_id"] in answer.json()["detail"]
    assert "王小明" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_people_get_a_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing/here")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "没有这个地址" in answer.text


async def test_a_database_that_cannot_be_reached_is_not_our_fault(app: FastAPI, client: httpx.AsyncClient, officer_token: str) -> None:
    app.state.database = Database("postgresql+asyncpg://escrow_app:x@127.0.0.1:1/nothing")
    for path in (f"{PROBE}/me", "/readyz"):
        answer = await client.get(path, headers=bearer(officer_token))
        assert (answer.status_code, answer.json()["code"]) == (503, "server.unavailable")
        assert answer.headers["retry-after"]
    app.state.database = Database("postgresql+asyncpg://escrow_app@/nothing?host=/nonexistent")
    assert (await client.get(f"{PROBE}/me", headers=bearer(officer_token))).status_code == 503


@pytest.mark.own_database
async def test_connections_that_the_server_cuts_are_made_anew(
    client: httpx.AsyncClient, server: Server, database_name: str, officer_token: str
) -> None:
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
    engine = create_async_engine(server.url("admin", "postgres"))
    assert (await client.get(f"{PROBE}/me", headers=bearer(officer_token))).status_code == 200
    async with engine.connect() as admin:
        assert await admin.scalar(text(cut), {"name": database_name})
    await engine.dispose()
    answers = await asyncio.gather(*(client.get(f"{PROBE}/me", headers=bearer(officer_token)) for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert (await client.get(f"{PROBE}/me", headers=bearer(officer_token))).status_code == 200
