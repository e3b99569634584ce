"""The ways to pay, as a family meets them: chosen before signing, due on its pages, paid by a code."""

from datetime import timedelta

import pytest

from app import clock
from app.registry.institutions import Listing, set_listing
from tests.portals.desks import Desk, Desks
from tests.portals.families import accepted, at_home, links, shown, terms_in
from tests.school import School, found_school
from tests.world import World

MONTH_OF_LESSONS = 32
"""A lesson a day from 3 March on: 29 of them in March, three in April."""


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world, lesson_count=MONTH_OF_LESSONS)


@pytest.fixture
async def home(desks: Desks, world: World) -> Desk:
    return await at_home(desks, await world.parent())


def said(page: str) -> str:
    """What a page says, without any space: figures stand in elements of their own."""
    return shown(page).replace(" ", "")


async def sign(home: Desk, school: School, way: str) -> str:
    """Sign on the page of a way; the contract's address below /parent."""
    path = f"/classes/{school.training_class.id}/enrol"
    form = await home.page(f"{path}/{way}")
    child = {"student_id": "new", "name": "王小明", "birth_month": "2017-05", "consent": "1"}
    sent = await home.submit(path, child | accepted(form) | {"terms": terms_in(form)})
    assert sent.status_code == 303, shown(sent.text)
    return str(sent.headers["location"]).removeprefix("/parent")


async def pay(home: Desk, school: School, contract: str) -> str:
    """Press the button that pays what is due, pay at the bank, and look at the payment's page."""
    opened = await home.submit(f"{contract}/payments", {})
    payment = str(opened.headers["location"]).removeprefix("/parent")
    await home.page(payment)
    await school.world.bank.pay(payment.rpartition("/")[2])
    return await home.page(payment)


async def test_a_class_is_paid_month_by_month(school: School, home: Desk) -> None:
    page = await home.page(f"/classes/{school.training_class.id}/enrol")
    assert len(links(page, f"/parent/classes/{school.training_class.id}/enrol[a-z/]*")) == 3
    chosen = said(await home.page(f"/classes/{school.training_class.id}/enrol/parts"))
    for fact in ("29课时·¥2,900.00", "3课时·¥300.00", "2026年3月25日周三起"):
        assert fact in chosen
    contract = await sign(home, school, "parts")
    assert "待付款¥2,900.00" in said(await home.page())
    assert "付款成功" in shown(await pay(home, school, contract))
    followed = said(await home.page(contract))
    begins_at = school.sessions[29].starts_at.astimezone(clock.SHANGHAI)
    deadline = f"2026年3月25日周三起可付，4月1日周三{begins_at:%H:%M}前付清"
    for fact in ("第1至29课时", "第30至32课时", deadline, "以后的不再付"):
        assert fact in followed, fact
    assert "待付款¥" not in said(await home.page())
    opens_at = clock.day_bounds(clock.today() + timedelta(days=22))[0]
    await school.world.wait_until(opens_at)
    assert f"待付款¥300.00，第30至32课时，4月1日周三{begins_at:%H:%M}前付清" in said(await home.page())
    await list_as(school, "black")
    refused = said(await home.told(await home.submit(f"{contract}/payments", {})))
    assert "按规定不能这样收费：列入黑名单的机构不得新收费（依据：" in refused
    assert "；规则版本nation/" in refused
    await list_as(school, None)
    assert "付款成功" in shown(await pay(home, school, contract))
    assert await school.totals() == {"cash": 3_200_00, "escrow": 3_200_00}


async def list_as(school: School, listing: Listing | None) -> None:
    async with school.world.district.transaction() as session:
        await set_listing(session, school.world.officer(), school.institution.id, listing, "卷款失联")


async def test_lessons_without_a_day_are_not_due(school: School, home: Desk) -> None:
    contract = await sign(home, school, "parts")
    await pay(home, school, contract)
    for number in (30, 31, 32):
        await school.cancel(number)
    await school.world.wait_until(clock.day_bounds(clock.today() + timedelta(days=22))[0])
    assert "待付款¥" not in said(await home.page())
    assert "课次已取消，定下补课时间后再付" in said(await home.page(contract))


