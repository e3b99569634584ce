"""The database is stopped and started again while families confirm and pay: what was answered holds, the rest is done again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from asyncpg import PostgresError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app import districts, worker
from app.banking.banks import Banks
from app.contracts.models import Contract, Lesson
from app.db import Database
from app.embedded import EmbeddedPostgres
from app.lessons.models import Release
from app.registry.models import Institution
from app.security import Parent
from bank_adapters.mock_bank.client import MockBank
from tests.bank_process import BankProcess
from tests.conftest import API_KEY, CONNECTION, DISTRICT, NOTICE_SECRET, books_hold
from tests.faults.conftest import PATIENCE_SECONDS
from tests.world import World

T = TypeVar("T")
FAMILIES, LESSONS, RESTARTS = 6, 6, 3

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server that nobody else uses, so that it may be restarted."""
    server = EmbeddedPostgres(tmp_path / "pg", extra_config="fsync = off\n")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def own_world(own_server: EmbeddedPostgres, bank: BankProcess) -> AsyncIterator[World]:
    await districts.bootstrap(own_server.url("postgres", "postgres"), "escrow", "test", "test")
    await districts.create(own_server.url("escrow_owner", "escrow"), DISTRICT, "龙泉驿区", mode="sample")
    database = Database(own_server.url("escrow_app", "escrow"), pool_size=10)
    banks = Banks({CONNECTION: (DISTRICT, MockBank(bank.url, API_KEY, NOTICE_SECRET, timeout_seconds=5))})
    yield World(database.district(DISTRICT), banks, bank)
    await banks.aclose()
    await database.aclose()


async def insisting(act: Callable[[], Awaitable[T]]) -> T:
    """What a client does that got no answer: the same again, until there is one."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await act()
            except (SQLAlchemyError, PostgresError, OSError):
                await asyncio.sleep(0.02)


async def test_nothing_is_lost_or_doubled(own_server: EmbeddedPostgres, own_world: World) -> None:
    world = own_world
    institution = await world.institution()
    taught = [await world.paid_contract(institution, lessons=LESSONS) for _ in range(FAMILIES)]
    lessons = {contract.id: await world.lessons_of(contract) for _, contract in taught}
    for number in range(LESSONS):
        for _, contract in taught:
            await world.deliver(institution, lessons[contract.id][number])
    unpaid = [await sign(world, institution) for _ in range(FAMILIES)]

    stop = asyncio.Event()
    async with asyncio.TaskGroup() as everybody:
        working = everybody.create_task(work(world, stop))
        acts = [everybody.create_task(confirm_one_by_one(world, parent, lessons[contract.id])) for parent, contract in taught]
        acts += [everybody.create_task(pay(world, parent, contract)) for parent, contract in unpaid]
        restarts = 0
        while restarts < RESTARTS or not all(act.done() for act in acts):
            if restarts < RESTARTS:
                await asyncio.to_thread(own_server.restart)
                restarts += 1
            await asyncio.sleep(0.3)
        stop.set()
        await working

    await world.work()
    await books_hold(world.district)
    async with world.district.reading() as session:
        states = (await session.scalars(select(Lesson.status).where(Lesson.contract_id.in_(lessons)))).all()
        releases = await session.scalar(select(func.count()).select_from(Release).where(Release.reversed_at.is_(None)))
    assert set(states) == {"confirmed"}
    assert releases == FAMILIES * LESSONS
    escrow_fen = sum(contract.amount_fen for _, contract in unpaid)
    payable_fen = sum(contract.amount_fen for _, contract in taught)
    assert await world.totals(institution) == {"cash": escrow_fen + payable_fen, "escrow": escrow_fen, "payable": payable_fen}
    assert await world.at_bank(institution) == escrow_fen + payable_fen
    assert (await world.bank.books()).holds


async def sign(world: World, institution: Institution) -> tuple[Parent, Contract]:
    parent = await world.parent()
    return parent, await world.sign(parent, await world.training_class(institution))


async def confirm_one_by_one(world: World, parent: Parent, lessons: list[Lesson]) -> None:
    for lesson in lessons:
        (outcome,) = await insisting(partial(world.confirm, parent, lesson))
        assert outcome.outcome in ("confirmed", "already_confirmed")


async def pay(world: World, parent: Parent, contract: Contract) -> None:
    """The family pays at the bank once; we ask the bank until we have understood."""
    payment = await insisting(partial(world.order, parent, contract))
    await world.bank.pay(payment.payment_no)
    await insisting(partial(world.learn_of, payment.payment_no))


async def work(world: World, stop: asyncio.Event) -> None:
    """The worker's jobs beside all of it; one that fails is tried again in the next round."""
    while not stop.is_set():
        await worker.one_pass(world.district, world.banks)
