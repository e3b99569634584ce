"""What supervision notices by itself, over the real services and the mock bank."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import pytest

from app.ledger.jobs import seal
from app.reconciliation.jobs import reconcile_day
from app.refunds import service as refunds
from app.registry.models import Institution
from app.settlement import jobs as settlement
from app.supervision.jobs import watch, watch_transfers
from app.supervision.rules import Lines
from app.supervision.service import resolve
from tests.reconciliation.doctored import doctored
from tests.supervision.scenes import LINES, alerts, draw_lines, rules_fired, settle_one_lesson
from tests.world import World, in_utc

MONDAY = "2025-03-03"


@pytest.fixture
async def school(world: World) -> Institution:
    """An institution with low lines, on a Monday at nine."""
    await world.wait_until(in_utc(2025, 3, 3, 1))
    institution = await world.institution()
    await draw_lines(world.district, institution)
    return institution


async def refund(world: World, school: Institution, price_fen: int) -> str:
    """A family pays for a class and asks for all of it back; the refund's number."""
    parent, contract = await world.paid_contract(school, price_fen=price_fen)
    async with world.district.transaction() as session:
        return (await refunds.request(session, parent, contract.id, "搬家"))[0].refund_no


async def test_a_large_refund_is_alerted_to_and_not_held(world: World, school: Institution) -> None:
    refund_no = await refund(world, school, 100_04)
    await world.work()
    (alert,) = await alerts(world.district)
    assert (alert.rule, alert.subject) == ("large_transfer", f"instruction:{refund_no}")
    assert alert.facts == {"reference": refund_no, "purpose": "refund", "amount_fen": 100_04, "line_fen": 100_00}
    await world.wait(timedelta(minutes=1))
    await world.work()
    assert await world.at_bank(school) == 0, "it went back to its payer all the same"


async def test_refunds_that_are_small_alone_and_large_together_fire_once_a_day(world: World, school: Institution) -> None:
    for _ in range(3):
        await refund(world, school, 80_00)
    await world.work()
    assert await rules_fired(world.district) == []

    await refund(world, school, 80_00)
    await refund(world, school, 80_00)
    await world.work()

    (alert,) = await alerts(world.district)
    assert (alert.rule, alert.subject) == ("large_day", f"day:{school.id}:{MONDAY}")
    assert alert.facts == {"business_on": MONDAY, "amount_fen": 400_00, "line_fen": 250_00}


async def test_refunds_of_a_day_count_against_its_payouts(world: World, school: Institution) -> None:
    await draw_lines(world.district, school, Lines(LINES.large_transfer_fen, 150_00, 0))
    await refund(world, school, 100_00)
    await settle_one_lesson(world, school, price_fen=60_00)
    await world.work()
    (alert,) = await alerts(world.district)
    assert (alert.rule, alert.facts["amount_fen"], alert.facts["purpose"]) == ("large_day", 160_00, "payout")


async def test_a_debit_that_nobody_instructed_is_red_and_counts_as_an_outflow(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)
    await world.bank.debit_uninstructed((await world.account(school)).account_no, 300_00)
    await world.wait(timedelta(days=1))

    await world.work()

    fired = {alert.rule: alert for alert in await alerts(world.district)}
    assert set(fired) == {"uninstructed_debit", "large_transfer", "large_day"}
    debit = fired["uninstructed_debit"]
    assert (debit.level, debit.facts["amount_fen"], debit.facts["value_on"]) == ("red", 300_00, MONDAY)
    assert fired["large_transfer"].subject == debit.subject
    assert fired["large_day"].facts == {"business_on": MONDAY, "amount_fen": 300_00, "line_fen": 250_00}
    assert (await world.totals(school))["shortfall"] == 300_00


async def test_incoming_money_is_no_outflow(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=4_000_00)
    await world.work()
    assert await rules_fired(world.district) == []


async def test_a_balance_under_the_minimum_is_alerted_to_and_followed_until_resolved(world: World, school: Institution) -> None:
    await draw_lines(world.district, school, Lines(LINES.large_transfer_fen, LINES.large_day_fen, 500_00))
    account = await world.account(school)
    await world.work()
    assert await alerts(world.district) == [], "a new institution holds nothing and owes nothing"

    await world.paid_contract(school, price_fen=400_00)
    await world.wait(timedelta(days=1))
    await world.work()
    (alert,) = await alerts(world.district)
    assert (alert.rule, alert.level, alert.subject) == ("minimum_balance", "red", f"account:{account.id}")
    assert (alert.facts["balance_fen"], alert.facts["line_fen"]) == (400_00, 500_00)

    await world.paid_contract(school, price_fen=99_96)
    await world.wait(timedelta(days=1))
    await world.work()
    (followed,) = await alerts(world.district)
    assert (followed.id, followed.facts["balance_fen"]) == (alert.id, 499_96)

    async with world.district.transaction() as session:
        await resolve(session, world.officer(), alert.id, "已补足")
    await world.paid_contract(school, price_fen=4)
    await world.wait(timedelta(days=1))
    await world.work()
    assert await alerts(world.district) == [], "exactly on the line is enough"


