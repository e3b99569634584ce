"""Pages of the parent end: plain forms from the first scan to the last yuan back."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select

from app.contracts.models import Contract, Lesson
from app.contracts.rules import SEAT_HELD
from app.ids import number
from app.lessons import service as lesson_service
from app.payments import jobs
from app.payments.models import Payment
from app.refunds import service as refund_service
from app.refunds.models import Refund
from app.registry.models import Guardianship, Institution
from app.security import Parent
from tests.portals.desks import Desk, Desks
from tests.portals.families import accepted, accepting, at_home, link, links, shown
from tests.school import final_after
from tests.web.conftest import Messages
from tests.world import World


async def signed(world: World, parent: Parent, institution: Institution, lessons: int = 4) -> Contract:
    return await world.sign(parent, await world.training_class(institution, lessons, starts_in=timedelta(days=1)))


async def taught(world: World, parent: Parent, institution: Institution, delivered: int) -> tuple[Contract, list[Lesson]]:
    _, contract = await world.paid_contract(institution, parent)
    lessons = await world.lessons_of(contract)
    for lesson in lessons[:delivered]:
        await world.deliver(institution, lesson)
    return contract, lessons


async def count(world: World, table: type) -> int:
    async with world.district.reading() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


def told(answer: httpx.Response, path: str) -> None:
    assert (answer.status_code, answer.headers.get("location")) == (303, path), answer.text[:300]


async def test_a_newcomer_signs_in_enrols_and_gets_a_code_to_pay(world: World, desks: Desks, institution: Institution) -> None:
    desks.app.state.sms = Messages()
    offered = await world.training_class(institution, price_fen=40_000)
    browser = await desks.anybody()
    asked = await browser.get(f"/parent/classes/{offered.id}/enrol?district=510112")
    sign_in = asked.headers["location"]
    await browser.post(sign_in, data={"phone": "13800138000"})
    code = desks.app.state.sms.sent[-1][1]
    entered = await browser.post(sign_in.replace("/sign-in", "/sign-in/code"), data={"phone": "13800138000", "code": code})
    told(entered, f"/parent/classes/{offered.id}/enrol?district=510112")
    parent = Desk("parent", "", browser, browser)
    form = await parent.page(f"/classes/{offered.id}/enrol")
    assert "添加孩子" in shown(form)
    child = {"student_id": "new", "name": "王小明", "birth_month": "2017-05", "consent": "1"}
    contract = await parent.told(await parent.submit(f"/classes/{offered.id}/enrol", child | accepted(form)))
    assert "合同已签订" in shown(contract)
    for fact in ("¥400.00", "王*明", "教监管函〔2021〕2号", "主流或政府媒体"):
        assert fact in shown(contract)
    payment = await parent.told(await parent.submit(action(contract).removeprefix("/parent"), {}))
    assert "请在" in shown(payment)
    assert (await browser.get(link(payment, "在这台设备上付款"))).status_code == 200
    assert "王小明" not in contract + payment


def action(page: str) -> str:
    """Where the page's own form goes."""
    return page.partition("<main")[2].partition('method="post" action="')[2].partition('"')[0]


