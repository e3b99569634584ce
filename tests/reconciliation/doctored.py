"""A bank that contradicts itself: the real mock bank, but for what one account's statement says."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from app.banking.banks import Banks
from app.registry.models import Institution
from bank_adapters.port import AccountStatement, Statement
from tests.world import CONNECTION, World


class Doctored:
    """The real bank, but for what one account's statement says."""

    def __init__(self, bank: Any, account_no: str, change: Callable[[AccountStatement], AccountStatement | None]) -> None:
        self._bank = bank
        self._account_no = account_no
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bank, name)

    async def statement(self, value_on: date) -> Statement:
        stated = await self._bank.statement(value_on)
        changed = [self._change(each) if each.account_no == self._account_no else each for each in stated.accounts]
        return replace(stated, accounts=tuple(each for each in changed if each is not None))


async def doctored(world: World, institution: Institution, change: Callable[[AccountStatement], AccountStatement | None]) -> Banks:
    account = await world.account(institution)
    return Banks({CONNECTION: (world.district.code, Doctored(world.banks.get(CONNECTION), account.account_no, change))})


async def forgetful(world: World, institution: Institution) -> Banks:
    """A bank whose statements leave the institution's account out."""
    return await doctored(world, institution, lambda stated: None)