async def test_money_of_an_unknown_payer_is_alerted_to_once(world: World, school: Institution) -> None:
    await world.bank.deposit_from_stranger((await world.account(school)).account_no, 77_00)
    await world.wait(timedelta(days=1))
    await world.work()
    (alert,) = await alerts(world.district)
    assert (alert.rule, alert.facts) == ("unassigned_money", {"amount_fen": 77_00, "outcome": "unknown_payer"})
    await world.wait(timedelta(minutes=1))
    await world.work()
    assert await rules_fired(world.district) == ["unassigned_money"]
    assert await world.at_bank(school) == 0, "it went back the same day"


async def test_a_payout_that_the_bank_returns_is_alerted_to(world: World, school: Institution) -> None:
    payout = await settle_one_lesson(world, school, price_fen=90_00)
    await world.work()
    await world.wait(timedelta(minutes=1))
    await world.work()
    assert await rules_fired(world.district) == []

    await world.bank.return_instruction("mock", payout.payout_no)
    await world.wait(timedelta(days=1))
    await world.work()

    (alert,) = await alerts(world.district)
    assert (alert.rule, alert.subject) == ("instruction_failed", f"instruction:{payout.payout_no}")
    assert (alert.facts["status"], alert.facts["purpose"], alert.facts["amount_fen"]) == ("returned", "payout", 90_00)


async def test_a_payout_that_the_bank_rejects_is_alerted_to_and_leaves_the_days_sum(world: World, school: Institution) -> None:
    await world.bank.knob("reject", "transfer", code="account_closed")
    payout = await settle_one_lesson(world, school, price_fen=90_00)
    await world.work()
    (alert,) = await alerts(world.district)
    assert (alert.subject, alert.facts["reject_code"]) == (f"instruction:{payout.payout_no}", "account_closed")
    assert len(await settlement.run_district(world.district, date(2025, 3, 3), 900)) == 1


async def test_a_bank_that_does_not_say_what_became_of_an_instruction_is_alerted_to_once(world: World, school: Institution) -> None:
    refund_no = await refund(world, school, 40_00)
    await world.bank.knob("down", "refund", times=None)
    await world.bank.knob("down", "query", reference=refund_no, times=None)
    await world.work()
    await world.wait(timedelta(minutes=59))
    await world.work()
    assert await rules_fired(world.district) == []

    await world.wait(timedelta(minutes=1))
    await world.work()
    (alert,) = await alerts(world.district)
    assert (alert.rule, alert.subject) == ("instruction_in_doubt", f"instruction:{refund_no}")
    assert alert.facts == {"reference": refund_no, "purpose": "refund", "amount_fen": 40_00, "status": "unknown"}
    async with world.district.transaction() as session:
        await resolve(session, world.officer(), alert.id, "已电话询问银行")
    await world.wait(timedelta(hours=1))
    await world.work()
    assert await alerts(world.district) == []


async def test_a_break_is_alerted_to_per_account_while_it_stands(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)
    short = await doctored(world, school, lambda stated: replace(stated, closing_fen=stated.closing_fen - 3))
    for on in (date(2025, 3, 3), date(2025, 3, 4)):
        await reconcile_day(world.district, short, on)
        await watch(world.district)
        await world.wait(timedelta(days=1))

    (alert,) = await alerts(world.district)
    assert (alert.rule, alert.level, alert.subject) == ("break", "red", f"account:{(await world.account(school)).id}")
    assert (alert.facts["value_on"], alert.facts["statement_fen"], alert.facts["cash_fen"]) == ("2025-03-04", 399_97, 400_00)
    assert alert.facts["breaks"] == [{"kind": "closing_differs", "amount_fen": -3, "reference": "2025-03-04"}]


async def test_the_log_is_read_once_and_by_one_reader(world: World, school: Institution) -> None:
    await refund(world, school, 100_04)
    while await seal(world.district):
        pass
    assert sum(await asyncio.gather(*(watch_transfers(world.district) for _ in range(8)))) == 3
    assert await watch_transfers(world.district) == 0
    assert await rules_fired(world.district) == ["large_transfer"]
