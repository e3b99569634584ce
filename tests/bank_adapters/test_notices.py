"""Notices: signed, tried again until taken, and lost, doubled, late or out of order when told so."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from bank_adapters import webhooks
from bank_adapters.mock_bank.control import ControlRefused
from bank_adapters.port import Notice, NoticeRefused
from tests.bank_adapters.conftest import SCHOOL, Customer, new_customer
from tests.bank_adapters.scripted_server import Received, ScriptedServer
from tests.bank_process import BankProcess


def believed(customer: Customer, received: Received) -> Notice:
    return customer.bank.verify_notice(received.headers, received.body, datetime.now(UTC))


async def pay_order(bank: BankProcess, customer: Customer, amount_fen: int = 100_00) -> str:
    request = customer.order(amount_fen)
    await customer.bank.collect(request)
    await bank.pay(request.reference)
    return request.reference


async def states(bank: BankProcess, customer: Customer) -> list[str]:
    return [notice["state"] for notice in await bank.notices(customer.slug)]


async def test_a_payment_is_told_with_a_signature(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    reference = await pay_order(bank, notified)
    received = await receiver.next()
    notice = believed(notified, received)
    assert received.path == "/notices"
    assert (notice.event, notice.reference, notice.account_no) == ("order.paid", reference, notified.supervised_no)
    await bank.wait_until_notices_settled()
    (written,) = await bank.notices(notified.slug)
    assert (written["notice_id"], written["state"]) == (notice.notice_id, "delivered")


async def test_the_life_of_an_instruction_is_told(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    executed, rejected = notified.payout(), notified.payout()
    await notified.bank.transfer(executed)
    await bank.return_instruction(notified.slug, executed.reference)
    await bank.knob("reject", "transfer", after_accept=True)
    await notified.bank.transfer(rejected)
    told = [believed(notified, await receiver.next()) for _ in range(3)]
    assert [(notice.event, notice.reference) for notice in told] == [
        ("instruction.executed", executed.reference),
        ("instruction.returned", executed.reference),
        ("instruction.rejected", rejected.reference),
    ]


async def test_a_movement_without_a_reference_is_told_by_account_and_day(
    bank: BankProcess, notified: Customer, receiver: ScriptedServer
) -> None:
    await bank.set_clock(fixed_at=datetime(2036, 1, 1, 16, 0, tzinfo=UTC))
    await bank.deposit_from_stranger(notified.supervised_no, 5_00)
    await bank.debit_uninstructed(notified.supervised_no, 5_00)
    for _ in range(2):
        received = await receiver.next()
        notice = notified.bank.verify_notice(received.headers, received.body, datetime(2036, 1, 1, 16, 0, tzinfo=UTC))
        assert (notice.event, notice.reference) == ("account.moved", None)
        assert (notice.account_no, notice.value_on) == (notified.supervised_no, date(2036, 1, 2))


async def test_money_from_another_client_is_told_without_its_reference(
    bank: BankProcess, notified: Customer, receiver: ScriptedServer
) -> None:
    payer = await new_customer(bank)
    await payer.bank.transfer(replace(payer.payout(), payee_account_no=notified.settlement_no, payee_name=SCHOOL))
    notice = believed(notified, await receiver.next())
    assert (notice.event, notice.reference, notice.account_no) == ("account.moved", None, notified.settlement_no)
    await payer.bank.aclose()


async def test_a_notice_is_tried_again_unchanged_until_it_is_taken(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    receiver.answers.extend([(500, b""), (0, b""), (302, b""), (404, b"")])
    await pay_order(bank, notified)
    tries = [await receiver.next() for _ in range(5)]
    assert len({received.body for received in tries}) == 1
    assert len({believed(notified, received).notice_id for received in tries}) == 1
    await bank.wait_until_notices_settled()
    (written,) = await bank.notices(notified.slug)
    assert (written["state"], written["attempts"]) == ("delivered", 5)


async def test_a_failing_receiver_does_not_hold_up_the_next_notice(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    await bank.set_notices(retry_base_seconds=60)
    receiver.answers.append((500, b""))
    first, second = await pay_order(bank, notified), await pay_order(bank, notified)
    assert [believed(notified, await receiver.next()).reference for _ in range(2)] == [first, second]
    await bank.release_notices()
    assert believed(notified, await receiver.next()).reference == first


async def test_a_duplicate_has_the_same_id(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    await bank.knob("notice_duplicate")
    await pay_order(bank, notified)
    twice = [believed(notified, await receiver.next()) for _ in range(2)]
    assert twice[0] == twice[1]
    await bank.wait_until_notices_settled()
    assert receiver.unread == 0


async def test_a_lost_notice_never_comes_but_can_be_resent(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    await bank.knob("notice_lost")
    lost, told = await pay_order(bank, notified), await pay_order(bank, notified)
    assert believed(notified, await receiver.next()).reference == told
    await bank.wait_until_notices_settled()
    assert await states(bank, notified) == ["lost", "delivered"]
    await bank.resend_notice((await bank.notices(notified.slug))[0]["notice_id"])
    assert believed(notified, await receiver.next()).reference == lost


async def test_a_delayed_notice_comes_later(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    await bank.knob("notice_delay", seconds=600)
    delayed, prompt = await pay_order(bank, notified), await pay_order(bank, notified)
    assert believed(notified, await receiver.next()).reference == prompt
    await bank.release_notices()
    assert believed(notified, await receiver.next()).reference == delayed


async def test_a_short_delay_ends_by_itself(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    await bank.knob("notice_delay", seconds=0.05)
    reference = await pay_order(bank, notified)
    assert believed(notified, await receiver.next()).reference == reference


async def test_notices_can_come_out_of_order(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    await bank.knob("notice_reorder")
    first, second = await pay_order(bank, notified), await pay_order(bank, notified)
    assert [believed(notified, await receiver.next()).reference for _ in range(2)] == [second, first]


async def test_an_old_notice_can_be_sent_again_with_a_fresh_time(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    await pay_order(bank, notified)
    first = await receiver.next()
    notice = believed(notified, first)
    await bank.resend_notice(notice.notice_id)
    second = await receiver.next()
    assert (believed(notified, second), second.body) == (notice, first.body)
    with pytest.raises(ControlRefused, match="notice_unknown"):
        await bank.resend_notice("msg_none")


async def test_no_notices_while_they_are_off(bank: BankProcess, notified: Customer, receiver: ScriptedServer) -> None:
    await bank.set_notices(enabled=False)
    await pay_order(bank, notified)
    await bank.set_notices()
    told = await pay_order(bank, notified)
    assert believed(notified, await receiver.next()).reference == told
    assert len(await bank.notices(notified.slug)) == 1


async def test_a_failed_payment_tells_nothing(bank: BankProcess, notified: Customer) -> None:
    request = notified.order()
    await notified.bank.collect(request)
    with pytest.raises(ControlRefused, match="payer_not_allowed"):
        await bank.pay(request.reference, payer_no=notified.supervised_no)
    assert await states(bank, notified) == []


def message(**changed: Any) -> bytes:
    data = {"reference": "A1", "account_no": "1", "value_on": "2025-09-01"} | changed
    return json.dumps({"type": "order.paid", "data": data}).encode()


async def test_a_notice_that_is_not_authentic_or_fresh_is_refused(customer: Customer) -> None:
    now, body = datetime.now(UTC), message()
    good = webhooks.sign(customer.notice_secret, "msg_1", now, body)
    assert customer.bank.verify_notice(good, body, now).reference == "A1"
    refused = [
        (webhooks.sign(webhooks.new_secret(), "msg_1", now, body), body, now),
        (good, message(reference="A2"), now),
        (good, body, now + timedelta(minutes=6)),
        (good, body, now - timedelta(minutes=6)),
        ({}, body, now),
    ]
    for headers, content, at in refused:
        with pytest.raises(NoticeRefused):
            customer.bank.verify_notice(headers, content, at)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff",
        b"{}",
        b"[" * 100_000,
        message(reference=5),
        message(value_on="someday"),
        message(value_on=5),
        message(account_no=[]),
    ],
)
async def test_an_authentic_notice_without_form_is_refused(customer: Customer, body: bytes) -> None:
    now = datetime.now(UTC)
    with pytest.raises(NoticeRefused):
        customer.bank.verify_notice(webhooks.sign(customer.notice_secret, "msg_1", now, body), body, now)
