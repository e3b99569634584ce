"""先学后付: nothing is prepaid, a lesson is owed once it was taught, and paying it confirms it."""

import asyncio
from uuid import UUID

import pytest

from app.contracts import queries as contracts
from app.contracts import service
from app.contracts.queries import ContractView
from app.errors import DomainError
from app.lessons import jobs, owing
from app.lessons import service as lessons
from app.lessons.delivering import Delivery, deliver_all
from app.payments import jobs as payment_jobs
from app.payments import service as payments
from app.refunds import service as refunds
from app.security import Parent
from app.supervision import service as supervision
from tests.payments.test_receipts import import_today, send_back, unmatched
from tests.school import LESSON_FEN, Family, School, final_after, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def enrol(school: School) -> Family:
    return await school.sign(terms=school.afterwards())


async def pay(school: School, family: Family) -> None:
    """Pay what is due; the payment confirms what it pays."""
    await school.world.pay(family.parent, family.contract)
    await jobs.confirm_paid(school.world.district)


async def view(school: School, family: Family) -> ContractView:
    async with school.world.district.reading() as session:
        return await contracts.contract_of_guardian(session, family.parent.guardian_id, family.contract.id)


async def behind(school: School, number: int) -> set[UUID]:
    async with school.world.district.reading() as session:
        return await owing.behind(session, school.sessions[number - 1].id)


async def rule(school: School, family: Family, number: int, ruling: lessons.Ruling) -> None:
    async with school.world.district.transaction() as session:
        lesson_id = family.lesson_ids[number - 1]
        await supervision.rule_on_dispute(session, school.world.officer(), lesson_id, ruling, "核对了考勤记录")


async def test_nothing_is_due_before_a_lesson_was_taught(school: School) -> None:
    family = await enrol(school)
    signed = await view(school, family)
    assert (signed.status, signed.due, signed.escrow_fen) == ("agreed", None, 0)
    assert await school.states(family) == ["agreed"] * 4
    with pytest.raises(DomainError) as refused:
        await school.world.order(family.parent, family.contract)
    assert refused.value.code == "payments.not_due"
    async with school.world.district.reading() as session:
        assert await contracts.contracts_to_pay(session, family.parent.guardian_id) == []
        assert len(await contracts.roster(session, school.institution.id, school.sessions[0].id)) == 1


