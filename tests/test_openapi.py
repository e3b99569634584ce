"""The committed description is the one that the routes give; `make openapi` writes it anew."""

import json
from pathlib import Path

from app.main import create_app
from app.settings import Settings

COMMITTED = Path(__file__).parent.parent / "openapi/openapi.json"


def test_the_committed_description_is_fresh() -> None:
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == create_app(Settings()).openapi()


def test_every_operation_has_an_id_of_its_own_and_a_summary() -> None:
    operations = [operation for path in create_app(Settings()).openapi()["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert all(operation["summary"] for operation in operations)
