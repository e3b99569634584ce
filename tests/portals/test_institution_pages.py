"""The institution's pages: what they show, and what their forms do."""

from datetime import timedelta
from html import unescape
from typing import Any

from app import clock
from app.refunds import service as refunds
from app.registry import institutions
from app.registry.models import Institution
from app.settlement import jobs as settlement_jobs
from tests.portals.desks import Desk, Desks
from tests.portals.families import shown
from tests.world import World

LISTS = (
    "",
    "/class-sessions",
    "/class-sessions?show=coming",
    "/class-sessions?show=delivered",
    "/classes",
    "/classes/new",
    "/teachers",
    "/payouts",
    "/refunds",
    "/statement",
)


async def a_busy_school(world: World) -> tuple[Institution, dict[str, Any]]:
    """One lesson confirmed and paid out, one disputed by nobody, the rest refunded."""
    institution = await world.institution()
    parent, contract = await world.paid_contract(institution, lessons=4, price_fen=494_001)
    lesson = (await world.lessons_of(contract))[0]
    await world.deliver(institution, lesson)
    await world.confirm(parent, lesson)
    [payout] = await settlement_jobs.run_district(world.district, clock.today(), 1, "test")
    await world.work()
    async with world.district.transaction() as session:
        [refund] = await refunds.request(session, parent, contract.id, "搬家")
    return institution, {"contract": contract, "lesson": lesson, "payout": payout, "refund": refund}


async def test_an_institution_without_anything_sees_what_to_do(desks: Desks, world: World) -> None:
    desk = await desks.institution(await world.institution())
    shown = {path: await desk.page(path) for path in LISTS}
    assert "晨光艺术培训学校" in shown[""]
    assert "请先登记教师" in shown["/classes/new"]
    assert "还没有结算款" in shown["/payouts"]
    assert "没有退费" in shown["/refunds"]
    assert "还没有明细" in shown["/statement"]


async def test_every_list_and_its_details_open(desks: Desks, world: World) -> None:
    institution, made = await a_busy_school(world)
    desk = await desks.institution(institution)
    shown = {path: await desk.page(path) for path in LISTS}
    assert made["payout"].payout_no in shown["/payouts"]
    assert made["refund"].refund_no in shown["/refunds"]
    assert "¥1,235.01" in shown["/statement"]
    assert "课消划拨" in shown["/statement"]
    details = (
        f"/class-sessions/{made['lesson'].class_session_id}",
        f"/classes/{made['contract'].class_id}",
        f"/payouts/{made['payout'].id}",
        f"/refunds/{made['refund'].refund_no}",
    )
    for path in details:
        page = await desk.page(path)
        assert "王小明" not in page, "names are masked"
    assert "王*明" in await desk.page(details[0])
    assert "¥1,235.01" in await desk.page(details[2])


async def test_details_of_another_institution_are_not_there(desks: Desks, world: World) -> None:
    _, made = await a_busy_school(world)
    desk = await desks.institution(await world.institution("新苗语言艺术中心"))
    for path in (
        f"/class-sessions/{made['lesson'].class_session_id}",
        f"/classes/{made['contract'].class_id}",
        f"/payouts/{made['payout'].id}",
        f"/refunds/{made['refund'].refund_no}",
        "/payouts/no-id-at-all",
        "/refunds/%2e%2e",
    ):
        assert (await desk.browser.get(f"/institution{path}")).status_code == 404


async def test_attendance_is_entered_by_the_form_of_a_meeting_that_is_over(desks: Desks, world: World) -> None:
    institution = await world.institution()
    training_class = await world.training_class(institution, lessons=2)
    parent = await world.parent()
    contract = await world.sign(parent, training_class)
    await world.pay(parent, contract)
    lesson = (await world.lessons_of(contract))[0]
    desk = await desks.institution(institution)
    path = f"/class-sessions/{lesson.class_session_id}"
    assert "课次结束后可以登记到课" in await desk.page(path)
    await world.wait(timedelta(hours=3))
    page = await desk.page(path)
    assert f'name="attended" value="{lesson.student_id}" checked' in page
    answer = await desk.submit(f"{path}/delivery", {"attended": [str(lesson.student_id)]}, page)
    assert "已登记上课" in await desk.told(answer)
    assert [each.status for each in await world.lessons_of(contract)] == ["delivered", "scheduled"]
    assert "已登记过上课" in await desk.told(await desk.submit(f"{path}/delivery", {}))


async def test_nobody_present_leaves_every_lesson_untaught(desks: Desks, world: World) -> None:
    institution = await world.institution()
    _, contract = await world.paid_contract(institution, lessons=2)
    await world.wait(timedelta(hours=3))
    desk = await desks.institution(institution)
    meeting = (await world.lessons_of(contract))[0].class_session_id
    await desk.told(await desk.submit(f"/class-sessions/{meeting}/delivery", {}))
    assert [each.status for each in await world.lessons_of(contract)] == ["missed", "scheduled"]


async def enter_teacher(desk: Desk) -> str:
    """Through the form; the id that the class form then offers."""
    form = {"name": "周老师", "certificate_no": "20235101120007", "subject": "书法"}
    assert "教师已登记" in await desk.told(await desk.submit("/teachers", form))
    return (await desk.get("/teachers"))["items"][0]["id"]


