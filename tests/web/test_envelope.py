"""What surrounds each request: headers, limits, ids, and a log in which nobody is named."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import structlog
from fastapi import FastAPI

from app import telemetry
from app.main import create_app
from app.settings import settings
from tests.web.conftest import bearer

PROBE = "/api/v1/supervision/probe"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the process writes, in its own form."""
    written = io.StringIO()
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    monkeypatch.setattr("sys.stdout", written)
    telemetry.configure("json")
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.mark.parametrize("path", ["/", "/healthz", "/supervision/sign-in", "/api/v1/nothing", f"{PROBE}/fault", "/nothing"])
async def test_every_answer_carries_safe_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


async def test_over_https_cookies_are_secure_and_browsers_stay(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(settings.cache_clear)
    monkeypatch.setenv("ESCROW_PUBLIC_URL", "https://escrow.test")
    monkeypatch.setenv("ESCROW_SAMPLE_SIGN_IN", json.dumps({"13900139000": "246810"}))
    settings.cache_clear()
    secure = create_app(settings(), app.state.database, app.state.banks)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(secure), base_url="https://escrow.test") as client:
        assert (await client.get("/healthz")).headers["strict-transport-security"] == "max-age=31536000"
        form = {"phone": "13900139000", "code": "246810"}
        cookie = (await client.post("/parent/sign-in/code", data=form)).headers["set-cookie"]
    assert "Secure" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


async def test_a_body_over_the_limit_is_refused_unread(client: httpx.AsyncClient, officer_token: str) -> None:
    answer = await client.post(f"{PROBE}/notes", content=b" " * 70_000, headers=bearer(officer_token, **JSON))
    assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")


@pytest.mark.parametrize("path", [f"{PROBE}/notes", "/supervision/sign-in"])
async def test_a_body_of_unknown_length_is_cut_off(client: httpx.AsyncClient, officer_token: str, path: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    kind = JSON if path.startswith("/api/") else {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post(path, content=endless(), headers=bearer(officer_token, **kind))
    assert answer.status_code == 413


async def test_a_request_keeps_the_id_it_came_with_if_that_is_one(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz", headers={"X-Request-ID": "abc-12345"})).headers["x-request-id"] == "abc-12345"
    for bad in ("short", "x" * 65, "a b c d e f", "<script>alert(1)</script>"):
        assert (await client.get("/healthz", headers={"X-Request-ID": bad})).headers["x-request-id"] != bad


async def test_one_line_per_request_with_the_route_and_not_the_address(
    client: httpx.AsyncClient, officer_token: str, log: io.StringIO
) -> None:
    await client.get(f"{PROBE}/numbers/13800138000", headers=bearer(officer_token))
    await client.get(f"{PROBE}/me?phone=13800138000", headers=bearer(officer_token))
    first, second = [line for line in lines(log) if line["event"] == "request_answered"]
    assert (first["route"], first["method"], first["status"]) == (f"{PROBE}/numbers/{{number}}", "GET", 200)
    assert (second["route"], second["role"]) == (f"{PROBE}/me", "supervision")
    assert first["request_id"] != second["request_id"]
    assert "role" not in first
    assert "13800138000" not in log.getvalue()
    assert officer_token not in log.getvalue()


async def test_a_fault_is_explained_in_the_log_without_its_message(client: httpx.AsyncClient, log: io.StringIO) -> None:
    answer = await client.get(f"{PROBE}/fault")
    (failed,) = [line for line in lines(log) if line["event"] == "request_failed"]
    assert failed["request_id"] == answer.json()["request_id"]
    assert any("probe.py" in frame for frame in failed["exception"])  # type: ignore[attr-defined]
    assert "builtins.RuntimeError" in failed["exception"]  # type: ignore[operator]
    assert "王小明" not in log.getvalue()


async def test_a_database_error_is_named_by_its_constraint(client: httpx.AsyncClient, officer_token: str, log: io.StringIO) -> None:
    await client.post(f"{PROBE}/read", json={"note": "王小明"}, headers=bearer(officer_token))
    (failed,) = [line for line in lines(log) if line["event"] == "request_failed"]
    assert any("ReadOnlySQLTransactionError 25006" in frame for frame in failed["exception"])  # type: ignore[attr-defined]
    assert "王小明" not in log.getvalue()


async def test_requests_are_counted_by_route(client: httpx.AsyncClient, officer_token: str) -> None:
    await client.get(f"{PROBE}/numbers/77", headers=bearer(officer_token))
    metrics = (await client.get("/metrics")).text
    assert f'escrow_requests_total{{method="GET",route="{PROBE}/numbers/{{number}}",status="200"}}' in metrics
    assert "numbers/77" not in metrics
