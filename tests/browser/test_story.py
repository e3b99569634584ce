"""The story from the QR code to the settlement account, in pages, at both sizes."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from app.sample.demo import may_meet_at, noon_after
from app.sample.people import Person
from tests.browser.people import Screen, decoded

# A whole sample starts before the first of them.
pytestmark = pytest.mark.timeout(300)
LESSON_FEN = 120_000
TAUGHT_BEFORE = "少儿书法基础班"
"""A class whose last sessions the sample's institution has not marked, with a child of the demonstration's parent."""


async def test_a_yuan_from_the_qr_code_to_the_settlement_account(screen: Screen) -> None:
    institution = await screen.staff("institution")
    officer = await screen.staff("supervision")
    first = datetime.now(UTC) + timedelta(seconds=30)
    soon = may_meet_at(first, timedelta(seconds=5))
    school, class_name = await file_class(screen, first if soon else noon_after(first))
    taught = class_name if soon else TAUGHT_BEFORE
    await approve(screen, officer, class_name)
    await lower_the_line(screen, officer, school)

    parent = await screen.person()
    await enrol(screen, parent, school, class_name)
    await pay(screen, parent)
    await deliver(screen, institution, taught)
    await confirm(screen, parent, taught)
    await settle(screen)
    await release_what_is_held(screen, officer, school)
    await see_it_paid(screen, institution)
    await ask_for_the_rest(screen, parent, "¥2,400.00" if soon else "¥3,600.00")


async def file_class(screen: Screen, first: datetime) -> tuple[str, str]:
    """The institution files a class of a new teacher, whose first session is over in seconds: the names of both.

    In the evening no class may meet any more: its first session is on the next day then, and one of before is taught.
    """
    desk = await Person.signed_in(screen.base_url, screen.demo["district"], "staff", screen.demo["staff"]["institution"])
    name = f"水彩 {uuid4().hex[:6]}"
    new = {"name": "郑水彩", "certificate_no": f"2023{uuid4().int % 10**13:013d}", "subject": "美术"}
    teacher = await desk.post("/institution/teachers", new)
    school = await desk.get("/institution/profile")
    starts = [first, first + timedelta(days=1), first + timedelta(days=2)]
    body = {
        "teacher_id": teacher["id"],
        "campus_id": school["campuses"][0]["id"],
        "name": name,
        "subject": teacher["subject"],
        "price_fen": LESSON_FEN * 3,
        "lesson_count": 3,
        "seats": 5,
        "sessions": [{"starts_at": at.isoformat(), "ends_at": (at + timedelta(seconds=5)).isoformat()} for at in starts],
    }
    await desk.post("/institution/classes", body)
    await desk.aclose()
    return school["name"], name


async def approve(screen: Screen, officer: Page, class_name: str) -> None:
    """The officer looks into the filing and lets it enrol."""
    await officer.goto("/supervision/classes")
    await screen.look(officer)
    await officer.get_by_role("link", name=class_name).click()
    await screen.look(officer)
    await officer.get_by_label("审批理由").fill("材料齐全，教师持证")
    await officer.get_by_role("button", name="批准开班").click()
    await expect(officer.get_by_text("招生中").first).to_be_visible()
    await screen.look(officer)


async def lower_the_line(screen: Screen, officer: Page, school: str) -> None:
    """The officer sets the institution's large-transfer line below a single lesson."""
    await officer.goto("/supervision/institutions")
    await screen.look(officer)
    await officer.get_by_role("link", name=school).first.click()
    await screen.look(officer)
    await officer.get_by_label("单笔大额（元）").fill("100")
    await officer.get_by_role("button", name="更新预警线").click()
    await expect(officer.get_by_label("单笔大额（元）")).to_have_value(re.compile(r"^100(\.00)?$"))
    await officer.goto("/supervision")


async def enrol(screen: Screen, parent: Page, school: str, class_name: str) -> None:
    """The parent scans the district's code, finds the class, adds a child and signs."""
    await parent.goto(await decoded(f"{screen.base_url}/qr/district.png"))
    for door in ("我要报名", "我要续费", "我要退费"):
        await expect(parent.get_by_text(door, exact=True).first).to_be_visible()
    await screen.look(parent)
    await parent.get_by_text("我要报名", exact=True).first.click()
    await screen.look(parent)
    await parent.get_by_role("link", name=school).first.click()
    await screen.look(parent)
    await parent.get_by_role("link", name=class_name).click()
    await screen.look(parent)
    await parent.get_by_role("link", name=re.compile("报名")).last.click()
    await screen.sign_in_as_parent(parent)
    await parent.get_by_text(re.compile("添加(另一个)?孩子")).click()
    await parent.get_by_label("孩子姓名").fill(f"李{chr(ord('一') + uuid4().int % 20_000)}")
    await parent.get_by_label("出生年月").fill("2017-05")
    await parent.get_by_label("已阅读并单独同意").check()
    await parent.get_by_label("我已阅读并同意").check()
    await screen.look(parent)
    await parent.get_by_role("button", name="签订合同").click()
    await expect(parent.get_by_text("¥3,600.00").first).to_be_visible()
    await screen.look(parent)