async def class_form(desk: Desk) -> dict[str, Any]:
    return {
        "name": "周末书法",
        "subject": "书法",
        "teacher_id": await enter_teacher(desk),
        "campus_id": (await desk.get("/profile"))["campuses"][0]["id"],
        "price": "1,200.50",
        "lesson_count": "4",
        "seats": "10",
        "starts_on": "2030-06-01",
        "starts_at": "09:00",
        "ends_at": "10:30",
        "weekdays": ["5", "6"],
    }


async def test_a_class_is_filed_by_its_weekly_timetable(desks: Desks, world: World) -> None:
    await world.wait_until(clock.now().replace(year=2030, month=5, day=20))
    desk = await desks.institution(await world.institution())
    answer = await desk.submit("/classes", await class_form(desk))
    assert "班课已提交备案" in await desk.told(answer)
    [made] = (await desk.get("/classes"))["items"]
    assert (made["price_fen"], made["lesson_count"], made["seats"]) == (120_050, 4, 10)
    meetings = [each["starts_at"] for each in (await desk.get("/class-sessions"))["items"]]
    assert meetings == ["2030-06-01T01:00:00Z", "2030-06-02T01:00:00Z", "2030-06-08T01:00:00Z", "2030-06-09T01:00:00Z"]


REFUSED = (
    ({"price": "12.345"}, "金额须为数字"),
    ({"price": "-5"}, "金额须为数字"),
    ({"price": "999999999999"}, "金额超出上限"),
    ({"price": "0"}, "班级总价"),
    ({"lesson_count": "0"}, "课时数须为"),
    ({"lesson_count": "１２"}, "课时数须为"),
    ({"seats": "9999"}, "招生名额须为"),
    ({"starts_on": "soon"}, "请填写开课日期"),
    ({"starts_on": "9999-12-31"}, "开课日期不合理"),
    ({"starts_at": "25:00"}, "请填写上课时间"),
    ({"ends_at": "08:00"}, "下课时间须晚于上课时间"),
    ({"teacher_id": "somebody"}, "没有这位教师"),
    ({"campus_id": ""}, "线下班级须选择校区"),
)


async def test_a_refused_class_form_comes_back_as_it_was(desks: Desks, world: World) -> None:
    await world.wait_until(clock.now().replace(year=2030, month=5, day=20))
    desk = await desks.institution(await world.institution())
    sound = await class_form(desk)
    for changes, said in REFUSED:
        answer = await desk.submit("/classes", sound | changes)
        assert 400 <= answer.status_code < 500, changes
        page = unescape(answer.text)
        assert said in page, changes
        assert "周末书法" in page
    assert (await desk.get("/classes"))["items"] == []


async def test_a_class_that_the_rules_keep_parents_from_buying_says_so(desks: Desks, world: World) -> None:
    institution = await world.institution()
    dear = await world.training_class(institution, lessons=4, price_fen=500_001)
    fair = await world.training_class(institution, lessons=4, price_fen=500_000)
    desk = await desks.institution(institution)
    assert "无法一次购买" in await desk.page(f"/classes/{dear.id}")
    assert "无法一次购买" not in await desk.page(f"/classes/{fair.id}")


async def test_an_institution_that_cannot_go_on_as_usual_reads_so_on_its_overview_and_class_pages(desks: Desks, world: World) -> None:
    institution, officer = await world.institution(), world.officer()
    training_class = await world.training_class(institution)
    desk = await desks.institution(institution)
    pages = ("", "/classes", "/classes/new", f"/classes/{training_class.id}", "/profile")

    async def told(sentence: str) -> set[bool]:
        return {sentence in shown(await desk.page(path)) for path in pages}

    assert await told("不得招生收费") == await told("暂停招生收费") == {False}
    async with world.district.transaction() as session:
        await institutions.pause_sales(session, officer, institution.id, "群众举报")
    assert await told("暂停招生收费 群众举报") == {True}
    async with world.district.transaction() as session:
        await institutions.set_listing(session, officer, institution.id, "black", "卷款嫌疑")
    assert await told("机构已列入黑名单 不得招生收费") == {True}
    assert 'name="lesson_count"' in await desk.page("/classes/new")
    for status, sentence in (("suspended", "机构已被监管部门暂停"), ("closed", "机构已注销")):
        async with world.district.transaction() as session:
            await institutions.set_status(session, officer, institution.id, status, "违规办学")
        assert await told(f"{sentence} 不能备案班课") == {True}
        form = await desk.page("/classes/new")
        assert ("现在不能备案班课" in form, 'name="lesson_count"' in form) == (True, False)


async def test_a_form_without_its_token_or_from_elsewhere_does_nothing(desks: Desks, world: World) -> None:
    desk = await desks.institution(await world.institution())
    form = {"name": "周老师", "certificate_no": "1", "subject": "书法"}
    assert (await desk.browser.post("/institution/teachers", data=form)).status_code == 403
    assert (await desk.browser.post("/institution/teachers", data=form | {"csrf": "0" * 64})).status_code == 403
    assert (await desk.get("/teachers"))["items"] == []


async def test_other_ends_staff_and_strangers_are_shown_the_door(desks: Desks, world: World) -> None:
    officer, anybody = await desks.officer(), await desks.anybody()
    answer = await anybody.get("/institution/payouts?cursor=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/institution/sign-in?next=/institution/payouts%3Fcursor%3D1")
    anybody.cookies.set("escrow_institution", officer.token)
    assert (await anybody.get("/institution")).status_code == 403
