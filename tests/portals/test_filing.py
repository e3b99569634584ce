"""班课备案 at the ends: an institution files and reschedules, officers decide, parents and the public see what concerns them."""

from datetime import date, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest

from app.registry.models import TrainingClass
from tests.portals.desks import Desk, Desks
from tests.portals.families import at_home, problem_of, shown
from tests.registry.office import MONDAY, Office, at, found_office
from tests.world import World

THURSDAY, FRIDAY = MONDAY + timedelta(days=3), MONDAY + timedelta(days=4)


@pytest.fixture
async def office(world: World) -> Office:
    return await found_office(world)


def filing(office: Office, **changed: Any) -> dict[str, Any]:
    """A sound request for a class of two lessons."""
    sessions = [at(MONDAY + timedelta(days=n), "10:00", "11:00") for n in range(2)]
    return {
        "teacher_id": str(office.teacher.id),
        "name": "数学思维",
        "subject": "数学",
        "price_fen": 20_000,
        "listed_price_fen": 24_000,
        "seats": 5,
        "materials": ["思维训练（上册）"],
        "campus_id": str(office.campus_id),
        "room": "201",
        "sessions": [{"starts_at": starts.isoformat(), "ends_at": ends.isoformat()} for starts, ends in sessions],
    } | changed


def arrangement(office: Office, day: date, **changed: Any) -> dict[str, Any]:
    starts, ends = at(day, "15:00", "16:00")
    planned = {"starts_at": starts.isoformat(), "ends_at": ends.isoformat(), "teacher_id": str(office.teacher.id)}
    return planned | {"reason": "场馆检修"} | changed


async def filed(desk: Desk, office: Office) -> str:
    answer = await desk.post("/classes", filing(office))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_filing_goes_from_the_institution_over_an_officer_to_the_public(desks: Desks, office: Office) -> None:
    desk, officer, anybody = await desks.institution(office.institution), await desks.officer(), await desks.anybody()
    class_id = await filed(desk, office)
    assert (await anybody.get(f"/api/v1/public/classes/{class_id}")).status_code == 404
    assert (await anybody.get(f"/classes/{class_id}")).status_code == 404
    [waiting] = (await officer.get("/classes", status="filed"))["items"]
    assert (waiting["id"], waiting["materials"], waiting["listed_price_fen"]) == (class_id, ["思维训练（上册）"], 24_000)
    detail = await officer.get(f"/classes/{class_id}")
    assert [each["number"] for each in detail["sessions"]] == [1, 2]
    assert {finding["rule"] for finding in detail["findings"]} == {"time.end", "inst.kind"}
    hidden = "科目“数学”按名称属于学科类，本机构不是学科类机构"
    assert hidden in shown(await officer.page(f"/classes/{class_id}"))
    assert hidden not in shown(await desk.page(f"/classes/{class_id}"))
    assert detail["judged_by"].startswith("nation/")

    assert problem_of(await officer.post(f"/classes/{class_id}/approve", {"reason": " "}, "k1"))[0] == 422
    decided = await officer.post(f"/classes/{class_id}/approve", {"reason": "材料齐全"}, "k2")
    assert decided.json() == {"id": class_id, "status": "opened", "decision_reason": "材料齐全"}
    again = await officer.post(f"/classes/{class_id}/approve", {"reason": "材料齐全"}, "k2")
    assert (again.status_code, again.json()) == (200, decided.json())
    assert problem_of(await officer.post(f"/classes/{class_id}/refuse", {"reason": "反悔"}, "k3")) == (409, "registry.class_decided")
    public = (await anybody.get(f"/api/v1/public/classes/{class_id}")).json()
    assert (public["mode"], public["room"], public["listed_price_fen"], public["lesson_minutes"]) == ("onsite", "201", 24_000, 60)
    page = shown((await anybody.get(f"/classes/{class_id}")).text)
    for words in (
        "线下 · 主校区 · 201",
        "思维训练（上册）",
        "公示总价 ¥240.00",
        "实收总价 ¥200.00",
        "每课时 60 分钟",
        office.teacher.certificate_no,
    ):
        assert words in page, words
    closed = (await desk.post(f"/classes/{class_id}/close")).json()
    assert closed["status"] == "closed"


