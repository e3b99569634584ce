"""A family gives its unpaid seat up, with a code in its hands or without: the seat is free, and no money is lost."""

from datetime import timedelta

import pytest

from app.banking.models import Collection as CashierOrder
from app.errors import Conflict
from app.payments import giving_up, jobs
from bank_adapters.mock_bank.control import PAYER_NO
from tests.payments.test_receipts import import_today, rows_of, send_back, unmatched
from tests.school import Family, School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world, seats=1)


async def decline(school: School, family: Family) -> None:
    await giving_up.decline(school.world.district, school.world.banks, family.parent, family.contract.id)


@pytest.mark.parametrize("in_parts", [False, True])
async def test_an_unpaid_seat_is_free_at_once(school: School, in_parts: bool) -> None:
    family = await school.sign(terms=school.parts(1, 3) if in_parts else None)
    await decline(school, family)
    assert await school.contract_status(family) == "lapsed"
    assert await school.states(family) == ["lapsed"] * 4
    await school.sign()
    with pytest.raises(Conflict, match=r"contracts\.nothing_planned"):
        await decline(school, family)


async def test_a_code_takes_no_money_for_a_seat_that_was_given_up(school: School) -> None:
    family = await school.sign()
    payment = await school.world.order(family.parent, family.contract)
    await decline(school, family)
    assert await rows_of(school.world.district, payment) == ("expired", "lapsed")
    async with school.world.district.reading() as session:
        assert (await session.get_one(CashierOrder, payment.payment_no)).status == "closed"
    await school.sign()


async def test_money_that_comes_all_the_same_goes_back(school: School) -> None:
    family = await school.sign()
    payment = await school.world.order(family.parent, family.contract)
    before = await school.world.bank.balance_of(PAYER_NO)
    await decline(school, family)
    await school.world.wait(timedelta(minutes=1))
    await school.world.bank.pay_late(payment.payment_no)
    await import_today(school.world)
    [receipt] = await unmatched(school.world, waiting=True)
    assert receipt.outcome == "late"
    await send_back(school.world)
    assert await school.world.bank.balance_of(PAYER_NO) == before
    assert await school.contract_status(family) == "lapsed"


async def test_who_paid_before_giving_up_has_paid(school: School) -> None:
    family = await school.sign(terms=school.parts(1, 3))
    payment = await school.world.order(family.parent, family.contract)
    await school.world.bank.pay(payment.payment_no)
    with pytest.raises(Conflict, match=r"payments\.paid_meanwhile"):
        await decline(school, family)
    assert await school.contract_status(family) == "paid"
    assert await school.states(family) == ["scheduled", "reserved", "reserved", "reserved"]
    assert await school.totals() == {"cash": 100_00, "escrow": 100_00}


async def test_while_the_bank_is_away_the_seat_is_held_but_the_code_is_shut(school: School) -> None:
    family = await school.sign()
    payment = await school.world.order(family.parent, family.contract)
    await school.world.bank.knob("down", times=None)
    with pytest.raises(Conflict, match=r"payments\.closing"):
        await decline(school, family)
    assert await school.contract_status(family) == "created"
    await school.world.bank.clear_knobs()
    await jobs.expire_payments(school.world.district, school.world.banks)
    assert await rows_of(school.world.district, payment) == ("expired", "created")
    await decline(school, family)
    assert await school.contract_status(family) == "lapsed"
