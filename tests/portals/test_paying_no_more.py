"""What a family is asked and told on a contract's page where it does not pay, may not pay, or pays no more."""

import pytest

from tests.portals.desks import Desk, Desks
from tests.portals.families import at_home, shown
from tests.portals.test_ways import said
from tests.school import Family, School, found_school
from tests.world import World

LEAVE = "不报了，放弃名额"


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def page_of(family: Family, home: Desk) -> str:
    return await home.page(f"/contracts/{family.contract.id}")


async def test_an_unpaid_seat_can_be_given_up_on_the_contracts_page(school: School, desks: Desks) -> None:
    family = await school.sign()
    home = await at_home(desks, family.parent)
    page = await page_of(family, home)
    assert (LEAVE in shown(page), "确定放弃名额？" in page) == (True, True)
    await home.submit(f"/contracts/{family.contract.id}/payments", {})
    left = await home.told(await home.submit(f"/contracts/{family.contract.id}/decline", {}, await page_of(family, home)))
    assert "名额已放弃" in shown(left)
    assert "您放弃了名额。" in said(left)


async def test_what_is_paid_has_no_seat_to_give_up(school: School, desks: Desks) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    page = await page_of(family, await at_home(desks, family.parent))
    assert ("去付款" in shown(page), LEAVE in page) == (True, False)
