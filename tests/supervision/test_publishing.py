"""What parents may know of an institution's money and reliability, counted now and then."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from app.banking import service as banking
from app.db import District
from app.refunds import service as refunds
from app.registry.class_sessions import cancel_session
from app.registry.models import ClassSession
from app.supervision import publishing
from app.supervision.models import PublishedFacts
from app.supervision.publishing import Facts, facts_of, publish
from tests.old_families import ask_back, old_family
from tests.school import LESSON_FEN, School, found_school
from tests.world import World


async def row_of(district: District, institution_id: UUID) -> PublishedFacts:
    async with district.reading() as session:
        return await session.get_one(PublishedFacts, institution_id)


async def told(district: District, institution_id: UUID) -> Facts:
    async with district.reading() as session:
        facts = await facts_of(session, institution_id)
    assert facts is not None
    return facts


async def recount(school: School) -> PublishedFacts:
    async with school.world.district.transaction() as session:
        await publishing.count(session, [school.institution.id])
    return await row_of(school.world.district, school.institution.id)


async def ask(world: World, school: School) -> None:
    """The bank tells its balance a minute later, and everything follows from it."""
    await world.wait(timedelta(minutes=1))
    async with world.district.transaction() as session:
        await banking.ask_balance(session, school.institution.id)
    await world.work()


async def test_new_institutions_are_counted_at_once_and_others_after_an_hour(world: World) -> None:
    entered = [await world.institution() for _ in range(publishing.BATCH + 1)]
    async with world.district.reading() as session:
        assert await facts_of(session, entered[0].id) is None
    assert [await publish(world.district) for _ in range(3)] == [publishing.BATCH, 1, 0]
    before = await told(world.district, entered[0].id)
    assert (before.coverage_bps, before.refunds, before.refund_median_hours) == (None, 0, None)
    assert (before.dispute_bps, before.rearranged_bps) == (None, None)
    await world.wait(publishing.RECOUNTED_AFTER)
    assert await publish(world.district) == publishing.BATCH
    assert (await told(world.district, entered[0].id)).counted_at > before.counted_at


async def test_coverage_is_what_the_bank_reported_against_untaught_lessons(world: World) -> None:
    school = await found_school(world)
    await school.enrol()
    row = await recount(school)
    assert (row.coverage_bps, row.coverage_at is not None) == (10_000, True)


async def test_coverage_is_told_anew_as_soon_as_money_is_missing_and_as_soon_as_it_is_back(world: World) -> None:
    school = await found_school(world)
    await school.enrol()
    account_no = (await world.account(school.institution)).account_no
    await world.work()
    whole = await row_of(world.district, school.institution.id)
    assert whole.coverage_bps == 10_000

    await world.bank.debit_uninstructed(account_no, LESSON_FEN)
    await ask(world, school)
    short = await row_of(world.district, school.institution.id)
    assert (short.coverage_bps, short.counted_at - whole.counted_at < publishing.RECOUNTED_AFTER) == (7_500, True)

    await world.bank.deposit_from_stranger(account_no, LESSON_FEN)
    await ask(world, school)
    back = await row_of(world.district, school.institution.id)
    assert (back.coverage_bps, back.counted_at - whole.counted_at < publishing.RECOUNTED_AFTER) == (10_000, True)


async def test_a_shortfall_is_counted_as_soon_as_it_stands_in_the_book(world: World) -> None:
    school = await found_school(world)
    await school.enrol()
    await world.work()
    assert await publish(world.district) == 0
    await world.wait(timedelta(minutes=1))
    await old_family(school)
    assert await publish(world.district) == 1
    assert (await row_of(world.district, school.institution.id)).coverage_bps == 5_000
    assert await publish(world.district) == 0


async def test_refunds_count_by_the_time_they_took(world: World) -> None:
    school = await found_school(world)
    first, second = await school.enrol(), await school.enrol()
    for family, wait in ((first, timedelta(hours=1)), (second, timedelta(hours=30))):
        async with world.district.transaction() as session:
            await refunds.request(session, family.parent, family.contract.id, "搬家")
        await world.wait(wait)
        await world.work()
    row = await recount(school)
    assert (row.refunds, row.refund_median_hours) == (2, 1)


async def test_refunds_that_are_not_paid_are_told_beside_the_median(world: World) -> None:
    school = await found_school(world)
    old, paid, agreed = await old_family(school), await school.enrol(), await school.enrol()
    await ask_back(school, old)
    async with world.district.transaction() as session:
        await refunds.request(session, paid.parent, paid.contract.id, "搬家")
    await world.work()
    async with world.district.transaction() as session:
        await refunds.request(session, agreed.parent, agreed.contract.id, "搬家")
    row = await recount(school)
    assert (row.refunds, row.refunds_unpaid) == (1, 2), "one waits for funds, one for the bank"
    await world.wait(publishing.WINDOW + timedelta(days=2))
    row = await recount(school)
    assert (row.refunds, row.refund_median_hours, row.refunds_unpaid) == (0, None, 2), "however old"


async def test_disputed_lessons_count_among_those_that_were_taught(world: World) -> None:
    school = await found_school(world)
    came, objected, absent = await school.enrol(), await school.enrol(), await school.enrol()
    await school.deliver(1, came, objected)
    await school.deliver(2, came, objected, absent)
    await school.confirm(came, 1)
    await school.dispute(objected, 2)
    row = await recount(school)
    assert (row.lessons, row.disputes, row.class_sessions) == (5, 1, 2)
    await world.wait(publishing.WINDOW + timedelta(days=2))
    row = await recount(school)
    assert (row.lessons, row.disputes, row.class_sessions) == (0, 0, 0)


async def test_called_off_and_moved_class_sessions_count_when_their_time_has_come(world: World) -> None:
    school = await found_school(world)
    async with world.district.transaction() as session:
        await cancel_session(session, school.staff, school.sessions[0].id, "老师生病")
    row = await recount(school)
    assert (row.class_sessions, row.cancelled, row.moved) == (0, 0, 0)
    await world.wait(timedelta(days=1))
    row = await recount(school)
    assert (row.class_sessions, row.cancelled, row.moved) == (1, 1, 0)


@pytest.mark.parametrize(("sessions", "rate"), [(19, None), (20, 500)])
async def test_a_rate_is_told_of_enough_cases_only(world: World, sessions: int, rate: int | None) -> None:
    school = await found_school(world, sessions)
    async with world.district.transaction() as session:
        last = ClassSession.class_id == school.training_class.id, ClassSession.number == 1
        await session.execute(update(ClassSession).where(*last).values(status="cancelled"))
    await world.wait(timedelta(days=sessions))
    await recount(school)
    facts = await told(world.district, school.institution.id)
    assert (facts.rearranged_bps, facts.dispute_bps) == (rate, None)
