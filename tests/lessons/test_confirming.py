"""Only a guardian's own word releases a fee, once, and only for a lesson that took place."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from app import clock
from app.errors import BadInput
from app.ids import uuid7
from app.lessons import service as lessons
from app.lessons.models import Release
from app.settlement import service as settlement
from tests.school import LESSON_FEN, School, found_school, told
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def test_a_confirmation_moves_the_fee_from_escrow_to_payable(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    assert await school.confirm(family, 1) == [("confirmed", LESSON_FEN)]
    assert await school.states(family) == ["confirmed", "scheduled", "scheduled", "scheduled"]
    assert await school.totals() == {"cash": 400_00, "escrow": 300_00, "payable": 100_00}


async def test_the_release_names_the_guardian_and_is_final_at_once(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.confirm(family, 1)
    async with school.world.district.reading() as session:
        release = (await session.scalars(select(Release))).one()
    assert (release.confirmed_by, release.dispute_id, release.amount_fen) == (family.parent.guardian_id, None, LESSON_FEN)
    assert release.final_at == release.released_at == clock.now()


async def test_several_in_one_call_each_have_their_own_outcome(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.deliver(2, family)
    await school.deliver(3)
    await school.confirm(family, 1)
    outcomes = await school.confirm(family, 4, 3, 2, 1, 2)
    assert outcomes == [("not_delivered", 0), ("not_delivered", 0), ("confirmed", LESSON_FEN), ("already_confirmed", 0)]


async def test_disputed_and_refunded_lessons_are_not_released(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.dispute(family, 1)
    assert await school.confirm(family, 1) == [("disputed", 0)]
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}


async def test_twice_changes_nothing(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.confirm(family, 1)
    assert await school.confirm(family, 1) == [("already_confirmed", 0)]
    assert (await school.totals())["payable"] == LESSON_FEN


async def test_somebody_elses_lesson_and_an_absent_one_look_the_same(school: School) -> None:
    family, stranger = await school.enrol(), await school.enrol()
    await school.deliver(1, family, stranger)
    async with school.world.district.transaction() as session:
        outcomes = await lessons.confirm(session, stranger.parent, [family.lesson_ids[0], uuid7(), stranger.lesson_ids[0]])
    assert told(outcomes) == [("not_found", 0), ("not_found", 0), ("confirmed", LESSON_FEN)]
    assert (await school.states(family))[0] == "delivered"


async def test_any_guardian_of_the_child_may_confirm(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    father = await school.second_guardian(family)
    async with school.world.district.transaction() as session:
        assert told(await lessons.confirm(session, father, [family.lesson_ids[0]])) == [("confirmed", LESSON_FEN)]


@pytest.mark.parametrize("how_many", [0, 101])
async def test_none_or_too_many_are_no_request(school: School, how_many: int) -> None:
    family = await school.sign()
    with pytest.raises(BadInput, match=r"lessons\.how_many"):
        async with school.world.district.transaction() as session:
            await lessons.confirm(session, family.parent, [uuid7() for _ in range(how_many)])


async def test_fifty_identical_confirmations_at_once_release_once(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    outcomes = await asyncio.gather(*(school.confirm(family, 1) for _ in range(50)))
    assert sorted(outcomes) == [[("already_confirmed", 0)]] * 49 + [[("confirmed", LESSON_FEN)]]
    assert await school.totals() == {"cash": 400_00, "escrow": 300_00, "payable": 100_00}


async def test_overlapping_confirmations_of_many_families_do_not_stop_each_other(world: World) -> None:
    school, other = await found_school(world), await found_school(world)
    parent = await world.parent()
    children = [await world.child(parent, name) for name in ("王大明", "王大明", "王小明", "王小明")]
    families = [await place.enrol(parent, child) for place, child in zip((school, other, school, other), children, strict=True)]
    await school.deliver(1, families[0], families[2])
    await other.deliver(1, families[1], families[3])
    lesson_ids = [family.lesson_ids[0] for family in families]

    async def confirm(turn: int) -> int:
        mixed = lesson_ids[turn:] + lesson_ids[:turn]
        async with world.district.transaction() as session:
            return sum(outcome.released_fen for outcome in await lessons.confirm(session, parent, mixed[:3]))

    assert sum(await asyncio.gather(*(confirm(turn % 4) for turn in range(20)))) == 4 * LESSON_FEN
    assert (await school.totals())["payable"] == (await other.totals())["payable"] == 2 * LESSON_FEN


async def test_the_last_confirmation_closes_the_contract(world: World) -> None:
    school = await found_school(world, lesson_count=2)
    family = await school.enrol()
    await school.deliver(1, family)
    await school.confirm(family, 1)
    assert await school.contract_status(family) == "paid"
    await school.deliver(2, family)
    await school.confirm(family, 2)
    assert await school.contract_status(family) == "closed"


async def test_silence_never_releases(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.world.wait(timedelta(days=400))
    await school.world.work()
    async with school.world.district.transaction() as session:
        assert await settlement.run(session, school.institution.id, clock.today(), 1, "system") is None
    assert (await school.states(family))[0] == "delivered"
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}
