"""Idempotency keys in one transaction with the work: replayed, refused, running, or free again after a failure."""

import asyncio
from datetime import timedelta

import pytest

from app import clock, idempotency
from app.db import District
from app.errors import BadInput, Conflict, Refused
from app.idempotency import Answer, Attempt


def attempt(key: str = "k-1", body: bytes = b'{"a": 1}', principal: str = "guardian:1", route: str = "POST /x") -> Attempt:
    return idempotency.attempt(principal, key, route, body)


async def do_once(district: District, this: Attempt, answer: str = '{"done":true}') -> Answer | None:
    async with district.transaction() as session:
        stored = await idempotency.claim(session, this)
        if stored is None:
            await idempotency.keep(session, this, Answer(201, answer))
        return stored


@pytest.mark.parametrize(
    ("key", "code"), [(None, "missing"), ("", "malformed"), ("x" * 129, "malformed"), ("a b", "malformed"), ("é", "malformed")]
)
def test_a_key_is_needed_and_printable(key: str | None, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        idempotency.attempt("guardian:1", key, "POST /x", b"")
    assert refused.value.code == f"idempotency.{code}"


async def test_the_second_request_gets_the_first_ones_answer_to_the_byte(district: District) -> None:
    assert await do_once(district, attempt(), '{"b":1,"a":2}') is None
    assert await do_once(district, attempt()) == Answer(201, '{"b":1,"a":2}')


async def test_the_same_json_written_otherwise_is_the_same_request(district: District) -> None:
    assert await do_once(district, attempt(body=b'{"a":1,"b":2}')) is None
    assert await do_once(district, attempt(body=b'{ "b": 2, "a": 1 }')) is not None


@pytest.mark.parametrize("other", [attempt(body=b'{"a": 2}'), attempt(route="POST /y"), attempt(body=b"not json")])
async def test_another_body_or_route_under_the_key_is_refused(district: District, other: Attempt) -> None:
    await do_once(district, attempt())
    with pytest.raises(Refused) as refused:
        await do_once(district, other)
    assert refused.value.code == "idempotency.other_request"


async def test_each_principal_has_keys_of_their_own(district: District) -> None:
    assert await do_once(district, attempt()) is None
    assert await do_once(district, attempt(principal="guardian:2")) is None


async def test_failed_work_leaves_its_key_free(district: District) -> None:
    async def fail() -> None:
        async with district.transaction() as session:
            assert await idempotency.claim(session, attempt()) is None
            await idempotency.keep(session, attempt(), Answer(201, "{}"))
            raise RuntimeError("the work failed")

    with pytest.raises(RuntimeError):
        await fail()
    assert await do_once(district, attempt()) is None


async def test_while_one_runs_the_other_is_told_so(district: District) -> None:
    async with district.transaction() as session:
        assert await idempotency.claim(session, attempt()) is None
        with pytest.raises(Conflict) as refused:
            await do_once(district, attempt())
        assert refused.value.code == "idempotency.running"
        await idempotency.keep(session, attempt(), Answer(200, "{}"))
    assert await do_once(district, attempt()) == Answer(200, "{}")


async def test_many_at_once_do_the_work_once(district: District) -> None:
    outcomes = await asyncio.gather(*(do_once(district, attempt()) for _ in range(12)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(outcome is None or isinstance(outcome, Answer | Conflict) for outcome in outcomes)


async def test_old_answers_are_forgotten(district: District) -> None:
    await do_once(district, attempt())
    async with district.transaction() as session:
        await idempotency.forget(session, clock.now() - timedelta(days=1))
    assert await do_once(district, attempt()) is not None
    async with district.transaction() as session:
        await idempotency.forget(session, clock.now() + timedelta(days=1))
    assert await do_once(district, attempt()) is None
