"""A dispute stops one lesson, and only an officer's ruling, with a reason, decides it."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from app import clock
from app.errors import BadInput, Conflict, DomainError, NotFound
from app.ids import uuid7
from app.lessons import queries
from app.lessons import service as lessons
from app.lessons.models import Release
from app.settlement import service as settlement
from tests.school import LESSON_FEN, Family, School, final_after, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def rule(school: School, family: Family, number: int, ruling: lessons.Ruling, reason: str = "已核实监控") -> None:
    async with school.world.district.transaction() as session:
        await lessons.rule_on(session, school.world.officer(), family.lesson_ids[number - 1], ruling, reason)


async def test_only_the_disputed_lesson_stops(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.deliver(2, family)
    await school.dispute(family, 1)
    assert await school.confirm(family, 1, 2) == [("disputed", 0), ("confirmed", LESSON_FEN)]
    assert await school.states(family) == ["disputed", "confirmed", "scheduled", "scheduled"]


async def test_the_officers_see_what_was_said(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.dispute(family, 1, "  老师\n迟到半小时 ")
    async with school.world.district.reading() as session:
        [seen] = await queries.disputes(session, status="opened")
        assert seen == await queries.dispute_of(session, family.lesson_ids[0])
        assert await queries.disputes(session, institution_id=uuid7()) == []
        assert await queries.disputes(session, after=(seen.opened_at, seen.id)) == []
        with pytest.raises(NotFound, match=r"lessons\.dispute_not_found"):
            await queries.dispute_of(session, family.lesson_ids[1])
    assert (seen.reason, seen.student_name_masked, seen.price_fen) == ("老师 迟到半小时", "王*明", LESSON_FEN)


@pytest.mark.parametrize("reason", ["", " \n ", "不" * 501, "没来\x00"])
async def test_a_dispute_needs_a_reason_that_can_be_kept(school: School, reason: str) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    with pytest.raises(BadInput, match=r"reason\.invalid"):
        await school.dispute(family, 1, reason)
    assert (await school.states(family))[0] == "delivered"


async def test_not_twice_and_not_before_it_took_place(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.dispute(family, 1)
    with pytest.raises(Conflict, match=r"lessons\.already_disputed"):
        await school.dispute(family, 1)
    await school.deliver(2)
    for number in (2, 3):
        with pytest.raises(Conflict, match=r"lessons\.not_delivered"):
            await school.dispute(family, number)


async def test_not_by_a_stranger(school: School) -> None:
    family, stranger = await school.enrol(), await school.enrol()
    await school.deliver(1, family)
    for lesson_id in (family.lesson_ids[0], uuid7()):
        with pytest.raises(NotFound, match=r"lessons\.not_found"):
            async with school.world.district.transaction() as session:
                await lessons.dispute(session, stranger.parent, lesson_id, "不是我的")


async def test_a_confirmation_is_final_where_no_waiting_time_is_set(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.confirm(family, 1)
    with pytest.raises(Conflict, match=r"lessons\.final"):
        await school.dispute(family, 1)
    assert (await school.totals())["payable"] == LESSON_FEN


async def test_a_confirmation_and_a_dispute_at_once_end_one_way(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    confirmed, disputed = await asyncio.gather(school.confirm(family, 1), school.dispute(family, 1), return_exceptions=True)
    if confirmed == [("confirmed", LESSON_FEN)]:
        assert isinstance(disputed, Conflict)
        assert (await school.states(family))[0] == "confirmed"
    else:
        assert confirmed == [("disputed", 0)]
        assert (await school.states(family))[0] == "disputed"


async def test_a_confirmation_can_be_taken_back_until_it_is_final(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    school = await found_school(world, lesson_count=1)
    family = await school.enrol()
    await school.deliver(1, family)
    with final_after(monkeypatch, hours=24):
        await school.confirm(family, 1)
        assert await school.contract_status(family) == "closed"
        await world.wait(timedelta(hours=23))
        async with world.district.transaction() as session:
            assert await settlement.run(session, school.institution.id, clock.today(), 1, "system") is None
        await school.dispute(family, 1)
    assert await school.states(family) == ["disputed"]
    assert await school.contract_status(family) == "paid"
    assert await school.totals() == {"cash": 100_00, "escrow": 100_00}
    await rule(school, family, 1, "release")
    assert await school.totals() == {"cash": 100_00, "payable": 100_00}
    assert await school.contract_status(family) == "closed"


async def test_a_confirmation_cannot_be_taken_back_once_it_is_final(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    with final_after(monkeypatch, hours=24):
        await school.confirm(family, 1)
        await school.world.wait(timedelta(hours=24))
        with pytest.raises(Conflict, match=r"lessons\.final"):
            await school.dispute(family, 1)
    assert (await school.totals())["payable"] == LESSON_FEN


async def test_a_ruling_releases_and_names_itself_as_the_cause(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.dispute(family, 1)
    await rule(school, family, 1, "release")
    async with school.world.district.reading() as session:
        release = (await session.scalars(select(Release))).one()
        seen = await queries.dispute_of(session, family.lesson_ids[0])
    assert (release.confirmed_by, release.dispute_id) == (None, seen.id)
    assert (seen.status, seen.ruling, seen.ruling_reason, seen.ruled_at) == ("ruled", "release", "已核实监控", clock.now())
    assert (await school.states(family))[0] == "confirmed"
    assert await school.confirm(family, 1) == [("already_confirmed", 0)]


async def test_only_what_is_disputed_can_be_ruled_on_and_only_once(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    with pytest.raises(Conflict, match=r"lessons\.not_disputed"):
        await rule(school, family, 1, "release")
    await school.dispute(family, 1)
    with pytest.raises(BadInput, match=r"reason\.invalid"):
        await rule(school, family, 1, "release", " ")
    results = await asyncio.gather(*(rule(school, family, 1, "release") for _ in range(4)), return_exceptions=True)
    assert sorted(result.code if isinstance(result, DomainError) else "ruled" for result in results) == [
        "lessons.not_disputed",
        "lessons.not_disputed",
        "lessons.not_disputed",
        "ruled",
    ]
    with pytest.raises(NotFound, match=r"lessons\.not_found"):
        async with school.world.district.transaction() as session:
            await lessons.rule_on(session, school.world.officer(), uuid7(), "release", "没有")
