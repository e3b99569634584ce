"""The whole API under fire: what its description allows, what it forbids, and what no description thinks of."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from itertools import cycle, islice
from typing import Any
from uuid import uuid4

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
from app.portals.edge import ENDS
from app.settings import settings
from tests.web.stage import Stage, staged
from tests.world import World

pytestmark = pytest.mark.timeout(240)
Operation = APIOperation[Any, Any, Any, Any]

EXAMPLES = 4
AT_ONE_PLACE = 4
"""How many of the values one place gets, the next ones each time: everything is tried, not everywhere."""
SIGN_OUT = "/api/v1/auth/session"
AS_DESCRIBED = [status_code_conformance, content_type_conformance, response_schema_conformance]
CODE = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")
PROBLEM = {"type", "title", "status", "code", "detail", "request_id"}

BODIES = [
    *[b"", b"null", b"[]", b'"x"', b"{", b"NaN", b"1e999", b"\xff", b"\xff\xfe{\0}\0", b"9" * 5000, b"[" * 30_000, b"x" * 65_537],
    *[b'{"reason":' * 6_000 + b"1" + b"}" * 6_000, b'{"\\ud800": 1}', b'{"reason": "a", "reason": 1}'],
]
CONTENT_TYPES = ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=utf-16"]
VALUES: list[Any] = [
    *[None, -1, 0.5, 10**30, float("nan"), "a\0b", "\ud800", "x" * 20_000, [[]], {}],
    *["0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"],
]
QUERIES = [
    *["", "%00", "%FF", "0001-01-01", "9999-12-31", "9223372036854775808", "x" * 5_000],
    *[f"{microseconds}~{uuid4()}" for microseconds in ("9" * 20, "-62135596800000000", "253402300799999999")],
]
PLACES = ["%00", "%FF", "..%2f", "0", "x" * 3_000, "'--", "%0d%0aX:y"]
AUTHORIZATIONS = [b"Bearer", b"Bearer \xff", b"Basic eDp5", b"Bearer " + b"x" * 9_000, b"Bearer 999999." + b"a" * 43]


@pytest.fixture
async def stage(world: World, database: Database) -> AsyncIterator[Stage]:
    async with staged(world, database) as served:
        yield served


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stage.url, timeout=30, trust_env=False) as made:
        yield made


@lru_cache(maxsize=1)
def described() -> list[Operation]:
    description = schemathesis.openapi.from_dict(create_app(settings()).openapi())
    return [each.ok() for each in description.get_all_operations()]


def operations(end: str | None = None) -> list[Operation]:
    """What is described: of one end, or of nobody's; streams do not end, and who signs out can ask no more."""
    return [each for each in described() if end_of(each) == end and not each.path.endswith("/stream") and each.path != SIGN_OUT]


def end_of(operation: Operation) -> str | None:
    called = re.match(r"/api/v1/([a-z]+)/", operation.path)
    return called[1] if called and called[1] in ENDS else None


def address(operation: Operation, stage: Stage) -> str:
    """Its path, with ids that exist."""
    return re.sub(r"\{(\w+)\}", lambda name: stage.known[name[1]][0], operation.path)


def headers_of(stage: Stage, end: str | None, **more: str) -> dict[str, str]:
    token = {"Authorization": f"Bearer {stage.tokens[end]}"} if end else {}
    return token | {"Idempotency-Key": uuid4().hex} | more


def judge(status: int, media_type: str, body: bytes, asked: object) -> None:
    """No fault of ours, and every refusal in the one form."""
    said = f"{asked} → {status} {body[:400]!r}"
    assert status < 500, said
    if status >= 400:
        assert media_type == "application/problem+json", said
        problem = json.loads(body)
        assert problem.keys() >= PROBLEM, said
        assert problem["status"] == status, said
        assert CODE.fullmatch(problem["code"]), said


async def send(client: httpx.AsyncClient, method: str, url: str, **request: Any) -> int:
    answer = await client.request(method, url, **request)
    judge(answer.status_code, answer.headers.get("content-type", ""), answer.content, (method, url[:200], str(request)[:300]))
    return answer.status_code


