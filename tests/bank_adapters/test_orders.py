"""Cashier orders: one reference is one order, and whatever arrives for it is booked and never lost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bank_adapters.port import BankRefused
from tests.bank_adapters.conftest import Customer, new_customer, new_reference
from tests.bank_process import BankProcess


async def test_a_paid_order_shows_the_movement_that_paid_it(bank: BankProcess, customer: Customer) -> None:
    request = customer.order(500_00)
    opened = await customer.bank.collect(request)
    assert (opened.status, opened.movements) == ("open", ())
    assert opened.cashier_url.startswith(f"{bank.url}/cashier/")

    assert await bank.pay(request.reference, payer_no="6222-1", payer_name="王女士") == "paid"

    paid = await customer.order_at_bank(request.reference)
    (movement,) = paid.movements
    assert paid.status == "paid"
    assert (movement.direction, movement.amount_fen, movement.balance_after_fen) == ("in", 500_00, 1_500_00)
    assert (movement.reference, movement.counterparty_no, movement.counterparty_name) == (request.reference, "6222-1", "王女士")
    assert (await customer.bank.balance(customer.supervised_no)).balance_fen == 1_500_00
    assert await bank.balance_of("6222-1") < 0


async def test_the_same_request_is_the_same_order(bank: BankProcess, customer: Customer) -> None:
    request = customer.order()
    opened = await customer.bank.collect(request)
    await bank.pay(request.reference)
    again = await customer.bank.collect(request)
    assert (again.cashier_url, again.status) == (opened.cashier_url, "paid")


@pytest.mark.parametrize(
    "changed",
    [
        {"amount_fen": 1},
        {"subject": "别的"},
        {"expires_at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"return_url": "http://other.test/"},
    ],
)
async def test_other_facts_under_one_reference_are_refused(customer: Customer, changed: dict[str, Any]) -> None:
    request = customer.order()
    opened = await customer.bank.collect(request)
    with pytest.raises(BankRefused, match="reference_conflict"):
        await customer.bank.collect(replace(request, **changed))
    assert await customer.order_at_bank(request.reference) == opened


async def test_an_order_and_an_instruction_cannot_share_a_reference(customer: Customer) -> None:
    order, payout = customer.order(), customer.payout()
    await customer.bank.collect(order)
    await customer.bank.transfer(payout)
    with pytest.raises(BankRefused, match="reference_conflict"):
        await customer.bank.transfer(replace(payout, reference=order.reference))
    with pytest.raises(BankRefused, match="reference_conflict"):
        await customer.bank.collect(replace(order, reference=payout.reference))


async def test_paid_twice_is_two_movements(bank: BankProcess, customer: Customer) -> None:
    request = customer.order(300_00)
    await customer.bank.collect(request)
    await bank.pay(request.reference)
    assert await bank.pay(request.reference, payer_no="6222-2") == "paid"
    paid = await customer.order_at_bank(request.reference)
    assert [movement.amount_fen for movement in paid.movements] == [300_00, 300_00]
    assert len({movement.movement_id for movement in paid.movements}) == 2


async def test_another_amount_is_booked_and_leaves_the_order_open(bank: BankProcess, customer: Customer) -> None:
    request = customer.order(300_00)
    await customer.bank.collect(request)
    assert await bank.pay(request.reference, amount_fen=299_99) == "open"
    assert [movement.amount_fen for movement in (await customer.order_at_bank(request.reference)).movements] == [299_99]


async def test_paid_late_is_booked_and_leaves_the_order_closed(bank: BankProcess, customer: Customer) -> None:
    request = customer.order(300_00)
    await customer.bank.collect(request)
    assert await bank.pay_late(request.reference) == "closed"
    late = await customer.order_at_bank(request.reference)
    assert (late.status, len(late.movements)) == ("closed", 1)


async def test_an_order_closes_when_its_time_is_over(bank: BankProcess, customer: Customer) -> None:
    request = customer.order(minutes=15)
    await customer.bank.collect(request)
    await bank.set_clock(fixed_at=request.expires_at - timedelta(microseconds=1))
    assert (await customer.order_at_bank(request.reference)).status == "open"
    await bank.set_clock(fixed_at=request.expires_at)
    assert (await customer.order_at_bank(request.reference)).status == "closed"
    await bank.set_clock()
    assert (await customer.order_at_bank(request.reference)).status == "closed"


async def test_closing_tells_whether_the_payer_was_faster(bank: BankProcess, customer: Customer) -> None:
    unpaid, paid = customer.order(), customer.order()
    for request in (unpaid, paid):
        await customer.bank.collect(request)
    await bank.pay(paid.reference)
    answers = [await customer.bank.close(request.reference) for request in (unpaid, unpaid, paid)]
    assert [answer and answer.status for answer in answers] == ["closed", "closed", "paid"]
    assert await customer.bank.close(new_reference()) is None


async def test_another_clients_order_and_account_do_not_exist(bank: BankProcess, customer: Customer) -> None:
    request = customer.order()
    await customer.bank.collect(request)
    stranger = await new_customer(bank)
    assert await stranger.bank.query(request.reference) is None
    assert await stranger.bank.close(request.reference) is None
    with pytest.raises(BankRefused, match="account_unknown"):
        await stranger.bank.collect(replace(request, reference=new_reference()))
    with pytest.raises(BankRefused, match="account_unknown"):
        await stranger.bank.balance(customer.supervised_no)
    assert (await customer.order_at_bank(request.reference)).status == "open"
    await stranger.bank.aclose()


@pytest.mark.parametrize("amount", [0, -1, 10**13 + 1, 2**63, 1.5, 1.0, "5", True, None])
async def test_an_impossible_amount_is_refused(customer: Customer, amount: Any) -> None:
    request = customer.order(amount)
    with pytest.raises(BankRefused, match="invalid_request"):
        await customer.bank.collect(request)
    assert await customer.bank.query(request.reference) is None


@pytest.mark.parametrize("reference", ["", "lower", "A" * 31, "A B", "A'--", "ＡＢ"])
async def test_an_impossible_reference_is_refused_and_unknown(customer: Customer, reference: str) -> None:
    with pytest.raises(BankRefused, match="invalid_request"):
        await customer.bank.collect(replace(customer.order(), reference=reference))
    assert await customer.bank.query(reference) is None
