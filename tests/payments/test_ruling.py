"""Money from nobody we know, while a book has a shortfall: it waits, and an officer says what becomes of it."""

import asyncio

import pytest
from sqlalchemy import select, update

from app import clock
from app.audit import AuditEntry
from app.banking import jobs as bank_jobs
from app.banking.models import BankMovement
from app.db import District
from app.errors import BadInput, Conflict, NotFound, Refused
from app.ids import uuid7
from app.payments import jobs, queries
from app.payments import ruling as rulings
from app.payments.models import Payment
from app.payments.ruling import ReceiptRuling
from app.supervision import queries as supervision
from tests.old_families import deposit, old_family, rule_on, settle, taught
from tests.school import School, found_school
from tests.world import CONNECTION, World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def waiting(school: School) -> list[int]:
    async with school.world.district.reading() as session:
        return [each.amount_fen for each in await queries.receipts_to_rule(session)]


async def test_it_waits_while_something_is_short(school: School) -> None:
    await old_family(school)
    receipt = await deposit(school, 150_00)
    assert await jobs.return_unassigned(school.world.district) == 0
    assert await waiting(school) == [150_00]
    await rule_on(school, receipt, "made_good")
    assert await waiting(school) == []
    assert await jobs.return_unassigned(school.world.district) == 0
    assert await school.totals() == {"cash": 150_00, "escrow": 400_00, "shortfall": 250_00}


async def test_it_goes_back_where_an_officer_says_so(school: School) -> None:
    await old_family(school)
    await rule_on(school, await deposit(school, 150_00), "return")
    await school.world.work()
    assert await school.world.at_bank(school.institution) == 0
    assert await school.totals() == {"escrow": 400_00, "shortfall": 400_00}


async def test_money_with_another_institutions_payment_number_goes_back_by_itself(school: School, owner: District) -> None:
    world = school.world
    await old_family(school)
    payment = (await (await found_school(world)).enrol()).contract.id
    await world.bank.deposit_from_stranger((await world.account(school.institution)).account_no, 150_00)
    await bank_jobs.import_statement(world.district, world.banks, CONNECTION, clock.today())
    number = select(Payment.payment_no).where(Payment.contract_id == payment).scalar_subquery()
    async with owner.transaction() as session:
        await session.execute(update(BankMovement).where(BankMovement.assigned_at.is_(None)).values(reference=number))
    await jobs.match_receipts(world.district)
    async with world.district.reading() as session:
        [arrived] = await queries.unmatched_receipts(session)
        assert (await supervision.waiting(session)).receipts == 0
    assert (arrived.outcome, arrived.awaits_ruling) == ("unknown_payer", False)
    assert await waiting(school) == []
    with pytest.raises(Refused, match=r"payments\.receipt_has_code"):
        async with world.district.transaction() as session:
            await rulings.rule_on_receipt(session, world.officer(), arrived.movement_id, "made_good", "机构补缴")
    await world.work()
    assert await world.at_bank(school.institution) == 0
    assert await school.totals() == {"escrow": 400_00, "shortfall": 400_00}


async def test_what_is_more_than_what_is_short_goes_back(school: School) -> None:
    await old_family(school)
    await rule_on(school, await deposit(school, 1_000_00), "made_good")
    await school.world.work()
    assert await school.world.at_bank(school.institution) == 400_00
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}
    async with school.world.district.reading() as session:
        [seen] = await queries.unmatched_receipts(session)
    assert (seen.made_good_fen, seen.return_status, seen.returned_at is not None) == (400_00, "settled", True)


async def test_without_a_shortfall_it_goes_back_by_itself(school: School) -> None:
    family = await old_family(school, lesson_count=1, amount_fen=100_00)
    await deposit(school, 150_00)
    await taught(school, 1, family)
    await settle(school)
    assert await waiting(school) == []
    await school.world.work()
    assert await school.world.at_bank(school.institution) == 0


async def test_a_bank_repays_its_own_wrong_debit(school: School) -> None:
    world = school.world
    await school.enrol()
    await world.bank.debit_uninstructed((await world.account(school.institution)).account_no, 400_00)
    await bank_jobs.import_statement(world.district, world.banks, CONNECTION, clock.today())
    await rule_on(school, await deposit(school, 400_00), "made_good")
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}


async def test_a_ruling_is_given_once_and_kept_with_its_reason(school: School) -> None:
    await old_family(school)
    receipt = await deposit(school, 150_00)

    async def rule(ruling: ReceiptRuling) -> str:
        try:
            await rule_on(school, receipt, ruling)
        except Conflict as refused:
            return refused.code
        return "done"

    answers = await asyncio.gather(*(rule("made_good") for _ in range(4)))
    assert sorted(answers) == ["done", *["payments.receipt_decided"] * 3]
    async with school.world.district.reading() as session:
        [kept] = await session.scalars(select(AuditEntry).where(AuditEntry.action == "payments.receipt_ruled"))
    assert (kept.reason, kept.facts["made_good_fen"]) == ("机构补缴", 150_00)


async def test_nothing_else_can_be_ruled_on(school: School) -> None:
    world = school.world
    receipt = await deposit(school, 150_00)
    with pytest.raises(Conflict, match=r"payments\.no_shortfall"):
        await rule_on(school, receipt, "made_good")
    parent = await world.parent()
    payment = await world.order(parent, await world.sign(parent, school.training_class))
    await world.bank.pay(payment.payment_no, amount_fen=1)
    await world.learn_of(payment.payment_no)
    async with world.district.reading() as session:
        [odd] = [each for each in await queries.unmatched_receipts(session) if each.outcome == "wrong_amount"]
    async with world.district.transaction() as session:
        with pytest.raises(Refused, match=r"payments\.receipt_has_code"):
            await rulings.rule_on_receipt(session, world.officer(), odd.movement_id, "return", "退回")
        with pytest.raises(NotFound, match=r"payments\.receipt_not_found"):
            await rulings.rule_on_receipt(session, world.officer(), uuid7(), "return", "退回")
        with pytest.raises(BadInput, match=r"reason\.invalid"):
            await rulings.rule_on_receipt(session, world.officer(), receipt.movement_id, "return", " ")
