"""Pages for everybody: from the district's code to a class."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from app.registry import institutions
from app.registry.models import Institution
from tests.portals.desks import Desks
from tests.portals.families import link, links, shown
from tests.world import World

DOORS = ("我要报名", "我要续费", "我要退费")


@pytest.fixture
async def anybody(desks: Desks) -> httpx.AsyncClient:
    return await desks.anybody()


async def page(anybody: httpx.AsyncClient, path: str, status: int = 200) -> str:
    answer = await anybody.get(path)
    assert answer.status_code == status, answer.text[:300]
    return answer.text


async def test_the_home_page_has_three_doors(anybody: httpx.AsyncClient) -> None:
    home = await page(anybody, "/?district=510112")
    assert "龙泉驿区校外培训" in shown(home)
    assert "示例数据" in home
    for door in DOORS:
        behind = await anybody.get(link(home, door))
        assert behind.status_code in (200, 303)


async def test_two_doors_ask_who_is_there_and_lead_back(anybody: httpx.AsyncClient) -> None:
    home = await page(anybody, "/")
    for door, wanted in (("我要续费", "/parent/classes"), ("我要退费", "/parent/refunds")):
        asked = await anybody.get(link(home, door))
        assert asked.headers["location"].startswith("/parent/sign-in?")
        assert wanted.replace("/", "%2F") in asked.headers["location"] or wanted in asked.headers["location"]
        assert "获取验证码" in await page(anybody, asked.headers["location"])


async def test_from_an_institution_to_a_class(world: World, anybody: httpx.AsyncClient) -> None:
    institution = await world.institution()
    offered = await world.training_class(institution, lessons=3, price_fen=10_000)
    institutions = await page(anybody, link(await page(anybody, "/"), "我要报名"))
    chosen = await page(anybody, link(institutions, institution.name))
    assert institution.credit_code in shown(chosen)
    found = await page(anybody, link(chosen, "创意美术"))
    said = shown(found)
    for fact in ("李老师", "CERT", "¥100.00", "¥33.33–¥33.34", "剩余 20 / 20 位", "未开始的 3 次"):
        assert fact in said.replace(" – ", "–").replace(" –", "–")
    assert link(found, "给孩子报名").startswith(f"/parent/classes/{offered.id}/enrol")


async def test_an_institution_that_may_not_sell_says_why_its_classes_are_not_offered(world: World, anybody: httpx.AsyncClient) -> None:
    institution, officer = await world.institution(), world.officer()
    await world.training_class(institution)

    async def offered() -> str:
        return shown(await page(anybody, f"/institutions/{institution.id}")).partition("正在招生的班级")[2].partition("教师与资格证书")[0]

    async def decide(decision: Callable[..., Awaitable[object]], *terms: str) -> str:
        async with world.district.transaction() as session:
            await decision(session, officer, institution.id, *terms)
        return await offered()

    assert "创意美术" in await offered()
    assert "暂停招生收费，目前不能报名" in await decide(institutions.pause_sales, "群众举报")
    assert "已被监管部门暂停" in await decide(institutions.set_status, "suspended", "违规办学")
    assert "已列入黑名单，不得招生收费" in await decide(institutions.set_listing, "black", "卷款嫌疑")
    assert "已注销，不再招生" in await decide(institutions.set_status, "closed", "吊销许可")


async def test_a_full_class_takes_nobody(world: World, anybody: httpx.AsyncClient) -> None:
    full = await world.training_class(await world.institution(), seats=1)
    await world.sign(await world.parent(), full)
    said = await page(anybody, f"/classes/{full.id}")
    assert "名额已满" in shown(said)
    assert not links(said, "/parent/classes/.*")


async def test_a_class_that_is_under_way_to_its_end_takes_nobody(world: World, anybody: httpx.AsyncClient) -> None:
    over = await world.training_class(await world.institution(), lessons=1)
    await world.wait(timedelta(hours=2))
    said = await page(anybody, f"/classes/{over.id}")
    assert "课次都已开始" in shown(said)
    assert not links(said, "/parent/classes/.*")


async def test_nothing_to_show_is_said(world: World, anybody: httpx.AsyncClient) -> None:
    assert "还没有登记的机构" in await page(anybody, "/institutions")
    institution = await world.institution()
    assert "没有可报名的班级" in await page(anybody, f"/institutions/{institution.id}")


async def test_lists_go_page_by_page_within_the_district(world: World, anybody: httpx.AsyncClient) -> None:
    for _ in range(3):
        await world.institution()
    first = await page(anybody, "/institutions?limit=2&district=510112")
    assert len(links(first, r"/institutions/[0-9a-f-]+\?district=510112")) == 2
    further = link(first, "更多机构")
    assert "district=510112" in further
    assert len(links(await page(anybody, further), r"/institutions/[0-9a-f-]+\?district=510112")) == 1


async def test_a_suspended_institution_is_marked_and_offers_nothing(world: World, anybody: httpx.AsyncClient) -> None:
    institution = await world.institution()
    await world.training_class(institution)
    async with world.district.transaction() as session:
        (await session.get_one(Institution, institution.id)).status = "suspended"
    assert "暂停" in shown(await page(anybody, "/institutions"))
    assert "已被监管部门暂停，不得招生收费" in await page(anybody, f"/institutions/{institution.id}")


async def test_what_is_not_there_gets_a_page(anybody: httpx.AsyncClient) -> None:
    assert "没有这家机构" in await page(anybody, f"/institutions/{uuid4()}", 404)
    assert "没有这个班级" in await page(anybody, "/classes/x", 404)
    assert "没有这个区县" in await page(anybody, "/?district=110101", 404)


async def test_what_an_institution_calls_itself_is_text(world: World, anybody: httpx.AsyncClient) -> None:
    await world.institution("<b>晨光</b>")
    said = await page(anybody, "/institutions")
    assert "&lt;b&gt;晨光&lt;/b&gt;" in said
    assert "<b>晨光</b>" not in said
