"""The counter: what a guardian reads before signing is always what is so, and what the law forbids comes with what it allows."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import event

from app import clock
from app.contracts import judging
from app.db import District
from app.policy.days import set_day
from app.policy.packs import pack_for
from app.registry.class_sessions import cancel_session
from app.registry.courses import course_of
from app.registry.institutions import set_listing
from app.registry.models import Institution, Student, TrainingClass
from app.security import Parent
from tests.locality import stating
from tests.portals.desks import Desk, Desks
from tests.portals.families import at_home, document, problem_of, shown
from tests.world import World


@pytest.fixture
async def child(world: World, parent: Parent) -> Student:
    return await world.child(parent)


def hidden(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the page's first form that goes there."""
    form = page.partition(f'action="{action}"')[2].partition("</form>")[0]
    return {name: unescape(value) for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form)}


async def dear(world: World, institution: Institution) -> TrainingClass:
    """Too much for one charge, not for two."""
    return await world.training_class(institution, lessons=40, price_fen=800_000)


async def test_a_breach_is_told_before_anybody_signs(world: World, home: Desk, child: Student, institution: Institution) -> None:
    sold = await dear(world, institution)
    path = f"/classes/{sold.id}/enrol"
    page = await home.page(path)
    assert page == await home.page(path), "made once"
    for said in ("按规定不能这样收费", "非学科类校外培训的意见", "最接近的合规方案", "25 课时", "¥5,000.00", "15 课时", "¥3,000.00"):
        assert said in shown(page)
    fields = hidden(page, f"/parent{path}") | {"agreed": "yes", "student_id": str(child.id)}
    assert "价款分 2 次支付" in shown(page)
    contract = await home.told(await home.submit(path, fields, page))
    assert "合同已签订" in shown(contract)
    [signed] = (await home.get("/contracts"))["items"]
    assert [(charge["first_lesson"], charge["last_lesson"]) for charge in signed["charges"]] == [(1, 25), (26, 40)]


async def test_what_is_told_follows_the_registers(world: World, home: Desk, institution: Institution) -> None:
    sold = await world.training_class(institution)
    path = f"/classes/{sold.id}/enrol"
    assert "按规定不能这样收费" not in shown(await home.page(path))
    async with world.district.transaction() as session:
        await set_listing(session, world.officer(), institution.id, "black", "卷款失联")
    blocked = await home.page(path)
    assert "列入黑名单的机构不得新收费" in shown(blocked)
    assert "最接近的合规方案" not in shown(blocked)
    async with world.district.transaction() as session:
        await set_listing(session, world.officer(), institution.id, None, "已经整改")
    assert "按规定不能这样收费" not in shown(await home.page(path))


async def test_what_is_told_follows_the_calendar(world: World, home: Desk) -> None:
    sold = await world.training_class(await world.institution(kind="subject"))
    path = f"/classes/{sold.id}/enrol"
    assert "按规定不能这样收费" not in shown(await home.page(path))
    async with world.district.transaction() as session:
        await set_day(session, world.officer().actor, sold.ends_on, "holiday", "区教育局通知")
    assert "学科类培训不得占用法定节假日和休息日" in shown(await home.page(path))


async def refused_at_once(home: Desk, class_id: UUID, **typed: str) -> httpx.Response:
    """What a page answers that was opened before the law forbade it."""
    answer = await home.submit(f"/classes/{class_id}/enrol", {**await document(home, class_id), "agreed": "yes", **typed})
    assert answer.status_code == 422
    return answer


async def test_a_plan_is_accepted_with_one_tap(world: World, home: Desk, child: Student, institution: Institution) -> None:
    sold = await dear(world, institution)
    path = f"/classes/{sold.id}/enrol"
    refused = await refused_at_once(home, sold.id, student_id=str(child.id))
    for said in ("按规定不能这样收费", "非学科类校外培训的意见", "最接近的合规方案", "25 课时", "¥5,000.00", "15 课时", "¥3,000.00"):
        assert said in shown(refused.text)
    fields = hidden(refused.text, f"/parent{path}")
    assert fields["student_id"] == str(child.id)
    contract = await home.told(await home.submit(path, fields, refused.text))
    assert "合同已签订" in shown(contract)
    assert "已有合同" in shown(await home.told(await home.submit(path, fields, refused.text)))


