"""Faults to order: what the client sees, and what really happened at the bank."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bank_adapters.mock_bank.client import MockBank
from bank_adapters.port import BankRefused, BankUnknown, Instruction
from tests.bank_adapters.conftest import Customer, new_customer
from tests.bank_adapters.scripted_server import ScriptedServer
from tests.bank_process import BankProcess


async def test_a_time_out_before_the_effect_leaves_nothing(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout()
    await bank.knob("timeout_before", "transfer")
    with pytest.raises(BankUnknown):
        await customer.bank.transfer(request)
    assert await customer.bank.query(request.reference) is None
    assert (await customer.bank.transfer(request)).status == "executed"


@pytest.mark.parametrize("kind", ["timeout_after", "error_after"])
async def test_no_answer_after_the_effect_and_the_money_has_moved(bank: BankProcess, customer: Customer, kind: str) -> None:
    request = customer.payout(400_00)
    await bank.knob(kind, "transfer")  # type: ignore[arg-type]
    with pytest.raises(BankUnknown):
        await customer.bank.transfer(request)
    assert (await customer.instruction_at_bank(request.reference)).status == "executed"
    assert (await customer.bank.transfer(request)).status == "executed"
    assert await bank.balance_of(customer.settlement_no) == 400_00


@pytest.mark.parametrize("operation", ["collect", "close", "query", "balance", "statement"])
async def test_every_operation_can_fail(bank: BankProcess, customer: Customer, operation: str) -> None:
    order = customer.order()
    opened = await customer.bank.collect(order)
    today = (await bank.set_clock()).date()
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "collect": lambda: customer.bank.collect(order),
        "close": lambda: customer.bank.close(order.reference),
        "query": lambda: customer.bank.query(order.reference),
        "balance": lambda: customer.bank.balance(customer.supervised_no),
        "statement": lambda: customer.bank.statement(today),
    }
    for kind in ("timeout_before", "timeout_after", "error_after"):
        await bank.knob(kind, operation)  # type: ignore[arg-type]
        with pytest.raises(BankUnknown):
            await calls[operation]()
    await calls[operation]()
    assert (await customer.order_at_bank(order.reference)).cashier_url == opened.cashier_url


async def test_a_slow_bank_meets_an_impatient_client(bank: BankProcess, customer: Customer) -> None:
    impatient = MockBank(bank.url, customer.api_key, customer.notice_secret, timeout_seconds=0.2)
    request = customer.payout()
    knob = await bank.knob("timeout_after", "transfer", seconds=30)
    with pytest.raises(BankUnknown):
        await impatient.transfer(request)
    assert await bank.wait_until_fired(knob) == 1
    assert (await customer.instruction_at_bank(request.reference)).status == "executed"
    await impatient.aclose()


async def test_a_test_can_wait_until_a_call_hangs(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout()
    knob = await bank.knob("timeout_before", "transfer", reference=request.reference, seconds=30)
    call = asyncio.create_task(customer.bank.transfer(request))
    await bank.wait_until_fired(knob)
    assert not call.done()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert await customer.bank.query(request.reference) is None


async def test_a_late_instruction_is_accepted_and_executed_when_released(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout(400_00)
    await bank.knob("late", "transfer")
    assert (await customer.bank.transfer(request)).status == "accepted"
    assert (await customer.bank.transfer(request)).status == "accepted"
    assert (await customer.instruction_at_bank(request.reference)).movements == ()
    assert await bank.release_late(request.reference) == 1
    assert (await customer.instruction_at_bank(request.reference)).status == "executed"
    assert await bank.balance_of(customer.settlement_no) == 400_00


async def test_a_late_instruction_executes_by_itself(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    request = notified.payout()
    await bank.knob("late", "transfer", seconds=0.05)
    assert (await notified.bank.transfer(request)).status == "accepted"
    assert b"instruction.executed" in (await receiver.next()).body
    assert (await notified.instruction_at_bank(request.reference)).status == "executed"


async def test_a_late_instruction_without_money_is_rejected_in_the_end(bank: BankProcess, customer: Customer) -> None:
    late = customer.payout(800_00)
    await bank.knob("late", "transfer")
    await customer.bank.transfer(late)
    await customer.bank.transfer(customer.payout(800_00))
    await bank.release_late()
    rejected = await customer.instruction_at_bank(late.reference)
    assert (rejected.status, rejected.reject_code, rejected.movements) == ("rejected", "insufficient_funds", ())


async def test_an_unseen_effect_comes_after_not_found(bank: BankProcess, customer: Customer) -> None:
    order, payout = customer.order(), customer.payout(400_00)
    await bank.knob("late_unseen", "collect")
    await bank.knob("late_unseen", "transfer")
    for call in (customer.bank.collect(order), customer.bank.transfer(payout)):
        with pytest.raises(BankUnknown):
            await call
    assert await customer.bank.query(order.reference) is None
    assert await customer.bank.query(payout.reference) is None
    assert await bank.release_late() == 2
    assert (await customer.order_at_bank(order.reference)).status == "open"
    assert (await customer.instruction_at_bank(payout.reference)).status == "executed"


async def test_a_retry_before_the_unseen_effect_still_pays_once(bank: BankProcess, customer: Customer) -> None:
    payout = customer.payout(400_00)
    await bank.knob("late_unseen", "transfer")
    with pytest.raises(BankUnknown):
        await customer.bank.transfer(payout)
    assert (await customer.bank.transfer(payout)).status == "executed"
    await bank.release_late()
    assert await bank.balance_of(customer.settlement_no) == 400_00


async def test_a_refusal_with_a_code_leaves_nothing(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout()
    await bank.knob("reject", "transfer", code="account_frozen")
    with pytest.raises(BankRefused) as caught:
        await customer.bank.transfer(request)
    assert caught.value.code == "account_frozen"
    assert await customer.bank.query(request.reference) is None


async def test_an_accepted_instruction_can_be_rejected_afterwards(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout()
    await bank.knob("reject", "transfer", code="payee_closed", after_accept=True)
    assert (await customer.bank.transfer(request)).status == "accepted"
    rejected = await customer.instruction_at_bank(request.reference)
    assert (rejected.status, rejected.reject_code, rejected.movements) == ("rejected", "payee_closed", ())
    assert await bank.balance_of(customer.supervised_no) == 1_000_00


async def test_a_rejected_refund_may_be_instructed_anew(bank: BankProcess, customer: Customer) -> None:
    order = customer.order(500_00)
    await customer.bank.collect(order)
    await bank.pay(order.reference)
    (paid,) = (await customer.order_at_bank(order.reference)).movements
    await bank.knob("reject", "refund", after_accept=True)
    await customer.bank.refund(customer.refund_of(paid, 500_00))
    assert (await customer.bank.refund(customer.refund_of(paid, 500_00))).status == "executed"


async def test_money_comes_back_after_it_was_executed(bank: BankProcess, customer: Customer) -> None:
    request = customer.payout(400_00)
    await bank.knob("return_after_success", "transfer")
    assert (await customer.bank.transfer(request)).status == "executed"
    assert (await customer.instruction_at_bank(request.reference)).status == "returned"
    assert await bank.balance_of(customer.supervised_no) == 1_000_00


@pytest.mark.parametrize("drop_connection", [False, True])
async def test_a_bank_that_is_down_answers_nothing_until_cleared(bank: BankProcess, customer: Customer, drop_connection: bool) -> None:
    request = customer.payout()
    knob = await bank.knob("down", times=None, drop_connection=drop_connection)
    for _ in range(3):
        with pytest.raises(BankUnknown):
            await customer.bank.transfer(request)
    with pytest.raises(BankUnknown):
        await customer.bank.query(request.reference)
    await bank.clear_knobs(knob)
    assert await customer.bank.query(request.reference) is None


async def test_a_knob_fires_for_its_reference_account_and_number_of_times_only(bank: BankProcess, customer: Customer) -> None:
    other = await new_customer(bank)
    marked = customer.payout(1)
    await bank.knob("reject", "transfer", reference=marked.reference, times=2)
    await bank.knob("reject", "transfer", account_no=other.supervised_no, code="only_there")
    assert (await customer.bank.transfer(customer.payout(1))).status == "executed"
    for _ in range(2):
        with pytest.raises(BankRefused, match="declined"):
            await customer.bank.transfer(marked)
    assert (await customer.bank.transfer(marked)).status == "executed"
    with pytest.raises(BankRefused, match="only_there"):
        await other.bank.transfer(other.payout(1))
    assert isinstance(await customer.bank.query(marked.reference), Instruction)
    await other.bank.aclose()


async def test_waiting_for_a_knob_that_never_fires_ends(bank: BankProcess) -> None:
    knob = await bank.knob("down")
    with pytest.raises(TimeoutError):
        await bank.wait_until_fired(knob, timeout_seconds=0.05)
