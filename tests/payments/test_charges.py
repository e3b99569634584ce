"""A contract paid in several charges: each opens on its day, is paid by itself, and lapses unpaid with all that come after it."""

import asyncio
from datetime import timedelta

import pytest

from app import clock
from app.contracts import queries as contracts
from app.contracts import service
from app.contracts.home import home_of
from app.contracts.queries import ContractView
from app.contracts.terms import ChargeTerms, Terms
from app.errors import DomainError
from app.payments import jobs
from app.payments import service as payments
from app.payments.models import Payment
from app.refunds import service as refunds
from app.registry import institutions
from app.security import Parent
from bank_adapters.mock_bank.control import PAYER_NO
from tests.payments.test_receipts import import_today, send_back, unmatched
from tests.school import LESSON_FEN, Family, School, found_school, send
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def view(school: School, family: Family) -> ContractView:
    async with school.world.district.reading() as session:
        return await contracts.contract_of_guardian(session, family.parent.guardian_id, family.contract.id)


async def charges(school: School, family: Family) -> list[str]:
    return [charge.status for charge in (await view(school, family)).charges]


async def refusal(school: School, family: Family) -> str:
    """Why no payment of the family's contract opens now."""
    with pytest.raises(DomainError) as refused:
        await start(school, family.parent, family)
    return refused.value.code


async def start(school: School, parent: Parent, family: Family) -> Payment:
    async with school.world.district.transaction() as session:
        return await payments.start(session, parent, family.contract.id)


async def eve_of(school: School, number: int) -> None:
    """Wait until the day before a class session begins."""
    on = clock.business_date(school.sessions[number - 1].starts_at) - timedelta(days=1)
    await school.world.wait_until(max(clock.now(), clock.day_bounds(on)[0]))


async def test_each_charge_is_paid_when_it_has_opened(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    assert await school.states(family) == ["scheduled", "reserved", "reserved", "reserved"]
    assert await school.totals() == {"cash": LESSON_FEN, "escrow": LESSON_FEN}
    signed = await view(school, family)
    assert [(charge.first_lesson, charge.last_lesson, charge.amount_fen) for charge in signed.charges] == [(1, 1, 100_00), (2, 4, 300_00)]
    assert (signed.status, signed.way, signed.amount_fen) == ("paid", "parts", 400_00)
    second = await school.world.pay(family.parent, family.contract)
    assert second.amount_fen == 300_00
    assert await school.states(family) == ["scheduled"] * 4
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}
    assert await refusal(school, family) == "payments.not_due"


async def test_a_charge_does_not_open_before_its_day(school: School) -> None:
    family = await school.enrol(terms=school.parts(2, 1, 1))
    assert (await view(school, family)).due is None
    assert await refusal(school, family) == "payments.not_due"
    await eve_of(school, 3)
    async with school.world.district.reading() as session:
        [due] = await contracts.contracts_to_pay(session, family.parent.guardian_id)
    assert (await home_of(school.world.district, family.parent.guardian_id)).due
    assert due.due is not None
    assert (due.due.number, due.due.amount_fen) == (2, 100_00)
    await school.world.pay(family.parent, family.contract)
    assert await refusal(school, family) == "payments.not_due"
    await eve_of(school, 4)
    await school.world.pay(family.parent, family.contract)
    assert await charges(school, family) == ["paid"] * 3


async def test_the_lessons_of_an_unpaid_charge_stand_on_no_roster(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    async with school.world.district.reading() as session:
        listed = [len(await contracts.roster(session, school.institution.id, each.id)) for each in school.sessions]
    assert listed == [1, 0, 0, 0]
    await school.end_of(2)
    with pytest.raises(DomainError) as refused:
        await school.enter(2, family)
    assert refused.value.code == "lessons.not_paid"


async def test_an_unpaid_charge_lapses_as_its_first_lesson_begins_with_all_after_it(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 2, 1))
    await school.deliver(1, family)
    await school.confirm(family, 1)
    assert await school.contract_status(family) == "paid", "the next charge can still be paid"
    assert await jobs.lapse_charges(school.world.district) == 0
    await school.world.wait_until(school.sessions[1].starts_at)
    assert await refusal(school, family) == "payments.charge_lapsed"
    assert await jobs.lapse_charges(school.world.district) == 1
    assert await jobs.lapse_charges(school.world.district) == 0
    assert await charges(school, family) == ["paid", "lapsed", "lapsed"]
    assert await school.states(family) == ["confirmed", "lapsed", "lapsed", "lapsed"]
    assert await school.contract_status(family) == "closed"