async def test_a_form_sent_twice_signs_once(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    offered = await world.training_class(institution)
    path = f"/classes/{offered.id}/enrol"
    child = {"student_id": "new", "name": "王小明", "birth_month": "2017-05", "consent": "1"} | await accepting(home, offered.id)
    answers = await asyncio.gather(*(home.submit(path, child) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert (await count(world, Contract), await count(world, Guardianship)) == (1, 1)
    assert "已有合同" in shown(await home.told(await home.submit(path, child)))


async def test_what_is_wrong_stands_beside_its_field(world: World, home: Desk, institution: Institution) -> None:
    offered = await world.training_class(institution)
    for form, said in (
        ({"name": "", "birth_month": "2017-05"}, "学生姓名须为"),
        ({"name": "王小明", "birth_month": "2017"}, "出生年月须写成"),
        ({"name": "王小明", "birth_month": "2999-01"}, "出生年月不能晚于"),
    ):
        for path, more in ((f"/classes/{offered.id}/enrol", {"student_id": "new"}), ("/students", {})):
            answer = await home.submit(path, form | more | {"consent": "1"})
            assert answer.status_code == 400
            assert said in answer.text.partition('class="form-error"')[2][:120]
            assert f'value="{form["name"]}"' in answer.text
    read = await accepting(home, offered.id)
    unknown = await home.submit(f"/classes/{offered.id}/enrol", {"student_id": str(uuid4())} | read)
    assert unknown.status_code == 404
    assert "没有这名学生" in shown(unknown.text)
    assert (await home.submit(f"/classes/{offered.id}/enrol", {"student_id": "x"} | read)).status_code == 404
    assert await count(world, Contract) == 0


async def test_a_sale_against_the_rules_names_its_source(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    dear = await world.training_class(institution, price_fen=500_001)
    child = await world.child(parent)
    answer = await home.submit(f"/classes/{dear.id}/enrol", {"student_id": str(child.id)} | await accepting(home, dear.id))
    assert answer.status_code == 422
    assert "按规定不能这样收费" in shown(answer.text)
    assert "非学科类校外培训的意见" in shown(answer.text)


async def test_a_child_is_entered_once_and_shown_masked(world: World, home: Desk) -> None:
    for said in ("孩子已登记", "这个孩子以前已登记，没有重复登记"):
        children = await home.told(await home.submit("/students", {"name": "欧阳小明", "birth_month": "2016-09", "consent": "1"}))
        assert said in shown(children)
    assert shown(children).count("欧**明") == 1
    assert "欧阳小明" not in children
    assert await count(world, Guardianship) == 1


async def test_paying_shows_a_code_and_afterwards_the_escrow(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract = await signed(world, parent, institution)
    start = f"/contracts/{contract.id}/payments"
    payments = {(await home.submit(start, {})).headers["location"] for _ in range(3)}
    assert len(payments) == 1
    path = payments.pop().removeprefix("/parent")
    page = await home.page(path)
    picture = page.partition('<img class="qr" src="')[2].partition('"')[0]
    assert (await home.browser.get(picture)).headers["content-type"] == "image/svg+xml"
    await world.bank.pay(path.rpartition("/")[2])
    assert "付款成功" not in shown(await home.page(f"{path}?waiting=1")), "a page that refreshes itself does not ask the bank"
    paid = shown(await home.page(path))
    assert "付款成功" in paid
    assert "现在有 ¥400.00 在银行监管账户里" in paid
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}
    again = await home.told(await home.submit(start, {}))
    assert "不在待付款状态" in shown(again)
    assert await count(world, Payment) == 1


async def test_a_bank_that_is_away_is_named_and_reached_later(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract = await signed(world, parent, institution)
    await world.bank.knob("down", times=None)
    path = (await home.submit(f"/contracts/{contract.id}/payments", {})).headers["location"].removeprefix("/parent")
    away = await home.page(path)
    assert "正在连接银行" in shown(away)
    assert f'hx-get="/parent{path}?waiting=1"' in away
    assert 'http-equiv="refresh"' in away
    await world.bank.clear_knobs()
    assert "在这台设备上付款" in shown(await home.page(f"{path}?waiting=1"))


async def test_an_expired_code_is_replaced_while_the_seat_is_held(
    world: World, home: Desk, parent: Parent, institution: Institution
) -> None:
    contract = await signed(world, parent, institution)
    start = f"/contracts/{contract.id}/payments"
    first = (await home.submit(start, {})).headers["location"].removeprefix("/parent")
    await world.wait(timedelta(minutes=15))
    assert "付款码已过期" in shown(await home.page(first))
    assert await jobs.expire_payments(world.district, world.banks) == 1
    assert "重新生成付款码" in shown(await home.page(first))
    second = (await home.submit(start, {})).headers["location"].removeprefix("/parent")
    assert second != first
    await world.wait(SEAT_HELD)
    await jobs.expire_payments(world.district, world.banks)
    assert "名额保留时间已过" in shown(await home.told(await home.submit(start, {})))
    await jobs.lapse_contracts(world.district)
    lapsed = await home.page(f"/contracts/{contract.id}")
    assert "已失效" in shown(lapsed)
    assert link(lapsed, "重新报名") == f"/parent/classes/{contract.class_id}/enrol"


async def test_money_paid_twice_is_seen_on_its_way_back(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract = await signed(world, parent, institution)
    payment = await world.order(parent, contract)
    for _ in range(2):
        await world.bank.pay(payment.payment_no)
    paid = shown(await home.page(f"/payments/{payment.payment_no}"))
    assert "重复付款： ¥400.00" in paid
    assert "正在原路退回" in paid
    await world.work()
    await world.wait(timedelta(minutes=1))
    await world.work()
    assert "原路退回付款账户。" in shown(await home.page(f"/contracts/{contract.id}"))
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}


async def test_ticked_lessons_are_confirmed_and_no_others(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract, lessons = await taught(world, parent, institution, delivered=3)
    waiting = await home.page("/lessons")
    assert waiting.count('name="lesson_ids"') == 3
    none = await home.told(await home.submit("/lessons/confirm", {}))
    assert "请先勾选" in shown(none)
    form = {"lesson_ids": [str(lesson.id) for lesson in lessons[:2]]}
    assert "已确认 2 课时，¥200.00" in shown(await home.told(await home.submit("/lessons/confirm", form)))
    assert "此前已确认" in shown(await home.told(await home.submit("/lessons/confirm", form)))
    assert (await home.page("/lessons")).count('name="lesson_ids"') == 1
    future = {"lesson_ids": [str(lesson.id) for lesson in lessons[2:]]}
    said = shown(await home.told(await home.submit("/lessons/confirm", future)))
    assert "已确认 1 课时，¥100.00" in said
    assert "1 课时未作改动" in said
    assert "没有待确认的课时" in shown(await home.page("/lessons"))
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 10_000, "payable": 30_000}
    assert "待上课" in shown(await home.page(f"/contracts/{contract.id}"))


async def test_the_lists_of_lessons_by_state(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    await taught(world, parent, institution, delivered=1)
    for status, expected in (("delivered", 1), ("scheduled", 3), ("confirmed", 0), ("all", 4)):
        assert shown(await home.page(f"/lessons?status={status}")).count("创意美术") == expected
    first = await home.page("/lessons?status=all&limit=3")
    assert shown(await home.page(link(first, "更多课时").removeprefix("/parent"))).count("创意美术") == 1
    assert (await home.browser.get("/parent/lessons?status=x")).status_code == 400


async def test_an_objection_stops_a_lesson_until_the_ruling(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract, lessons = await taught(world, parent, institution, delivered=2)
    form = link(await home.page("/lessons"), "有异议")
    assert form == f"/parent/lessons/{lessons[0].id}/dispute"
    path = form.removeprefix("/parent")
    empty = await home.submit(path, {"reason": "  "})
    assert empty.status_code == 400
    assert "请填写理由" in empty.text.partition('class="form-error"')[2][:80]
    opened = shown(await home.told(await home.submit(path, {"reason": "老师没有来<script>"})))
    assert "等待监管部门裁决" in opened
    assert "老师没有来<script>" in opened
    again = await home.submit(path, {"reason": "老师没有来"})
    assert again.status_code == 409
    assert "已在异议处理中" in shown(again.text)
    async with world.district.transaction() as session:
        await lesson_service.rule_on(session, world.officer(), lessons[0].id, "return", "确认没有上课")
        await refund_service.give_back(session, world.officer(), lessons[0].id, "确认没有上课")
    ruled = shown(await home.page(f"/contracts/{contract.id}"))
    assert "裁决：退还家长" in ruled
    assert "监管裁决，1 课时" in ruled


async def test_a_confirmed_lesson_may_be_objected_to_until_it_is_final(
    world: World, home: Desk, parent: Parent, institution: Institution, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract, lessons = await taught(world, parent, institution, delivered=1)
    with final_after(monkeypatch, 24):
        await world.confirm(parent, lessons[0])
    assert link(await home.page(f"/contracts/{contract.id}"), "有异议") == f"/parent/lessons/{lessons[0].id}/dispute"
    await home.told(await home.submit(f"/lessons/{lessons[0].id}/dispute", {"reason": "点错了"}))
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}


async def test_the_rest_goes_back_by_the_rule_that_is_shown(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract, _ = await taught(world, parent, institution, delivered=1)
    refunds = await home.page("/refunds")
    assert "没上的 3 课时，可退 ¥300.00" in shown(refunds)
    path = f"/contracts/{contract.id}/refund"
    offer = shown(await home.page(path))
    for fact in ("¥300.00", "未上课时按合同分摊价全额退还", "各地教育部门退费规定", "¥100.00 留在监管账户"):
        assert fact in offer
    assert (await home.submit(path, {"reason": ""})).status_code == 400
    accepted = await home.submit(path, {"reason": "搬家"})
    twice = await home.submit(path, {"reason": "搬家"})
    assert twice.status_code == 422
    assert "没有可退的课时" in shown(twice.text)
    assert await count(world, Refund) == 1
    followed = shown(await home.told(accepted))
    assert "已同意，等待发给银行" in followed
    await world.work()
    await world.wait(timedelta(minutes=1))
    await world.work()
    assert "已退到付款账户" in shown(await home.page(accepted.headers["location"].removeprefix("/parent")))
    assert await world.totals(institution) == {"cash": 10_000, "escrow": 10_000}


async def test_the_home_page_says_what_waits(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    nothing = shown(await home.page())
    assert "¥0.00" in nothing
    _, lessons = await taught(world, parent, institution, delivered=1)
    unpaid = await signed(world, parent, institution)
    page = await home.page()
    for fact in ("¥400.00", "1 课时", "接下来的课"):
        assert fact in shown(page)
    assert link(page, "去付款") == f"/parent/contracts/{unpaid.id}"
    assert lessons[0].price_fen == 10_000


async def test_a_lesson_that_is_over_waits_for_its_institution(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract, _ = await taught(world, parent, institution, delivered=0)
    page = f"/contracts/{contract.id}"
    assert "等待机构登记到课" not in await home.page(page)
    [first, *_] = await world.lessons_of(contract)
    await world.wait_until((await world.session_of(first)).ends_at + timedelta(seconds=1))
    assert (await home.page(page)).count("等待机构登记到课") == 1


async def test_renewal_offers_the_institutions_one_has_paid(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    elsewhere = await world.training_class(await world.institution("远山科技教育中心"))
    empty = await home.page("/classes")
    assert "没有可续费的班级" in shown(empty)
    assert link(empty, "去找机构报名") == "/institutions?district=510112"
    await world.paid_contract(institution, parent)
    more = await world.training_class(institution)
    offered = await home.page("/classes")
    assert f"/classes/{more.id}" in offered
    assert str(elsewhere.id) not in offered


async def test_empty_lists_say_so(home: Desk) -> None:
    for path, said in (
        ("/contracts", "还没有合同"),
        ("/payments", "还没有付款记录"),
        ("/refunds", "还没有退费记录"),
        ("/students", "还没有登记孩子"),
        ("/lessons", "没有待确认的课时"),
    ):
        assert said in shown(await home.page(path))


async def test_lists_go_page_by_page(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    child = await world.child(parent)
    for _ in range(3):
        await world.pay(parent, await world.sign(parent, await world.training_class(institution, lessons=1), child))
    for path in ("/contracts", "/payments"):
        first = await home.page(f"{path}?limit=2")
        further = await home.page(link(first, "更早的记录").removeprefix("/parent"))
        assert shown(first).count("创意美术") == 2
        assert shown(further).count("创意美术") == 1


async def test_somebody_elses_pages_and_absent_ones_are_the_same(
    world: World, desks: Desks, home: Desk, parent: Parent, institution: Institution
) -> None:
    contract, lessons = await taught(world, parent, institution, delivered=1)
    async with world.district.transaction() as session:
        [refund] = await refund_service.request(session, parent, contract.id, "搬家")
        payment_no = await session.scalar(select(Payment.payment_no).where(Payment.contract_id == contract.id))
    other = await at_home(desks, await world.parent())
    nobody = uuid4()
    for own, absent in (
        (f"/contracts/{contract.id}", f"/contracts/{nobody}"),
        (f"/contracts/{contract.id}/document", f"/contracts/{nobody}/document"),
        (f"/contracts/{contract.id}/document.pdf", f"/contracts/{nobody}/document.pdf"),
        (f"/contracts/{contract.id}/refund", f"/contracts/{nobody}/refund"),
        (f"/payments/{payment_no}", f"/payments/{number('P', '510112')}"),
        (f"/refunds/{refund.refund_no}", f"/refunds/{number('R', '510112')}"),
        (f"/lessons/{lessons[0].id}/dispute", f"/lessons/{nobody}/dispute"),
    ):
        theirs, nobodys = await other.browser.get(f"/parent{own}"), await other.browser.get(f"/parent{absent}")
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert heading(theirs) == heading(nobodys)
    for path, form in (
        (f"/contracts/{contract.id}/payments", {}),
        (f"/contracts/{contract.id}/refund", {"reason": "搬家"}),
        (f"/lessons/{lessons[0].id}/dispute", {"reason": "没上"}),
    ):
        assert (await other.submit(path, form)).status_code == 404
    said = await other.told(await other.submit("/lessons/confirm", {"lesson_ids": [str(lessons[0].id)]}))
    assert "1 课时未作改动" in shown(said)
    assert "已确认 1" not in shown(said)


def heading(answer: httpx.Response) -> str:
    return answer.text.partition("<h1>")[2].partition("</h1>")[0]


async def test_a_form_without_the_pages_token_does_nothing(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract, lessons = await taught(world, parent, institution, delivered=1)
    forged: list[tuple[str, dict[str, UUID | str]]] = [
        ("/lessons/confirm", {"lesson_ids": str(lessons[0].id)}),
        (f"/contracts/{contract.id}/refund", {"reason": "搬家"}),
        (f"/lessons/{lessons[0].id}/dispute", {"reason": "没上"}),
        (f"/contracts/{contract.id}/payments", {}),
        ("/students", {"name": "王小明", "birth_month": "2017-05"}),
    ]
    for path, form in forged:
        assert (await home.browser.post(f"/parent{path}", data=form)).status_code == 403
    here = str(home.browser.base_url).rstrip("/")
    for came_from, back in (
        (f"{here}/parent/students?cursor=1", 'href="/parent/students?cursor=1">返回上一页'),
        ("https://elsewhere.example/parent/students", None),
        ("http://[", None),
    ):
        stale = (await home.browser.post("/parent/students", data={}, headers={"Referer": came_from})).text
        assert (back or "返回首页") in stale
        assert ("返回上一页" in stale) is bool(back)
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}


async def test_pages_of_parents_fit_a_phones_budget(home: Desk) -> None:
    page = await home.page()
    total = len(page.encode())
    for address in links(page, r"/static/[^\"]+\.css") + re_scripts(page):
        answer = await home.browser.get(address, headers={"Accept-Encoding": "gzip"})
        total += int(answer.headers["content-length"])
    assert total < 100_000


def re_scripts(page: str) -> list[str]:
    return [part.partition('"')[0] for part in page.split('<script src="')[1:]]
