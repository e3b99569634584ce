"""Start-up notices keys that cannot be right, before anything is sealed with them."""

import base64
import secrets

import pytest

from app import districts
from app.db import Database, District
from app.districts import UnsafeStart
from app.registry import families
from app.settings import Settings, settings


@pytest.fixture
async def with_a_family(database: Database, district: District) -> Database:
    async with district.transaction() as session:
        await families.guardian_for_phone(session, "13800138000")
    return database


async def reasons(database: Database, **settings: object) -> list[str]:
    try:
        await districts.refuse_unsafe_start(database, Settings(**settings))
    except UnsafeStart as refusal:
        return list(refusal.reasons)
    return []


def another_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


async def test_the_keys_that_sealed_the_registers_start(with_a_family: Database) -> None:
    assert await reasons(with_a_family) == []


@pytest.mark.parametrize("name", ["data_key", "index_key"])
async def test_another_key_than_the_registers_is_refused(with_a_family: Database, name: str) -> None:
    refused = ["ESCROW_DATA_KEY and ESCROW_INDEX_KEY are not those of the district 510112"]
    assert await reasons(with_a_family, **{name: another_key()}) == refused


async def test_an_empty_district_takes_any_key(database: Database, district: District) -> None:
    assert await reasons(database, data_key=another_key(), index_key=another_key()) == []


@pytest.mark.parametrize("name", ["data_key", "index_key"])
@pytest.mark.parametrize("key", ["not base64!", base64.b64encode(b"x" * 16).decode(), "x"])
async def test_a_key_of_the_wrong_form_is_refused(with_a_family: Database, name: str, key: str) -> None:
    assert await reasons(with_a_family, **{name: key}) == [f"ESCROW_{name.upper()} is not 32 bytes in base64"]


async def test_former_keys_may_be_the_registers(with_a_family: Database) -> None:
    old = settings()
    kept = {"former_data_keys": (old.data_key,), "former_index_keys": (old.index_key,)}
    assert await reasons(with_a_family, data_key=another_key(), index_key=another_key(), **kept) == []


@pytest.mark.parametrize("name", ["former_data_keys", "former_index_keys"])
async def test_a_former_key_of_the_wrong_form_is_refused(with_a_family: Database, name: str) -> None:
    assert await reasons(with_a_family, **{name: ("x",)}) == [f"ESCROW_{name.upper()} is not 32 bytes in base64"]


async def test_a_secret_that_could_be_guessed_is_refused(database: Database, district: District) -> None:
    assert await reasons(database, secret_key="secret") == ["ESCROW_SECRET_KEY is shorter than 32 characters"]