class Fire:
    """Requests out of the description, in one role or in none."""

    def __init__(self, stage: Stage, end: str | None) -> None:
        self._stage = stage
        self._end = end
        self._connection = requests.Session()
        self._connection.trust_env = False

    def at(self, operation: Operation) -> None:
        """A few requests that it allows and a few that it forbids, always the same ones."""
        kinds, everything = st.sampled_from(list(GenerationMode)), list(HealthCheck)

        @examples(
            max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=everything
        )
        @given(st.data())
        def shoot(data: st.DataObject) -> None:
            case = data.draw(operation.as_strategy(generation_mode=data.draw(kinds)))
            self._aim(case, data)
            headers = headers_of(self._stage, self._end)
            answer = case.call(base_url=self._stage.url, session=self._connection, headers=headers, timeout=30)
            judge(answer.status_code, "".join(answer.headers.get("content-type", [])), answer.content, answer.request.url)
            case.validate_response(answer, checks=AS_DESCRIBED)

        shoot()

    def _aim(self, case: Case, data: st.DataObject) -> None:
        """Mostly at ids that exist: made up ones end at the door."""
        for fields in (case.path_parameters, case.query, case.body):
            for name in list(fields) if isinstance(fields, dict) and data.draw(st.integers(0, 3)) else []:
                if ids := self._stage.known.get(name):
                    chosen = st.lists(st.sampled_from(ids), max_size=3) if name.endswith("_ids") else st.sampled_from(ids)
                    fields[name] = data.draw(chosen)


@pytest.mark.parametrize("end", [*ENDS, None])
async def test_nothing_that_the_description_allows_or_forbids_is_a_fault(stage: Stage, end: str | None) -> None:
    def everywhere() -> None:
        fire = Fire(stage, end)
        for operation in operations(end):
            fire.at(operation)

    await anyio.to_thread.run_sync(everywhere)


async def test_nobody_gets_into_another_end(stage: Stage, client: httpx.AsyncClient) -> None:
    for end in ENDS:
        for operation in [each for each in operations(end) if not each.path.startswith("/api/v1/settlement/notices/")]:
            method, url = operation.method.upper(), address(operation, stage)
            for other in set(ENDS) - {end}:
                assert await send(client, method, url, headers=headers_of(stage, other), content=b"{}") in (403, 422), (url, other)
            assert await send(client, method, url, headers=headers_of(stage, None)) == 401, url
    for authorization in AUTHORIZATIONS:
        assert await send(client, "GET", "/api/v1/parent/students", headers={"Authorization": authorization}) == 401, authorization


@pytest.mark.parametrize("end", [*ENDS, None])
async def test_no_body_is_a_fault(stage: Stage, client: httpx.AsyncClient, end: str | None) -> None:
    bodies, media_types, values = cycle(BODIES), cycle(CONTENT_TYPES), cycle(VALUES)
    for operation in operations(end):
        if operation.method not in ("post", "put"):
            continue
        method, url = operation.method.upper(), address(operation, stage)
        for body in islice(bodies, AT_ONE_PLACE):
            await send(client, method, url, content=body, headers=headers_of(stage, end, **{"Content-Type": "application/json"}))
        for media_type in islice(media_types, 1):
            await send(client, method, url, content=b'{"reason": "x"}', headers=headers_of(stage, end, **{"Content-Type": media_type}))
        for fields in poisoned(operation, stage, values):
            headers = headers_of(stage, end, **{"Content-Type": "application/json"})
            await send(client, method, url, content=json.dumps(fields).encode(), headers=headers)


def poisoned(operation: Operation, stage: Stage, values: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Bodies in which one field is good for nothing and the others are good."""
    described = operation.definition.raw.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    name = (described.get("$ref") or "/").rsplit("/", 1)[1]
    fields = operation.schema.raw_schema["components"]["schemas"].get(name, {}).get("properties", {})
    meeting = {"starts_at": "2030-01-01T10:00:00Z", "ends_at": "2030-01-01T11:00:00Z"}
    fair: dict[str, Any] = {field: stage.known.get(field, ["好的"])[0] for field in fields}
    known = {"price_fen": 40_000, "seats": 5, "lesson_count": None, "sessions": [meeting], "birth_month": "2016-09", "run_no": 3}
    fair |= {field: value for field, value in known.items() if field in fields}
    for field in fields:
        for value in islice(values, AT_ONE_PLACE):
            yield fair | {field: [{"starts_at": value, "ends_at": value}] if field == "sessions" else value}


@pytest.mark.parametrize("end", [*ENDS, None])
async def test_no_address_is_a_fault(stage: Stage, client: httpx.AsyncClient, end: str | None) -> None:
    queries, places = cycle(QUERIES), cycle(PLACES)
    for operation in operations(end):
        method, headers = operation.method.upper(), headers_of(stage, end)
        for parameter in operation.definition.raw.get("parameters", []):
            if parameter["in"] == "query" and parameter["name"] != "limit":
                for text in islice(queries, AT_ONE_PLACE):
                    await send(client, method, f"{address(operation, stage)}?{parameter['name']}={text}", headers=headers)
            if parameter["in"] == "path":
                for text in islice(places, AT_ONE_PLACE):
                    await send(client, method, operation.path.replace(f"{{{parameter['name']}}}", text), headers=headers, content=b"{}")
