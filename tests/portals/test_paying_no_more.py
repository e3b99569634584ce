"""What a family is asked and told on a contract's page where it does not pay, may not pay, or pays no more."""

import re

import pytest

from tests.portals.desks import Desk, Desks
from tests.portals.families import at_home, link, shown
from tests.portals.test_ways import said
from tests.school import Family, School, found_school
from tests.world import World

LEAVE = "不报了，放弃名额"


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


def asked(page: str) -> list[str]:
    """What the page asks before it does something."""
    return re.findall(r'data-confirm="([^"]+)"', page)


async def page_of(family: Family, home: Desk) -> str:
    return await home.page(f"/contracts/{family.contract.id}")


async def test_an_unpaid_seat_can_be_given_up_on_the_contracts_page(school: School, desks: Desks) -> None:
    family = await school.sign()
    home = await at_home(desks, family.parent)
    page = await page_of(family, home)
    assert LEAVE in shown(page)
    assert asked(page) == ["确定放弃名额？"]
    await home.submit(f"/contracts/{family.contract.id}/payments", {})
    left = await home.told(await home.submit(f"/contracts/{family.contract.id}/decline", {}, await page_of(family, home)))
    assert "名额已放弃" in shown(left)
    assert "您放弃了名额。" in said(left)


async def test_what_is_paid_has_no_seat_to_give_up(school: School, desks: Desks) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    page = await page_of(family, await at_home(desks, family.parent))
    assert ("去付款" in shown(page), LEAVE in page) == (True, False)


async def test_what_would_end_is_named_before_it_ends(school: School, desks: Desks) -> None:
    family = await school.enrol(terms=school.parts(1, 2, 1))
    home = await at_home(desks, family.parent)
    assert asked(await page_of(family, home)) == ["以后的 3 课时（¥300.00）将取消，不能恢复。确定以后的不再付？"]


async def test_what_was_taught_unpaid_does_not_end(school: School, desks: Desks) -> None:
    family = await school.sign(terms=school.afterwards())
    home = await at_home(desks, family.parent)
    await school.deliver(1, family)
    assert asked(await page_of(family, home)) == ["以后的 3 课时（¥300.00）将取消，不能恢复。确定以后的不再付？"]
    await home.submit(f"/contracts/{family.contract.id}/decline", {})
    assert asked(await page_of(family, home)) == []


async def test_who_ended_a_contract_can_enrol_again_while_the_class_takes_children(school: School, desks: Desks) -> None:
    family = await school.sign(terms=school.afterwards())
    home = await at_home(desks, family.parent)
    assert "重新报名" not in await page_of(family, home)
    await home.submit(f"/contracts/{family.contract.id}/decline", {})
    assert await school.contract_status(family) == "closed"
    assert link(await page_of(family, home), "重新报名") == f"/parent/classes/{school.training_class.id}/enrol"
    await school.sign(family.parent, family.student)
    assert "重新报名" not in await page_of(family, home), "the child has a seat"


async def test_a_class_that_is_full_is_not_offered_again(world: World, desks: Desks) -> None:
    small = await found_school(world, seats=1)
    family = await small.sign()
    home = await at_home(desks, family.parent)
    await home.submit(f"/contracts/{family.contract.id}/decline", {})
    assert "重新报名" in await page_of(family, home)
    await small.sign()
    assert "重新报名" not in await page_of(family, home)
