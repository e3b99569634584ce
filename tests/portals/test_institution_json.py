"""The institution end in JSON: classes, attendance, money; each sees its own only."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from app import clock
from app.registry import institutions, teachers
from app.registry.models import Institution, Teacher
from app.settlement import jobs as settlement_jobs
from tests.portals.desks import Desks
from tests.world import World


async def teacher_of(world: World, institution: Institution) -> Teacher:
    async with world.district.transaction() as session:
        return await teachers.create_teacher(session, institution.id, "周老师", f"C-{uuid4().hex[:8]}", "书法")


async def class_of(world: World, institution: Institution) -> dict[str, Any]:
    """A sound request for a new class of three meetings."""
    teacher = await teacher_of(world, institution)
    async with world.district.reading() as session:
        [campus] = await institutions.campuses(session, institution.id)
    first = clock.now() + timedelta(days=1)
    days = [first + timedelta(weeks=week) for week in range(3)]
    return {
        "teacher_id": str(teacher.id),
        "campus_id": str(campus.id),
        "name": "硬笔书法",
        "subject": "书法",
        "price_fen": 100_000,
        "seats": 12,
        "sessions": [{"starts_at": day.isoformat(), "ends_at": (day + timedelta(hours=1)).isoformat()} for day in days],
    }


async def test_attendance_delivers_the_lessons_of_who_came(desks: Desks, world: World) -> None:
    institution = await world.institution()
    training_class = await world.training_class(institution, lessons=2, price_fen=20_001)
    families = [await world.parent(), await world.parent()]
    contracts = [await world.sign(parent, training_class) for parent in families]
    for parent, contract in zip(families, contracts, strict=True):
        await world.pay(parent, contract)
    desk = await desks.institution(institution)

    first, second = (await desk.get("/class-sessions"))["items"]
    assert (first["class_id"], first["number"], first["status"]) == (str(training_class.id), 1, "scheduled")
    assert datetime.fromisoformat(first["ends_at"]) - datetime.fromisoformat(first["starts_at"]) == timedelta(hours=1)
    roster = (await desk.get(f"/class-sessions/{first['id']}"))["students"]
    assert [line["student_name"] for line in roster] == ["王*明", "王*明"]
    attended = {"attended_student_ids": [str(contracts[0].student_id)]}

    early = await desk.post(f"/class-sessions/{first['id']}/delivery", attended)
    assert (early.status_code, early.json()["code"]) == (422, "lessons.too_early")
    await world.wait(timedelta(hours=3))
    answer = (await desk.post(f"/class-sessions/{first['id']}/delivery", attended)).json()
    assert (answer["status"], answer["delivered"], answer["missed"]) == ("delivered", 1, 1)
    assert {line["student_id"]: line["status"] for line in answer["lessons"]} == {
        str(contracts[0].student_id): "delivered",
        str(contracts[1].student_id): "missed",
    }

    again = await desk.post(f"/class-sessions/{first['id']}/delivery", attended)
    assert (again.status_code, again.json()["code"]) == (409, "lessons.already_delivered")
    assert [each["id"] for each in (await desk.get("/class-sessions", status="scheduled"))["items"]] == [second["id"]]
    assert (await desk.get("/class-sessions", class_id=str(uuid4())))["items"] == []


async def test_a_stranger_in_the_attendance_changes_nothing(desks: Desks, world: World) -> None:
    institution = await world.institution()
    await world.training_class(institution)
    desk = await desks.institution(institution)
    meeting = (await desk.get("/class-sessions"))["items"][0]
    await world.wait(timedelta(hours=3))
    refused = await desk.post(f"/class-sessions/{meeting['id']}/delivery", {"attended_student_ids": [str(uuid4())]})
    assert (refused.status_code, refused.json()["code"]) == (422, "lessons.not_paid")
    assert (await desk.get(f"/class-sessions/{meeting['id']}"))["status"] == "scheduled"


async def test_a_class_is_filed_with_its_schedule(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk = await desks.institution(institution)
    opened = await desk.post("/classes", await class_of(world, institution))
    assert opened.status_code == 201
    made = opened.json()
    assert (made["price_fen"], made["lesson_count"], made["seats_left"], made["status"]) == (100_000, 3, 12, "filed")
    assert (await desk.get("/classes"))["items"] == [made]
    assert await desk.get(f"/classes/{made['id']}") == made
    meetings = (await desk.get("/class-sessions", class_id=made["id"]))["items"]
    assert [each["number"] for each in meetings] == [1, 2, 3]


async def test_a_price_is_whole_positive_fen(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk, sound = await desks.institution(institution), await class_of(world, institution)
    for price_fen in (0, -1, 100.5, "100", True, 10**13 + 1, 10**40, None):
        refused = await desk.post("/classes", sound | {"price_fen": price_fen})
        assert (refused.status_code, refused.json()["code"]) == (422, "request.invalid"), price_fen
    assert (await desk.get("/classes"))["items"] == []


UNSOUND = (
    ({"lesson_count": 4}, 400, "registry.sessions_invalid"),
    ({"price_fen": 2}, 400, "registry.price_fen_invalid"),
    ({"teacher_id": str(uuid4())}, 404, "registry.teacher_not_found"),
    ({"seats": 0}, 422, "request.invalid"),
    ({"name": " "}, 422, "request.invalid"),
    ({"name": "书\0法"}, 422, "request.invalid"),
    ({"sessions": []}, 422, "request.invalid"),
    ({"sessions": [{"starts_at": "2030-01-01T10:00:00", "ends_at": "2030-01-01T11:00:00"}]}, 422, "request.invalid"),
)


async def test_an_unsound_class_is_refused(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk, sound = await desks.institution(institution), await class_of(world, institution)
    for changes, status, code in UNSOUND:
        refused = await desk.post("/classes", sound | changes)
        assert (refused.status_code, refused.json()["code"]) == (status, code), changes
    assert (await desk.get("/classes"))["items"] == []


async def test_teachers_are_entered_once(desks: Desks, world: World) -> None:
    desk = await desks.institution(await world.institution())
    wanted = {"name": "周老师", "certificate_no": "20235101120007", "subject": "书法"}
    entered = await desk.post("/teachers", wanted)
    assert entered.status_code == 201
    again = await desk.post("/teachers", wanted)
    assert (again.status_code, again.json()["code"]) == (409, "registry.teacher_known")
    assert (await desk.get("/teachers"))["items"] == [entered.json()]


async def test_the_balance_follows_a_fee_to_the_settlement_account(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk = await desks.institution(institution)
    assert await desk.get("/balance") == {"escrow_fen": 0, "payable_fen": 0, "outgoing_fen": 0, "paid_fen": 0, "shortfall_fen": 0}
    parent, contract = await world.paid_contract(institution, lessons=4, price_fen=40_000)
    assert (await desk.get("/balance"))["escrow_fen"] == 40_000
    lesson = (await world.lessons_of(contract))[0]
    await world.deliver(institution, lesson)
    await world.confirm(parent, lesson)
    assert await desk.get("/balance") == {"escrow_fen": 30_000, "payable_fen": 10_000, "outgoing_fen": 0, "paid_fen": 0, "shortfall_fen": 0}
    await settlement_jobs.run_district(world.district, clock.today(), 1, "test")
    assert await desk.get("/balance") == {"escrow_fen": 30_000, "payable_fen": 0, "outgoing_fen": 10_000, "paid_fen": 0, "shortfall_fen": 0}
    await world.work()
    assert await desk.get("/balance") == {"escrow_fen": 30_000, "payable_fen": 0, "outgoing_fen": 0, "paid_fen": 10_000, "shortfall_fen": 0}

    [payout] = (await desk.get("/payouts"))["items"]
    assert (payout["amount_fen"], payout["status"], payout["line_count"]) == (10_000, "settled", 1)
    [line] = payout["lines"]
    assert (line["lesson_id"], line["amount_fen"], line["live"]) == (str(lesson.id), 10_000, True)
    assert await desk.get(f"/payouts/{payout['id']}") == payout


async def test_what_is_another_institutions_is_not_there(desks: Desks, world: World) -> None:
    theirs, mine = await world.institution(), await world.institution("新苗语言艺术中心")
    parent, contract = await world.paid_contract(theirs)
    lesson = (await world.lessons_of(contract))[0]
    await world.deliver(theirs, lesson)
    await world.confirm(parent, lesson)
    await settlement_jobs.run_district(world.district, clock.today(), 1, "test")
    neighbour, desk = await desks.institution(theirs), await desks.institution(mine)
    payout = (await neighbour.get("/payouts"))["items"][0]
    for path in ("/payouts", "/classes", "/class-sessions", "/teachers"):
        assert (await desk.get(path)) == {"items": [], "next_cursor": None}
    for theirs_path, absent in (
        (f"/payouts/{payout['id']}", f"/payouts/{uuid4()}"),
        (f"/classes/{contract.class_id}", f"/classes/{uuid4()}"),
        (f"/class-sessions/{lesson.class_session_id}", "/class-sessions/no-id-at-all"),
    ):
        answers = [await desk.api.get(f"/api/v1/institution{path}") for path in (theirs_path, absent)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json()["code"] == answers[1].json()["code"]
    foreign = await desk.post(f"/class-sessions/{lesson.class_session_id}/delivery", {"attended_student_ids": []})
    assert foreign.status_code == 404


async def test_only_the_institutions_staff_may_ask(desks: Desks, world: World) -> None:
    desk = await desks.institution(await world.institution())
    officer, anybody = await desks.officer(), await desks.anybody()
    assert (await officer.api.get("/api/v1/institution/balance")).status_code == 403
    assert (await anybody.get("/api/v1/institution/balance")).status_code == 401
    assert (await desk.browser.get("/api/v1/institution/balance")).status_code == 401, "a cookie counts for nothing in JSON"


async def test_lists_go_on_where_the_page_before_ended(desks: Desks, world: World) -> None:
    institution = await world.institution()
    await world.training_class(institution, lessons=5)
    desk = await desks.institution(institution)
    seen: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = await desk.get("/class-sessions", limit=2, **cursor)
        seen += [each["number"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [1, 2, 3, 4, 5]
    for unsound in ("x", "~", "99999999999999999999999999~" + str(uuid4()), str(uuid4())):
        answer = await desk.api.get("/api/v1/institution/class-sessions", params={"cursor": unsound})
        assert (answer.status_code, answer.json()["code"]) == (400, "request.cursor")
