"""The worker is killed (SIGKILL) between claim, call and record: nothing is lost or doubled, on our side or the bank's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal

import pytest
from sqlalchemy import select, text

from app import clock
from app.banking.models import Collection, Instruction
from app.db import District
from app.payments import service as payments
from app.refunds import service as refunds
from app.registry.models import Institution
from app.settlement import service as settlement
from tests.faults.conftest import Workers, until
from tests.world import World

Point = Literal["claimed", "executed", "answered"]
LESSON_FEN = 10_000
HELD_SECONDS = 20
"""How long the bank keeps a caller waiting; the worker is killed as soon as the wait has begun."""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def institution(world: World) -> Institution:
    """An institution that was entered some days ago, when it still is those days."""
    await world.wait(timedelta(days=-5))
    return await world.institution()


async def payout_of_two_lessons(world: World, institution: Institution) -> str:
    """A drafted payout of lessons that were taught and confirmed; its number."""
    parent, contract = await world.paid_contract(institution, lessons=4, price_fen=4 * LESSON_FEN)
    for lesson in (await world.lessons_of(contract))[:2]:
        await world.deliver(institution, lesson)
        await world.confirm(parent, lesson)
    async with world.district.transaction() as session:
        payout = await settlement.run(session, institution.id, clock.today(), 1, "test")
    assert payout is not None
    return payout.payout_no


async def refund_of_four_lessons(world: World, institution: Institution) -> str:
    """A refund that was approved and waits for the worker; its number."""
    parent, contract = await world.paid_contract(institution, lessons=4, price_fen=4 * LESSON_FEN)
    async with world.district.transaction() as session:
        return (await refunds.request(session, parent, contract.id, "搬家"))[0].refund_no


async def real_time(world: World) -> None:
    clock.set_to(None)
    await world.bank.set_clock()


@asynccontextmanager
async def killed_when(point: Point, operation: Literal["transfer", "refund"], world: World, owner: District) -> AsyncIterator[None]:
    """The worker that is started within comes to this point of its three steps, and the block ends there."""
    if point == "answered":
        async with bookings_wait(world, owner):
            yield
        return
    held = await world.bank.knob("timeout_before" if point == "claimed" else "timeout_after", operation, seconds=HELD_SECONDS)
    yield
    await world.bank.wait_until_fired(held, timeout_seconds=60)


@asynccontextmanager
async def bookings_wait(world: World, owner: District) -> AsyncIterator[None]:
    """Whoever records a movement waits for us, so that the answer is there and not yet recorded when the block ends."""
    async with owner.transaction() as session:
        await session.execute(text("SELECT id FROM bank_account FOR UPDATE"))
        yield

        async def somebody_waits() -> bool:
            return bool(await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

        await until("a booking waits", somebody_waits)


@pytest.mark.parametrize("point", ["claimed", "executed", "answered"])
@pytest.mark.parametrize("operation", ["transfer", "refund"])
async def test_an_instruction_is_executed_once(
    world: World, institution: Institution, workers: Workers, owner: District, operation: Literal["transfer", "refund"], point: Point
) -> None:
    prepare = payout_of_two_lessons if operation == "transfer" else refund_of_four_lessons
    reference = await prepare(world, institution)
    await real_time(world)
    holding = await world.at_bank(institution)
    async with killed_when(point, operation, world, owner):
        await workers.start()
    await workers.kill()
    row = await instruction(world, reference)
    assert (row.status, row.attempts) == ("cleared", 1)
    assert len(await world.bank.movements(reference=reference)) == (0 if point == "claimed" else 2)

    await world.bank.clear_knobs()
    await lease_runs_out(owner, "instruction")
    await workers.start()
    await until("it is settled", lambda: is_settled(world, reference))
    await workers.kill()
    moved = await world.bank.movements(reference=reference)
    assert [(each["direction"], each["amount_fen"]) for each in moved] == [("out", row.amount_fen), ("in", row.amount_fen)]
    assert await world.at_bank(institution) == holding - row.amount_fen
    totals = await world.totals(institution)
    assert (totals.get("cash", 0), totals.get("outgoing", 0)) == (holding - row.amount_fen, 0)
    assert (await world.bank.books()).holds


@pytest.mark.parametrize("knob", ["timeout_before", "timeout_after"])
async def test_a_cashier_order_is_opened_once_and_its_payment_counts_once(
    world: World, institution: Institution, workers: Workers, owner: District, knob: Literal["timeout_before", "timeout_after"]
) -> None:
    await real_time(world)
    parent = await world.parent()
    contract = await world.sign(parent, await world.training_class(institution))
    async with world.district.transaction() as session:
        payment_no = (await payments.start(session, parent, contract.id)).payment_no
    held = await world.bank.knob(knob, "collect", seconds=HELD_SECONDS)
    await workers.start()
    await world.bank.wait_until_fired(held, timeout_seconds=60)
    await workers.kill()

    await world.bank.clear_knobs()
    await lease_runs_out(owner, "collection")
    await workers.start()
    await until("the order is open", lambda: is_open(world, payment_no))
    await world.bank.pay(payment_no)
    await lease_runs_out(owner, "collection")

    async def in_escrow() -> bool:
        return (await world.totals(institution)).get("escrow") == contract.amount_fen

    await until("the money is in escrow", in_escrow)
    await workers.kill()
    assert await world.totals(institution) == {"cash": contract.amount_fen, "escrow": contract.amount_fen}
    assert await world.at_bank(institution) == contract.amount_fen


async def instruction(world: World, reference: str) -> Instruction:
    async with world.district.reading() as session:
        return (await session.scalars(select(Instruction).where(Instruction.reference == reference))).one()


async def is_settled(world: World, reference: str) -> bool:
    return (await instruction(world, reference)).status == "settled"


async def is_open(world: World, payment_no: str) -> bool:
    async with world.district.reading() as session:
        return (await session.get_one(Collection, payment_no)).status == "opened"


async def lease_runs_out(owner: District, table: Literal["instruction", "collection"]) -> None:
    """What a dead worker had claimed is anybody's after half a minute, which the test does not wait."""
    async with owner.transaction() as session:
        await session.execute(text(f"UPDATE {table} SET due_at = now() WHERE due_at > now()"))