async def test_what_is_paid_is_taught_after_the_rest_lapsed(school: School) -> None:
    family = await school.enrol(terms=school.parts(2, 2))
    await school.world.wait_until(school.sessions[2].starts_at)
    await school.world.work()
    assert await school.states(family) == ["scheduled", "scheduled", "lapsed", "lapsed"]
    await school.enter(1, family)
    await school.enter(2, family)
    assert await school.confirm(family, 1, 2) == [("confirmed", LESSON_FEN)] * 2
    assert await school.contract_status(family) == "closed"


async def test_a_moved_lesson_gives_time_to_pay(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    later = timedelta(days=7)
    async with school.world.district.transaction() as session:
        for row in school.sessions[1:]:
            moved = await session.merge(row)
            moved.starts_at, moved.ends_at = row.starts_at + later, row.ends_at + later
    await school.world.wait_until(school.sessions[1].starts_at)
    assert await jobs.lapse_charges(school.world.district) == 0
    await school.world.pay(family.parent, family.contract)
    assert await charges(school, family) == ["paid", "paid"]


async def test_a_lesson_that_was_moved_earlier_leaves_the_agreed_day_to_pay(school: School) -> None:
    paying, silent = [await school.enrol(terms=school.parts(1, 3)) for _ in range(2)]
    agreed_on = clock.business_date(school.sessions[1].starts_at)
    earlier = timedelta(hours=22)
    async with school.world.district.transaction() as session:
        moved = await session.merge(school.sessions[1])
        moved.starts_at, moved.ends_at = moved.starts_at - earlier, moved.ends_at - earlier
    await school.world.wait_until(clock.day_bounds(agreed_on)[0] + timedelta(hours=1))
    assert await jobs.lapse_charges(school.world.district) == 0
    await school.world.pay(paying.parent, paying.contract)
    await school.world.wait_until(clock.day_bounds(agreed_on)[1])
    assert await jobs.lapse_charges(school.world.district) == 1
    assert (await charges(school, paying), await charges(school, silent)) == (["paid", "paid"], ["paid", "lapsed"])


async def test_charges_that_cannot_lapse_yet_keep_no_other_waiting(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    held_up = [await school.enrol(terms=school.parts(1, 3)) for _ in range(3)]
    paying = await school.enrol(terms=school.parts(1, 3))
    agreed_on = clock.business_date(school.sessions[1].starts_at)
    other = await found_school(school.world)
    silent = await other.enrol(terms=other.parts(1, 3))
    async with school.world.district.transaction() as session:
        first, second = [await session.merge(each) for each in school.sessions[1:3]]
        first.starts_at, first.ends_at = first.starts_at - timedelta(hours=22), first.ends_at - timedelta(hours=22)
        second.starts_at, second.ends_at = second.starts_at - timedelta(days=1), second.ends_at - timedelta(days=1)
    await school.world.wait_until(other.sessions[1].starts_at - timedelta(minutes=1))
    await school.world.order(paying.parent, paying.contract)
    await school.world.wait_until(other.sessions[1].starts_at)
    monkeypatch.setattr(jobs, "BATCH", 2)
    assert await jobs.lapse_charges(school.world.district) == 1, "held up are until the agreed day ends, paying until its code does"
    assert await charges(other, silent) == ["paid", "lapsed"]
    await school.world.wait_until(clock.day_bounds(agreed_on)[1])
    await jobs.expire_payments(school.world.district, school.world.banks)
    assert [await jobs.lapse_charges(school.world.district) for _ in range(3)] == [2, 2, 0]
    assert [await charges(school, family) for family in (*held_up, paying)] == [["paid", "lapsed"]] * 4


async def test_what_has_no_day_is_not_due_and_the_next_charge_is(school: School) -> None:
    family, other = [await school.enrol(terms=school.parts(1, 1, 2)) for _ in range(2)]
    await school.cancel(2)
    assert await refusal(school, family) == "payments.not_due"
    await eve_of(school, 3)
    async with school.world.district.reading() as session:
        [due] = await contracts.contracts_to_pay(session, family.parent.guardian_id)
    assert [(charge.number, charge.has_day, charge.is_due) for charge in due.charges] == [
        (1, True, False),
        (2, False, False),
        (3, True, True),
    ]
    assert (await school.world.pay(family.parent, family.contract)).amount_fen == 200_00
    assert await school.states(family) == ["scheduled", "reserved", "scheduled", "scheduled"]
    assert await refusal(school, family) == "payments.not_due"
    async with school.world.district.reading() as session:
        assert await contracts.contracts_to_pay(session, family.parent.guardian_id) == []
    await school.world.pay(other.parent, other.contract)
    await school.replace(2, school.sessions[3].ends_at + timedelta(days=1))
    await school.world.pay(family.parent, family.contract)
    assert await charges(school, family) == ["paid"] * 3
    assert await charges(school, other) == ["paid", "planned", "paid"]


async def test_a_charge_without_a_day_shields_no_later_one(school: School) -> None:
    family, other = [await school.enrol(terms=school.parts(1, 1, 1, 1)) for _ in range(2)]
    await school.cancel(2)
    await school.world.wait_until(school.sessions[2].starts_at)
    assert await refusal(school, family) == "payments.charge_lapsed"
    assert await jobs.lapse_charges(school.world.district) == 2
    assert await charges(school, family) == ["paid", "planned", "lapsed", "lapsed"]
    assert await school.states(family) == ["scheduled", "reserved", "lapsed", "lapsed"]
    await school.replace(2, school.sessions[3].ends_at)
    await school.world.pay(family.parent, family.contract)
    assert await school.states(family) == ["scheduled", "scheduled", "lapsed", "lapsed"]
    assert await charges(school, other) == ["paid", "planned", "lapsed", "lapsed"]


async def test_a_code_ends_before_the_first_lesson_that_it_pays_begins(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    begins_at = school.sessions[1].starts_at
    await school.world.wait_until(begins_at - timedelta(minutes=5))
    payment = await school.world.order(family.parent, family.contract)
    assert payment.expires_at == begins_at


@pytest.mark.parametrize("code", ["registry.sales_paused", "registry.blacklisted"])
async def test_an_institution_that_may_sell_nothing_takes_no_first_charge_either(school: School, code: str) -> None:
    family = await school.sign()
    async with school.world.district.transaction() as session:
        if code == "registry.sales_paused":
            await institutions.pause_sales(session, school.world.officer(), school.institution.id, "群众举报")
        else:
            await institutions.set_listing(session, school.world.officer(), school.institution.id, "black", "卷款失联")
    assert await refusal(school, family) == code
    assert await school.states(family) == ["reserved"] * 4


async def test_money_for_a_lapsed_charge_goes_back_to_its_payer(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    await school.world.wait_until(school.sessions[1].starts_at - timedelta(minutes=5))
    payment = await school.world.order(family.parent, family.contract)
    await school.world.wait(timedelta(minutes=5))
    assert await jobs.lapse_charges(school.world.district) == 0, "a code is still open at the bank"
    await jobs.expire_payments(school.world.district, school.world.banks)
    assert await jobs.lapse_charges(school.world.district) == 1
    before = await school.world.bank.balance_of(PAYER_NO)
    await school.world.bank.pay_late(payment.payment_no)
    await import_today(school.world)
    [receipt] = await unmatched(school.world, waiting=True)
    assert (receipt.outcome, receipt.amount_fen) == ("late", 300_00)
    await send_back(school.world)
    assert await school.world.bank.balance_of(PAYER_NO) == before
    assert await school.totals() == {"cash": LESSON_FEN, "escrow": LESSON_FEN}


async def test_a_delivery_that_overtakes_the_payment_leaves_the_lesson_missed(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    await school.world.wait_until(school.sessions[1].starts_at - timedelta(minutes=5))
    payment = await school.world.order(family.parent, family.contract)
    await school.world.bank.pay(payment.payment_no)
    await school.deliver(2)
    assert await jobs.expire_payments(school.world.district, school.world.banks) == 0
    assert await jobs.lapse_charges(school.world.district) == 0
    await school.world.learn_of(payment.payment_no)
    assert await school.states(family) == ["scheduled", "missed", "scheduled", "scheduled"]


async def test_a_delivery_beside_the_payment_loses_nothing(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    await school.world.wait_until(school.sessions[1].starts_at - timedelta(minutes=5))
    payment = await school.world.order(family.parent, family.contract)
    await school.world.bank.pay(payment.payment_no)
    await school.end_of(2)
    await asyncio.gather(school.world.learn_of(payment.payment_no), school.enter(2))
    assert await school.states(family) == ["scheduled", "missed", "scheduled", "scheduled"]
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}


async def test_two_guardians_get_the_same_code(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    other = await school.second_guardian(family)
    one, same = await asyncio.gather(start(school, family.parent, family), start(school, other, family))
    assert one.id == same.id


async def test_only_one_of_two_payments_of_a_charge_counts(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    first = await school.world.order(family.parent, family.contract)
    await school.world.wait(timedelta(minutes=15))
    await jobs.expire_payments(school.world.district, school.world.banks)
    await school.world.pay(family.parent, family.contract)
    await school.world.bank.pay_late(first.payment_no)
    await import_today(school.world)
    [receipt] = await unmatched(school.world, waiting=True)
    assert receipt.outcome == "second"
    await send_back(school.world)
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}


async def test_a_refund_gives_each_payment_back_to_its_payer_and_ends_what_is_planned(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 2, 1))
    await school.world.pay(family.parent, family.contract)
    await school.deliver(1, family)
    await school.confirm(family, 1)
    await school.deliver(2)
    async with school.world.district.transaction() as session:
        [refund] = await refunds.request(session, family.parent, family.contract.id, "搬家了")
    assert refund.amount_fen == 200_00
    assert await charges(school, family) == ["paid", "paid", "lapsed"]
    assert await school.states(family) == ["confirmed", "refunded", "refunded", "lapsed"]
    assert await school.contract_status(family) == "closed"
    await send(school.world)
    assert await school.totals() == {"cash": LESSON_FEN, "payable": LESSON_FEN}


async def test_lessons_of_two_payments_are_two_refunds(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    await school.world.pay(family.parent, family.contract)
    before = await school.world.bank.balance_of(PAYER_NO)
    async with school.world.district.transaction() as session:
        given = await refunds.request(session, family.parent, family.contract.id, "搬家了")
    assert [refund.amount_fen for refund in given] == [100_00, 300_00]
    assert len({refund.payment_id for refund in given}) == 2
    await send(school.world)
    assert await school.world.bank.balance_of(PAYER_NO) == before + 400_00
    assert await school.totals() == {}


async def test_a_refund_that_the_bank_refuses_gives_only_its_own_lessons_back(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    await school.world.pay(family.parent, family.contract)
    async with school.world.district.transaction() as session:
        first, _ = await refunds.request(session, family.parent, family.contract.id, "搬家了")
    await school.world.bank.knob("reject", "refund", reference=first.refund_no, code="payee_account_closed")
    await school.world.work()
    await school.world.wait(timedelta(seconds=30))
    await school.world.work()
    assert await school.states(family) == ["scheduled", "refunded", "refunded", "refunded"]
    assert await school.contract_status(family) == "paid"
    assert await school.totals() == {"cash": LESSON_FEN, "escrow": LESSON_FEN}


async def test_the_rest_can_be_declined(school: School) -> None:
    family = await school.enrol(terms=school.parts(2, 2))
    async with school.world.district.transaction() as session:
        await service.decline(session, family.parent, family.contract.id)
    assert await charges(school, family) == ["paid", "lapsed"]
    assert await school.states(family) == ["scheduled", "scheduled", "lapsed", "lapsed"]
    assert await school.contract_status(family) == "paid"
    async with school.world.district.reading() as session:
        with pytest.raises(DomainError) as refused:
            await service.decline(session, family.parent, family.contract.id)
    assert refused.value.code == "contracts.nothing_planned"


async def test_the_seat_of_an_unpaid_first_charge_is_freed_with_all_charges(school: School) -> None:
    family = await school.sign(terms=school.parts(1, 3))
    await school.world.wait(timedelta(minutes=30))
    assert await jobs.lapse_contracts(school.world.district) == 1
    assert await charges(school, family) == ["lapsed", "lapsed"]
    assert await school.states(family) == ["lapsed"] * 4
    assert await school.contract_status(family) == "lapsed"


async def test_fewer_lessons_than_offered_may_be_bought(school: School) -> None:
    family = await school.enrol(terms=Terms("once", (ChargeTerms(2, 2 * LESSON_FEN, clock.today()),)))
    assert await school.states(family) == ["scheduled", "scheduled"]
    assert await school.totals() == {"cash": 200_00, "escrow": 200_00}


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ((4, 1), "contracts.terms_changed"),
        ((4,), "contracts.terms_invalid"),
        ((), "contracts.terms_invalid"),
        ((4, 0), "contracts.terms_invalid"),
    ],
)
async def test_terms_that_do_not_fit_are_refused(school: School, counts: tuple[int, ...], code: str) -> None:
    terms = Terms("parts", tuple(ChargeTerms(count, max(count, 1) * LESSON_FEN, clock.today()) for count in counts))
    with pytest.raises(DomainError) as refused:
        await school.sign(terms=terms)
    assert refused.value.code == code
