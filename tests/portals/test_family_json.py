"""JSON about the family: children, guardians, consent, look-ups, export, erasure; nobody else's and nothing in clear but one's own."""

import json
from uuid import uuid4

from app.registry.models import Institution
from app.security import Parent
from tests.portals.desks import Desk, Desks
from tests.portals.families import at_home, document, problem_of
from tests.world import World

CHILD = {"name": "王小明", "birth_month": "2017-05", "consent": "1"}


async def delete(desk: Desk, path: str) -> tuple[int, object]:
    answer = await desk.api.delete(f"/api/v1/parent{path}")
    return answer.status_code, answer.json() if answer.content else None


async def entered(home: Desk) -> str:
    answer = await home.post("/students", CHILD)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_child_is_entered_with_consent_and_followed(home: Desk) -> None:
    said = await home.get("/consent-text")
    assert (said["version"], "单独同意" in said["text"]) == ("1", True)
    child_id = await entered(home)
    seen = await home.get(f"/students/{child_id}")
    assert (seen["name"], seen["consented"], seen["hidden_at"], seen["guardians"]) == ("王*明", True, None, 1)
    assert [each["act"] for each in seen["consents"]] == ["given"]
    assert "王小明" not in json.dumps(seen, ensure_ascii=False)
    assert problem_of(await home.post("/students", CHILD | {"birth_month": "2017-06"})) == (409, "registry.student_known")


async def test_a_childs_data_is_put_right(home: Desk) -> None:
    child_id = await entered(home)
    answer = await home.api.put(f"/api/v1/parent/students/{child_id}", json={"name": "王晓红", "stage": "high"})
    assert (answer.status_code, answer.json()["name"], answer.json()["stage"]) == (200, "王*红", "high")
    answer = await home.api.put(f"/api/v1/parent/students/{child_id}", json={"birth_month": "2017-13"})
    assert (*problem_of(answer), answer.json()["field"]) == (400, "registry.birth_month_invalid", "birth_month")


async def test_withdrawing_hides_the_child_from_the_institution(
    world: World, desks: Desks, home: Desk, parent: Parent, institution: Institution
) -> None:
    _, contract = await world.paid_contract(institution, parent)
    desk = await desks.institution(institution)
    [lesson, *_] = await world.lessons_of(contract)
    roster = f"/class-sessions/{lesson.class_session_id}"
    assert "王*明" in json.dumps(await desk.get(roster), ensure_ascii=False)
    status, detail = await delete(home, f"/students/{contract.student_id}/consent")
    assert (status, detail["consented"]) == (200, False)  # type: ignore[index]
    assert "王" not in json.dumps(await desk.get(roster), ensure_ascii=False)
    offered = await world.training_class(institution)
    body = {"class_id": str(offered.id), "student_id": str(contract.student_id)} | await document(home, offered.id)
    assert problem_of(await home.post("/contracts", body)) == (422, "registry.consent_needed")
    assert (await home.post(f"/students/{contract.student_id}/consent", {"consent": "1"})).json()["consented"] is True
    assert (await home.post("/contracts", body)).status_code == 201


async def test_a_second_guardian_joins_by_code_and_both_act(
    world: World, desks: Desks, home: Desk, parent: Parent, institution: Institution
) -> None:
    _, contract = await world.paid_contract(institution, parent)
    made = (await home.post(f"/students/{contract.student_id}/invitations", {})).json()
    other = await at_home(desks, await world.parent())
    assert (await other.get("/contracts"))["items"] == []
    joined = await other.post("/invitations/acceptance", {"code": made["code"], "consent": "1"})
    assert (joined.status_code, joined.json()["id"], joined.json()["guardians"]) == (200, str(contract.student_id), 2)
    assert problem_of(await other.post("/invitations/acceptance", {"code": made["code"], "consent": "1"}))[0] == 404
    assert [item["id"] for item in (await other.get("/contracts"))["items"]] == [str(contract.id)]
    refund = await other.post("/refunds", {"contract_id": str(contract.id), "reason": "搬家"}, key="a")
    assert refund.status_code == 201
    assert await delete(other, f"/students/{contract.student_id}") == (200, {"erased": False})
    assert (await other.get("/contracts"))["items"] == []


