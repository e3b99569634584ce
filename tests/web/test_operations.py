"""Alive, ready, measured."""

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.db import District


async def test_alive_and_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {"status": "ok"}


async def test_a_district_that_is_not_migrated_makes_the_process_unready(client: httpx.AsyncClient, owner: District) -> None:
    async with owner.transaction() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"], answer.json()["districts"]) == (503, "server.not_migrated", ["510112"])


@pytest.mark.parametrize("peer", ["10.0.0.7", "testclient"])
async def test_metrics_are_for_this_machine(app: FastAPI, peer: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 5)), base_url="http://escrow.test") as client:
        assert (await client.get("/metrics")).status_code == 404


async def test_metrics_are_not_for_whoever_comes_through_a_proxy(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics")).status_code == 200
    assert (await client.get("/metrics", headers={"X-Forwarded-For": "1.2.3.4"})).status_code == 404


async def test_the_interface_is_described_and_has_no_playground(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    assert "/api/v1/auth/parent/code" in described["paths"]
    assert (await client.get("/docs")).status_code == 404
    ids = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
