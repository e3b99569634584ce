"""Money arrives in every way that it can: in time, late, twice, wrong, from nobody. None is ever lost."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from app import clock
from app.banking import jobs as bank_jobs
from app.banking.collections import ask_collection
from app.contracts.models import Contract
from app.db import District
from app.lessons import service as lessons
from app.payments import jobs, queries
from app.payments.models import Payment, Receipt
from app.payments.queries import ReceiptView
from app.registry import classes, teachers
from app.registry.models import Institution
from app.registry.rules import ClassDraft
from app.security import Parent
from tests.world import CONNECTION, World


async def ordered(world: World, institution: Institution) -> tuple[Parent, Contract, Payment]:
    parent = await world.parent()
    contract = await world.sign(parent, await world.training_class(institution, starts_in=timedelta(days=1)))
    return parent, contract, await world.order(parent, contract)


async def send_back(world: World) -> None:
    """One round of what the worker does with money that is nobody's."""
    await jobs.return_unassigned(world.district)
    await bank_jobs.send_instructions(world.district, world.banks)
    await bank_jobs.resolve_instructions(world.district, world.banks)
    await jobs.settle_returns(world.district)


async def unmatched(world: World, waiting: bool = False) -> list[ReceiptView]:
    async with world.district.reading() as session:
        return await queries.unmatched_receipts(session, waiting=waiting)


async def import_today(world: World) -> None:
    await bank_jobs.import_statement(world.district, world.banks, CONNECTION, clock.today())
    await jobs.match_receipts(world.district)


async def rows_of(district: District, payment: Payment) -> tuple[str, str]:
    async with district.reading() as session:
        contract = await session.get_one(Contract, payment.contract_id)
        return (await session.get_one(Payment, payment.id)).status, contract.status


async def test_paid_in_time_it_stands_in_escrow_at_once(world: World, district: District) -> None:
    institution = await world.institution()
    _, contract, payment = await ordered(world, institution)
    await world.bank.pay(payment.payment_no)
    assert (await world.learn_of(payment.payment_no)).status == "paid"
    assert await rows_of(district, payment) == ("paid", "paid")
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}
    assert {(lesson.status, lesson.payment_id) for lesson in await world.lessons_of(contract)} == {("scheduled", payment.id)}
    assert await unmatched(world) == []


async def test_learnt_of_late_but_paid_in_time_it_counts(world: World, district: District) -> None:
    institution = await world.institution()
    _, _, payment = await ordered(world, institution)
    await world.bank.pay(payment.payment_no)
    await world.wait(timedelta(hours=1))
    assert await jobs.lapse_contracts(district) == 0
    assert await jobs.expire_payments(district, world.banks) == 0
    assert await jobs.lapse_contracts(district) == 0
    assert await jobs.match_receipts(district) == 1
    assert await rows_of(district, payment) == ("paid", "paid")


async def test_paid_late_it_goes_back_the_same_day(world: World, district: District) -> None:
    institution = await world.institution()
    _, _, payment = await ordered(world, institution)
    await world.wait(timedelta(minutes=16))
    await jobs.expire_payments(district, world.banks)
    await world.bank.pay_late(payment.payment_no)
    await import_today(world)
    (receipt,) = await unmatched(world, waiting=True)
    assert (receipt.outcome, receipt.payment_no, receipt.return_no) == ("late", payment.payment_no, None)
    assert await world.totals(institution) == {"cash": 40_000, "suspense": 40_000}
    await send_back(world)
    (receipt,) = await unmatched(world)
    assert receipt.returned_at is not None
    assert (receipt.return_status, receipt.return_attempts) == ("settled", 1)
    assert await world.totals(institution) == {}
    assert await world.at_bank(institution) == 0
    assert await rows_of(district, payment) == ("expired", "created")


async def test_paid_late_before_we_closed_it_still_ends_the_payment(world: World, district: District) -> None:
    institution = await world.institution()
    _, _, payment = await ordered(world, institution)
    await world.wait(timedelta(minutes=16))
    await world.bank.pay_late(payment.payment_no)
    assert await jobs.expire_payments(district, world.banks) == 0
    assert await jobs.match_receipts(district) == 1
    assert await jobs.expire_payments(district, world.banks) == 1
    await world.wait(timedelta(minutes=30))
    assert await jobs.lapse_contracts(district) == 1
    await send_back(world)
    assert await world.at_bank(institution) == 0


