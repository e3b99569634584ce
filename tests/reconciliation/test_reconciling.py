"""The bank's statement against the books, with the real mock bank, and with one that contradicts itself."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from app import clock
from app.banking.jobs import import_statement
from app.db import District
from app.errors import BadInput, NotFound
from app.ids import uuid7
from app.ledger import service as ledger
from app.ledger.check import check_books
from app.ledger.service import Posting
from app.reconciliation.jobs import due_days, reconcile_day, reconcile_due
from app.reconciliation.models import Break, Reconciliation
from app.reconciliation.queries import AccountDay, account_days, latest_day
from app.reconciliation.service import reconcile
from app.registry.models import Institution
from bank_adapters.port import AccountStatement
from tests.old_families import deposit, old_family, rule_on
from tests.reconciliation.doctored import doctored, forgetful
from tests.school import found_school
from tests.world import CONNECTION, World, in_utc

MONDAY = date(2025, 3, 3)
TUESDAY = date(2025, 3, 4)


@pytest.fixture
async def school(world: World) -> Institution:
    """An institution that was entered on a Monday at nine."""
    await world.wait_until(in_utc(2025, 3, 3, 1))
    return await world.institution()


async def found(world: World, on: date) -> list[AccountDay]:
    async with world.district.reading() as session:
        return await account_days(session, on)


async def named(world: World, on: date) -> list[tuple[str, int]]:
    """The breaks of the only account's day."""
    (day,) = await found(world, on)
    assert (day.status == "broken") == bool(day.breaks)
    return [(each.kind, each.amount_fen) for each in day.breaks]


async def next_day(world: World) -> None:
    await world.wait(timedelta(days=1))


async def test_a_line_that_no_books_can_hold_stops_no_other_account(world: World, school: Institution) -> None:
    other = await world.institution()
    await world.paid_contract(school, price_fen=400_00)
    await world.paid_contract(other, price_fen=300_00)

    def with_an_empty_line(stated: AccountStatement) -> AccountStatement:
        return replace(stated, movements=(*stated.movements, replace(stated.movements[0], movement_id="EMPTY", amount_fen=0)))

    strange = await doctored(world, school, with_an_empty_line)
    assert await reconcile_day(world.district, strange, MONDAY) == 2
    days = {day.institution_id: day for day in await found(world, MONDAY)}
    assert [each.kind for each in days[school.id].breaks] == ["account_missing"]
    assert (days[other.id].status, days[other.id].statement_fen) == ("matched", 300_00)


async def test_a_day_with_a_payment_matches_to_the_fen(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)

    assert await reconcile_day(world.district, world.banks, MONDAY) == 1

    (day,) = await found(world, MONDAY)
    assert (day.status, day.statement_fen, day.cash_fen, day.breaks) == ("matched", 400_00, 400_00, ())
    assert (day.institution_id, day.institution_name) == (school.id, school.name)


async def test_an_account_without_any_movement_matches_at_zero(world: World, school: Institution) -> None:
    await reconcile_day(world.district, world.banks, MONDAY)
    (day,) = await found(world, MONDAY)
    assert (day.status, day.statement_fen, day.cash_fen) == ("matched", 0, 0)


async def test_money_that_no_notice_told_of_is_booked_out_of_the_statement(world: World, school: Institution) -> None:
    parent = await world.parent()
    contract = await world.sign(parent, await world.training_class(school, price_fen=400_00))
    payment = await world.order(parent, contract)
    await world.bank.pay(payment.payment_no)
    assert await world.totals(school) == {}

    await reconcile_day(world.district, world.banks, MONDAY)

    assert (await world.totals(school))["cash"] == 400_00
    assert await named(world, MONDAY) == []
    await world.work()


async def test_every_missed_day_is_reconciled_once(world: World, school: Institution) -> None:
    await world.paid_contract(school)
    assert await due_days(world.district) == []
    await world.wait(timedelta(days=3))

    assert await due_days(world.district) == [MONDAY + timedelta(days=n) for n in range(3)]
    assert await reconcile_due(world.district, world.banks) == 3

    assert await due_days(world.district) == []
    async with world.district.reading() as session:
        assert await latest_day(session) == date(2025, 3, 5)
    assert [day.status for day in await found(world, MONDAY)] == ["matched"]


async def test_a_day_reconciled_while_it_ran_is_due_again_when_it_is_over(world: World, school: Institution) -> None:
    await reconcile_day(world.district, world.banks, MONDAY)
    await world.paid_contract(school, price_fen=400_00)
    await next_day(world)

    assert await due_days(world.district) == [MONDAY]
    await reconcile_due(world.district, world.banks)

    (day,) = await found(world, MONDAY)
    assert (day.status, day.statement_fen) == ("matched", 400_00)


