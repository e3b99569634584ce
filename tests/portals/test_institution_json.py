"""The institution end in JSON."""

from datetime import timedelta
from uuid import uuid4

from app import clock
from tests.portals.desks import Desks
from tests.world import World


async def test_attendance_delivers_the_lessons_of_who_came(desks: Desks, world: World) -> None:
    institution = await world.institution()
    training_class = await world.training_class(institution, lessons=2, price_fen=20_001)
    here, away = await world.parent(), await world.parent()
    contracts = [await world.sign(parent, training_class) for parent in (here, away)]
    for parent, contract in zip((here, away), contracts, strict=True):
        await world.pay(parent, contract)
    desk = await desks.institution(institution)

    [first, second] = (await desk.get("/class-sessions"))["items"]
    assert first["class_id"] == str(training_class.id)
    assert (first["number"], first["status"]) == (1, "scheduled")
    roster = (await desk.get(f"/class-sessions/{first['id']}"))["students"]
    assert [line["student_name"] for line in roster] == ["王*明", "王*明"]
    attended = [str(contracts[0].student_id)]

    early = await desk.post(f"/class-sessions/{first['id']}/delivery", {"attended_student_ids": attended})
    assert (early.status_code, early.json()["code"]) == (422, "lessons.too_early")
    await world.wait(timedelta(hours=3))
    delivered = await desk.post(f"/class-sessions/{first['id']}/delivery", {"attended_student_ids": attended})
    assert delivered.status_code == 200
    answer = delivered.json()
    assert (answer["status"], answer["delivered"], answer["missed"]) == ("delivered", 1, 1)
    assert {line["student_id"]: line["status"] for line in answer["lessons"]} == {
        str(contracts[0].student_id): "delivered",
        str(contracts[1].student_id): "missed",
    }
    again = await desk.post(f"/class-sessions/{first['id']}/delivery", {"attended_student_ids": attended})
    assert (again.status_code, again.json()["code"]) == (409, "lessons.already_delivered")
    assert [each["id"] for each in (await desk.get("/class-sessions", status="scheduled"))["items"]] == [second["id"]]
    assert uuid4() and clock
