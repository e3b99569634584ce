"""A free place in one class session: booked, called off, attended, rated; never money."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from app.errors import BadInput, Conflict, DomainError, NotFound, Refused
from app.lessons import trial_queries, trials
from app.lessons.models import Trial
from app.registry import families
from app.registry.class_sessions import cancel_session
from app.registry.courses import course_of
from app.registry.models import Institution, Student
from app.security import Parent
from tests.school import School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def family(world: World) -> tuple[Parent, Student]:
    parent = await world.parent()
    return parent, await world.child(parent)


async def book(school: School, who: tuple[Parent, Student], number: int = 1) -> Trial:
    """Book the class session of this number."""
    return await book_session(school.world, who, school.sessions[number - 1].id)


async def book_session(world: World, who: tuple[Parent, Student], class_session_id: UUID) -> Trial:
    async with world.district.transaction() as session:
        return await trials.book(session, who[0], class_session_id, who[1].id)


async def call_off(world: World, parent: Parent, trial: Trial) -> Trial:
    async with world.district.transaction() as session:
        return await trials.cancel(session, parent, trial.id)


async def mark(school: School, number: int, *attended: Trial) -> dict[UUID, str]:
    async with school.world.district.transaction() as session:
        marked = await trials.mark(session, school.staff, school.sessions[number - 1].id, [trial.id for trial in attended])
        return {trial.id: trial.status for trial in marked}


async def rate(world: World, parent: Parent, trial: Trial, rating: int = 5, comment: str = "老师很耐心") -> Trial:
    async with world.district.transaction() as session:
        return await trials.rate(session, parent, trial.id, rating, comment)


async def refused(act: Awaitable[object]) -> tuple[type[DomainError], str]:
    with pytest.raises(DomainError) as refusal:
        await act
    return type(refusal.value), refusal.value.code


async def test_from_booking_to_feedback(school: School) -> None:
    world, who = school.world, await family(school.world)
    trial = await book(school, who)
    assert (await book(school, who)).id == trial.id, "again changes nothing"
    absent = await book(school, await family(world))
    await school.end_of(1)
    assert await mark(school, 1, trial) == {trial.id: "attended", absent.id: "absent"}
    await rate(world, who[0], trial, 4, "  老师很\n耐心 ")
    async with world.district.reading() as session:
        (seen,) = await trial_queries.trials_of_guardian(session, who[0].guardian_id)
        assert (seen.status, seen.rating, seen.comment, seen.student_name_masked) == ("attended", 4, "老师很 耐心", "王*明")
        assert await trial_queries.feedback_of_institution(session, school.institution.id) == [seen]
    assert await school.totals() == {}


async def test_one_trial_for_each_child_and_class(school: School) -> None:
    who = await family(school.world)
    await book(school, who)
    assert await refused(book(school, who, 2)) == (Conflict, "lessons.trial_known")
    sibling = await school.world.child(who[0], "王小红")
    assert (await book(school, (who[0], sibling), 2)).status == "booked"
    await school.end_of(1)
    await mark(school, 1)
    assert await refused(book(school, who, 3)) == (Conflict, "lessons.trial_known"), "also for who did not come"


async def test_a_trial_is_called_off_before_it_starts(school: School) -> None:
    world, who = school.world, await family(school.world)
    trial = await book(school, who)
    for _ in range(2):
        assert (await call_off(world, who[0], trial)).status == "cancelled"
    again = await book(school, who, 2)
    await world.wait_until(school.sessions[1].starts_at)
    assert await refused(call_off(world, who[0], again)) == (Conflict, "lessons.trial_started")


async def test_booking_and_calling_off_ends_somewhere(school: School) -> None:
    who = await family(school.world)
    for _ in range(trials.MOST_CANCELLED):
        await call_off(school.world, who[0], await book(school, who))
    assert await refused(book(school, who)) == (Refused, "lessons.trial_often")


async def test_guests_and_pupils_together_fill_the_seats(world: World) -> None:
    small = await found_school(world, seats=2)
    pupil = await small.sign()
    guest = await family(world)
    await book(small, guest)
    assert await refused(book(small, await family(world))) == (Refused, "lessons.trial_full")
    assert (await book(small, await family(world), 2)).status == "booked"
    assert await refused(book(small, (pupil.parent, pupil.student), 3)) == (Conflict, "lessons.trial_enrolled")
    async with world.district.reading() as session:
        assert [each.number for each in await trial_queries.open_sessions(session, small.training_class.id)] == [3, 4]
    await small.sign(*guest)
    assert await refused(book(small, await family(world), 3)) == (Refused, "lessons.trial_full")


async def test_two_who_want_the_last_place_do_not_both_get_it(world: World) -> None:
    single = await found_school(world, seats=1)
    wishes = [book(single, await family(world)) for _ in range(4)]
    results = await asyncio.gather(*wishes, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Refused", "Refused", "Refused", "Trial"]


@pytest.mark.parametrize("wait", [timedelta(hours=1), timedelta(days=1)])
async def test_only_what_is_to_come_can_be_booked(school: School, wait: timedelta) -> None:
    who = await family(school.world)
    await school.world.wait(wait)
    assert await refused(book(school, who)) == (Refused, "lessons.trial_time")


async def test_not_months_ahead(world: World) -> None:
    institution = await world.institution()
    distant = await world.training_class(institution, starts_in=trials.AHEAD + timedelta(hours=2))
    async with world.district.reading() as session:
        assert await trial_queries.open_sessions(session, distant.id) == []
        school = School(world, institution, distant, (await course_of(session, distant.id)).sessions)
    assert await refused(book(school, await family(world))) == (Refused, "lessons.trial_time")


async def test_a_cancelled_class_session_makes_way_for_another_trial(school: School) -> None:
    who = await family(school.world)
    first = await book(school, who)
    async with school.world.district.transaction() as session:
        await cancel_session(session, school.staff, school.sessions[0].id, "老师生病")
    assert await refused(book(school, await family(school.world))) == (Refused, "lessons.trial_time")
    second = await book(school, who, 2)
    assert second.id != first.id
    await school.end_of(2)
    assert await mark(school, 2, second) == {second.id: "attended"}


async def test_a_family_that_books_everything_is_stopped(world: World) -> None:
    who = await family(world)
    for _ in range(trials.MOST_WAITING):
        await book(await found_school(world), who)
    assert await refused(book(await found_school(world), who)) == (Refused, "lessons.trial_many")


async def test_a_paused_class_takes_no_guests(school: School) -> None:
    async with school.world.district.transaction() as session:
        (await session.get_one(Institution, school.institution.id)).status = "suspended"
    assert await refused(book(school, await family(school.world))) == (Refused, "registry.class_not_open")


async def test_a_childs_data_needs_consent_here_too(school: School) -> None:
    parent, child = await family(school.world)
    async with school.world.district.transaction() as session:
        await families.withdraw_consent(session, parent, child.id)
    assert await refused(book(school, (parent, child))) == (Refused, "registry.consent_needed")


async def test_others_trials_do_not_exist(school: School) -> None:
    world, who, (stranger, child) = school.world, await family(school.world), await family(school.world)
    trial = await book(school, who)
    missing = (NotFound, "lessons.trial_not_found")
    assert await refused(call_off(world, stranger, trial)) == missing
    assert await refused(rate(world, stranger, trial)) == missing
    assert await refused(book(school, (stranger, who[1]))) == (NotFound, "registry.student_not_found")
    assert await refused(book_session(world, (stranger, child), uuid4())) == (NotFound, "registry.class_session_not_found")
    elsewhere = School(world, await world.institution(), school.training_class, school.sessions)
    await school.end_of(1)
    assert await refused(mark(elsewhere, 1, trial)) == (NotFound, "registry.class_session_not_found")


async def test_attendance_is_entered_once_after_the_lesson(school: School) -> None:
    world = school.world
    trial, other = await book(school, await family(world)), await book(school, await family(world), 2)
    assert await refused(mark(school, 1, trial)) == (Refused, "lessons.too_early")
    await school.end_of(1)
    assert await refused(mark(school, 1, other)) == (Refused, "lessons.trial_not_booked")
    await mark(school, 1, trial)
    assert await refused(mark(school, 1, trial)) == (Refused, "lessons.trial_not_booked")
    assert await mark(school, 1) == {}


@pytest.mark.parametrize(
    ("stars", "comment", "code"),
    [(0, "", "lessons.rating_invalid"), (6, "", "lessons.rating_invalid"), (5, "好" * 201, "registry.comment_invalid")],
)
async def test_feedback_has_limits(school: School, stars: int, comment: str, code: str) -> None:
    who = await family(school.world)
    trial = await book(school, who)
    assert await refused(rate(school.world, who[0], trial, stars, comment)) == (BadInput, code)


async def test_feedback_comes_once_and_after_the_lesson(school: School) -> None:
    world, who = school.world, await family(school.world)
    trial = await book(school, who)
    assert await refused(rate(world, who[0], trial)) == (Conflict, "lessons.trial_not_attended")
    await school.end_of(1)
    await mark(school, 1, trial)
    assert (await rate(world, who[0], trial, 3, "")).comment == ""
    assert await refused(rate(world, who[0], trial)) == (Conflict, "lessons.trial_rated")
