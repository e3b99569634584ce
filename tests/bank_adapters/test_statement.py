"""Statements: opening and movements make the closing, day by day in Asia/Shanghai."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from bank_adapters.port import AccountStatement, Statement
from tests.bank_adapters.conftest import SCHOOL, Customer, new_customer
from tests.bank_process import BankProcess


def of_account(statement: Statement, account_no: str) -> AccountStatement:
    (found,) = [account for account in statement.accounts if account.account_no == account_no]
    closing_fen = found.opening_fen
    for movement in found.movements:
        closing_fen += movement.amount_fen if movement.direction == "in" else -movement.amount_fen
        assert movement.balance_after_fen == closing_fen
        assert movement.value_on == statement.value_on
    assert found.closing_fen == closing_fen
    return found


async def test_a_day_ends_at_midnight_in_shanghai(bank: BankProcess, customer: Customer) -> None:
    midnight = datetime(2031, 3, 1, 16, 0, tzinfo=UTC)
    for instant, amount_fen in [(midnight - timedelta(microseconds=1), 10), (midnight, 20), (midnight, 30)]:
        await bank.set_clock(fixed_at=instant)
        await bank.deposit_from_stranger(customer.supervised_no, amount_fen)
    days = [of_account(await customer.bank.statement(date(2031, 3, day)), customer.supervised_no) for day in (1, 2, 3)]
    amounts = [[movement.amount_fen for movement in day.movements] for day in days]
    assert amounts == [[10], [20, 30], []]
    opening_and_closing = [(day.opening_fen, day.closing_fen) for day in days]
    assert opening_and_closing == [(1_000_00, 1_000_10), (1_000_10, 1_000_60), (1_000_60, 1_000_60)]


async def test_a_month_is_gapless(bank: BankProcess, customer: Customer) -> None:
    first = datetime(2032, 1, 1, 4, 0, tzinfo=UTC)
    for day in range(0, 30, 3):
        await bank.set_clock(fixed_at=first + timedelta(days=day))
        order = replace(customer.order(100_00 + day), expires_at=first + timedelta(days=60))
        await customer.bank.collect(order)
        await bank.pay(order.reference)
        await customer.bank.transfer(customer.payout(50_00))
    closing_fen = 1_000_00
    for day in range(31):
        statement = await customer.bank.statement(date(2032, 1, 1) + timedelta(days=day))
        account = of_account(statement, customer.supervised_no)
        assert account.opening_fen == closing_fen
        closing_fen = account.closing_fen
        assert len(account.movements) == (2 if day % 3 == 0 and day < 30 else 0)
    assert closing_fen == await bank.balance_of(customer.supervised_no)


async def test_all_accounts_of_the_connection_and_no_others(bank: BankProcess, customer: Customer) -> None:
    stranger = await new_customer(bank)
    statement = await customer.bank.statement(date(2025, 1, 1))
    assert [account.account_no for account in statement.accounts] == [customer.supervised_no, customer.settlement_no]
    await stranger.bank.aclose()


async def test_each_side_sees_its_own_references_only(bank: BankProcess, customer: Customer) -> None:
    await bank.set_clock(fixed_at=datetime(2033, 1, 1, 4, 0, tzinfo=UTC))
    stranger = await new_customer(bank)
    request = replace(customer.payout(100_00), payee_account_no=stranger.settlement_no, payee_name=SCHOOL)
    await customer.bank.transfer(request)
    ours = of_account(await customer.bank.statement(date(2033, 1, 1)), customer.supervised_no)
    theirs = of_account(await stranger.bank.statement(date(2033, 1, 1)), stranger.settlement_no)
    assert [movement.reference for movement in ours.movements] == [request.reference]
    assert [movement.reference for movement in theirs.movements] == [None]
    assert await stranger.bank.query(request.reference) is None
    await stranger.bank.aclose()


async def test_an_accounts_time_never_runs_backwards(bank: BankProcess, customer: Customer) -> None:
    await bank.set_clock(fixed_at=datetime(2034, 5, 2, 4, 0, tzinfo=UTC))
    await bank.deposit_from_stranger(customer.supervised_no, 1)
    await bank.set_clock(fixed_at=datetime(2034, 5, 1, 4, 0, tzinfo=UTC))
    await bank.deposit_from_stranger(customer.supervised_no, 2)
    day = of_account(await customer.bank.statement(date(2034, 5, 2)), customer.supervised_no)
    assert [movement.amount_fen for movement in day.movements] == [1, 2]


async def test_movement_ids_recur_across_accounts_and_directions_but_not_within_one(bank: BankProcess, customer: Customer) -> None:
    await bank.set_clock(fixed_at=datetime(2035, 1, 1, 4, 0, tzinfo=UTC))
    for _ in range(3):
        await bank.deposit_from_stranger(customer.supervised_no, 5)
        await customer.bank.transfer(customer.payout(5))
    day = await customer.bank.statement(date(2035, 1, 1))
    keys = [(m.account_no, m.direction, m.movement_id) for account in day.accounts for m in account.movements]
    assert len(keys) == len(set(keys)) == 9
    assert len({movement_id for _, _, movement_id in keys}) == 3


async def test_the_clock_can_run_beside_the_real_one(bank: BankProcess, customer: Customer) -> None:
    now = await bank.set_clock(offset_seconds=-86_400)
    assert abs(now - (datetime.now(UTC) - timedelta(days=1))) < timedelta(seconds=30)
    assert (await customer.bank.balance(customer.supervised_no)).as_of - now < timedelta(seconds=30)