async def test_an_officer_sees_what_has_become_unlawful_before_deciding(desks: Desks, office: Office) -> None:
    desk, officer = await desks.institution(office.institution), await desks.officer()
    class_id = await filed(desk, office)
    assert "现在不能批准" not in shown(await officer.page(f"/classes/{class_id}"))
    gone = await desk.post(f"/teachers/{office.teacher.id}/leave", {"last_on": MONDAY.isoformat()})
    assert gone.status_code == 200, gone.text
    page = shown(await officer.page(f"/classes/{class_id}"))
    assert "该教师届时不在职" in page
    assert "备案后情况有变，现在不能批准" in page
    assert problem_of(await officer.post(f"/classes/{class_id}/approve", {"reason": "材料齐全"}, "k1")) == (422, "registry.teacher_left")


async def test_a_refused_filing_tells_its_institution_why(desks: Desks, office: Office) -> None:
    desk, officer = await desks.institution(office.institution), await desks.officer()
    class_id = await filed(desk, office)
    await officer.post(f"/classes/{class_id}/refuse", {"reason": "教材未报备"}, "k1")
    mine = await desk.get(f"/classes/{class_id}")
    assert (mine["status"], mine["decision_reason"]) == ("refused", "教材未报备")
    assert (mine["most_unpaid"], (await officer.get(f"/classes/{class_id}"))["most_unpaid"]) == (2, 2)
    for reader in (desk, officer):
        assert "先学后付 最多 2 课时未付" in shown(await reader.page(f"/classes/{class_id}"))
    assert "备案未获批准：教材未报备" in shown(await desk.page(f"/classes/{class_id}"))


async def test_a_pattern_becomes_a_schedule_that_keeps_public_holidays_free(desks: Desks, office: Office) -> None:
    """Labour day and its bridge: 1 to 5 May 2026, with Saturday 9 May worked."""
    desk = await desks.institution(office.institution)
    pattern = {"first_on": "2026-04-30", "starts": "19:00", "ends": "20:00", "count": 4, "weekdays": [1, 4, 5]}
    plan = (await desk.post("/class-schedules", pattern)).json()
    assert [each["starts_at"][:10] for each in plan["sessions"]] == ["2026-04-30", "2026-05-07", "2026-05-08", "2026-05-11"]
    assert (plan["holidays"], plan["unknown_years"]) == (["2026-05-01", "2026-05-04"], [])
    plain = (await desk.post("/class-schedules", pattern | {"skip_holidays": False, "skipped": ["2026-05-01"]})).json()
    assert [each["starts_at"][:10] for each in plain["sessions"]] == ["2026-04-30", "2026-05-04", "2026-05-07", "2026-05-08"]
    far = (await desk.post("/class-schedules", pattern | {"first_on": "2101-01-03"})).json()
    assert far["unknown_years"] == [2101]
    for changes, status, code in (
        ({"first_on": "2026-02-30"}, 422, "request.invalid"),
        ({"first_on": "9999-12-31"}, 400, "registry.first_on_invalid"),
        ({"ends": "19:00"}, 400, "registry.ends_invalid"),
        ({"starts": "25:00"}, 422, "request.invalid"),
        ({"starts": "19:00Z"}, 400, "registry.starts_invalid"),
        ({"count": 501}, 422, "request.invalid"),
        ({"weekdays": [8]}, 422, "request.invalid"),
    ):
        assert problem_of(await desk.post("/class-schedules", pattern | changes)) == (status, code), changes


async def test_a_check_says_what_filing_would_and_keeps_nothing(desks: Desks, office: Office) -> None:
    desk = await desks.institution(office.institution)
    checked = await desk.post("/class-checks", filing(office))
    assert (checked.status_code, [finding["rule"] for finding in checked.json()["findings"]]) == (200, ["time.end", "inst.kind"])
    late = [dict(zip(("starts_at", "ends_at"), (at(MONDAY, "20:00", "21:00")[n].isoformat() for n in (0, 1)), strict=True))]
    refused = await desk.post("/class-checks", filing(office, sessions=late))
    assert problem_of(refused) == (422, "registry.rule")
    [finding] = refused.json()["findings"]
    assert (finding["rule"], finding["value"], finding["limit"], finding["grade"]) == ("time.end", "21:00", "20:30", "S")
    assert (await desk.get("/classes"))["items"] == []