async def test_a_newer_account_does_not_make_older_days_due(world: World, school: Institution) -> None:
    await next_day(world)
    await reconcile_due(world.district, world.banks)
    await world.institution("后来学校")
    await next_day(world)
    assert await due_days(world.district) == [TUESDAY]


async def test_a_day_that_has_not_begun_is_refused(world: World, school: Institution) -> None:
    with pytest.raises(BadInput, match=r"reconciliation\.future"):
        await reconcile_day(world.district, world.banks, TUESDAY)


async def test_a_day_without_a_statement_cannot_be_reconciled(world: World, school: Institution) -> None:
    account = await world.account(school)
    with pytest.raises(NotFound, match=r"reconciliation\.statement_not_found"):
        async with world.district.transaction() as session:
            await reconcile(session, account.id, MONDAY)


async def test_an_uninstructed_debit_is_named_on_its_day_and_only_there(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)
    await world.bank.debit_uninstructed((await world.account(school)).account_no, 150_00)

    await reconcile_day(world.district, world.banks, MONDAY)
    (day,) = await found(world, MONDAY)
    assert (day.statement_fen, day.cash_fen) == (250_00, 250_00)
    assert await named(world, MONDAY) == [("uninstructed_debit", 150_00)]

    await next_day(world)
    await reconcile_day(world.district, world.banks, TUESDAY)
    assert await named(world, TUESDAY) == []


@pytest.mark.books_of("ledger", "banking", "reconciliation")
async def test_a_debit_that_was_made_good_stands_no_longer(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)
    account = await world.account(school)
    await world.bank.debit_uninstructed(account.account_no, 150_00)
    await reconcile_day(world.district, world.banks, MONDAY)
    await world.bank.deposit_from_stranger(account.account_no, 150_00)
    await reconcile_day(world.district, world.banks, MONDAY)
    assert await named(world, MONDAY) == [("uninstructed_debit", 150_00)]

    async with world.district.transaction() as session:
        await ledger.post(session, [Posting("made_good", uuid7(), school.id, "suspense", "shortfall", 150_00)], posted_by="test")
    await reconcile_day(world.district, world.banks, MONDAY)

    assert await named(world, MONDAY) == []


async def test_a_repaid_debit_stands_no_longer_though_old_stock_is_short(world: World) -> None:
    school = await found_school(world)
    await old_family(school)
    await school.enrol()
    await world.bank.debit_uninstructed((await world.account(school.institution)).account_no, 150_00)
    await reconcile_day(world.district, world.banks, clock.today())
    assert await named(world, clock.today()) == [("uninstructed_debit", 150_00)]

    await rule_on(school, await deposit(school, 150_00), "made_good")
    await reconcile_day(world.district, world.banks, clock.today())

    assert await named(world, clock.today()) == []
    assert (await school.totals())["shortfall"] == 400_00


async def test_a_debit_stands_though_old_stock_was_made_good_before(world: World) -> None:
    school = await found_school(world)
    await old_family(school)
    await rule_on(school, await deposit(school, 400_00), "made_good")
    await world.bank.debit_uninstructed((await world.account(school.institution)).account_no, 150_00)
    await reconcile_day(world.district, world.banks, clock.today())
    assert await named(world, clock.today()) == [("uninstructed_debit", 150_00)]


async def test_a_movement_that_the_statement_lacks_is_named_every_day_until_the_bank_shows_it(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)
    await world.wait(timedelta(minutes=1))

    def without_it(stated: AccountStatement) -> AccountStatement:
        return replace(stated, opening_fen=0, closing_fen=0, movements=())

    await reconcile_day(world.district, await doctored(world, school, without_it), MONDAY)
    assert await named(world, MONDAY) == [("not_at_bank", -400_00)]

    await next_day(world)
    await reconcile_day(world.district, await doctored(world, school, without_it), TUESDAY)
    assert await named(world, TUESDAY) == [("not_at_bank", -400_00)]

    for on in (MONDAY, TUESDAY):
        await reconcile_day(world.district, world.banks, on)
        assert await named(world, on) == []


async def test_a_line_that_a_later_statement_drops_is_missing_again(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)
    await reconcile_day(world.district, world.banks, MONDAY)
    await world.wait(timedelta(minutes=1))
    dropped = await doctored(world, school, lambda stated: replace(stated, closing_fen=0, movements=()))
    await reconcile_day(world.district, dropped, MONDAY)
    assert await named(world, MONDAY) == [("not_at_bank", -400_00)]


