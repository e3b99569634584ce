"""A class session is over: who was there, who was not, and who may say so."""

import asyncio

import pytest
from sqlalchemy import select

from app.banking.collections import ask_collection
from app.errors import Conflict, NotFound, Refused
from app.ids import uuid7
from app.lessons import service as lessons
from app.lessons.delivering import Delivery, deliver_all
from app.payments import jobs as payment_jobs
from app.registry.models import ClassSession
from tests.school import Family, School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def pay_unmatched(school: School, family: Family) -> None:
    """The money has arrived, and nobody has decided yet what it is."""
    payment = await school.world.order(family.parent, family.contract)
    await school.world.bank.pay(payment.payment_no)
    await ask_collection(school.world.district, school.world.banks, payment.payment_no)


async def test_those_who_came_are_delivered_and_those_who_did_not_are_missed(school: School) -> None:
    came, absent, unpaid = await school.enrol(), await school.enrol(), await school.sign()
    await school.deliver(1, came)
    assert await school.states(came) == ["delivered", "scheduled", "scheduled", "scheduled"]
    assert await school.states(absent) == ["missed", "scheduled", "scheduled", "scheduled"]
    assert await school.states(unpaid) == ["reserved"] * 4
    assert await school.totals() == {"cash": 800_00, "escrow": 800_00}


async def test_perhaps_nobody_came(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1)
    assert (await school.states(family))[0] == "missed"


async def test_the_paid_lessons_are_answered(school: School) -> None:
    came, absent, _ = await school.enrol(), await school.enrol(), await school.sign()
    await school.end_of(1)
    async with school.world.district.transaction() as session:
        marked = await lessons.deliver(session, school.staff, school.sessions[0].id, [came.student.id])
    assert {(lesson.student_id, lesson.status) for lesson in marked} == {(came.student.id, "delivered"), (absent.student.id, "missed")}


async def test_never_before_its_end(school: School) -> None:
    family = await school.enrol()
    await school.world.wait_until(school.sessions[0].starts_at)
    with pytest.raises(Refused, match=r"lessons\.too_early"):
        await school.enter(1, family)
    assert (await school.states(family))[0] == "scheduled"


async def test_once_only(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    with pytest.raises(Conflict, match=r"lessons\.already_delivered"):
        await school.enter(1)
    assert (await school.states(family))[0] == "delivered"


async def test_five_at_once_count_once(school: School) -> None:
    family = await school.enrol()
    await school.end_of(1)
    results = await asyncio.gather(*(school.enter(1, family) for _ in range(5)), return_exceptions=True)
    assert sorted(getattr(result, "code", "done") for result in results) == ["done"] + ["lessons.already_delivered"] * 4


async def test_only_by_the_institution_that_teaches_it(school: School) -> None:
    other = await found_school(school.world)
    await school.end_of(1)
    for class_session_id in (school.sessions[0].id, uuid7()):
        with pytest.raises(NotFound, match=r"lessons\.session_not_found"):
            async with school.world.district.transaction() as session:
                await lessons.deliver(session, other.staff, class_session_id, [])


async def test_somebody_without_a_paid_lesson_cannot_have_attended(school: School) -> None:
    family, unpaid = await school.enrol(), await school.sign()
    await school.end_of(1)
    for stranger in (unpaid.student.id, uuid7()):
        with pytest.raises(Refused, match=r"lessons\.not_paid") as refusal:
            async with school.world.district.transaction() as session:
                await lessons.deliver(session, school.staff, school.sessions[0].id, [family.student.id, stranger])
        assert refusal.value.facts == {"count": 1}
    assert (await school.states(family))[0] == "scheduled"


async def test_what_is_matched_after_the_delivery_was_missed(school: School) -> None:
    family = await school.sign()
    await pay_unmatched(school, family)
    await school.deliver(1)
    await payment_jobs.match_receipts(school.world.district)
    assert await school.states(family) == ["missed", "scheduled", "scheduled", "scheduled"]


async def test_a_delivery_and_a_match_at_once_see_each_other(school: School) -> None:
    families = [await school.sign() for _ in range(4)]
    for family in families:
        await pay_unmatched(school, family)
    await school.end_of(1)
    await asyncio.gather(school.enter(1), payment_jobs.match_receipts(school.world.district))
    assert [(await school.states(family))[0] for family in families] == ["missed"] * 4


async def test_a_whole_day_is_marked_at_once_or_not_at_all(school: School) -> None:
    came, absent, unpaid = await school.enrol(), await school.enrol(), await school.sign()
    await school.end_of(2)
    first, second = (Delivery(school.staff, held.id, [came.student.id]) for held in school.sessions[:2])
    stranger = Delivery(school.staff, school.sessions[1].id, [unpaid.student.id])
    with pytest.raises(Refused, match=r"lessons\.not_paid"):
        async with school.world.district.transaction() as session:
            await deliver_all(session, [first, stranger])
    assert (await school.states(came))[:2] == ["scheduled", "scheduled"]
    async with school.world.district.transaction() as session:
        assert await deliver_all(session, [first, second]) == 4
    async with school.world.district.reading() as session:
        held = await session.scalars(select(ClassSession.attended).where(ClassSession.delivered_at.is_not(None)))
        assert held.all() == [1, 1]
    assert (await school.states(came))[:3] == ["delivered", "delivered", "scheduled"]
    assert (await school.states(absent))[:3] == ["missed", "missed", "scheduled"]
    assert await school.states(unpaid) == ["reserved"] * 4
    with pytest.raises(Conflict, match=r"lessons\.already_delivered"):
        async with school.world.district.transaction() as session:
            await deliver_all(session, [second])
