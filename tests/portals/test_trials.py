"""A family tries a class before it enrols, as its phone and the institution's desk show it."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest

from app import clock
from app.ids import uuid7
from app.registry.models import Campus
from app.security import Parent
from tests.portals.desks import Desk, Desks
from tests.portals.families import at_home, link, links, problem_of, shown
from tests.school import School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


@pytest.fixture
async def parent(world: World) -> Parent:
    parent = await world.parent()
    await world.child(parent)
    return parent


async def test_from_the_class_to_the_feedback_in_pages(school: School, desks: Desks, home: Desk) -> None:
    class_page = (await home.browser.get(f"/classes/{school.training_class.id}")).text
    path = link(class_page, "预约试听").removeprefix("/parent").partition("?")[0]
    form = await home.page(path)
    assert "还有 20 个位置" in shown(form)
    child = (await home.get("/students"))["items"][0]["id"]
    chosen = {"class_session_id": str(school.sessions[0].id), "student_id": child}
    booked = await home.told(await home.submit(path, chosen, form))
    assert "试听已预约" in booked
    assert "已预约" in shown(booked)
    trial_path = links(await home.page("/trials"), r"/parent/trials/[0-9a-f-]+")[0].removeprefix("/parent")

    office = await desks.institution(school.institution)
    session_path = f"/class-sessions/{school.sessions[0].id}"
    assert "试听 1 人" in shown(await office.page(session_path))
    assert "登记试听到课" not in await office.page(session_path)
    await school.end_of(1)
    roster = await office.page(session_path)
    assert "王*明" in roster
    trial_id = trial_path.rpartition("/")[2]
    assert "试听到课已登记" in await office.told(await office.submit(f"{session_path}/trials", {"attended": [trial_id]}, roster))

    attended = await home.page(trial_path)
    said = await home.told(await home.submit(f"{trial_path}/feedback", {"rating": "4", "comment": "老师很耐心"}, attended))
    assert "4 星：老师很耐心" in shown(said)
    assert link(said, "给孩子报名").startswith(f"/parent/classes/{school.training_class.id}/enrol")
    told = shown(await office.page("/trial-feedback"))
    assert "老师很耐心" in told
    assert "王*明" not in told
    officer = await desks.officer()
    read = shown(await officer.page(f"/institutions/{school.institution.id}/trial-feedback"))
    assert "老师很耐心" in read
    assert "王" not in read.replace(school.institution.name, "")
    assert (await officer.browser.get(f"/supervision/institutions/{uuid4()}/trial-feedback")).status_code == 404
    assert await school.totals() == {}


async def test_the_same_in_json(school: School, desks: Desks, home: Desk) -> None:
    child = (await home.get("/students"))["items"][0]["id"]
    wish = {"class_session_id": str(school.sessions[0].id), "student_id": child}
    first, again = await home.post("/trials", wish), await home.post("/trials", wish)
    assert (first.status_code, first.json()) == (201, again.json())
    trial = first.json()
    assert (trial["status"], trial["student_name"], trial["session_status"]) == ("booked", "王*明", "scheduled")
    assert (await home.get("/trials"))["items"] == [trial]
    office = await desks.institution(school.institution)
    detail = await office.get(f"/class-sessions/{school.sessions[0].id}")
    assert detail["trials"] == [{"id": trial["id"], "student_name": "王*明", "status": "booked"}]
    marks = f"/class-sessions/{school.sessions[0].id}/trials"
    assert problem_of(await office.post(marks, {"attended_trial_ids": []})) == (422, "lessons.too_early")
    await school.end_of(1)
    assert (await office.post(marks, {"attended_trial_ids": [trial["id"]]})).json()["items"][0]["status"] == "attended"
    rated = await home.post(f"/trials/{trial['id']}/feedback", {"rating": 5})
    assert (rated.status_code, rated.json()["rating"], rated.json()["comment"]) == (200, 5, "")
    (feedback,) = (await office.get("/trial-feedback"))["items"]
    assert set(feedback) == {"id", "class_id", "class_name", "starts_at", "rating", "comment", "rated_at"}
    read = await (await desks.officer()).get(f"/institutions/{school.institution.id}/trial-feedback")
    assert read["items"] == [feedback]


async def test_a_new_child_is_entered_where_the_trial_is_booked(school: School, desks: Desks, world: World) -> None:
    home = await at_home(desks, await world.parent())
    path = f"/classes/{school.training_class.id}/trial"
    form = await home.page(path)
    second = str(school.sessions[1].id)
    typed = {"student_id": "new", "name": "李新苗", "birth_month": "2017-05", "class_session_id": second}
    refused = await home.submit(path, typed, form)
    assert (refused.status_code, 'value="李新苗"' in refused.text) == (422, True), "nobody agreed"
    assert f'value="{second}" required checked' in refused.text
    agreed = form.partition('name="consent" value="')[2].partition('"')[0]
    assert "试听已预约" in await home.told(await home.submit(path, typed | {"consent": agreed}, form))
    [trial] = (await home.get("/trials"))["items"]
    assert (trial["student_name"], trial["class_session_id"]) == ("李*苗", second)


async def test_what_is_refused_is_said_on_the_page(school: School, home: Desk) -> None:
    path = f"/classes/{school.training_class.id}/trial"
    nobody = await home.submit(path, {"class_session_id": "x", "student_id": ""}, await home.page(path))
    assert (nobody.status_code, "请选择孩子" in nobody.text) == (400, True)
    child = (await home.get("/students"))["items"][0]["id"]
    no_day = await home.submit(path, {"class_session_id": "", "student_id": child}, await home.page(path))
    assert (no_day.status_code, "请选择哪一次课" in no_day.text, f'value="{child}" required checked' in no_day.text) == (400, True, True)
    booked = (await home.post("/trials", {"class_session_id": str(school.sessions[0].id), "student_id": child})).json()
    second = {"class_session_id": str(school.sessions[1].id), "student_id": child}
    refused = await home.submit(path, second, await home.page(path))
    assert (refused.status_code, "可以试听一次" in refused.text) == (409, True)
    trial = f"/trials/{booked['id']}"
    unrated = await home.submit(f"{trial}/feedback", {"rating": "9"}, await home.page(trial))
    assert (unrated.status_code, "1 至 5 星" in unrated.text) == (400, True)
    called_off = await home.told(await home.submit(f"{trial}/cancel", {}, await home.page(trial)))
    assert "试听已取消" in called_off


async def test_of_several_children_and_days_the_parent_chooses(school: School, home: Desk, parent: Parent, world: World) -> None:
    path = f"/classes/{school.training_class.id}/trial"
    [only] = (await home.get("/students"))["items"]
    assert checked(await home.page(path)) == [only["id"]]
    second = await world.child(parent, "王小红")
    assert checked(await home.page(path)) == []
    for day in (1, 2, 3):
        await school.end_of(day)
    last = str(school.sessions[3].id)
    assert checked(await home.page(path)) == [last]
    chosen = {"student_id": str(second.id), "class_session_id": ""}
    assert checked((await home.submit(path, chosen, await home.page(path))).text) == [str(second.id), last]


async def test_a_trials_page_says_where_it_is(school: School, home: Desk) -> None:
    child = (await home.get("/students"))["items"][0]["id"]
    booked = (await home.post("/trials", {"class_session_id": str(school.sessions[0].id), "student_id": child})).json()
    page = f"/trials/{booked['id']}"
    assert f"地点 {school.institution.address}" in shown(await home.page(page))
    campus = Campus(
        id=uuid7(), institution_id=school.institution.id, name="东校区", address="北泉路 9 号", created_at=clock.now(), lease_ends_on=None
    )
    async with school.world.district.transaction() as session:
        session.add(campus)
        await session.flush()
        of_class = await session.merge(school.training_class)
        of_class.campus_id, of_class.room = campus.id, "101 教室"
    assert "地点 东校区 · 北泉路 9 号 · 101 教室" in shown(await home.page(page))
    async with school.world.district.transaction() as session:
        (await session.merge(school.sessions[0])).room = "202 教室"
    assert "东校区 · 北泉路 9 号 · 202 教室" in shown(await home.page(page)), "this one meets in another room"
    async with school.world.district.transaction() as session:
        (await session.merge(school.sessions[0])).room = None
        of_class = await session.merge(school.training_class)
        of_class.mode, of_class.campus_id, of_class.room = "online", None, None
    assert "地点 线上" in shown(await home.page(page))


def checked(form: str) -> list[str]:
    """The choices that a form has made."""
    return re.findall(r'type="radio" name="[a-z_]+" value="([^"]+)"[^>]* checked', form)


async def test_strangers_see_nothing(school: School, desks: Desks, world: World, home: Desk) -> None:
    child = (await home.get("/students"))["items"][0]["id"]
    booked = (await home.post("/trials", {"class_session_id": str(school.sessions[0].id), "student_id": child})).json()
    stranger = await at_home(desks, await world.parent())
    for trial_id in (booked["id"], str(uuid4()), "x"):
        answer = await stranger.post(f"/trials/{trial_id}/cancellation")
        assert problem_of(answer) == (404, "lessons.trial_not_found")
    elsewhere = await desks.institution(await world.institution())
    assert (await elsewhere.get(f"/class-sessions/{school.sessions[0].id}/trials"))["items"] == []
    await world.wait(timedelta(hours=3))
    marked = await elsewhere.post(f"/class-sessions/{school.sessions[0].id}/trials", {"attended_trial_ids": [booked["id"]]})
    assert problem_of(marked) == (404, "registry.class_session_not_found")
