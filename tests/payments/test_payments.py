"""Opening, closing and giving up payments."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from app.banking.collections import open_collection
from app.banking.models import Collection
from app.contracts.models import Contract
from app.contracts.rules import SEAT_HELD
from app.db import District
from app.errors import BadInput, DomainError, NotFound, Refused
from app.payments import codes, jobs, queries, service
from app.payments.models import Payment
from app.payments.queries import PaymentView
from app.payments.rules import CODE_VALID
from app.registry.models import Institution
from app.security import Parent
from tests.world import World


async def signed(world: World) -> tuple[Parent, Contract]:
    parent = await world.parent()
    return parent, await world.sign(parent, await world.training_class(await world.institution(), starts_in=timedelta(days=1)))


async def start(district: District, parent: Parent, contract: Contract) -> Payment:
    async with district.transaction() as session:
        return await service.start(session, parent, contract.id)


async def refusal_of(district: District, parent: Parent, contract: Contract) -> str:
    with pytest.raises(DomainError) as refusal:
        await start(district, parent, contract)
    return refusal.value.code


def why_ended(view: PaymentView) -> str | None:
    ended = codes.why_ended(view.status, view.expires_at, view.charge_status)
    return ended and ended.code


async def status_of(district: District, payment: Payment) -> str:
    async with district.reading() as session:
        return (await session.get_one(Payment, payment.id)).status


async def test_a_payment_is_of_the_whole_contract_for_a_quarter_of_an_hour(world: World, district: District) -> None:
    parent, contract = await signed(world)
    payment = await world.order(parent, contract)
    assert (payment.amount_fen, payment.expires_at) == (contract.amount_fen, payment.created_at + CODE_VALID)
    async with district.reading() as session:
        view = await queries.payment_of_guardian(session, parent.guardian_id, payment.payment_no)
        opened = await queries.payment_by_code(session, codes.read_code(view.code))
    assert view == opened
    assert why_ended(view) is None
    assert (view.status, view.order_status, view.student_name_masked) == ("created", "opened", "王*明")
    assert view.cashier_url
    assert view.cashier_url.startswith(world.bank.url)
    assert (view.institution_name, view.class_name) == ("晨光艺术培训学校", "创意美术")


async def test_an_open_payment_is_answered_again_also_when_asked_at_once(world: World, district: District) -> None:
    parent, contract = await signed(world)
    started = await asyncio.gather(*(start(district, parent, contract) for _ in range(6)))
    assert len({payment.payment_no for payment in started}) == 1
    async with district.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Collection)) == 1
        assert len(await queries.payments_of_contract(session, contract.id)) == 1


async def test_only_the_guardian_pays_and_sees(world: World, district: District) -> None:
    parent, contract = await signed(world)
    payment = await start(district, parent, contract)
    other = await world.parent()
    assert await refusal_of(district, other, contract) == "contracts.not_found"
    async with district.reading() as session:
        for guardian_id, payment_no in ((other.guardian_id, payment.payment_no), (parent.guardian_id, f"P510112{'0' * 18}")):
            with pytest.raises(NotFound):
                await queries.payment_of_guardian(session, guardian_id, payment_no)


async def test_an_unknown_code_is_invalid(world: World, district: District) -> None:
    ghost = Payment(payment_no=f"P510112260302{'A' * 12}", nonce=codes.new_nonce())
    async with district.reading() as session:
        with pytest.raises(BadInput):
            await queries.payment_by_code(session, codes.read_code(codes.code_for(ghost)))


async def test_an_expired_payment_is_closed_at_the_bank_first(world: World, district: District) -> None:
    parent, contract = await signed(world)
    first = await world.order(parent, contract)
    assert await jobs.expire_payments(district, world.banks) == 0
    await world.wait_until(first.expires_at)
    assert await refusal_of(district, parent, contract) == "payments.closing"
    assert await jobs.expire_payments(district, world.banks) == 1
    assert await status_of(district, first) == "expired"
    async with district.reading() as session:
        assert (await session.get_one(Collection, first.payment_no)).status == "closed"
        view = await queries.payment_by_code(session, codes.read_code(codes.code_for(first)))
    assert why_ended(view) == "payments.code_expired"
    second = await start(district, parent, contract)
    assert second.payment_no != first.payment_no


async def test_while_the_bank_is_down_a_payment_stays_open(world: World, district: District) -> None:
    parent, contract = await signed(world)
    payment = await world.order(parent, contract)
    await world.wait_until(payment.expires_at)
    await world.bank.knob("down", times=None)
    assert await jobs.expire_payments(district, world.banks) == 0
    await world.wait(SEAT_HELD)
    assert await jobs.lapse_contracts(district) == 0
    assert await status_of(district, payment) == "created"
    await world.bank.clear_knobs()
    assert await jobs.expire_payments(district, world.banks) == 1
    assert await jobs.lapse_contracts(district) == 1


async def test_an_order_that_never_reached_the_bank_expires(world: World, district: District) -> None:
    parent, contract = await signed(world)
    payment = await start(district, parent, contract)
    await world.wait_until(payment.expires_at)
    assert await jobs.expire_payments(district, world.banks) == 1
    assert await status_of(district, payment) == "expired"


async def test_the_order_reaches_the_bank_once_it_is_back(world: World, district: District) -> None:
    parent, contract = await signed(world)
    await world.bank.knob("down", times=None)
    payment = await world.order(parent, contract)
    async with district.reading() as session:
        assert (await queries.payment_of_guardian(session, parent.guardian_id, payment.payment_no)).cashier_url is None
    await world.bank.clear_knobs()
    assert (await open_collection(district, world.banks, payment.payment_no)).status == "opened"


async def test_a_seat_outlives_its_open_payment_and_no_longer(world: World, district: District) -> None:
    parent, contract = await signed(world)
    await world.wait_until(contract.created_at + SEAT_HELD - timedelta(minutes=1))
    payment = await world.order(parent, contract)
    await world.wait_until(contract.created_at + SEAT_HELD)
    assert await jobs.lapse_contracts(district) == 0
    await world.wait_until(payment.expires_at)
    assert await jobs.lapse_contracts(district) == 0
    assert await jobs.expire_payments(district, world.banks) == 1
    assert await refusal_of(district, parent, contract) == "payments.seat_expired"
    assert await jobs.lapse_contracts(district) == 1
    assert await refusal_of(district, parent, contract) == "payments.contract_not_open"


async def test_a_paid_contract_is_not_paid_again(world: World, district: District) -> None:
    parent, contract = await signed(world)
    payment = await world.pay(parent, contract)
    assert await refusal_of(district, parent, contract) == "payments.contract_not_open"
    await world.wait(SEAT_HELD)
    assert (await jobs.expire_payments(district, world.banks), await jobs.lapse_contracts(district)) == (0, 0)
    async with district.reading() as session:
        view = await queries.payment_by_code(session, codes.read_code(codes.code_for(payment)))
    assert why_ended(view) == "payments.code_used"


async def test_nobody_pays_a_suspended_institution(world: World, district: District) -> None:
    parent, contract = await signed(world)
    async with district.transaction() as session:
        (await session.get_one(Institution, contract.institution_id)).status = "suspended"
    with pytest.raises(Refused):
        await start(district, parent, contract)


async def test_an_unknown_contract_is_not_found(world: World, district: District) -> None:
    async with district.transaction() as session:
        with pytest.raises(NotFound):
            await service.start(session, await world.parent(), uuid4())
