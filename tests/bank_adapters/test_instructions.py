"""Refunds and transfers: executed once, refused when they cannot be, and able to come back."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bank_adapters.mock_bank.control import ControlRefused
from bank_adapters.port import BankRefused, Movement, RefundRequest
from tests.bank_adapters.conftest import SCHOOL, Customer, new_customer, new_reference
from tests.bank_process import BankProcess


async def receipt(bank: BankProcess, customer: Customer, amount_fen: int, payer_no: str = "6222-9") -> Movement:
    request = customer.order(amount_fen)
    await customer.bank.collect(request)
    await bank.pay(request.reference, payer_no=payer_no)
    (movement,) = (await customer.order_at_bank(request.reference)).movements
    return movement


async def test_a_transfer_reaches_its_payee(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout(400_00)
    executed = await customer.bank.transfer(request)
    (movement,) = executed.movements
    assert (executed.status, executed.reject_code) == ("executed", None)
    assert (movement.direction, movement.amount_fen, movement.balance_after_fen) == ("out", 400_00, 600_00)
    assert (movement.reference, movement.counterparty_no) == (request.reference, customer.settlement_no)
    assert await bank.balance_of(customer.settlement_no) == 400_00


async def test_the_same_reference_pays_once_even_at_once(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout(400_00)
    answers = await asyncio.gather(*(customer.bank.transfer(request) for _ in range(20)))
    assert len(set(answers)) == 1
    assert await bank.balance_of(customer.settlement_no) == 400_00


@pytest.mark.parametrize("changed", [{"amount_fen": 1}, {"payee_name": "别人"}, {"payee_account_no": "ELSEWHERE"}])
async def test_other_facts_under_one_reference_are_refused(customer: Customer, changed: dict[str, Any]) -> None:
    request = customer.payout()
    executed = await customer.bank.transfer(request)
    with pytest.raises(BankRefused, match="reference_conflict"):
        await customer.bank.transfer(replace(request, **changed))
    assert await customer.bank.query(request.reference) == executed


async def test_a_transfer_that_cannot_be_is_refused_and_unknown(bank: BankProcess, customer: Customer) -> None:
    stranger = await new_customer(bank)
    refused = {
        "insufficient_funds": customer.payout(1_000_01),
        "payee_unknown": replace(customer.payout(), payee_account_no="NOBODY"),
        "payee_name_mismatch": replace(customer.payout(), payee_name="别的学校"),
        "same_account": replace(customer.payout(), payee_account_no=customer.supervised_no, payee_name=f"{SCHOOL}监管户"),
        "account_unknown": replace(customer.payout(), account_no=stranger.supervised_no),
        "invalid_request": customer.payout(0),
    }
    for code, request in refused.items():
        with pytest.raises(BankRefused, match=code):
            await customer.bank.transfer(request)
        assert await customer.bank.query(request.reference) is None
    assert await bank.balance_of(customer.supervised_no) == 1_000_00
    await stranger.bank.aclose()


async def test_a_refused_transfer_may_be_tried_again_under_its_reference(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout(1_200_00)
    with pytest.raises(BankRefused, match="insufficient_funds"):
        await customer.bank.transfer(request)
    await receipt(bank, customer, 500_00)
    assert (await customer.bank.transfer(request)).status == "executed"


async def test_a_refund_goes_back_to_whoever_paid(bank: BankProcess, customer: Customer) -> None:
    before_fen = await bank.balance_of("6222-7")
    paid = await receipt(bank, customer, 500_00, payer_no="6222-7")
    refunded = await customer.bank.refund(customer.refund_of(paid, 200_00))
    assert refunded.status == "executed"
    assert refunded.movements[0].counterparty_no == "6222-7"
    assert await bank.balance_of("6222-7") == before_fen - 300_00


async def test_refunds_never_exceed_what_was_paid(bank: BankProcess, customer: Customer) -> None:
    paid = await receipt(bank, customer, 500_00)
    first = customer.refund_of(paid, 300_00)
    await customer.bank.refund(first)
    with pytest.raises(BankRefused, match="refund_exceeds_original"):
        await customer.bank.refund(customer.refund_of(paid, 200_01))
    assert (await customer.bank.refund(first)).status == "executed"
    assert (await customer.bank.refund(customer.refund_of(paid, 200_00))).status == "executed"
    with pytest.raises(BankRefused, match="reference_conflict"):
        await customer.bank.refund(replace(first, amount_fen=1))


async def test_a_refund_needs_a_receipt_and_the_money(bank: BankProcess, customer: Customer) -> None:
    paid = await receipt(bank, customer, 500_00)
    with pytest.raises(BankRefused, match="movement_unknown"):
        await customer.bank.refund(replace(customer.refund_of(paid, 1), original_movement_id="20200101000001"))
    await customer.bank.transfer(customer.payout(1_500_00))
    with pytest.raises(BankRefused, match="insufficient_funds"):
        await customer.bank.refund(customer.refund_of(paid, 1))


async def test_an_anonymous_receipt_can_be_refunded_though_nobody_is_named(bank: BankProcess, customer: Customer) -> None:
    await bank.deposit_from_stranger(customer.supervised_no, 50_00, payer_no="6222-5", anonymous=True)
    (arrived,) = await bank.movements(account_no=customer.supervised_no)
    assert (arrived["reference"], arrived["counterparty_no"], arrived["counterparty_name"]) == (None, "", "")
    before_fen = await bank.balance_of("6222-5")
    await customer.bank.refund(RefundRequest(new_reference(), customer.supervised_no, arrived["movement_id"], 50_00))
    assert await bank.balance_of("6222-5") == before_fen + 50_00


async def test_money_can_come_back_after_success(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout(400_00)
    await customer.bank.transfer(request)
    await bank.return_instruction(customer.slug, request.reference)
    returned = await customer.instruction_at_bank(request.reference)
    assert returned.status == "returned"
    assert [(movement.direction, movement.returns) for movement in returned.movements] == [("out", False), ("in", True)]
    assert await bank.balance_of(customer.supervised_no) == 1_000_00
    assert await bank.balance_of(customer.settlement_no) == 0
    with pytest.raises(ControlRefused, match="not_executed"):
        await bank.return_instruction(customer.slug, request.reference)
    assert (await customer.bank.transfer(request)).status == "returned"


async def test_a_returned_refund_may_be_instructed_anew(bank: BankProcess, customer: Customer) -> None:
    paid = await receipt(bank, customer, 500_00)
    first = customer.refund_of(paid, 500_00)
    await customer.bank.refund(first)
    await bank.return_instruction(customer.slug, first.reference)
    assert (await customer.bank.refund(customer.refund_of(paid, 500_00))).status == "executed"


async def test_nobody_elses_reference_can_be_queried(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout()
    await customer.bank.transfer(request)
    stranger = await new_customer(bank)
    assert await stranger.bank.query(request.reference) is None
    assert await customer.bank.query(new_reference()) is None
    own = replace(request, account_no=stranger.supervised_no, payee_account_no=stranger.settlement_no)
    assert (await stranger.bank.transfer(own)).status == "executed"
    await stranger.bank.aclose()


async def test_a_debit_that_nobody_instructed_shows_only_in_the_statement(bank: BankProcess, customer: Customer) -> None:
    await bank.debit_uninstructed(customer.supervised_no, 30_00)
    (movement,) = await bank.movements(account_no=customer.supervised_no)
    assert (movement["direction"], movement["amount_fen"], movement["reference"]) == ("out", 30_00, None)
    with pytest.raises(ControlRefused, match="insufficient_funds"):
        await bank.debit_uninstructed(customer.supervised_no, 970_01)
