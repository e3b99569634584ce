"""The operator's change of keys."""

import base64
import json
import secrets

import pytest

from app.settings import settings
from tests.conftest import DISTRICT
from tests.sample.commands import Operator
from tests.world import World


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


async def test_keys_change_and_everything_stays_readable(
    monkeypatch: pytest.MonkeyPatch, world: World, owner_url: str, app_url: str
) -> None:
    child = await world.child(await world.parent())
    former = settings().data_key.get_secret_value()
    operator = Operator(monkeypatch, DATABASE_URL=app_url, ESCROW_OWNER_DATABASE_URL=owner_url, ESCROW_DATA_KEY=new_key())
    assert f"无法解开：guardian {''}" in await operator.refused("rotate-keys")
    Operator(monkeypatch, ESCROW_FORMER_DATA_KEYS=json.dumps([former]))
    assert "已重新加密 2 行" in await operator.done("rotate-keys", "--district", DISTRICT)
    assert "已重新加密 2 行" in await operator.done("rotate-keys")
    assert "没有这个区县" in await operator.refused("rotate-keys", "--district", "510999")
    Operator(monkeypatch, ESCROW_FORMER_DATA_KEYS="[]")
    assert (await world.child(await world.parent())).id != child.id
    Operator(monkeypatch, ESCROW_DATA_KEY="x")
    assert "ESCROW_DATA_KEY" in await operator.refused("rotate-keys")
