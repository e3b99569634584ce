"""A child's guardians stand side by side: what one signed the other follows, pays, confirms and asks back."""

from collections.abc import Awaitable

import pytest

from app.contracts import queries, service
from app.contracts.home import home_of
from app.db import District
from app.errors import DomainError, NotFound
from app.lessons import service as lessons
from app.payments import queries as payment_views
from app.payments import service as payments
from app.privacy import leaving
from app.refunds import queries as refund_views
from app.refunds import service as refunds
from app.security import Parent
from tests.school import Family, School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


@pytest.fixture
async def family(school: School) -> Family:
    """Signed by the first guardian, not paid."""
    return await school.sign()


@pytest.fixture
async def other(school: School, family: Family) -> Parent:
    """The second guardian."""
    return await school.second_guardian(family)


async def refused(act: Awaitable[object]) -> str:
    with pytest.raises(DomainError) as refusal:
        await act
    return refusal.value.code


async def test_the_other_guardian_pays_confirms_disputes_and_asks_back(
    world: World, district: District, school: School, family: Family, other: Parent
) -> None:
    payment = await world.pay(other, family.contract)
    await school.deliver(1, family)
    await school.deliver(2, family)
    async with district.transaction() as session:
        [outcome] = await lessons.confirm(session, other, family.lesson_ids[:1])
        await lessons.dispute(session, other, family.lesson_ids[1], "孩子没有上课")
    assert outcome.outcome == "confirmed"
    async with district.transaction() as session:
        [refund] = await refunds.request(session, other, family.contract.id, "搬家")
    held = await home_of(district, other.guardian_id)
    assert (held.escrow_fen, held.to_confirm, held.due) == (10_000, 0, False)
    async with district.reading() as session:
        assert [each.id for each in await queries.contracts_of_guardian(session, other.guardian_id)] == [family.contract.id]
        assert len(await queries.lessons_of_guardian(session, other.guardian_id)) == 4
        assert [each.id for each in await payment_views.payments_of_guardian(session, other.guardian_id)] == [payment.id]
        assert [each.refund_no for each in await refund_views.refunds_of_guardian(session, other.guardian_id)] == [refund.refund_no]
        assert (await queries.live_contract_of(session, other.guardian_id, family.contract.class_id, family.student.id)) is not None
        assert [each.id for each in await queries.classes_for_renewal(session, other.guardian_id)] == [school.training_class.id]
        assert (await refund_views.offer(session, other.guardian_id, family.contract.id)).lessons == []
    assert await school.totals() == {"cash": 40_000, "escrow": 10_000, "payable": 10_000, "outgoing": 20_000}


async def test_a_strangers_reach_ends_at_the_door(world: World, district: District, family: Family) -> None:
    stranger = await world.parent()
    async with district.transaction() as session:
        assert await refused(payments.start(session, stranger, family.contract.id)) == "contracts.not_found"
        assert await refused(service.own_contract(session, stranger, family.contract.id)) == "contracts.not_found"
        assert await refused(refunds.request(session, stranger, family.contract.id, "搬家")) == "contracts.not_found"
        assert await refused(queries.contract_of_guardian(session, stranger.guardian_id, family.contract.id)) == "contracts.not_found"
        assert await refused(queries.lesson_of_guardian(session, stranger.guardian_id, family.lesson_ids[0])) == "lessons.not_found"


async def test_who_signed_and_left_keeps_their_contract_and_loses_the_childs_lessons(
    world: World, district: District, school: School, family: Family, other: Parent
) -> None:
    await world.pay(family.parent, family.contract)
    await school.deliver(1, family)
    async with district.transaction() as session:
        assert not await leaving.leave_child(session, family.parent, family.student.id)
    assert await school.confirm(family, 1) == [("not_found", 0)]
    async with district.transaction() as session:
        with pytest.raises(NotFound):
            await queries.lesson_of_guardian(session, family.parent.guardian_id, family.lesson_ids[0])
        assert await queries.lessons_of_guardian(session, family.parent.guardian_id) == []
        assert (await queries.contract_of_guardian(session, family.parent.guardian_id, family.contract.id)).escrow_fen == 40_000
        [refund] = await refunds.request(session, family.parent, family.contract.id, "不再一起生活")
    assert refund.amount_fen == 30_000
    async with district.transaction() as session:
        [outcome] = await lessons.confirm(session, other, family.lesson_ids[:1])
    assert outcome.outcome == "confirmed"
