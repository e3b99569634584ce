"""A refund on its way to the bank, with everything that can go wrong in between. The bank's own books are the oracle."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from app import clock
from app.banking import instructions, jobs
from app.banking import service as banking
from app.banking.banks import Banks
from app.banking.models import BankAccount, BankMovement, Instruction
from app.db import District
from app.errors import Conflict, Refused
from app.ids import number
from app.ledger import codes
from app.registry.models import Institution
from bank_adapters.mock_bank.client import MockBank
from tests.conftest import API_KEY, CONNECTION, NOTICE_SECRET
from tests.world import World

pytestmark = pytest.mark.books_of("ledger", "banking")
FEN = 50_000


async def received(world: World, institution: Institution) -> UUID:
    """Money from a stranger, in suspense."""
    account = await world.account(institution)
    await world.bank.deposit_from_stranger(account.account_no, FEN, payer_no="PAYER1")
    await jobs.import_statement(world.district, world.banks, CONNECTION, clock.today())
    async with world.district.reading() as session:
        return (
            await session.scalars(
                select(BankMovement.id).where(BankMovement.bank_account_id == account.id, BankMovement.booked_as == "received")
            )
        ).one()


async def instructed(world: World, institution: Institution) -> str:
    """A refund of it, cleared and not sent yet."""
    await world.wait_until(clock.now())
    original = await received(world, institution)
    reference = number("S", world.district.code)
    async with world.district.transaction() as session:
        await banking.instruct_refund(
            session,
            reference=reference,
            book_id=institution.id,
            original=original,
            source=codes.SUSPENSE,
            amount_fen=FEN,
            posted_by="test",
        )
    return reference


async def status_of(world: World, reference: str) -> str:
    async with world.district.reading() as session:
        return (await session.scalars(select(Instruction.status).where(Instruction.reference == reference))).one()


async def died(*_: object) -> None:
    """The worker is killed before it can write down what it heard."""
    raise RuntimeError("killed")


async def let_pass(world: World, minutes: int = 3) -> None:
    """Worker passes over some minutes of the clock."""
    for _ in range(minutes * 6):
        await instructions.send_instructions(world.district, world.banks)
        await instructions.resolve_instructions(world.district, world.banks)
        await world.wait(timedelta(seconds=10))


async def assert_paid_back_once(world: World, institution: Institution, reference: str) -> None:
    assert await status_of(world, reference) == "settled"
    assert await world.totals(institution) == {}
    assert await world.at_bank(institution) == 0
    assert await world.bank.balance_of("PAYER1") == 0
    assert (await world.bank.books()).holds


async def test_an_instruction_is_reserved_sent_and_settled(world: World) -> None:
    institution = await world.institution()
    reference = await instructed(world, institution)
    assert await world.totals(institution) == {"cash": FEN, "outgoing": FEN}
    await let_pass(world, 1)
    await assert_paid_back_once(world, institution, reference)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "timeout_before"},
        {"kind": "timeout_after"},
        {"kind": "error_after"},
        {"kind": "late"},
        {"kind": "late_unseen"},
        {"kind": "down", "times": 4},
        {"kind": "down", "times": 4, "drop_connection": True},
    ],
    ids=lambda fault: " ".join(map(str, fault.values())),
)
async def test_a_fault_at_the_bank_leaves_it_unknown_until_asked_and_pays_once(world: World, fault: dict[str, object]) -> None:
    institution = await world.institution()
    reference = await instructed(world, institution)
    operation = "any" if fault["kind"] == "down" else "refund"
    await world.bank.knob(operation=operation, **fault)  # type: ignore[arg-type]
    await instructions.send_instructions(world.district, world.banks)
    assert await status_of(world, reference) in ("unknown", "submitted")
    assert await world.totals(institution) == {"cash": FEN, "outgoing": FEN}
    await world.wait(timedelta(seconds=20))
    await world.bank.release_late()
    await let_pass(world)
    await assert_paid_back_once(world, institution, reference)


async def test_an_unanswered_instruction_is_not_repeated_before_the_banks_latency_is_over(world: World) -> None:
    institution = await world.institution()
    reference = await instructed(world, institution)
    await world.bank.knob("timeout_before", "refund")
    await instructions.send_instructions(world.district, world.banks)
    sent_at = clock.now()
    latency = world.banks.get(CONNECTION).max_latency
    while clock.now() < sent_at + latency:
        await instructions.resolve_instructions(world.district, world.banks)
        assert await status_of(world, reference) == "unknown"
        await world.wait(timedelta(seconds=5))
    await let_pass(world)
    await assert_paid_back_once(world, institution, reference)


@pytest.mark.parametrize("after_accept", [False, True], ids=["at once", "after accepting it"])
async def test_a_rejected_instruction_keeps_its_money_reserved_until_it_is_given_back(world: World, after_accept: bool) -> None:
    institution = await world.institution()
    reference = await instructed(world, institution)
    await world.bank.knob("reject", "refund", after_accept=after_accept, code="payer_closed")
    await let_pass(world, 1)
    async with world.district.reading() as session:
        row = (await session.scalars(select(Instruction).where(Instruction.reference == reference))).one()
    assert (row.status, row.reject_code) == ("rejected", "payer_closed")
    assert await world.totals(institution) == {"cash": FEN, "outgoing": FEN}
    async with world.district.transaction() as session:
        await banking.unreserve(session, [row.id], "test")
    assert await world.totals(institution) == {"cash": FEN, "suspense": FEN}
    with pytest.raises(Conflict):
        async with world.district.transaction() as session:
            await banking.unreserve(session, [row.id], "test")


async def test_money_that_comes_back_after_success_is_booked_as_returned(world: World) -> None:
    institution = await world.institution()
    reference = await instructed(world, institution)
    await let_pass(world, 1)
    await world.bank.return_instruction(CONNECTION, reference)
    await jobs.import_statement(world.district, world.banks, CONNECTION, clock.today())
    assert await status_of(world, reference) == "returned"
    assert await world.totals(institution) == {"cash": FEN, "outgoing": FEN}
    assert await world.at_bank(institution) == FEN


async def test_a_worker_that_died_after_the_call_is_made_good_by_the_next(world: World) -> None:
    institution = await world.institution()
    reference = await instructed(world, institution)
    bank = world.banks.get(CONNECTION)
    claimed = await instructions._claim(world.district, ("cleared",))
    assert claimed == [reference]
    [told] = await instructions._read(world.district, [reference])
    await bank.refund(told.request)  # type: ignore[arg-type]
    await let_pass(world)
    await assert_paid_back_once(world, institution, reference)


async def test_two_workers_at_once_send_it_once(world: World) -> None:
    institution = await world.institution()
    reference = await instructed(world, institution)
    await asyncio.gather(*(instructions.send_instructions(world.district, world.banks) for _ in range(4)))
    async with world.district.reading() as session:
        row = (await session.scalars(select(Instruction).where(Instruction.reference == reference))).one()
    assert row.attempts == 1
    await assert_paid_back_once(world, institution, reference)


async def test_a_bank_that_does_not_deduplicate_is_asked_before_it_is_told_again(world: World) -> None:
    institution = await world.institution()
    reference = await instructed(world, institution)
    await world.bank.knob("error_after", "refund")
    await instructions.send_instructions(world.district, world.banks)
    forgetful = MockBank(world.bank.url, API_KEY, NOTICE_SECRET)
    forgetful.deduplicates = False
    async with world.district.transaction() as session:
        row = (await session.scalars(select(Instruction).where(Instruction.reference == reference))).one()
        row.status, row.due_at, row.attempts = "cleared", clock.now(), 2
    await world.bank.knob("down", "refund", times=None)
    await instructions.send_instructions(world.district, Banks({CONNECTION: (world.district.code, forgetful)}))
    await forgetful.aclose()
    await assert_paid_back_once(world, institution, reference)


async def test_a_bank_that_does_not_deduplicate_is_told_again_only_when_it_cannot_hear_the_first_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    institution = await world.institution()
    reference = await instructed(world, institution)
    forgetful = MockBank(world.bank.url, API_KEY, NOTICE_SECRET)
    forgetful.deduplicates = False
    banks = Banks({CONNECTION: (world.district.code, forgetful)})
    await world.bank.knob("late_unseen", "refund")
    with monkeypatch.context() as patch:
        patch.setattr(instructions, "_doubt", died)
        with pytest.raises(ExceptionGroup):
            await instructions.send_instructions(world.district, banks)
    await world.wait(instructions.LEASE + timedelta(seconds=1))
    assert await instructions.send_instructions(world.district, banks) == 0, "the first request may still arrive"
    await world.bank.release_late()
    await world.wait(forgetful.max_latency)
    assert await instructions.send_instructions(world.district, banks) == 1
    await forgetful.aclose()
    await assert_paid_back_once(world, institution, reference)


async def test_an_instruction_that_fails_here_cuts_no_other_off(world: World, owner: District) -> None:
    unreachable, sound = await world.institution(), await world.institution()
    await instructed(world, unreachable)
    reference = await instructed(world, sound)
    async with owner.transaction() as session:
        account = await session.get_one(BankAccount, (await world.account(unreachable)).id)
        account.connection = "gone"
    with pytest.raises(ExceptionGroup):
        await instructions.send_instructions(world.district, world.banks)
    assert await status_of(world, reference) in ("submitted", "settled")


async def test_live_instructions_never_exceed_the_cash(world: World) -> None:
    institution = await world.institution()
    await world.wait_until(clock.now())
    original = await received(world, institution)
    account = await world.account(institution)
    await world.bank.debit_uninstructed(account.account_no, 1)
    await jobs.import_statement(world.district, world.banks, CONNECTION, clock.today())
    with pytest.raises(Refused) as refusal:
        async with world.district.transaction() as session:
            await banking.instruct_refund(
                session,
                reference=number("S", world.district.code),
                book_id=institution.id,
                original=original,
                source=codes.SUSPENSE,
                amount_fen=FEN,
                posted_by="test",
            )
    assert refusal.value.code == "ledger.insufficient_funds"
    assert await world.totals(institution) == {"cash": FEN - 1, "shortfall": 1, "suspense": FEN}