async def test_paid_twice_the_second_goes_back(world: World, district: District) -> None:
    institution = await world.institution()
    _, _, payment = await ordered(world, institution)
    await world.bank.pay(payment.payment_no)
    await world.bank.pay(payment.payment_no, payer_no="6222020000000000099", payer_name="外婆")
    await world.learn_of(payment.payment_no)
    async with district.reading() as session:
        (receipt,) = await queries.receipts_of_payment(session, payment.id)
    assert receipt.outcome == "second"
    assert await world.totals(institution) == {"cash": 80_000, "escrow": 40_000, "suspense": 40_000}
    await send_back(world)
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}
    assert await world.at_bank(institution) == 40_000


async def test_a_wrong_amount_goes_back_and_the_right_one_still_counts(world: World, district: District) -> None:
    institution = await world.institution()
    parent, contract, payment = await ordered(world, institution)
    await world.bank.pay(payment.payment_no, amount_fen=39_999)
    await world.learn_of(payment.payment_no)
    assert [receipt.outcome for receipt in await unmatched(world)] == ["wrong_amount"]
    await send_back(world)
    assert await world.totals(institution) == {}
    await world.wait_until(payment.expires_at)
    assert await jobs.expire_payments(district, world.banks) == 1
    await world.pay(parent, contract)
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}


async def test_a_wrong_amount_on_an_open_order_leaves_it_payable(world: World, district: District) -> None:
    institution = await world.institution()
    _, _, payment = await ordered(world, institution)
    await world.bank.pay(payment.payment_no, amount_fen=50_000)
    await world.learn_of(payment.payment_no)
    await world.bank.pay(payment.payment_no)
    await import_today(world)
    await send_back(world)
    assert await rows_of(district, payment) == ("paid", "paid")
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}


async def test_a_strangers_money_goes_back(world: World) -> None:
    institution = await world.institution()
    account = await world.account(institution)
    await world.bank.deposit_from_stranger(account.account_no, 12_345)
    await import_today(world)
    (receipt,) = await unmatched(world)
    assert (receipt.outcome, receipt.payment_no, receipt.amount_fen) == ("unknown_payer", None, 12_345)
    await send_back(world)
    assert await world.at_bank(institution) == 0
    assert await unmatched(world, waiting=True) == []


async def test_paid_after_the_seat_was_given_up_it_goes_back(world: World, district: District) -> None:
    institution = await world.institution()
    _, _, payment = await ordered(world, institution)
    await world.wait(timedelta(minutes=31))
    await jobs.expire_payments(district, world.banks)
    assert await jobs.lapse_contracts(district) == 1
    await world.bank.pay_late(payment.payment_no)
    await import_today(world)
    await send_back(world)
    assert await rows_of(district, payment) == ("expired", "lapsed")
    assert await world.at_bank(institution) == 0


async def test_eight_workers_decide_about_a_receipt_once(world: World, district: District) -> None:
    institution = await world.institution()
    payments = [(await ordered(world, institution))[2] for _ in range(3)]
    for payment in payments:
        await world.bank.pay(payment.payment_no)
        await world.bank.pay(payment.payment_no)
        await ask_collection(district, world.banks, payment.payment_no)
    decided = await asyncio.gather(*(jobs.match_receipts(district) for _ in range(8)))
    assert sum(decided) == 6
    assert await world.totals(institution) == {"cash": 240_000, "escrow": 120_000, "suspense": 120_000}


async def test_eight_workers_send_a_stranger_his_money_once(world: World, district: District) -> None:
    institution = await world.institution()
    await world.bank.deposit_from_stranger((await world.account(institution)).account_no, 5_000)
    await import_today(world)
    assert sum(await asyncio.gather(*(jobs.return_unassigned(district) for _ in range(8)))) == 1
    await send_back(world)
    assert sum(await asyncio.gather(*(jobs.settle_returns(district) for _ in range(8)))) == 0
    assert await world.at_bank(institution) == 0


