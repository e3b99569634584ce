"""Class sessions are moved, staffed anew, cancelled and made up for, and the lessons that were paid for them go along."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.contracts import queries as contracts
from app.contracts.rescheduling import changes_for_guardian
from app.db import District
from app.errors import BadInput, Conflict, DomainError, NotFound, Refused
from app.lessons import service as lessons
from app.refunds import service as refunds
from app.registry.clashes import Meeting
from app.registry.models import ClassSession, TrainingClass
from app.registry.session_changes import changes_of_class
from app.security import Parent
from tests.registry.office import MONDAY, Office, at, found_office
from tests.world import World

THURSDAY = MONDAY + timedelta(days=3)
FRIDAY = MONDAY + timedelta(days=4)


@pytest.fixture
async def office(world: World) -> Office:
    return await found_office(world)


async def read_by(world: World, parent: Parent) -> list[tuple[int, str, str]]:
    """What a family reads of changes, newest first."""
    async with world.district.reading() as session:
        return [(change.number, change.kind, change.reason) for change in await changes_for_guardian(session, parent.guardian_id)]


async def code_of(act: object) -> str:
    with pytest.raises(DomainError) as refusal:
        await act  # type: ignore[misc]
    return refusal.value.code


async def test_a_lesson_goes_with_its_class_session_and_is_paid_out_where_it_went(office: Office, world: World, district: District) -> None:
    course = await office.open()
    parent = await world.parent()
    contract = await world.sign(parent, course.training_class)
    await world.pay(parent, contract)
    await world.wait(timedelta(minutes=1))
    moved = await office.move(course.sessions[0], THURSDAY)
    assert (moved.id, moved.number) == (course.sessions[0].id, 1)
    first, second = await world.lessons_of(contract)
    assert (first.class_session_id, first.price_fen, first.status) == (moved.id, 10_000, "scheduled")
    assert await read_by(world, parent) == [(1, "changed", "场馆检修")]
    async with district.reading() as session:
        filed = await session.get_one(TrainingClass, course.training_class.id)
        assert (filed.starts_on, filed.ends_on) == (MONDAY + timedelta(days=1), THURSDAY)
        [told] = await changes_of_class(session, filed.id)
        assert told.after is not None
        assert (told.before.starts_at, told.after.starts_at) == (at(MONDAY, "10:00", "11:00")[0], at(THURSDAY, "10:00", "11:00")[0])

    await world.deliver(office.institution, second)
    with pytest.raises(Refused) as early:
        async with district.transaction() as session:
            await lessons.deliver(session, office.staff, moved.id, [first.student_id])
    assert early.value.code == "lessons.too_early"
    await world.deliver(office.institution, first)
    await world.confirm(parent, first, second)
    assert await world.totals(office.institution) == {"cash": 20_000, "payable": 20_000}


async def test_a_delivered_class_session_stays_where_it_was(office: Office, world: World, district: District) -> None:
    course = await office.open()
    row = course.sessions[0]
    await world.wait_until(row.ends_at)
    async with district.transaction() as session:
        await lessons.deliver(session, office.staff, row.id, [])
    for act in (office.move(row, FRIDAY), office.cancel(row), office.make_up(row, FRIDAY)):
        assert await code_of(act) == "registry.session_delivered"


async def test_a_cancelled_one_waits_for_its_replacement(office: Office, world: World, district: District) -> None:
    course = await office.open()
    row, parent = course.sessions[0], await world.parent()
    contract = await world.sign(parent, course.training_class)
    await world.pay(parent, contract)
    await world.wait(timedelta(minutes=1))
    await office.cancel(row)
    assert await code_of(office.cancel(row)) == "registry.session_cancelled"
    assert await code_of(office.move(row, FRIDAY)) == "registry.session_cancelled"
    await world.wait_until(row.ends_at)
    with pytest.raises(Conflict) as refusal:
        async with district.transaction() as session:
            await lessons.deliver(session, office.staff, row.id, [])
    assert refusal.value.code == "lessons.session_cancelled"
    async with district.reading() as session:
        [view] = await contracts.lessons_of_guardian(session, parent.guardian_id, ["scheduled"], limit=1)
        assert view.session_status == "cancelled"

    made_up = await office.make_up(row, FRIDAY)
    assert (made_up.id, made_up.status) == (row.id, "scheduled")
    assert await code_of(office.make_up(row, FRIDAY)) == "registry.session_not_cancelled"
    assert sorted(await read_by(world, parent)) == [(1, "cancelled", "教师生病"), (1, "replaced", "教师已痊愈")]
    [first, _] = await world.lessons_of(contract)
    await world.deliver(office.institution, first)
    await world.confirm(parent, first)
    assert await world.totals(office.institution) == {"cash": 20_000, "escrow": 10_000, "payable": 10_000}


async def test_the_fee_of_a_cancelled_one_can_be_had_back(office: Office, world: World, district: District) -> None:
    course = await office.open()
    parent = await world.parent()
    contract = await world.sign(parent, course.training_class)
    await world.pay(parent, contract)
    await office.cancel(course.sessions[0])
    async with district.transaction() as session:
        [refund] = await refunds.request(session, parent, contract.id, "不想等补课")
    assert refund.amount_fen == 20_000
    assert await read_by(world, parent) == []


async def test_the_time_of_a_cancelled_one_is_free(office: Office) -> None:
    course = await office.open()
    await office.cancel(course.sessions[0])
    await office.file(sessions=[at(MONDAY, "10:00", "11:00")])
    assert await code_of(office.make_up(course.sessions[0], MONDAY)) == "registry.teacher_taken"


async def test_who_joins_buys_what_will_take_place_in_the_order_of_time(office: Office, world: World, district: District) -> None:
    """Three lessons for 100.00 yuan: 33.34, 33.33 and 33.33, wherever each is moved."""
    course = await office.open(price_fen=10_000, sessions=[at(MONDAY + timedelta(days=n), "10:00", "11:00") for n in range(3)])
    await office.move(course.sessions[0], FRIDAY)
    await office.cancel(course.sessions[1])
    async with district.reading() as session:
        offer = await contracts.offer(session, course.training_class.id)
    assert [(lesson.number, lesson.price_fen) for lesson in offer.lessons] == [(3, 3333), (1, 3334)]
    assert (offer.amount_fen, offer.view.lessons_left) == (6667, 2)
    parent = await world.parent()
    contract = await world.sign(parent, course.training_class)
    assert contract.amount_fen == 6667
    await world.wait(timedelta(minutes=1))
    await office.make_up(course.sessions[1], THURSDAY)
    assert await read_by(world, parent) == [], "it has no place in that one"
    await office.move(course.sessions[2], THURSDAY, "15:00", "16:00")
    assert await read_by(world, parent) == [(3, "changed", "场馆检修")]
    late = await world.parent()
    assert (await world.sign(late, course.training_class)).amount_fen == 10_000
    assert await read_by(world, late) == [], "the change was before it joined"


async def test_rules_and_clashes_hold_for_a_move_as_for_a_filing(office: Office, world: World) -> None:
    course = await office.open(room="201")
    row = course.sessions[0]
    busy = await office.hire("张老师")
    await office.file(teacher_id=busy.id, room="礼堂", sessions=[at(FRIDAY, "10:00", "11:00")])
    friday = at(FRIDAY, "10:00", "11:00")
    tuesday = at(MONDAY + timedelta(days=1), "10:30", "11:30")
    for planned, code in (
        (Meeting(*at(FRIDAY, "19:31", "20:31"), office.teacher.id), "registry.rule"),
        (Meeting(*at(MONDAY + timedelta(days=120), "10:00", "11:00"), office.teacher.id), "registry.rule"),
        (Meeting(*friday, busy.id), "registry.teacher_taken"),
        (Meeting(*friday, office.teacher.id, office.campus_id, "礼堂"), "registry.room_taken"),
        (Meeting(*tuesday, busy.id), "registry.class_taken"),
        (Meeting(*tuesday, office.teacher.id), "registry.class_taken"),
        (Meeting(*friday, uuid4()), "registry.teacher_not_found"),
        (Meeting(*friday, office.teacher.id, campus_id=uuid4()), "registry.campus_not_found"),
        (Meeting(*friday[::-1], office.teacher.id), "registry.sessions_invalid"),
        (Meeting(*at(MONDAY - timedelta(days=7), "10:00", "11:00"), office.teacher.id), "registry.sessions_invalid"),
        (Meeting(row.starts_at, row.ends_at, office.teacher.id, office.campus_id, "201"), "registry.session_unchanged"),
    ):
        assert await code_of(office.change(row, planned)) == code, planned
    await office.move(row, FRIDAY, "13:00", "14:00")
    with pytest.raises(BadInput) as unreasoned:
        await office.change(row, Meeting(*friday, office.teacher.id), reason=" ")
    assert unreasoned.value.facts["field"] == "reason"
    [now, _] = await office.sessions(course.training_class.id)
    assert (now.starts_at, now.room) == (at(FRIDAY, "13:00", "14:00")[0], "201")


async def test_an_online_lesson_keeps_its_break_after_a_move(office: Office) -> None:
    course = await office.open(mode="online", sessions=[at(MONDAY, "19:00", "19:30"), at(THURSDAY, "19:00", "19:30")])
    assert await code_of(office.move(course.sessions[1], MONDAY, "19:35", "20:05")) == "registry.rule"
    await office.move(course.sessions[1], MONDAY, "19:40", "20:10")


async def test_a_school_subject_is_not_moved_to_a_weekend(world: World) -> None:
    office = await found_office(world, "subject", "middle")
    course = await office.open()
    assert await code_of(office.move(course.sessions[0], MONDAY + timedelta(days=5))) == "registry.rule"
    await office.move(course.sessions[0], FRIDAY)


async def test_a_substitute_teaches_where_the_certificate_covers_it(world: World) -> None:
    office = await found_office(world, "subject", "middle")
    course = await office.open()
    row = course.sessions[0]
    here = row.starts_at, row.ends_at
    stranger, colleague = await office.hire("何老师", "英语"), await office.hire("周老师")
    assert await code_of(office.change(row, Meeting(*here, stranger.id))) == "registry.rule"
    await office.change(row, Meeting(*here, colleague.id), "李老师生病")
    async with world.district.reading() as session:
        [told] = await changes_of_class(session, course.training_class.id)
    assert told.after is not None
    assert (told.before.teacher_name, told.after.teacher_name) == ("李老师", "周老师")
    await office.file(sessions=[at(MONDAY, "10:00", "11:00")])


async def test_another_institutions_class_session_is_not_there(office: Office, world: World) -> None:
    course, neighbour = await office.open(), await found_office(world)
    for row in (course.sessions[0], ClassSession(id=uuid4())):
        with pytest.raises(NotFound) as refusal:
            await neighbour.cancel(row)
        assert refusal.value.code == "registry.class_session_not_found"


async def test_two_moves_to_one_slot_at_once_end_with_one(office: Office) -> None:
    course = await office.open(sessions=[at(MONDAY + timedelta(days=n), "10:00", "11:00") for n in range(3)])
    outcomes = await asyncio.gather(*(office.move(row, FRIDAY) for row in course.sessions), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ClassSession", "Conflict", "Conflict"]


async def test_a_class_session_is_either_moved_or_delivered(office: Office, world: World, district: District) -> None:
    """Both at once, for several: a delivered one never lies ahead."""

    async def deliver(row: ClassSession) -> None:
        async with district.transaction() as session:
            await lessons.deliver(session, office.staff, row.id, [])

    hours = [(f"{hour}:00", f"{hour}:30") for hour in range(10, 18)]
    courses = [await office.open(sessions=[at(MONDAY, *hour)]) for hour in hours]
    rows = [course.sessions[0] for course in courses]
    await world.wait_until(at(MONDAY, "18:00", "19:00")[0])
    pairs = [(deliver(row), office.move(row, FRIDAY, *hour)) for row, hour in zip(rows, hours, strict=True)]
    outcomes = await asyncio.gather(*(act for pair in pairs for act in pair), return_exceptions=True)
    assert sum(isinstance(outcome, DomainError) for outcome in outcomes) == len(rows), outcomes
    for course, row in zip(courses, rows, strict=True):
        [now] = await office.sessions(course.training_class.id)
        assert (now.status == "delivered") == (now.ends_at == row.ends_at)


async def test_a_filed_class_can_be_changed_before_it_is_decided_and_a_refused_one_not(office: Office) -> None:
    course = await office.file()
    await office.move(course.sessions[0], FRIDAY)
    await office.refuse(course)
    assert await code_of(office.move(course.sessions[0], THURSDAY)) == "registry.class_refused"


async def test_a_change_is_never_rewritten(office: Office, owner: District) -> None:
    course = await office.open()
    await office.cancel(course.sessions[0])
    for sql in ("UPDATE class_session_change SET reason = ''", "DELETE FROM class_session_change", "TRUNCATE class_session_change"):
        with pytest.raises(DBAPIError):
            async with owner.transaction() as session:
                await session.execute(text(sql))