async def test_a_newcomer_is_offered_the_plan_for_the_child_just_entered(world: World, home: Desk, institution: Institution) -> None:
    sold = await dear(world, institution)
    typed = {"student_id": "new", "name": "王小明", "birth_month": "2017-05", "consent": "1"}
    refused = await refused_at_once(home, sold.id, **typed)
    path = f"/classes/{sold.id}/enrol"
    contract = await home.told(await home.submit(path, hidden(refused.text, f"/parent{path}"), refused.text))
    assert "合同已签订" in shown(contract)


async def test_a_seat_in_an_early_class_is_held_with_one_tap(world: World, home: Desk, child: Student, institution: Institution) -> None:
    early = await world.training_class(institution, starts_in=timedelta(days=60))
    path = f"/classes/{early.id}/enrol"
    page = await home.page(path)
    assert "签订时不付款，名额保留到" in shown(page)
    unread = await home.submit(path, {**hidden(page, f"/parent{path}"), "student_id": str(child.id)}, page)
    assert "请先阅读合同" in shown(unread.text)
    assert "签订时不付款，名额保留到" in shown(unread.text)
    refused = await refused_at_once(home, early.id, student_id=str(child.id))
    assert "现在签订，名额为您保留" in shown(refused.text)
    contract = await home.told(await home.submit(path, hidden(refused.text, f"/parent{path}"), refused.text))
    for said in ("合同已签订，名额已保留", "起可付", "¥400.00", "名额保留至"):
        assert said in shown(contract)
    assert "去付款" not in shown(contract)


async def test_a_held_seat_is_given_up_with_one_tap(world: World, home: Desk, child: Student, institution: Institution) -> None:
    early = await world.training_class(institution, starts_in=timedelta(days=60))
    path = f"/classes/{early.id}/enrol"
    refused = await refused_at_once(home, early.id, student_id=str(child.id))
    contract = await home.told(await home.submit(path, hidden(refused.text, f"/parent{path}"), refused.text))
    [signed] = (await home.get("/contracts"))["items"]
    given_up = await home.told(await home.submit(f"/contracts/{signed['id']}/decline", {}, contract))
    assert "名额已放弃" in shown(given_up)
    assert "您放弃了名额" in shown(given_up)