async def test_a_line_with_another_amount_than_was_booked_is_named(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)

    def dearer(stated: AccountStatement) -> AccountStatement:
        (line,) = stated.movements
        return replace(stated, closing_fen=400_01, movements=(replace(line, amount_fen=400_01),))

    await reconcile_day(world.district, await doctored(world, school, dearer), MONDAY)
    assert await named(world, MONDAY) == [("other_amount", 1)]


async def test_a_statement_that_does_not_continue_the_day_before_is_named(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)
    await next_day(world)
    await reconcile_day(world.district, world.banks, MONDAY)

    jumped = await doctored(world, school, lambda stated: replace(stated, opening_fen=stated.opening_fen + 7))
    await reconcile_day(world.district, jumped, TUESDAY)
    assert await named(world, TUESDAY) == [("opening_differs", 7)]


async def test_a_closing_balance_that_nothing_explains_is_named_as_such(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)
    short = await doctored(world, school, lambda stated: replace(stated, closing_fen=stated.closing_fen - 3))
    await reconcile_day(world.district, short, MONDAY)
    assert await named(world, MONDAY) == [("closing_differs", -3)]


async def test_an_account_that_the_bank_leaves_out_is_named_once_a_day(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)
    await next_day(world)
    bank = await forgetful(world, school)
    assert await reconcile_due(world.district, bank) == 1
    assert await named(world, MONDAY) == [("account_missing", -400_00)]
    assert await reconcile_due(world.district, bank) == 0

    await reconcile_day(world.district, world.banks, MONDAY)
    assert await named(world, MONDAY) == []


async def test_what_is_booked_after_the_statement_was_fetched_is_no_break(world: World, school: Institution) -> None:
    await import_statement(world.district, world.banks, CONNECTION, MONDAY)
    await world.wait(timedelta(minutes=1))
    await world.paid_contract(school, price_fen=400_00)

    account = await world.account(school)
    async with world.district.transaction() as session:
        await reconcile(session, account.id, MONDAY)

    (day,) = await found(world, MONDAY)
    assert (day.status, day.statement_fen, day.cash_fen) == ("matched", 0, 0)


async def test_running_a_day_again_and_at_once_replaces_its_result(world: World, school: Institution) -> None:
    await world.paid_contract(school, price_fen=400_00)
    await world.bank.debit_uninstructed((await world.account(school)).account_no, 150_00)

    await asyncio.gather(*(reconcile_day(world.district, world.banks, MONDAY) for _ in range(4)))

    assert await named(world, MONDAY) == [("uninstructed_debit", 150_00)]


async def test_pages_go_by_account_and_can_be_narrowed_to_an_institution(world: World, school: Institution) -> None:
    others = [await world.institution(f"第{n}学校") for n in range(2)]
    await reconcile_day(world.district, world.banks, MONDAY)
    async with world.district.reading() as session:
        first = await account_days(session, MONDAY, limit=2)
        rest = await account_days(session, MONDAY, after=first[-1].bank_account_id)
        own = await account_days(session, MONDAY, institution_id=others[0].id)
    assert sorted(day.institution_id for day in [*first, *rest]) == sorted([school.id, *(other.id for other in others)])
    assert [day.institution_name for day in own] == ["第0学校"]


async def test_the_days_of_the_clock_are_shanghais(world: World, school: Institution) -> None:
    await world.wait_until(in_utc(2025, 3, 3, 16))
    assert clock.today() == TUESDAY
    assert await due_days(world.district) == [MONDAY]


@pytest.mark.broken_books
async def test_check_books_names_a_break_without_its_day_and_a_difference_without_its_name(
    world: World, owner: District, school: Institution
) -> None:
    await world.paid_contract(school, price_fen=400_00)
    await reconcile_day(world.district, world.banks, MONDAY)
    account = await world.account(school)
    async with owner.transaction() as session:
        session.add(
            Break(id=uuid7(), bank_account_id=account.id, value_on=MONDAY, kind="closing_differs", amount_fen=1, reference="2025-03-03")
        )
    async with world.district.reading() as session:
        findings = await check_books(session, school.id)
    assert [finding.name for finding in findings] == ["reconciliation.status_is_its_breaks", "reconciliation.breaks_explain"]


async def test_a_day_cannot_match_while_bank_and_books_differ(world: World, owner: District, school: Institution) -> None:
    await reconcile_day(world.district, world.banks, MONDAY)
    with pytest.raises(IntegrityError, match="ck_reconciliation_matched"):
        async with owner.transaction() as session:
            await session.execute(update(Reconciliation).values(cash_fen=1))
