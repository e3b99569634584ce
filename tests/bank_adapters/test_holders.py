"""Whose an account is: the bank says whether it bears a name, and nothing more."""

import pytest

from bank_adapters.port import BankRefused, BankUnknown, HolderCheck
from tests.bank_adapters.conftest import SCHOOL, Customer
from tests.bank_process import BankProcess


async def test_an_account_bears_a_name_or_another_one(customer: Customer, bank: BankProcess) -> None:
    here = customer.settlement_no
    assert await customer.bank.check_holder(here, SCHOOL) == HolderCheck(here, name_matches=True, instructable=True)
    assert await customer.bank.check_holder(here, "别家") == HolderCheck(here, name_matches=False, instructable=True)
    elsewhere = f"9{here[1:]}"
    await bank.open_account(elsewhere, SCHOOL)
    assert await customer.bank.check_holder(elsewhere, SCHOOL) == HolderCheck(elsewhere, name_matches=True, instructable=False)


async def test_there_is_no_such_account(customer: Customer) -> None:
    assert await customer.bank.check_holder("4040404040", SCHOOL) is None
    assert await customer.bank.check_holder("VAULT", "金库") is None


async def test_a_walk_in_bank_opens_what_a_client_asks_about_in_the_name_that_it_asks_about(customer: Customer, bank: BankProcess) -> None:
    await bank.set_walk_in()
    new = "4040404040"
    assert await customer.bank.check_holder(new, SCHOOL) == HolderCheck(new, name_matches=True, instructable=True)
    assert await customer.bank.check_holder(new, "别家") == HolderCheck(new, name_matches=False, instructable=True)
    await bank.set_walk_in(enabled=False)
    assert await customer.bank.check_holder("4040404041", SCHOOL) is None


async def test_a_bank_that_is_down_or_refuses_says_nothing_about_the_account(customer: Customer, bank: BankProcess) -> None:
    await bank.knob("down", "check_holder", account_no=customer.supervised_no)
    with pytest.raises(BankUnknown):
        await customer.bank.check_holder(customer.supervised_no, SCHOOL)
    await bank.knob("reject", "check_holder", account_no=customer.supervised_no)
    with pytest.raises(BankRefused, match="declined"):
        await customer.bank.check_holder(customer.supervised_no, SCHOOL)
