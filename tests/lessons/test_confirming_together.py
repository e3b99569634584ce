"""Confirmations that arrive together share a commit, and each keeps its own authority, answer, key and failure."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from app import idempotency
from app.errors import Conflict, Refused
from app.ids import uuid7
from app.lessons.confirming import Confirmer, Result, Wish
from app.lessons.service import Consent
from app.security import Parent
from tests.school import LESSON_FEN, Family, School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


@pytest.fixture
async def commits(school: School) -> AsyncIterator[list[None]]:
    """One entry for each statement of the district that confirms from here on; it commits by itself."""
    counted: list[None] = []
    engine = school.world.district.engine.sync_engine

    def count(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if "lessons_confirm_once" in statement:
            counted.append(None)

    event.listen(engine, "before_cursor_execute", count)
    yield counted
    event.remove(engine, "before_cursor_execute", count)


def wish(family: Family, *numbers: int, by: Parent | None = None, key: str | None = None, body: bytes = b"{}") -> Wish:
    parent = by or family.parent
    attempt = idempotency.attempt(parent.actor, key or str(uuid7()), "POST /confirmations", body)
    return Wish(Consent(parent, [family.lesson_ids[number - 1] for number in numbers]), attempt)


async def together(confirmer: Confirmer, *wishes: Wish) -> list[Result | BaseException]:
    return await asyncio.gather(*(confirmer.confirm(each) for each in wishes), return_exceptions=True)


def outcomes_of(result: Result | BaseException) -> list[str]:
    assert isinstance(result, Result), result
    return [each["outcome"] for each in json.loads(result.answer.body)["items"]]


async def test_many_families_share_few_commits_and_each_is_told_its_own(school: School, commits: list[None]) -> None:
    families = [await school.enrol() for _ in range(8)]
    await school.deliver(1, *families)
    commits.clear()
    results = await together(Confirmer(school.world.district), *(wish(family, 1) for family in families))
    assert [outcomes_of(result) for result in results] == [["confirmed"]] * 8
    assert 1 <= len(commits) <= 2
    assert (await school.totals())["payable"] == 8 * LESSON_FEN


async def test_of_fifty_wishes_for_one_lesson_one_releases(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    results = await together(Confirmer(school.world.district), *(wish(family, 1) for _ in range(50)))
    told = [outcome for result in results for outcome in outcomes_of(result)]
    assert sorted(told) == ["already_confirmed"] * 49 + ["confirmed"]
    assert (await school.totals())["payable"] == LESSON_FEN


async def test_somebody_elses_lesson_is_not_found_beside_its_guardians_own_wish(school: School) -> None:
    family, stranger = await school.enrol(), await school.enrol()
    await school.deliver(1, family, stranger)
    results = await together(Confirmer(school.world.district), wish(family, 1, by=stranger.parent), wish(family, 1), wish(stranger, 1, 2))
    assert [outcomes_of(result) for result in results] == [["not_found"], ["confirmed"], ["confirmed", "not_delivered"]]


async def test_a_key_is_answered_once_and_again_with_the_same_bytes(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    confirmer = Confirmer(school.world.district)
    first = await confirmer.confirm(wish(family, 1, key="k"))
    again = await confirmer.confirm(wish(family, 1, key="k"))
    assert (first.replayed, again.replayed, again.answer) == (False, True, first.answer)
    with pytest.raises(Refused) as refusal:
        await confirmer.confirm(wish(family, 1, key="k", body=b'{"other": 1}'))
    assert refusal.value.code == "idempotency.other_request"


async def test_a_key_twice_in_one_batch_is_running_the_second_time(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    confirmer = Confirmer(school.world.district)
    _, one, two = await together(confirmer, wish(family, 2), wish(family, 1, key="k"), wish(family, 1, key="k"))
    assert outcomes_of(one) == ["confirmed"]
    assert isinstance(two, Conflict)
    assert two.code == "idempotency.running"


async def test_a_wish_that_fails_fails_alone(school: School) -> None:
    families = [await school.enrol() for _ in range(3)]
    await school.deliver(1, *families)

    good = wish(families[1], 1)
    poison = Wish(good.consent, replace(good.attempt, body_sha256=b"no hash"))
    results = await together(Confirmer(school.world.district), wish(families[2], 2), wish(families[0], 1), poison, wish(families[2], 1))
    assert isinstance(results[2], IntegrityError)
    assert [outcomes_of(results[i]) for i in (0, 1, 3)] == [["not_delivered"], ["confirmed"], ["confirmed"]]
    assert await school.states(families[1]) == ["delivered", "scheduled", "scheduled", "scheduled"]


@pytest.mark.own_database
async def test_a_batch_survives_a_broken_connection(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    confirmer = Confirmer(school.world.district)
    await confirmer.confirm(wish(family, 2))
    async with school.world.district.transaction() as session:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        await session.execute(text(others))
    assert outcomes_of(await confirmer.confirm(wish(family, 1))) == ["confirmed"]


async def test_a_caller_who_left_does_not_disturb_the_others(school: School) -> None:
    families = [await school.enrol() for _ in range(2)]
    await school.deliver(1, *families)
    confirmer = Confirmer(school.world.district)
    leaving = asyncio.create_task(confirmer.confirm(wish(families[0], 1)))
    staying = asyncio.create_task(confirmer.confirm(wish(families[1], 1)))
    await asyncio.sleep(0)
    leaving.cancel()
    assert outcomes_of(await staying) == ["confirmed"]
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await school.states(families[0]) == ["confirmed", "scheduled", "scheduled", "scheduled"]