async def test_an_impossible_filing_is_refused_by_field(desks: Desks, office: Office) -> None:
    desk = await desks.institution(office.institution)
    sound = filing(office)["sessions"]
    for changes, status, code, field in (
        ({"listed_price_fen": 19_999}, 400, "registry.listed_price_fen_invalid", "listed_price_fen"),
        ({"sessions": [sound[0], sound[0]]}, 400, "registry.sessions_invalid", "sessions"),
        ({"mode": "online", "campus_id": None}, 400, "registry.room_invalid", "room"),
        ({"campus_id": None}, 400, "registry.campus_id_invalid", "campus_id"),
        ({"campus_id": str(uuid4())}, 404, "registry.campus_not_found", "campus_id"),
        ({"lesson_minutes": 61}, 400, "registry.lesson_minutes_invalid", "lesson_minutes"),
    ):
        refused = await desk.post("/classes", filing(office, **changes))
        assert (*problem_of(refused), refused.json()["field"]) == (status, code, field)
    impossible = sound[0] | {"starts_at": "2026-02-30T10:00:00+08:00"}
    refused = await desk.post("/classes", filing(office, sessions=[impossible]))
    assert problem_of(refused) == (422, "request.invalid")
    assert "starts_at" in refused.text
    assert (await desk.get("/classes"))["items"] == []


async def test_sessions_are_rescheduled_in_json_and_families_read_of_it(desks: Desks, office: Office, world: World) -> None:
    course = await office.open(room="201")
    parent = await world.parent()
    await world.pay(parent, await world.sign(parent, course.training_class))
    await world.wait(timedelta(minutes=1))
    desk, family = await desks.institution(office.institution), await at_home(desks, parent)
    first, second = course.sessions
    substitute = await office.hire("张老师")
    moved = await desk.post(f"/class-sessions/{first.id}/change", arrangement(office, FRIDAY, teacher_id=str(substitute.id), room="礼堂"))
    assert moved.status_code == 200, moved.text
    assert (moved.json()["after"]["teacher_name"], moved.json()["after"]["room"]) == ("张老师", "礼堂")
    assert (await desk.post(f"/class-sessions/{second.id}/cancel", {"reason": "教师生病"})).json()["after"] is None
    assert [each["number"] for each in (await desk.get("/class-sessions", status="cancelled"))["items"]] == [2]
    lessons = (await family.get("/lessons"))["items"]
    assert [(each["number"], each["session_status"]) for each in lessons] == [(2, "cancelled"), (1, "scheduled")]
    read = (await family.get("/session-changes"))["items"]
    assert {(each["number"], each["kind"], each["reason"]) for each in read} == {(1, "changed", "场馆检修"), (2, "cancelled", "教师生病")}
    replaced = await desk.post(f"/class-sessions/{second.id}/replacement", arrangement(office, THURSDAY, reason="教师已痊愈"))
    assert replaced.json()["kind"] == "replaced"
    history = await desk.get("/session-changes", class_id=str(course.training_class.id), class_session_id=str(second.id))
    assert {each["kind"] for each in history["items"]} == {"cancelled", "replaced"}

    stranger = await desks.institution(await world.institution("新苗语言艺术中心"))
    for path, body in (("change", arrangement(office, FRIDAY)), ("cancel", {"reason": "无"}), ("replacement", arrangement(office, FRIDAY))):
        answers = [await stranger.post(f"/class-sessions/{each}/{path}", body) for each in (first.id, uuid4())]
        assert {problem_of(answer) for answer in answers} == {(404, "registry.class_session_not_found")}
    assert (await stranger.api.get(f"/api/v1/institution/session-changes?class_id={course.training_class.id}")).status_code == 404