async def test_an_invitation_by_phone_is_seen_and_turned_down(world: World, desks: Desks, home: Desk) -> None:
    child_id = await entered(home)
    other = await world.parent()
    desk = await at_home(desks, other)
    phone = (await desk.api.get("/api/v1/parent/export.json")).json()["guardian"]["phone"]
    made = (await home.post(f"/students/{child_id}/invitations", {"phone": phone})).json()
    assert made["code"] is None
    [seen] = (await desk.get("/invitations"))["items"]
    assert (seen["id"], seen["student_name"], "****" in seen["inviter_phone"]) == (made["id"], "王*明", True)
    stranger = await at_home(desks, await world.parent())
    taken = {"invitation_id": made["id"], "consent": "1"}
    assert problem_of(await stranger.post("/invitations/acceptance", taken)) == (404, "registry.invitation_not_found")
    assert (await delete(stranger, f"/invitations/{made['id']}"))[0] == 404
    assert (await delete(desk, f"/invitations/{made['id']}"))[0] == 204
    assert problem_of(await desk.post("/invitations/acceptance", taken))[0] == 404


async def test_an_officer_looks_and_the_family_sees_it(
    world: World, desks: Desks, home: Desk, parent: Parent, institution: Institution
) -> None:
    contract = await world.sign(parent, await world.training_class(institution))
    officer = await desks.officer()
    body = {"contract_no": contract.contract_no, "shown": "both", "case_kind": "complaint", "case_no": "投诉 7", "reason": "核实投诉人身份"}
    assert problem_of(await officer.post("/lookups", body | {"reason": "看看"})) == (400, "reason.invalid")
    shown = (await officer.post("/lookups", body)).json()
    assert (shown["student_name"], shown["birth_month"], len(shown["guardians"])) == ("王小明", "2017-05", 1)
    [seen] = (await home.get("/lookups"))["items"]
    assert (seen["officer"], seen["case_no"], seen["reason"], seen["student_name"]) == ("张*", "投诉 7", "核实投诉人身份", "王*明")
    [line] = (await officer.get("/lookups"))["items"]
    assert (line["officer"], line["contract_no"]) == ("张工", contract.contract_no)
    assert "王小明" not in json.dumps([seen, line], ensure_ascii=False)


async def test_a_family_takes_its_data_and_only_its_own(
    world: World, desks: Desks, home: Desk, parent: Parent, institution: Institution
) -> None:
    _, contract = await world.paid_contract(institution, parent)
    answer = await home.api.get("/api/v1/parent/export.json")
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.headers["cache-control"] == "no-store"
    assert [each["contract_no"] for each in answer.json()["contracts"]] == [contract.contract_no]
    assert contract.contract_no in (await home.api.get("/api/v1/parent/export.csv")).text
    stranger = await at_home(desks, await world.parent())
    assert contract.contract_no not in (await stranger.api.get("/api/v1/parent/export.csv")).text
    officer = await desks.officer()
    assert problem_of(await officer.api.get("/api/v1/parent/export.json")) == (403, "auth.wrong_role")


async def test_an_account_is_erased_once_everything_is_settled(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    child_id = await entered(home)
    contract = await world.sign(parent, await world.training_class(institution))
    answer = await home.api.delete("/api/v1/parent/account")
    assert (*problem_of(answer), answer.json()["contracts"]) == (422, "privacy.not_settled", 1)
    await world.wait_until(contract.lapses_at)
    await world.work()
    assert await delete(home, "/account") == (204, None)
    answer = await home.api.get(f"/api/v1/parent/students/{child_id}")
    assert problem_of(answer) == (401, "auth.ended")


async def test_somebody_elses_child_and_none_are_the_same(world: World, desks: Desks, home: Desk) -> None:
    child_id = await entered(home)
    other = await at_home(desks, await world.parent())
    for own in (child_id, str(uuid4()), "x"):
        path = f"/api/v1/parent/students/{own}"
        answers = [
            await other.api.get(path),
            await other.api.put(path, json={}),
            await other.api.delete(path),
            await other.api.post(f"{path}/consent", json={"consent": "1"}),
            await other.api.delete(f"{path}/consent"),
            await other.api.post(f"{path}/invitations", json={}),
        ]
        assert {problem_of(answer) for answer in answers} == {(404, "registry.student_not_found")}
