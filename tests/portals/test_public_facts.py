"""An institution's page tells how its money and its lessons stand."""

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from app.refunds import service as refunds
from app.registry import institutions
from app.registry.institutions import CheckDraft
from app.supervision import publishing
from app.supervision.publishing import publish
from tests.portals.desks import Desks
from tests.portals.families import problem_of, shown
from tests.school import School, found_school
from tests.world import World


@pytest.fixture
async def anybody(desks: Desks) -> httpx.AsyncClient:
    return await desks.anybody()


async def recount(school: School) -> None:
    async with school.world.district.transaction() as session:
        await publishing.count(session, [school.institution.id])


async def test_before_anything_was_counted_nothing_is_told(world: World, anybody: httpx.AsyncClient) -> None:
    institution = await world.institution()
    assert "资金与信用" not in (await anybody.get(f"/institutions/{institution.id}")).text
    facts = (await anybody.get(f"/api/v1/public/institutions/{institution.id}/facts")).json()
    assert {value for name, value in facts.items() if name != "yearly_checks"} == {None}


async def test_coverage_checks_and_what_is_too_little_to_tell(world: World, anybody: httpx.AsyncClient) -> None:
    school = await found_school(world)
    await school.enrol()
    async with world.district.transaction() as session:
        draft = CheckDraft(2025, "passed", "材料齐全")
        await institutions.record_yearly_check(session, world.officer(), school.institution.id, draft)
    await publish(world.district)
    said = shown((await anybody.get(f"/institutions/{school.institution.id}")).text)
    for fact in ("预收费保障率 100.00%", "没有退费", "样本不足", "2025 年检 合格", "办学许可证", "李老师", "余 19 位"):
        assert fact in said, fact
    facts = (await anybody.get(f"/api/v1/public/institutions/{school.institution.id}/facts")).json()
    assert (facts["coverage_bps"], facts["refunds"], facts["dispute_bps"]) == (10_000, 0, None)
    assert facts["yearly_checks"] == [{"year": 2025, "result": "passed"}]


async def test_a_refund_that_is_not_paid_is_told_beside_the_others(world: World, anybody: httpx.AsyncClient) -> None:
    school = await found_school(world)
    page = f"/institutions/{school.institution.id}"
    for family, told in ((await school.enrol(), "还没有到账的 另有 1 笔未到账"), (await school.enrol(), "共 1 笔 另有 1 笔未到账")):
        async with world.district.transaction() as session:
            await refunds.request(session, family.parent, family.contract.id, "搬家")
        await recount(school)
        assert told in shown((await anybody.get(page)).text)
        assert (await anybody.get(f"/api/v1/public{page}/facts")).json()["refunds_unpaid"] == 1
        await world.work()
    await recount(school)
    assert "未到账" not in shown((await anybody.get(page)).text)


async def test_the_rates_of_half_a_year_are_told(world: World, anybody: httpx.AsyncClient) -> None:
    school = await found_school(world, 25)
    left, first, second = await school.enrol(), await school.enrol(), await school.enrol()
    async with world.district.transaction() as session:
        await refunds.request(session, left.parent, left.contract.id, "搬家")
    await world.wait(timedelta(hours=5, minutes=30))
    await world.work()
    for number in range(21, 26):
        await school.cancel(number)
    for number in range(1, 21):
        await school.deliver(number, first, second)
        if number < 3:
            await school.dispute(first, number)
    await school.end_of(25)
    await recount(school)
    said = shown((await anybody.get(f"/institutions/{school.institution.id}")).text)
    for fact in ("退费到账（中位数） 6 小时 共 1 笔", "课时争议率 5.00%", "停课、调课率 20.00%"):
        assert fact in said, fact
    facts = (await anybody.get(f"/api/v1/public/institutions/{school.institution.id}/facts")).json()
    assert (facts["refund_median_hours"], facts["dispute_bps"], facts["rearranged_bps"]) == (6, 500, 2_000)


async def test_an_expired_licence_is_pointed_out(world: World, anybody: httpx.AsyncClient) -> None:
    institution = await world.institution()
    assert "已过期" not in (await anybody.get(f"/institutions/{institution.id}")).text
    await world.wait(timedelta(days=11 * 366))
    assert "已过期" in (await anybody.get(f"/institutions/{institution.id}")).text


async def test_nobodys_facts(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.get(f"/api/v1/public/institutions/{uuid4()}/facts")
    assert problem_of(answer) == (404, "registry.institution_not_found")