async def test_the_same_by_the_pages(desks: Desks, office: Office, world: World) -> None:
    desk, officer = await desks.institution(office.institution), await desks.officer()
    form = {
        "name": "周末书法",
        "subject": "书法",
        "teacher_id": str(office.teacher.id),
        "mode": "onsite",
        "campus_id": str(office.campus_id),
        "room": "201",
        "price": "200",
        "listed_price": "240",
        "lesson_count": "2",
        "seats": "10",
        "materials": "硬笔字帖\n\n作业纸",
        "starts_on": str(MONDAY),
        "starts_at": "10:00",
        "ends_at": "11:00",
        "weekdays": ["0", "1"],
        "skip_holidays": "true",
    }
    preview = await desk.submit("/classes", form | {"step": "preview"})
    assert preview.status_code == 200
    told = shown(preview.text)
    for words in ("课次预览，共 2 次", "2026年3月9日 周一 10:00 – 11:00", "规则核对：可以备案", "时间不得晚于20:30"):
        assert words in told, words
    assert (await desk.get("/classes"))["items"] == []
    late = await desk.submit("/classes", form | {"starts_at": "20:00", "ends_at": "21:00"})
    assert late.status_code == 422
    assert "不符合的规定" in shown(late.text)
    assert "周末书法" in unescape(late.text)
    impossible = await desk.submit("/classes", form | {"skipped": "2026-02-30"})
    assert (impossible.status_code, "不上课的日期中没有 2026-02-30 这一天" in shown(impossible.text)) == (400, True)

    page = await desk.told(await desk.submit("/classes", form | {"step": "file"}))
    assert "班课已提交备案" in page
    [waiting] = (await desk.get("/classes"))["items"]
    assert "周末书法" in shown(await officer.page("/classes"))
    shown_to_officer = shown(await officer.page(f"/classes/{waiting['id']}"))
    for words in ("硬笔字帖、作业纸", "公示总价 ¥240.00", "课次安排，共 2 次", "批准开班"):
        assert words in shown_to_officer, words
    assert "已批准" in await officer.told(await officer.submit(f"/classes/{waiting['id']}/approve", {"reason": "材料齐全"}))
    assert "已有审批结论" in await officer.told(await officer.submit(f"/classes/{waiting['id']}/refuse", {"reason": "材料齐全"}))

    parent = await world.parent()
    family = await at_home(desks, parent)
    session_id = (await desk.get("/class-sessions"))["items"][0]["id"]
    async with world.district.reading() as session:
        contract = await world.sign(parent, await session.get_one(TrainingClass, waiting["id"]))
    await world.pay(parent, contract)
    await world.wait(timedelta(minutes=1))
    planned = {"on": str(THURSDAY), "starts_at": "15:00", "ends_at": "16:00", "teacher_id": str(office.teacher.id), "room": "礼堂"}
    path = f"/class-sessions/{session_id}"
    assert "调课" in await desk.told(await desk.submit(f"{path}/change", planned | {"reason": "场馆检修"}))
    past = await desk.submit(f"{path}/change", planned | {"on": "2026-03-02", "reason": "补录的原因"})
    assert (past.status_code, "只能安排今后的课次" in shown(past.text)) == (400, True)
    for typed in ('value="2026-03-02"', 'value="礼堂"', "补录的原因"):
        assert typed in unescape(past.text), "what was typed is still there"
    unreasoned = await desk.submit(f"{path}/cancel", {"reason": " "})
    assert (unreasoned.status_code, 'value="礼堂"' in unescape(unreasoned.text)) == (400, True), "the other form shows what holds"
    for page in ("", "/session-changes", f"/contracts/{contract.id}"):
        assert "场馆检修" in shown(await family.page(page)), page
    assert "已取消本次课" in await desk.told(await desk.submit(f"{path}/cancel", {"reason": "教师生病"}))
    assert "等待安排补课" in shown(await family.page(f"/contracts/{contract.id}"))
    assert "待补课" in shown(await desk.page("/class-sessions?show=cancelled"))
    assert "补课已安排" in await desk.told(await desk.submit(f"{path}/replacement", planned | {"reason": "教师已痊愈"}))
    for page in (await desk.page(path), await desk.page(f"/classes/{waiting['id']}"), await officer.page(f"/classes/{waiting['id']}")):
        assert "教师已痊愈" in shown(page)
    assert "已停止招生" in await desk.told(await desk.submit(f"/classes/{waiting['id']}/close", {}))
    await desk.page("/classes")
    await officer.page("/classes?show=all")
