"""A child's lessons of all institutions and its trials in one timetable, and the secret address of it."""

from datetime import datetime, timedelta

import pytest

from app import clock
from app.errors import NotFound
from app.lessons import timetable, trials
from app.lessons.timetable import Entry
from app.privacy.leaving import leave_child
from app.registry.class_sessions import cancel_session
from app.registry.models import Student
from app.security import Parent
from tests.school import Family, School, found_school
from tests.world import World

WEEK = timedelta(days=7)


async def entries(world: World, child: Student, since: datetime | None = None, until: datetime | None = None) -> list[Entry]:
    begins = since or clock.now()
    async with world.district.reading() as session:
        return await timetable.entries(session, [child.id], begins, until or begins + WEEK)


async def open_feed(school: School, family: Family) -> str:
    async with school.world.district.transaction() as session:
        return await timetable.open_feed(session, family.parent, family.student.id)


async def read(world: World, token: str) -> list[Entry]:
    async with world.district.reading() as session:
        return await timetable.feed(session, token)


async def leads_nowhere(world: World, token: str) -> bool:
    with pytest.raises(NotFound, match=r"lessons\.feed_not_found"):
        await read(world, token)
    return True


async def test_lessons_of_all_institutions_and_trials_stand_in_order(world: World) -> None:
    one, other, third = await found_school(world, 2), await found_school(world, 3), await found_school(world)
    family = await one.enrol()
    await other.enrol(family.parent, family.student)
    async with world.district.transaction() as session:
        trial = await trials.book(session, family.parent, third.sessions[0].id, family.student.id)
    found = await entries(world, family.student)
    assert sorted((each.starts_at, each.id) for each in found) == [(each.starts_at, each.id) for each in found]
    assert [each.kind for each in found].count("lesson") == 5
    assert [(each.id, each.contract_id, each.status) for each in found if each.kind == "trial"] == [(trial.id, None, "booked")]
    assert {each.institution_name for each in found} == {one.institution.name}
    tomorrow = await entries(world, family.student, one.sessions[1].starts_at, one.sessions[1].ends_at)
    assert [each.number for each in tomorrow] == [2, 2]


async def test_what_is_not_paid_or_given_back_is_not_in_it(world: World) -> None:
    school = await found_school(world)
    unpaid = await school.sign()
    assert await entries(world, unpaid.student) == []
    sibling = await world.child(unpaid.parent, "王小红")
    assert await entries(world, sibling) == []


async def test_a_cancelled_class_session_says_so_and_when(world: World) -> None:
    school = await found_school(world)
    family = await school.enrol()
    before = await entries(world, family.student)
    await world.wait(timedelta(minutes=5))
    async with world.district.transaction() as session:
        await cancel_session(session, school.staff, school.sessions[1].id, "老师生病")
    after = await entries(world, family.student)
    assert [each.cancelled for each in after] == [False, True, False, False]
    assert [each.changes for each in after] == [0, 1, 0, 0]
    assert after[1].changed_at == clock.now() > before[1].changed_at


async def test_the_address_of_a_timetable_is_secret_and_can_be_taken_back(world: World) -> None:
    school = await found_school(world)
    family = await school.enrol()
    token = await open_feed(school, family)
    assert token.startswith("510112.")
    assert [each.class_name for each in await read(world, token)] == ["创意美术"] * 4
    newer = await open_feed(school, family)
    assert await leads_nowhere(world, token)
    assert len(await read(world, newer)) == 4
    async with world.district.reading() as session:
        assert list(await timetable.feeds_of(session, family.parent.guardian_id)) == [family.student.id]
    async with world.district.transaction() as session:
        await timetable.end_feed(session, family.parent, family.student.id)
    assert await leads_nowhere(world, newer)
    async with world.district.reading() as session:
        assert await timetable.feeds_of(session, family.parent.guardian_id) == {}


async def test_each_guardian_has_an_address_of_their_own(world: World) -> None:
    school = await found_school(world)
    family = await school.enrol()
    other = await school.second_guardian(family)
    mine, theirs = await open_feed(school, family), await open_feed(school, Family(other, family.student, family.contract, []))
    assert len(await read(world, mine)) == len(await read(world, theirs)) == 4
    async with world.district.transaction() as session:
        await leave_child(session, other, family.student.id)
    assert await leads_nowhere(world, theirs)
    assert len(await read(world, mine)) == 4


async def test_a_strangers_child_has_no_address(world: World) -> None:
    school = await found_school(world)
    family = await school.sign()
    stranger: Parent = await world.parent()
    for act in (timetable.open_feed, timetable.end_feed):
        with pytest.raises(NotFound, match=r"registry\.student_not_found"):
            async with world.district.transaction() as session:
                await act(session, stranger, family.student.id)
    assert await leads_nowhere(world, "510112.nothing")
