"""The personal timetable: a week on a phone, days in JSON, and a calendar's secret address."""

import re
from datetime import timedelta
from html import unescape

import httpx
import pytest

from app import clock
from app.registry.class_sessions import cancel_session
from tests.portals.desks import Desk, Desks
from tests.portals.families import at_home, problem_of, shown
from tests.school import Family, School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


@pytest.fixture
async def family(school: School) -> Family:
    return await school.enrol()


@pytest.fixture
async def home(desks: Desks, family: Family) -> Desk:
    return await at_home(desks, family.parent)


def path_of(url: str) -> str:
    assert url.startswith("http://escrow.test/calendar/510112.")
    return url.removeprefix("http://escrow.test")


async def test_a_week_shows_every_day_and_what_clashes(school: School, family: Family, home: Desk) -> None:
    other = await found_school(school.world)
    await other.enrol(family.parent, family.student)
    async with school.world.district.transaction() as session:
        await cancel_session(session, school.staff, school.sessions[1].id, "老师生病")
    week = await home.page("/timetable")
    said = shown(week)
    assert [day in said for day in ("周一", "周二", "周三", "周日", "今天")] == [True] * 5
    assert said.count("创意美术") == 8
    assert said.count("时间冲突") == 6, "the cancelled one clashes with nothing"
    assert said.count("已取消") == 1
    assert said.count("没有课") == 3
    later = shown(await home.page(f"/timetable?on={clock.today() + timedelta(days=7)}"))
    assert "创意美术" not in later


async def test_of_one_child_only(school: School, family: Family, home: Desk) -> None:
    sibling = await school.world.child(family.parent, "李小红")
    assert shown(await home.page("/timetable")).count("创意美术") == 4
    assert shown(await home.page(f"/timetable?child={sibling.id}")).count("创意美术") == 0
    assert shown(await home.page("/timetable?child=x&on=never")).count("创意美术") == 4


async def test_days_in_json(family: Family, home: Desk) -> None:
    today = clock.today()
    days = {"from": str(today), "to": str(today + timedelta(days=1))}
    items = (await home.get("/timetable", **days))["items"]
    assert [(item["kind"], item["number"], item["status"]) for item in items] == [("lesson", 1, "scheduled"), ("lesson", 2, "scheduled")]
    assert (await home.get("/timetable", **days, student_id=str(family.student.id)))["items"] == items
    for wrong in ({"from": days["to"], "to": days["from"]}, {"from": "2026-01-01", "to": "2026-12-31"}):
        assert problem_of(await home.api.get("/api/v1/parent/timetable", params=wrong)) == (400, "request.date")


async def test_a_strangers_child_is_not_there(desks: Desks, world: World, family: Family) -> None:
    stranger = await at_home(desks, await world.parent())
    asked = {"from": "2026-03-03", "to": "2026-03-04", "student_id": str(family.student.id)}
    missing = (404, "registry.student_not_found")
    assert problem_of(await stranger.api.get("/api/v1/parent/timetable", params=asked)) == missing
    path = f"/api/v1/parent/students/{family.student.id}/calendar"
    assert problem_of(await stranger.api.post(path)) == missing
    assert problem_of(await stranger.api.delete(path)) == missing


async def test_a_calendar_reads_the_address_until_it_is_taken_back(desks: Desks, family: Family, home: Desk) -> None:
    made = await home.post(f"/students/{family.student.id}/calendar")
    assert made.status_code == 201
    path = path_of(made.json()["url"])
    program: httpx.AsyncClient = await desks.anybody()
    answer = await program.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert answer.text.count("BEGIN:VEVENT") == answer.text.count("LOCATION:龙泉驿区驿都大道 1 号") == 4
    assert answer.text.count("DESCRIPTION:晨光艺术培训学校") == 4
    assert "王" not in answer.text
    assert answer.headers["cache-control"] == "private, no-cache"
    for seen in (answer.headers["etag"], f"W/{answer.headers['etag']}"):
        unchanged = await program.get(path, headers={"If-None-Match": f'"x", {seen}'})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert (await home.api.delete(f"/api/v1/parent/students/{family.student.id}/calendar")).status_code == 204
    assert (await program.get(path)).status_code == 404


async def test_the_address_is_shown_once_and_replaced_on_the_page(desks: Desks, family: Family, home: Desk) -> None:
    program = await desks.anybody()
    paths = []
    for button in ("生成地址", "换一个"):
        week = await home.page("/timetable")
        assert button in shown(week)
        made = await home.submit(f"/students/{family.student.id}/calendar", {}, week)
        assert made.headers["cache-control"] == "no-store"
        (url,) = re.findall(r"http://escrow\.test/calendar/[^<\s]+", unescape(made.text))
        paths.append(path_of(url))
    assert [(await program.get(path)).status_code for path in paths] == [404, 200]
    week = await home.page("/timetable")
    assert "calendar/510112" not in week
    assert "日历地址已停用" in await home.told(await home.submit(f"/students/{family.student.id}/calendar/end", {}, week))
    assert (await program.get(paths[1])).status_code == 404


async def test_addresses_that_nobody_made_lead_nowhere(desks: Desks) -> None:
    program = await desks.anybody()
    for token in ("x", f"510112.{'a' * 43}", f"110101.{'a' * 43}", "510112." + "a" * 42 + "%27"):
        answer = await program.get(f"/calendar/{token}.ics")
        assert answer.status_code == 404, token