async def test_a_lower_price_is_accepted_with_one_tap(world: World, home: Desk, child: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    sold = await world.training_class(await world.institution(kind="subject"))
    limits = pack_for("320211", clock.today()).rule("price.guide").limits
    monkeypatch.setattr(judging, "pack_for", lambda district, on: stating(pack_for(district, on), "price.guide", limits=limits))
    path = f"/classes/{sold.id}/enrol"
    page = await home.page(path)
    for said in ("按规定不能这样收费", "规则版本", "机构不能另收差价", "价款合计 ¥224.00"):
        assert said in shown(page)
    refused = await refused_at_once(home, sold.id, student_id=str(child.id))
    contract = await home.told(await home.submit(path, hidden(refused.text, f"/parent{path}"), refused.text))
    assert "合同已签订" in shown(contract)
    assert "¥224.00" in shown(contract)


async def test_terms_that_nobody_offered_are_refused(world: World, home: Desk, child: Student, institution: Institution) -> None:
    sold = await dear(world, institution)
    path = f"/classes/{sold.id}/enrol"
    whole = {**hidden(await home.page(path), f"/parent{path}"), "agreed": "yes", "student_id": str(child.id)}
    for terms in ("{}", "terms", '{"way": "once", "charges": []}', '{"way": "never", "charges": [{"lesson_count": 1, "amount_fen": 1}]}'):
        refused = await home.submit(path, whole | {"terms": terms})
        assert (refused.status_code, "付款方式不正确" in shown(refused.text)) == (400, True)


async def test_the_same_by_json(world: World, home: Desk, child: Student, institution: Institution) -> None:
    sold = await dear(world, institution)
    body: dict[str, Any] = {"class_id": str(sold.id), "student_id": str(child.id)} | await document(home, sold.id)
    refused = await home.post("/contracts", body)
    assert problem_of(refused) == (422, "contracts.rule")
    assert refused.json()["judged_by"] == pack_for("510112", clock.today()).edition
    plan = refused.json()["plan"]
    assert (plan["changes"], plan["terms"]["way"]) == (["split"], "parts")
    first, second = plan["terms"]["charges"]
    cheaper = plan["terms"] | {"charges": [first | {"amount_fen": 1_000}, second]}
    answer = await home.post("/contracts", body | {"terms": cheaper})
    assert (problem_of(answer), answer.json()["plan"]) == ((409, "contracts.terms_changed"), plan)
    read = await home.post("/contracts", body | {"terms": plan["terms"]})
    assert problem_of(read) == (409, "contracts.document_changed")
    signed = await home.post("/contracts", body | {"terms": plan["terms"], "document": read.json()["sha256"]})
    assert signed.status_code == 201, signed.text
    assert (signed.json()["amount_fen"], len(signed.json()["lessons"])) == (800_000, 40)
    for terms in ({"way": "once", "charges": []}, {"way": "parts", "charges": [{"lesson_count": "2", "amount_fen": 1, "charged_on": 1}]}):
        assert problem_of(await home.post("/contracts", body | {"terms": terms})) == (422, "request.invalid")


async def test_what_is_read_is_what_is_so(world: World, home: Desk, child: Student, institution: Institution) -> None:
    sold = await world.training_class(institution, lessons=4, price_fen=40_000, seats=2)

    async def read() -> dict[str, Any]:
        answer: dict[str, Any] = await home.get(f"/classes/{sold.id}/checkout")
        assert answer["document"] == (await document(home, sold.id))["document"]
        return answer

    first = await read()
    assert (first["class"], first["institution"]["name"]) == ({"id": str(sold.id), "name": "创意美术"}, institution.name)
    assert (first["lesson_count"], first["amount_fen"], first["seats_left"], first["teacher_name"]) == (4, 40_000, 2, "李老师")
    assert first["children"] == [{"id": str(child.id), "name_masked": "王*明", "birth_month": "2017-05", "consented": True}]
    await world.sign(await world.parent(), sold)
    assert (await read())["seats_left"] == 1
    async with world.district.transaction() as session:
        (await session.get_one(TrainingClass, sold.id)).name = "创意素描"
    assert (await read())["class"]["name"] == "创意素描"
    async with world.district.transaction() as session:
        last = (await course_of(session, sold.id)).sessions[-1]
        await cancel_session(session, world.staff(institution), last.id, "场馆检修")
    assert (await read())["lesson_count"] == 3
    await world.wait(timedelta(days=1))
    assert ((await read())["lesson_count"], (await read())["amount_fen"]) == (2, 20_000)
    assert "20,000" not in shown(await home.page(f"/classes/{sold.id}/enrol"))
    await world.wait(timedelta(days=9))
    over = await home.get(f"/classes/{sold.id}/checkout")
    assert (over["lesson_count"], over["document"], over["first_starts_at"]) == (0, None, None)


async def test_nobody_sees_other_families_children_or_classes_that_are_not_approved(
    world: World, desks: Desks, home: Desk, child: Student, institution: Institution
) -> None:
    sold = await world.training_class(institution)
    stranger = await at_home(desks, await world.parent())
    assert (await stranger.get(f"/classes/{sold.id}/checkout"))["children"] == []
    async with world.district.transaction() as session:
        filed = await session.get_one(TrainingClass, sold.id)
        filed.status, filed.decided_at, filed.decision_reason = "filed", None, None
    for class_id in (sold.id, uuid4()):
        answer: httpx.Response = await home.api.get(f"/api/v1/parent/classes/{class_id}/checkout")
        assert problem_of(answer) == (404, "registry.class_not_found")
        assert (await home.browser.get(f"/parent/classes/{class_id}/enrol")).status_code == 404
    anybody = await desks.anybody()
    assert (await anybody.get(f"/api/v1/parent/classes/{sold.id}/checkout")).status_code == 401


async def test_a_checkout_that_was_made_before_costs_one_statement(
    world: World, district: District, home: Desk, child: Student, institution: Institution
) -> None:
    sold = await world.training_class(institution)
    await home.page(f"/classes/{sold.id}/enrol")
    asked: list[str] = []

    def note(*args: Any) -> None:
        asked.append(args[2])

    engine = district.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        await home.page(f"/classes/{sold.id}/enrol")
        await home.get(f"/classes/{sold.id}/checkout")
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len([statement for statement in asked if "principal_session" not in statement]) == 2