async def test_the_months_to_come_can_be_declined(school: School, home: Desk) -> None:
    contract = await sign(home, school, "parts")
    await pay(home, school, contract)
    assert "以后各期已取消" in shown(await home.told(await home.submit(f"{contract}/decline", {})))
    assert "没有以后要付的费用" in shown(await home.told(await home.submit(f"{contract}/decline", {})))
    assert (await home.post(f"{contract}/decline")).json()["code"] == "contracts.nothing_planned"


async def test_a_contract_in_parts_says_how_much_of_it_was_paid(school: School, home: Desk) -> None:
    contract = await sign(home, school, "parts")
    await pay(home, school, contract)
    assert "合同金额¥3,200.00已付¥2,900.00/共¥3,200.00" in said(await home.page(contract))
    await home.submit(f"{contract}/decline", {})
    assert "合同金额¥3,200.00已付¥2,900.00/共¥2,900.00，其余已取消" in said(await home.page(contract))


@pytest.mark.parametrize(("way", "facts"), [("parts", ("29课时·¥2,900.00", "3课时·¥300.00")), ("later", ("没有预付的学费",))])
async def test_a_form_that_was_refused_still_shows_what_it_would_sign(school: School, home: Desk, way: str, facts: tuple[str, ...]) -> None:
    path = f"/classes/{school.training_class.id}/enrol"
    form = await home.page(f"{path}/{way}")
    child = {"student_id": "new", "name": "王小明", "birth_month": "2017-05", "consent": "1"}
    unread = child | accepted(form) | {"agreed": "", "terms": terms_in(form)}
    refused = await home.submit(path, unread)
    assert (refused.status_code, terms_in(refused.text)) == (422, terms_in(form))
    for fact in (*facts, "32课时", "¥3,200.00"):
        assert fact in said(refused.text), fact
    label = {"parts": "按月分期", "later": "先学后付"}[way]
    assert f'aria-current="true">{label}' in refused.text
    await school.end_of(1)
    stale = await home.submit(path, child | accepted(form) | {"agreed": "", "terms": terms_in(form)})
    assert (stale.status_code, "课次已有变化" in shown(stale.text), 'name="terms"' in stale.text) == (409, True, False)
    assert "31课时" in said(stale.text)
    assert 'aria-current="true">一次付清' in stale.text


async def test_a_class_within_a_month_is_not_split(world: World, home: Desk) -> None:
    short = await found_school(world)
    asked = await home.browser.get(f"/parent/classes/{short.training_class.id}/enrol/parts")
    assert "不分期" in shown(await home.told(asked))
    ways = await home.get(f"/classes/{short.training_class.id}/ways")
    assert [each["way"] for each in ways["items"]] == ["once", "later"]


async def test_a_class_that_is_only_paid_in_advance_says_so(world: World, home: Desk) -> None:
    strict = await found_school(world, most_unpaid=0)
    assert "先学后付" not in shown(await home.page(f"/classes/{strict.training_class.id}/enrol"))
    asked = await home.browser.get(f"/parent/classes/{strict.training_class.id}/enrol/later")
    assert "不提供先学后付" in shown(await home.told(asked))
    assert [each["way"] for each in (await home.get(f"/classes/{strict.training_class.id}/ways"))["items"]] == ["once"]


async def test_a_lesson_is_paid_after_it_was_taught(world: World, desks: Desks, home: Desk) -> None:
    short = await found_school(world)
    contract = await sign(home, short, "later")
    signed = shown(await home.page(contract))
    assert "先学后付" in signed
    assert "没有预付的学费" in signed
    page = await home.page()
    assert "待付款" not in shown(page)
    staff, meeting = await desks.institution(short.institution), f"/class-sessions/{short.sessions[0].id}"
    await short.end_of(1)
    assert "课后付" in shown(await staff.page(meeting))
    [pupil] = (await staff.get(meeting))["students"]
    marked = (await staff.post(f"{meeting}/delivery", {"attended_student_ids": [pupil["student_id"]]})).json()
    assert (marked["delivered"], marked["missed"], marked["lessons"][0]["status"]) == (1, 0, "owed")
    assert "待付款¥100.00，第1课时，已上课，付款即确认" in said(await home.page())
    assert "待付款" in shown(await home.page("/lessons?status=owed"))
    assert "已上未付的课仍需付款" in shown(await home.told(await home.submit(f"{contract}/decline", {})))
    assert "付款成功" in shown(await pay(home, short, contract))
    assert "已确认" in shown(await home.page(contract))
    assert await short.totals() == {"cash": 100_00, "payable": 100_00}