async def test_paying_a_taught_lesson_confirms_it(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    assert await school.states(family) == ["owed", "agreed", "agreed", "agreed"]
    assert await school.confirm(family, 1) == [("not_delivered", 0)], "it is confirmed by its payment alone"
    async with school.world.district.reading() as session:
        [due] = await contracts.contracts_to_pay(session, family.parent.guardian_id)
    assert due.due is not None
    assert (due.due.first_lesson, due.due.amount_fen) == (1, LESSON_FEN)
    await pay(school, family)
    assert await school.states(family) == ["confirmed", "agreed", "agreed", "agreed"]
    assert await school.totals() == {"cash": LESSON_FEN, "payable": LESSON_FEN}
    assert (await view(school, family)).due is None


async def test_the_contract_ends_with_its_last_lesson_paid(school: School) -> None:
    family = await enrol(school)
    for number in range(1, 5):
        await school.deliver(number, family)
        await pay(school, family)
    assert await school.states(family) == ["confirmed"] * 4
    assert await school.contract_status(family) == "closed"


async def test_an_absent_child_owes_nothing(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1)
    assert await school.states(family) == ["lapsed", "agreed", "agreed", "agreed"]
    for number in (2, 3):
        await school.deliver(number, family)
        await pay(school, family)
    await school.deliver(4)
    assert await school.states(family) == ["lapsed", "confirmed", "confirmed", "lapsed"]
    assert await school.contract_status(family) == "closed"


async def test_with_two_lessons_unpaid_the_next_is_not_taught(school: School) -> None:
    family, other = await enrol(school), await school.enrol()
    await school.deliver(1, family, other)
    assert await behind(school, 3) == set()
    await school.deliver(2, family, other)
    await school.end_of(3)
    assert await behind(school, 3) == {family.student.id}
    with pytest.raises(DomainError) as refused:
        await school.enter(3, family, other)
    assert (refused.value.code, refused.value.facts) == ("lessons.unpaid", {"count": 1, "student_ids": [str(family.student.id)]})
    assert await school.states(family) == ["owed", "owed", "agreed", "agreed"]
    await pay(school, family)
    assert await behind(school, 3) == set()
    await school.enter(3, family, other)
    assert await school.states(family) == ["confirmed", "owed", "owed", "agreed"]
    assert await school.states(other) == ["delivered"] * 3 + ["scheduled"]


async def test_a_class_says_how_much_may_be_unpaid(world: World) -> None:
    strict = await found_school(world, most_unpaid=1)
    family = await enrol(strict)
    await strict.deliver(1, family)
    await strict.end_of(2)
    with pytest.raises(DomainError) as refused:
        await strict.enter(2, family)
    assert refused.value.code == "lessons.unpaid"
    await pay(strict, family)
    await strict.enter(2, family)
    assert await strict.states(family) == ["confirmed", "owed", "agreed", "agreed"]


async def test_a_class_may_be_paid_in_advance_only(world: World) -> None:
    old_fashioned = await found_school(world, most_unpaid=0)
    with pytest.raises(DomainError) as refused:
        await enrol(old_fashioned)
    assert refused.value.code == "contracts.not_afterwards"


async def test_two_deliveries_at_once_count_each_other(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    await school.end_of(3)
    entered = await asyncio.gather(school.enter(2, family), school.enter(3, family), return_exceptions=True)
    [refused] = [each for each in entered if each is not None]
    assert isinstance(refused, DomainError)
    assert refused.code == "lessons.unpaid"


async def test_a_day_of_deliveries_treats_them_alike(school: School) -> None:
    family, other = await enrol(school), await school.enrol()
    await school.end_of(2)
    attended = [family.student.id, other.student.id]
    async with school.world.district.transaction() as session:
        days = [Delivery(school.staff, school.sessions[0].id, attended), Delivery(school.staff, school.sessions[1].id, attended[1:])]
        assert await deliver_all(session, days) == 4
    assert await school.states(family) == ["owed", "lapsed", "agreed", "agreed"]
    assert await school.states(other) == ["delivered", "delivered", "scheduled", "scheduled"]


async def test_a_parent_may_dispute_instead_of_paying(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    await school.deliver(2, family)
    await school.dispute(family, 1)
    assert await school.states(family) == ["contested", "owed", "agreed", "agreed"]
    await pay(school, family)
    assert await school.states(family) == ["contested", "confirmed", "agreed", "agreed"]
    await rule(school, family, 1, "return")
    assert await school.states(family) == ["lapsed", "confirmed", "agreed", "agreed"]
    assert await school.totals() == {"cash": LESSON_FEN, "payable": LESSON_FEN}


async def test_a_dispute_ruled_against_the_parent_makes_the_lesson_due_again(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    await school.dispute(family, 1)
    await rule(school, family, 1, "release")
    assert await school.states(family) == ["owed", "agreed", "agreed", "agreed"]
    await pay(school, family)
    assert (await school.states(family))[0] == "confirmed"


async def test_money_that_overtakes_a_dispute_waits_in_escrow(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    payment = await school.world.order(family.parent, family.contract)
    await school.world.bank.pay(payment.payment_no)
    await school.dispute(family, 1)
    await school.world.learn_of(payment.payment_no)
    assert await jobs.confirm_paid(school.world.district) == 1
    assert (await school.states(family))[0] == "disputed"
    assert await school.totals() == {"cash": LESSON_FEN, "escrow": LESSON_FEN}
    await rule(school, family, 1, "return")
    assert (await school.states(family))[0] == "refunded"
    assert await school.totals() == {"cash": LESSON_FEN, "outgoing": LESSON_FEN}


async def test_money_for_a_lesson_that_was_ruled_untaught_goes_back(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    payment = await school.world.order(family.parent, family.contract)
    await school.dispute(family, 1)
    await rule(school, family, 1, "return")
    await school.world.bank.pay(payment.payment_no)
    await school.world.learn_of(payment.payment_no)
    [receipt] = await unmatched(school.world, waiting=True)
    assert receipt.outcome == "late"
    await send_back(school.world)
    assert await school.totals() == {}


async def test_a_confirmed_lesson_can_be_disputed_until_its_release_is_final(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    with final_after(monkeypatch, 24):
        await pay(school, family)
        await school.dispute(family, 1)
    assert (await school.states(family))[0] == "disputed"
    assert await school.totals() == {"cash": LESSON_FEN, "escrow": LESSON_FEN}


async def test_two_guardians_pay_one_lesson_once(school: School) -> None:
    family = await enrol(school)
    other = await school.second_guardian(family)
    await school.deliver(1, family)

    async def start(parent: Parent) -> UUID:
        async with school.world.district.transaction() as session:
            return (await payments.start(session, parent, family.contract.id)).id

    one, same = await asyncio.gather(start(family.parent), start(other))
    assert one == same
    await pay(school, family)
    assert await school.totals() == {"cash": LESSON_FEN, "payable": LESSON_FEN}


async def test_two_workers_confirm_a_payment_once(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    await school.world.pay(family.parent, family.contract)
    done = await asyncio.gather(*(jobs.confirm_paid(school.world.district) for _ in range(3)))
    assert sum(done) == 1
    assert await school.totals() == {"cash": LESSON_FEN, "payable": LESSON_FEN}


async def test_a_delivery_beside_a_payment_loses_nothing(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    await school.deliver(2, family)
    payment = await school.world.order(family.parent, family.contract)
    await school.world.bank.pay(payment.payment_no)
    await school.end_of(3)
    entered, _ = await asyncio.gather(school.enter(3, family), school.world.learn_of(payment.payment_no), return_exceptions=True)
    await jobs.confirm_paid(school.world.district)
    expected = "agreed" if entered is not None else "owed"
    assert await school.states(family) == ["confirmed", "owed", expected, "agreed"]


async def test_money_for_a_lesson_paid_meanwhile_goes_back(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    first = await school.world.order(family.parent, family.contract)
    await school.world.wait_until(first.expires_at)
    await payment_jobs.expire_payments(school.world.district, school.world.banks)
    await pay(school, family)
    await school.world.bank.pay_late(first.payment_no)
    await import_today(school.world)
    [receipt] = await unmatched(school.world, waiting=True)
    assert receipt.outcome == "second"


async def test_the_rest_can_be_declined_but_what_was_taught_stays_due(school: School) -> None:
    family = await enrol(school)
    await school.deliver(1, family)
    async with school.world.district.transaction() as session:
        await service.decline(session, family.parent, family.contract.id)
    assert await school.states(family) == ["owed", "lapsed", "lapsed", "lapsed"]
    assert await school.contract_status(family) == "agreed"
    await pay(school, family)
    assert await school.contract_status(family) == "closed"


async def test_there_is_nothing_to_refund(school: School) -> None:
    family = await enrol(school)
    with pytest.raises(DomainError) as refused:
        async with school.world.district.transaction() as session:
            await refunds.request(session, family.parent, family.contract.id, "搬家了")
    assert refused.value.code == "refunds.not_paid"


async def test_it_holds_a_seat_from_signing_on(world: World) -> None:
    school = await found_school(world, seats=1)
    family = await enrol(school)
    with pytest.raises(DomainError) as refused:
        await school.sign()
    assert refused.value.code == "contracts.full"
    await world.work()
    assert await school.contract_status(family) == "agreed"
