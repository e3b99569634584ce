"""Money that a bank does not take back to its payer goes to an account that the family names, once an officer has checked it."""

import pytest

from app.banking.payees import PayeeDraft
from app.errors import BadInput
from app.refunds import queries
from app.refunds import service as refunds
from app.refunds.models import Refund
from app.supervision import service as supervision
from bank_adapters.mock_bank.control import PAYER_NO
from tests.old_families import PAYEE, PAYEE_NO, open_payee, release
from tests.school import Family, School, ask_again, found_school, instructed, send
from tests.world import CONNECTION, World


@pytest.fixture
async def school(world: World) -> School:
    await open_payee(world)
    return await found_school(world)


async def ask(school: School, family: Family, payee: PayeeDraft | None = None) -> list[Refund]:
    async with school.world.district.transaction() as session:
        return await refunds.request(session, family.parent, family.contract.id, "搬家了", payee)


async def turned_away(school: School, refund: Refund) -> None:
    """The payer's account is closed, and the worker gives everything back."""
    await school.world.bank.knob("reject", reference=refund.refund_no, code="account_closed")
    await send(school.world)
    assert (await instructed(school.world, refund.refund_no)).status == "rejected"
    await school.world.work()


async def statuses(school: School, *asked: Refund) -> list[str]:
    return [(await instructed(school.world, refund.refund_no)).status for refund in asked]


async def test_a_payer_whose_account_is_closed_is_repaid_at_another(school: School) -> None:
    family = await school.enrol()
    [first] = await ask(school, family)
    await turned_away(school, first)
    [second] = await ask(school, family, PAYEE)
    assert (second.funded_at is not None, second.named_by) == (True, family.parent.guardian_id)
    await school.world.work()
    assert await statuses(school, second) == ["held"]
    assert await school.world.bank.balance_of(PAYEE_NO) == 0
    async with school.world.district.reading() as session:
        [held] = await queries.held_refunds(session)
    assert (held.refund_no, held.payee_masked) == (second.refund_no, "6217****0001 王*长")
    await release(school, second)
    assert await statuses(school, first, second) == ["rejected", "settled"]
    assert await school.world.bank.balance_of(PAYEE_NO) == 400_00
    assert await school.totals() == {}


async def test_so_is_one_whose_bank_sends_it_back_days_later(school: School) -> None:
    family = await school.enrol()
    [first] = await ask(school, family)
    await send(school.world)
    await school.world.bank.return_instruction(CONNECTION, first.refund_no)
    await ask_again(school.world, first.refund_no)
    await school.world.work()
    [second] = await ask(school, family, PAYEE)
    await school.world.work()
    await release(school, second)
    assert await statuses(school, first, second) == ["returned", "settled"]
    assert await school.totals() == {}


async def test_who_names_nobody_is_repaid_the_way_the_money_came(school: School) -> None:
    family = await school.enrol()
    before = await school.world.bank.balance_of(PAYER_NO)
    [first] = await ask(school, family)
    await turned_away(school, first)
    [second] = await ask(school, family)
    await send(school.world)
    assert await statuses(school, second) == ["settled"]
    assert await school.world.bank.balance_of(PAYER_NO) == before + 400_00


async def test_nobody_names_an_account_before_the_money_came_back(school: School) -> None:
    family = await school.enrol()
    with pytest.raises(BadInput, match=r"refunds\.payee_not_needed") as caught:
        await ask(school, family, PAYEE)
    assert caught.value.facts["field"] == "payee_account_no"
    assert await school.states(family) == ["scheduled"] * 4


async def test_only_the_payment_that_came_back_goes_elsewhere(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    await school.world.pay(family.parent, family.contract)
    before = await school.world.bank.balance_of(PAYER_NO)
    await school.deliver(1, family)
    await school.dispute(family, 1)
    async with school.world.district.transaction() as session:
        await supervision.rule_on_dispute(session, school.world.officer(), family.lesson_ids[0], "return", "老师确未到场")
    async with school.world.district.reading() as session:
        [ruled] = await queries.refunds_of_contract(session, family.contract.id)
    await school.world.bank.knob("reject", reference=ruled.refund_no, code="account_closed")
    await send(school.world)
    await school.world.work()
    first, second = await ask(school, family, PAYEE)
    assert (first.payee_id is None, second.payee_id) == (False, None)
    await send(school.world)
    await school.world.work()
    assert await statuses(school, first, second) == ["held", "settled"]
    assert await school.world.bank.balance_of(PAYER_NO) == before + 300_00
    await release(school, first)
    assert await school.world.bank.balance_of(PAYEE_NO) == 100_00
    assert await school.totals() == {}


async def test_what_an_officer_does_not_believe_comes_back_and_may_be_named_anew(school: School) -> None:
    family = await school.enrol()
    [first] = await ask(school, family)
    await turned_away(school, first)
    [second] = await ask(school, family, PayeeDraft("62170000000099", "李某某"))
    await school.world.work()
    async with school.world.district.transaction() as session:
        await supervision.reject_refund(session, school.world.officer(), second.refund_no, "家长称不是本人账户")
    await school.world.work()
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}
    [third] = await ask(school, family, PAYEE)
    await school.world.work()
    await release(school, third)
    assert await statuses(school, second, third) == ["rejected", "settled"]