async def test_who_has_not_paid_enough_is_marked_on_the_roster(world: World, desks: Desks, home: Desk) -> None:
    strict = await found_school(world, most_unpaid=1)
    await sign(home, strict, "later")
    await strict.end_of(2)
    staff = await desks.institution(strict.institution)
    first, second = (f"/class-sessions/{meeting.id}" for meeting in strict.sessions[:2])
    [pupil] = (await staff.get(first))["students"]
    assert pupil["is_behind"] is False
    attended = {"attended_student_ids": [pupil["student_id"]]}
    assert (await staff.post(f"{first}/delivery", attended)).status_code == 200
    assert [each["is_behind"] for each in (await staff.get(second))["students"]] == [True]
    page = await staff.page(second)
    assert f'value="{pupil["student_id"]}" disabled' in page
    assert "付款后才能登记" in shown(page)
    refused = (await staff.post(f"{second}/delivery", attended)).json()
    assert (refused["code"], refused["student_ids"]) == ("lessons.unpaid", [pupil["student_id"]])
    assert (await staff.get(second))["status"] == "scheduled"


async def test_a_program_signs_on_the_terms_that_it_was_told(school: School, home: Desk) -> None:
    known = (await home.get(f"/classes/{school.training_class.id}/ways"))["items"]
    assert [each["way"] for each in known] == ["once", "parts", "later"]
    entered = await home.post("/students", {"name": "王小明", "birth_month": "2017-05", "consent": "1"})
    wording = (await home.post(f"/classes/{school.training_class.id}/document", {"terms": known[1]})).json()
    wish = {"class_id": str(school.training_class.id), "student_id": entered.json()["id"], "terms": known[1]}
    signed = (await home.post("/contracts", wish | {"document": wording["sha256"]})).json()
    assert (signed["way"], signed["amount_fen"]) == ("parts", 3_200_00)
    assert [(each["last_lesson"], each["status"], each["is_due"]) for each in signed["charges"]] == [
        (29, "planned", True),
        (32, "planned", False),
    ]


async def test_a_refund_of_two_payments_names_both(school: School, home: Desk) -> None:
    contract = await sign(home, school, "parts")
    await pay(home, school, contract)
    await school.world.wait_until(clock.day_bounds(clock.today() + timedelta(days=22))[0])
    await pay(home, school, contract)
    asked = await home.post("/refunds", {"contract_id": contract.rpartition("/")[2], "reason": "搬家"}, key="one")
    assert asked.status_code == 201, asked.text
    first = asked.json()
    [other] = first["also"]
    assert (first["amount_fen"], (await home.get(f"/refunds/{other}"))["amount_fen"]) == (2_900_00, 300_00)
    again = await home.post("/refunds", {"contract_id": contract.rpartition("/")[2], "reason": "搬家"}, key="one")
    assert again.json() == first


async def test_a_code_of_a_charge_that_was_cancelled_says_so(school: School, home: Desk) -> None:
    contract = await sign(home, school, "parts")
    await pay(home, school, contract)
    await school.world.wait_until(clock.day_bounds(clock.today() + timedelta(days=22))[0])
    opened = await home.submit(f"{contract}/payments", {})
    page = str(opened.headers["location"]).removeprefix("/parent")
    [code] = links(await home.page(page), r"/pay/[^\"]+")
    await home.submit(f"{contract}/decline", {})
    answer = await home.browser.get(code)
    assert (answer.status_code, "付款码已取消" in shown(answer.text)) == (410, True)
    assert "这笔费用已取消" in shown(await home.page(page))
