"""What a family is asked and told on a contract's page where it does not pay, may not pay, or pays no more."""

import re

import pytest

from app import clock
from app.contracts.rules import PAYABLE_AFTER_PAUSE
from app.registry import institutions
from app.registry.institutions import set_listing
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


async def pause(school: School) -> None:
    async with school.world.district.transaction() as session:
        await institutions.pause_sales(session, school.world.officer(), school.institution.id, "变更法定代表人")


async def resume(school: School) -> None:
    async with school.world.district.transaction() as session:
        paused = await institutions.lock(session, school.institution.id)
        await institutions.resume_sales(session, school.world.officer(), paused, "变更已核定")


def card(page: str) -> str:
    """What stands in the card of the payment that is due."""
    return said("<main>" + page.partition('id="due"')[2].partition("</section>")[0])


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


async def test_during_a_pause_a_later_charge_waits_without_a_deadline(school: School, desks: Desks) -> None:
    family = await school.enrol(terms=school.parts(1, 2, 1))
    home = await at_home(desks, family.parent)
    begins_at = school.sessions[1].starts_at.astimezone(clock.SHANGHAI)
    assert f"{begins_at:%H:%M}前付清去付款" in card(await page_of(family, home))
    await pause(school)
    page = await page_of(family, home)
    assert card(page).endswith("第2至3课时暂停期间不能付款，不会因此失效；恢复后再付")
    assert "前付清" not in said(page)
    assert "第2至3课时，暂停期间不能付款，不会因此失效；恢复后再付查看" in said(await home.page())
    await school.world.wait_until(school.sessions[1].ends_at)
    await resume(school)
    until = (clock.now() + PAYABLE_AFTER_PAUSE).astimezone(clock.SHANGHAI)
    assert f"{until:%H:%M}前付清去付款" in card(await page_of(family, home)), "what fell due meanwhile can be paid for some days"


async def test_during_a_pause_an_unpaid_seat_is_only_held_until_its_time(school: School, desks: Desks) -> None:
    family = await school.sign()
    home = await at_home(desks, family.parent)
    await pause(school)
    said_of_it = card(await page_of(family, home))
    assert "名额保留至" in said_of_it
    assert said_of_it.endswith("暂停期间不能付款，名额只保留到上面的时间" + LEAVE)


async def test_what_was_taught_is_paid_during_a_pause_too(school: School, desks: Desks) -> None:
    family = await school.sign(terms=school.afterwards())
    home = await at_home(desks, family.parent)
    await school.deliver(1, family)
    await pause(school)
    assert card(await page_of(family, home)).endswith("去付款已上的课照常付款。")
    opened = await home.submit(f"/contracts/{family.contract.id}/payments", {})
    assert opened.headers["location"].startswith("/parent/payments/")


async def test_an_institution_on_the_black_list_is_not_called_paused(school: School, desks: Desks) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    async with school.world.district.transaction() as session:
        await set_listing(session, school.world.officer(), school.institution.id, "black", "卷款失联")
    page = card(await page_of(family, await at_home(desks, family.parent)))
    assert page.endswith("这家机构现在不能收费，不会因此失效；恢复后再付")
