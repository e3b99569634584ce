"""The bank's lines in the books: each once, whatever brings them and however often."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from app import clock, crypto
from app.banking import jobs
from app.banking.banks import Banks
from app.banking.models import BankAccount, BankMovement, BankNotice, StatementDay
from app.banking.service import store_notice
from app.db import District
from app.errors import BadInput
from app.registry.models import Institution
from bank_adapters.port import Notice
from tests.conftest import CONNECTION
from tests.world import World

pytestmark = pytest.mark.books_of("ledger", "banking")


async def lines_of(world: World, institution: Institution) -> list[BankMovement]:
    account = await world.account(institution)
    async with world.district.reading() as session:
        return list(await session.scalars(select(BankMovement).where(BankMovement.bank_account_id == account.id).order_by(BankMovement.id)))


async def import_today(world: World) -> int:
    return await jobs.import_statement(world.district, world.banks, CONNECTION, clock.today())


async def test_a_strangers_money_waits_in_suspense(world: World) -> None:
    institution = await world.institution()
    account = await world.account(institution)
    await world.bank.deposit_from_stranger(account.account_no, 12_345, payer_no="PAYER9", payer_name="陌生人")
    assert await import_today(world) == 1
    assert await world.totals(institution) == {"cash": 12_345, "suspense": 12_345}
    [line] = await lines_of(world, institution)
    assert "陌生人" in crypto.unseal(line.counterparty_enc, f"bank_movement.counterparty:{line.id}")


async def test_a_debit_nobody_instructed_is_taken_and_shows_as_shortfall(world: World) -> None:
    institution = await world.institution()
    account = await world.account(institution)
    await world.bank.deposit_from_stranger(account.account_no, 10_000)
    await world.bank.debit_uninstructed(account.account_no, 4_000)
    await import_today(world)
    assert await world.totals(institution) == {"cash": 6_000, "shortfall": 4_000, "suspense": 10_000}
    assert await world.at_bank(institution) == 6_000


async def test_a_statement_read_again_or_by_eight_at_once_books_each_line_once(world: World) -> None:
    institution = await world.institution()
    account = await world.account(institution)
    for fen in range(1, 21):
        await world.bank.deposit_from_stranger(account.account_no, fen)
    await asyncio.gather(*(import_today(world) for _ in range(8)))
    assert await import_today(world) == 0
    assert len(await lines_of(world, institution)) == 20
    assert await world.totals(institution) == {"cash": 210, "suspense": 210}


async def test_a_settlement_accounts_lines_are_kept_and_not_booked(world: World) -> None:
    institution = await world.institution()
    account = await world.account(institution, "settlement")
    await world.bank.deposit_from_stranger(account.account_no, 777)
    await import_today(world)
    async with world.district.reading() as session:
        line = (await session.scalars(select(BankMovement).where(BankMovement.bank_account_id == account.id))).one()
    assert (line.booked_as, line.transfer_id) == ("watched", None)
    assert await world.totals(institution) == {}


async def test_the_statements_day_is_kept(world: World) -> None:
    institution = await world.institution()
    account = await world.account(institution)
    await world.bank.deposit_from_stranger(account.account_no, 500)
    await import_today(world)
    async with world.district.reading() as session:
        day = await session.get_one(StatementDay, (account.id, clock.today()))
    assert (day.opening_fen, day.closing_fen, day.movements) == (0, 500, 1)


async def notice(world: World, **facts: object) -> None:
    values = {"notice_id": "msg_1", "event": "account.moved", "reference": None, "account_no": None, "value_on": None} | facts
    async with world.district.transaction() as session:
        await store_notice(session, CONNECTION, Notice(**values), b"{}")  # type: ignore[arg-type]


async def inbox(world: World) -> list[tuple[str, int]]:
    async with world.district.reading() as session:
        return [(row.status, row.attempts) for row in await session.scalars(select(BankNotice))]


async def test_a_notice_of_a_movement_makes_us_read_the_statement(world: World) -> None:
    institution = await world.institution()
    account = await world.account(institution)
    await world.bank.deposit_from_stranger(account.account_no, 900)
    await notice(world, account_no=account.account_no, value_on=clock.today())
    await jobs.process_inbox(world.district, world.banks)
    assert await inbox(world) == [("processed", 1)]
    assert await world.totals(institution) == {"cash": 900, "suspense": 900}


async def test_the_same_notice_twice_is_one_row(world: World) -> None:
    await notice(world, reference="NOBODY")
    await notice(world, reference="NOBODY")
    await jobs.process_inbox(world.district, world.banks)
    assert await inbox(world) == [("ignored", 1)]


async def test_a_notice_is_followed_once_the_bank_answers_again(world: World) -> None:
    institution = await world.institution()
    account = await world.account(institution)
    await world.bank.deposit_from_stranger(account.account_no, 900)
    await world.wait_until(clock.now())
    await notice(world, account_no=account.account_no, value_on=clock.today())
    await world.bank.knob("down", times=1)
    await jobs.process_inbox(world.district, world.banks)
    assert await inbox(world) == [("received", 1)]
    await world.wait(jobs.RETRY)
    await jobs.process_inbox(world.district, world.banks)
    assert await inbox(world) == [("processed", 2)]
    assert await world.totals(institution) == {"cash": 900, "suspense": 900}


async def test_a_notice_that_leads_to_what_no_books_can_hold_waits_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    follow = jobs._follow

    async def stumble(district: District, banks: Banks, found: BankNotice) -> bool:
        if found.notice_id == "msg_1":
            raise BadInput("ledger.bad_posting", "金额不正确")
        return await follow(district, banks, found)

    monkeypatch.setattr(jobs, "_follow", stumble)
    await notice(world, reference="NOBODY", notice_id="msg_1")
    await notice(world, reference="NOBODY", notice_id="msg_2")
    await jobs.process_inbox(world.district, world.banks)
    assert sorted(await inbox(world)) == [("ignored", 1), ("received", 1)]


async def test_a_statement_does_not_wait_for_an_account_whose_balance_is_just_told(world: World) -> None:
    held, free = [(await world.account(await world.institution(name))).id for name in ("晨光艺术培训学校", "朝阳艺术培训学校")]
    while await jobs.fetch_balances(world.district, world.banks):
        pass
    before = await balances_due(world)
    async with world.district.transaction() as telling, asyncio.timeout(10):
        await telling.execute(select(BankAccount).where(BankAccount.id == held).with_for_update(key_share=True))
        await jobs.import_statement(world.district, world.banks, CONNECTION, clock.today() - timedelta(days=1))
    after = await balances_due(world)
    assert after[held] == before[held], "it will be asked once more"
    assert after[free] > before[free], "the statement has told its balance"


async def balances_due(world: World) -> dict[UUID, datetime]:
    async with world.district.reading() as session:
        return {row.id: row.balance_due_at for row in await session.scalars(select(BankAccount).where(BankAccount.role == "supervised"))}