async def test_a_refused_return_is_tried_hourly_three_times_and_then_waits_in_sight(world: World, district: District) -> None:
    institution = await world.institution()
    await world.bank.deposit_from_stranger((await world.account(institution)).account_no, 5_000)
    await import_today(world)
    await world.bank.knob("reject", "refund", times=None, code="account_closed")
    for _ in range(3):
        await send_back(world)
        assert await jobs.return_unassigned(district) == 0
        assert await world.totals(institution) == {"cash": 5_000, "suspense": 5_000}
        await world.wait(timedelta(hours=1))
    await world.wait(timedelta(days=1))
    assert await jobs.return_unassigned(district) == 0
    (receipt,) = await unmatched(world, waiting=True)
    assert (receipt.return_attempts, receipt.return_no, receipt.return_status) == (3, None, None)


async def test_returns_that_wait_for_their_next_try_keep_no_other_waiting(
    world: World, district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing, other = await world.institution(), await world.institution()
    await world.bank.deposit_from_stranger((await world.account(refusing)).account_no, 5_000)
    await import_today(world)
    await world.bank.knob("reject", "refund", code="account_closed")
    await send_back(world)
    await world.wait(timedelta(minutes=1))
    await world.bank.deposit_from_stranger((await world.account(other)).account_no, 6_000)
    await import_today(world)
    monkeypatch.setattr(jobs, "BATCH", 1)
    assert await jobs.return_unassigned(district) == 1
    assert await world.totals(other) == {"cash": 6_000, "outgoing": 6_000}


async def test_a_return_that_comes_back_waits_in_suspense_and_is_sent_again(world: World, district: District) -> None:
    institution = await world.institution()
    await world.bank.deposit_from_stranger((await world.account(institution)).account_no, 5_000)
    await import_today(world)
    await send_back(world)
    (receipt,) = await unmatched(world)
    assert receipt.return_no is not None
    await world.bank.return_instruction(CONNECTION, receipt.return_no)
    await import_today(world)
    assert await jobs.settle_returns(district) == 1
    assert await world.totals(institution) == {"cash": 5_000, "suspense": 5_000}
    await world.wait(timedelta(hours=1))
    await send_back(world)
    (again,) = await unmatched(world)
    assert again.returned_at is not None
    assert (again.return_no != receipt.return_no, again.return_attempts) == (True, 2)
    assert await world.at_bank(institution) == 0


async def test_a_lesson_delivered_before_its_payment_was_known_is_missed(world: World, district: District) -> None:
    institution = await world.institution()
    soon = clock.now() + timedelta(minutes=2)
    async with district.transaction() as session:
        teacher = await teachers.create_teacher(session, institution.id, "李老师", "CERT-SHORT", "美术")
        sessions = [(soon + timedelta(days=n), soon + timedelta(days=n, minutes=5)) for n in range(2)]
        draft = ClassDraft(teacher.id, "试听", "美术", 20_000, 2, 5, sessions)
        course = await classes.open_class(session, institution.id, draft)
    parent = await world.parent()
    contract = await world.sign(parent, course.training_class)
    payment = await world.order(parent, contract)
    await world.bank.pay(payment.payment_no)
    await world.wait(timedelta(minutes=8))
    async with district.transaction() as session:
        await lessons.deliver(session, world.staff(institution), course.sessions[0].id, [])
    await world.learn_of(payment.payment_no)
    assert [lesson.status for lesson in await world.lessons_of(contract)] == ["missed", "scheduled"]
    assert await world.totals(institution) == {"cash": 20_000, "escrow": 20_000}


async def test_one_poison_fails_alone(world: World, district: District) -> None:
    """A receipt whose cash was taken away cannot be returned; the others can."""
    poor, rich = await world.institution(), await world.institution()
    for institution in (poor, rich):
        await world.bank.deposit_from_stranger((await world.account(institution)).account_no, 5_000)
    await import_today(world)
    await world.bank.debit_uninstructed((await world.account(poor)).account_no, 5_000)
    await import_today(world)
    assert await jobs.return_unassigned(district) == 1
    async with district.reading() as session:
        waiting = await session.scalars(select(Receipt.institution_id).where(Receipt.return_no.is_(None)))
        assert list(waiting) == [poor.id]