async def pay(screen: Screen, parent: Page) -> None:
    """The payment code decodes to this service, leads to the bank's cashier, and the money shows in escrow."""
    await parent.get_by_role("button", name=re.compile("付款")).click()
    picture = parent.locator("img.qr")
    await picture.evaluate("image => image.decode()")
    await screen.look(parent)
    source = str(await picture.get_attribute("src")).replace(".svg", ".png")
    pay_url = await decoded(screen.base_url + source)
    assert pay_url.startswith(f"{screen.base_url}/pay/")
    await parent.goto(pay_url)
    await screen.look(parent)
    await parent.get_by_role("link", name="去银行付款").click()
    await screen.look(parent)
    await parent.get_by_role("button", name=re.compile("付")).click()
    await parent.get_by_role("link", name=re.compile("返回")).click()
    await expect(parent.get_by_text(re.compile("付款成功|已经付款|已付款")).first).to_be_visible()
    await screen.look(parent)


async def deliver(screen: Screen, institution: Page, class_name: str) -> None:
    """The institution waits for the session's end and marks it delivered with the attendance."""
    link = institution.get_by_role("link", name=re.compile(class_name)).first
    async for _ in patience():
        await institution.goto("/institution/class-sessions")
        if await link.is_visible():
            break
        await institution.wait_for_timeout(1000)
    await screen.look(institution)
    await link.click()
    await screen.look(institution)
    await institution.get_by_role("button", name=re.compile("确认登记上课")).click()
    await expect(institution.get_by_text("待确认").first).to_be_visible()
    await screen.look(institution)


async def patience() -> object:
    for attempt in range(60):
        yield attempt
    raise AssertionError("it did not come to pass within a minute")


async def confirm(screen: Screen, parent: Page, class_name: str) -> None:
    """The parent ticks the latest lesson of the class and confirms it."""
    await parent.goto("/parent/lessons")
    await screen.look(parent)
    boxes = parent.locator("li", has_text=class_name).get_by_role("checkbox")
    waiting = await boxes.count()
    await boxes.last.check()
    await parent.get_by_role("button", name=re.compile("确认勾选")).click()
    await parent.wait_for_load_state()
    await expect(boxes).to_have_count(waiting - 1)
    await screen.look(parent)


async def settle(screen: Screen) -> None:
    """The settlement office runs a settlement."""
    clerk = await screen.staff("settlement")
    await clerk.get_by_role("button", name="运行结算").click()
    await clerk.wait_for_load_state()
    await screen.look(clerk)
    for page in ("payouts", "reconciliation", "receipts", "instructions"):
        await clerk.goto(f"/settlement/{page}")
        await screen.look(clerk)


async def release_what_is_held(screen: Screen, officer: Page, school: str) -> None:
    """The open dashboard tells of the large transfer without a reload; the officer releases the payout."""
    await expect(officer.get_by_text(re.compile("大额")).first).to_be_visible()
    await screen.look(officer)
    await officer.goto("/supervision/payouts?status=held")
    await screen.look(officer)
    await officer.locator("tr, li", has_text=school).get_by_role("link").first.click()
    await officer.locator("form[action$='/release'] [name=reason]").fill("已核对课次与到课名单")
    await screen.look(officer)
    await officer.locator("form[action$='/release'] button").click()
    await expect(officer.get_by_text("已核对课次与到课名单")).to_be_visible()
    for page in ("alerts", "disputes", "books", "institutions"):
        await officer.goto(f"/supervision/{page}")
        await screen.look(officer)


async def see_it_paid(screen: Screen, institution: Page) -> None:
    """The institution sees the payout on its settlement account."""
    async for _ in patience():
        await institution.goto("/institution/payouts")
        if await institution.get_by_text(re.compile("已到账|已结算|已转入")).first.is_visible():
            break
        await institution.wait_for_timeout(500)
    await screen.look(institution)
    for page in ("", "/classes", "/teachers", "/refunds", "/statement", "/classes/new"):
        await institution.goto(f"/institution{page}")
        await screen.look(institution)


async def ask_for_the_rest(screen: Screen, parent: Page, rest: str) -> None:
    """The parent asks for the untaught lessons back and gets them."""
    await parent.goto("/parent/contracts")
    await screen.look(parent)
    await parent.get_by_role("link", name=re.compile("水彩")).first.click()
    await screen.look(parent)
    await parent.get_by_role("link", name=re.compile("退还没上的")).click()
    await parent.get_by_label("退费原因").fill("搬家")
    await screen.look(parent)
    await parent.get_by_role("button", name=re.compile("退还")).click()
    await expect(parent.get_by_text(rest).first).to_be_visible()
    await screen.look(parent)
    async for _ in patience():
        await parent.reload()
        if await parent.get_by_text(re.compile("已退回|已到账|已退款|已完成")).first.is_visible():
            break
        await parent.wait_for_timeout(500)
    for page in ("", "/students", "/payments", "/refunds", "/privacy", "/privacy/data", "/privacy/erasure"):
        await parent.goto(f"/parent{page}")
        await screen.look(parent)


async def test_a_long_word_in_a_notice_does_not_widen_the_page(screen: Screen) -> None:
    page = await screen.person()
    await page.goto(f"/institutions?district={screen.demo['district']}")
    notice = "<div class='alert notice'><svg class='icon'></svg><div>https://example.test/" + "x" * 200 + "</div></div>"
    await page.evaluate("notice => document.querySelector('main').insertAdjacentHTML('afterbegin', notice)", notice)
    await screen.look(page)
