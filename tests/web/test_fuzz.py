"""The whole API under fire: what its own description allows, what it forbids, and what no description thinks of."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from app.db import Database
from app.main import create_app
from app.settings import settings
from tests.web.stage import Stage, staged
from tests.world import World

ENDLESS = ("/api/v1/supervision/alerts/stream", "/api/v1/supervision/movements/stream")
SIGNS_OUT = "/api/v1/auth/session"
DESCRIBED = [status_code_conformance, content_type_conformance, response_schema_conformance]
CODE = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")
PROBLEM = {"type", "title", "status", "code", "detail", "request_id"}


@pytest.fixture
async def stage(world: World, database: Database) -> AsyncIterator[Stage]:
    async with staged(world, database) as served:
        yield served


def operations() -> list[APIOperation[Any, Any, Any, Any]]:
    """Every operation that answers and ends."""
    description = schemathesis.openapi.from_dict(create_app(settings()).openapi())
    found = [each.ok() for each in description.get_all_operations()]
    return [each for each in found if each.path not in (*ENDLESS, SIGNS_OUT)]


def may(path: str, role: str) -> bool:
    return path.startswith((f"/api/v1/{role}/", "/api/v1/public/", "/api/v1/auth/", "/qr/"))


class Fire:
    """Requests out of the description, as one role."""

    def __init__(self, stage: Stage, role: str) -> None:
        self._stage = stage
        self._connection = requests.Session()
        self._connection.trust_env = False
        self._token = {"Authorization": f"Bearer {stage.tokens[role]}"}

    def at(self, operation: APIOperation[Any, Any, Any, Any], count: int) -> list[int]:
        """So many requests to one operation; the status of each."""
        statuses: list[int] = []

        @examples(max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(st.data())
        def shoot(data: st.DataObject) -> None:
            case = data.draw(operation.as_strategy(generation_mode=data.draw(st.sampled_from(list(GenerationMode)))))
            self._aim(case, data)
            answer = case.call(base_url=self._stage.url, session=self._connection, headers=self._token, timeout=20)
            try:
                judge(answer)
                case.validate_response(answer, checks=DESCRIBED)
            except BaseException as e:
                print("XX", operation.method, operation.path, answer.request.url, case.body, case.headers, type(e), str(e)[:900])
            statuses.append(answer.status_code)

        shoot()
        return statuses

    def _aim(self, case: Case, data: st.DataObject) -> None:
        """Ids that exist, now and then: made up ones end at the door."""
        for container in (case.path_parameters, case.query, case.body):
            for name in (container if isinstance(container, dict) else {}) if data.draw(st.integers(0, 3)) else []:
                if ids := self._stage.known.get(name):
                    chosen = st.lists(st.sampled_from(ids), max_size=3) if name.endswith("_ids") else st.sampled_from(ids)
                    container[name] = data.draw(chosen)
        if data.draw(st.integers(0, 3)):
            case.headers["Idempotency-Key"] = data.draw(st.uuids()).hex


def judge(answer: Any) -> None:
    """No fault of ours, and every refusal in the one form."""
    said = f"{answer.request.method} {answer.request.url} → {answer.status_code} {answer.content[:500]!r}"
    assert answer.status_code < 500, said
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == ["application/problem+json"], said
        problem = answer.json()
        assert PROBLEM <= problem.keys(), said
        assert problem["status"] == answer.status_code, said
        assert CODE.fullmatch(problem["code"]), said


@pytest.mark.parametrize("role", ["parent", "institution", "settlement", "supervision"])
async def test_nothing_that_the_description_allows_or_forbids_is_a_fault(stage: Stage, role: str) -> None:
    def everywhere() -> dict[str, list[int]]:
        fire = Fire(stage, role)
        return {f"{each.method} {each.path}": fire.at(each, 8 if may(each.path, role) else 1) for each in operations()}

    statuses = await anyio.to_thread.run_sync(everywhere)
    import collections, pprint
    pprint.pprint({k: dict(collections.Counter(v)) for k, v in statuses.items()})
