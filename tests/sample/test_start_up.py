"""What start-up refuses, and that nothing invented ever gets into a database with real money, or the other way round."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import districts, security
from app.db import Database, District
from app.districts import DistrictEntry, UnsafeStart
from app.errors import Conflict
from app.settings import Settings
from tests.conftest import Server
from tests.sample.commands import ROOT, Operator, run_cli

KEYS = {"bank": {"api_key": "k" * 16, "notice_secret": "whsec_" + "A" * 44}}


async def reasons(database: Database, **settings: object) -> list[str]:
    """Why start-up refuses; empty where it does not."""
    try:
        await districts.refuse_unsafe_start(database, Settings(**settings))
    except UnsafeStart as refusal:
        return list(refusal.reasons)
    return []


async def test_a_live_district_with_all_its_secrets_starts(live: Database) -> None:
    assert await reasons(live) == []


async def test_a_sample_district_with_its_fixed_codes_starts(database: Database) -> None:
    assert await reasons(database, sms="console", sample_sign_in={"19900000001": "123456"}) == []


async def test_live_with_the_mock_bank_is_refused(live: Database, live_owner_url: str) -> None:
    await districts.connect_bank(live_owner_url, "bank", "510112", "mock", "http://127.0.0.1:1")
    assert await reasons(live, bank_keys=KEYS) == ["the live district 510112 is connected to the mock bank"]


async def test_live_without_the_keys_of_its_bank_is_refused(live: Database, live_owner_url: str) -> None:
    await districts.connect_bank(live_owner_url, "bank", "510112", "mock", "http://127.0.0.1:1")
    assert "ESCROW_BANK_KEYS lacks the connection bank" in await reasons(live)


async def test_live_with_a_sample_user_is_refused(live: Database) -> None:
    async with live.district("510112").transaction() as session:
        await security.create_staff(session, "supervision", "sample-supervision", "a long password", "监管专员")
    assert await reasons(live) == ["a live district has sample users"]


async def test_live_with_fixed_codes_is_refused(live: Database) -> None:
    assert await reasons(live, sample_sign_in={"19900000001": "123456"}) == ["a live district has sample users"]


async def test_live_with_codes_on_the_console_is_refused(live: Database) -> None:
    assert await reasons(live, sms="console") == ["a live district would print its sign-in codes on the console (ESCROW_SMS)"]


@pytest.mark.parametrize("name", ["secret_key", "data_key", "index_key"])
async def test_a_missing_secret_is_refused_live_and_sample(live: Database, database: Database, name: str) -> None:
    for any_database in (live, database):
        assert await reasons(any_database, **{name: ""}) == [f"ESCROW_{name.upper()} is missing"]


async def test_every_reason_is_named_at_once(live: Database) -> None:
    assert len(await reasons(live, sms="console", sample_sign_in={"19900000001": "123456"}, secret_key="")) == 3


async def test_sample_and_live_in_one_database_are_refused_when_made_and_when_started(live: Database, live_owner_url: str) -> None:
    with pytest.raises(Conflict) as refused:
        await districts.create(live_owner_url, "510181", "都江堰市", mode="sample")
    assert refused.value.code == "districts.mixed_modes"
    owner = Database(live_owner_url)
    async with owner.public() as session:
        await session.execute(text("INSERT INTO public.district VALUES ('510181', '都江堰市', 'sample', now())"))
    await owner.aclose()
    assert await reasons(live) == ["live and sample districts share this database"]


async def test_a_live_district_is_refused_beside_a_sample(owner_url: str, database: Database) -> None:
    with pytest.raises(Conflict) as refused:
        await districts.create(owner_url, "510181", "都江堰市")
    assert refused.value.code == "districts.mixed_modes"
    assert [entry.mode for entry in await districts.entries(database)] == ["sample"]


async def test_a_sample_or_simulated_district_never_goes_live(owner: District, live_owner_url: str) -> None:
    with pytest.raises(DBAPIError, match="a district is a sample from its first day to its last, or never"):
        async with owner.transaction() as session:
            await session.execute(text("UPDATE public.district SET mode = 'live'"))
    live_owner = Database(live_owner_url)
    with pytest.raises(DBAPIError, match="a district is a sample from its first day to its last, or never"):
        async with live_owner.public() as session:
            (await session.get_one(DistrictEntry, "510112")).mode = "sample"
    await live_owner.aclose()


async def test_the_command_line_makes_no_sample(monkeypatch: pytest.MonkeyPatch, owner_url: str) -> None:
    operator = Operator(monkeypatch, ESCROW_OWNER_DATABASE_URL=owner_url)
    status, _, said = await operator.run("district", "create", "510181", "都江堰市", "--mode", "sample")
    assert status == 2
    assert "'sample' is not one of" in said


@pytest.mark.parametrize("command", ["run-sample", "simulate"])
async def test_nothing_invented_goes_into_a_configured_database_unasked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, app_url: str, command: str
) -> None:
    operator = Operator(monkeypatch, DATABASE_URL=app_url, ESCROW_DATA_DIR=str(tmp_path / "data"))
    assert "已设置 DATABASE_URL，示例数据不会写入其中" in await operator.refused(command)
    assert not (tmp_path / "data").exists()


async def test_asked_for_it_goes_into_no_database_that_holds_a_live_district(
    tmp_path: Path, live: Database, server: Server, live_name: str
) -> None:
    urls = {"DATABASE_URL": server.url("escrow_app", live_name), "ESCROW_OWNER_DATABASE_URL": server.url("escrow_owner", live_name)}
    refused = run_cli("run-sample", "--into-database-url", ESCROW_DATA_DIR=str(tmp_path), PORT="0", **urls)
    assert refused.returncode == 1
    assert "districts.mixed_modes" in refused.stderr
    assert [entry.mode for entry in await districts.entries(live)] == ["live"]


def test_the_worker_says_why_it_does_not_start(app_url: str, district: District) -> None:
    worker = [sys.executable, "-m", "app.worker"]
    environment = os.environ | {"DATABASE_URL": app_url, "ESCROW_DATA_KEY": ""}
    refused = subprocess.run(worker, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 3
    assert "ESCROW_DATA_KEY is missing" in refused.stdout


def test_it_listens_on_loopback_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOST", raising=False)
    assert Settings().host == "127.0.0.1"
