"""The web process itself: it starts, serves, ends when told to, and refuses to start where it must not."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app import security
from app.db import District
from tests.web.conftest import bearer

ROOT = Path(__file__).parent.parent.parent


def start(app_url: str, port: int, **environment: str) -> subprocess.Popen[str]:
    settings = {"DATABASE_URL": app_url, "PORT": str(port), "ESCROW_PUBLIC_URL": ""}
    return subprocess.Popen(
        [sys.executable, "-m", "app.main"], cwd=ROOT, env=os.environ | settings | environment, stdout=subprocess.PIPE, text=True
    )


async def end(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """Wait for its end and read what it wrote."""
    output, _ = await asyncio.to_thread(process.communicate, timeout=30)
    return [json.loads(line) for line in output.splitlines()]


@asynccontextmanager
async def serving(app_url: str) -> AsyncIterator[tuple[subprocess.Popen[str], httpx.AsyncClient]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start(app_url, port)
    try:
        transport = httpx.AsyncHTTPTransport(retries=0)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            await _until_ready(process, client)
            yield process, client
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


async def _until_ready(process: subprocess.Popen[str], client: httpx.AsyncClient) -> None:
    while process.poll() is None:
        try:
            if (await client.get("/readyz")).status_code == 200:
                return
        except httpx.ConnectError:
            await asyncio.sleep(0.05)
    raise AssertionError("the web process did not start")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_and_ends_when_told_to_though_a_stream_is_open(app_url: str, district: District, number: signal.Signals) -> None:
    async with district.transaction() as session:
        staff = await security.create_staff(session, "supervision", "zhang.san", "correct horse battery", "张三")
        token = await security.open_session(session, "supervision", staff_id=staff.id)
    async with serving(app_url) as (process, client):
        assert (await client.get("/supervision/sign-in")).status_code == 200
        async with client.stream("GET", "/api/v1/supervision/alerts/stream", headers=bearer(token)) as stream:
            assert stream.status_code == 200
            process.send_signal(number)
            assert [line async for line in stream.aiter_lines() if line.startswith("data:")] == []
        lines = await end(process)
    assert process.returncode == 0
    assert {"request_answered"} <= {line["event"] for line in lines}
    assert not [line for line in lines if line["level"] == "error"]


async def test_it_refuses_to_start_without_its_secrets_and_says_which(app_url: str, district: District) -> None:
    process = start(app_url, 0, ESCROW_SECRET_KEY="")
    lines = await end(process)
    assert process.returncode == 3
    (refusal,) = [line for line in lines if line["event"] == "start_refused"]
    assert refusal["reasons"] == ["ESCROW_SECRET_KEY is missing"]
