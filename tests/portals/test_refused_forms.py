"""Forms that were refused: why stands at the head of the page and beside the input, and what was given stays where it still holds."""

import re
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser

import pytest
from sqlalchemy import update

from app.registry.institutions import set_listing
from app.registry.models import Institution, Teacher
from app.security import Parent
from tests.portals.desks import Desk
from tests.portals.families import accepting, link, shown, terms_in
from tests.world import World

MONTH_OF_LESSONS = 32
"""One a day: the last ones are in the month after the first."""
NEWCOMER = {"student_id": "new", "name": "王小明", "birth_month": "2017-05", "consent": "1"}


class Elements(HTMLParser):
    """The elements of a page's main part, by id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.by_id: dict[str, dict[str, str | None]] = {}
        self.feed(page.partition("<main")[2].partition("</main>")[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if name := given.get("id"):
            assert name not in self.by_id, f"two elements are called {name}"
            self.by_id[name] = given


def check_told(page: str, field: str, why: str) -> None:
    """Above every form the page says why, which leads to the input that is wrong, and the input names the message beside it."""
    head = page.partition("<main")[2].partition("<form")[0]
    assert f'<a href="#f-{field}">' in head, field
    assert why in head
    elements = Elements(page).by_id
    wrong = elements[f"f-{field}"]
    assert wrong["aria-describedby"] in elements
    assert (wrong.get("aria-invalid"), wrong["aria-describedby"]) == ("true", f"f-{field}-error")
    assert why in page.partition(f'id="f-{field}-error"')[2].partition("</div>")[0]
    assert page.count("aria-invalid") == 1


async def test_a_refused_form_says_why_at_its_head_and_leads_to_the_input(world: World, home: Desk, institution: Institution) -> None:
    offered = await world.training_class(institution)
    read = await accepting(home, offered.id)
    for given, field, why in (
        ({"name": ""}, "name", "学生姓名须为"),
        ({"birth_month": "2999-01"}, "birth_month", "出生年月不能晚于"),
        ({"consent": ""}, "consent", "请先阅读并同意"),
    ):
        for path in (f"/classes/{offered.id}/enrol", "/students"):
            check_told((await home.submit(path, NEWCOMER | read | given)).text, field, why)
    check_told((await home.submit(f"/classes/{offered.id}/enrol", NEWCOMER)).text, "document", "请先阅读合同")
    check_told((await home.submit("/invitations/look", {"code": "AAAA"})).text, "code", "邀请不存在")
    fine = await home.page(f"/classes/{offered.id}/enrol")
    assert Elements(fine).by_id["f-name"]
    assert "aria-invalid" not in fine


async def test_a_childs_page_leads_to_what_is_wrong(world: World, home: Desk, parent: Parent) -> None:
    child = await world.child(parent)
    check_told((await home.submit(f"/students/{child.id}", {"birth_month": "2999-01"})).text, "birth_month", "出生年月不能晚于")
    refused = (await home.submit(f"/students/{child.id}/invitations", {"phone": "123"})).text
    check_told(refused, "phone", "请输入正确的手机号码")
    assert Elements(refused).by_id["f-phone"]["value"] == "123"
    own = shown(await home.page("/privacy/data")).partition("手机号码")[2].split()[0]
    check_told((await home.submit(f"/students/{child.id}/invitations", {"phone": own})).text, "phone", "这是您自己的手机号")


async def test_a_tick_stays_while_the_text_is_the_one_that_was_read(world: World, home: Desk, institution: Institution) -> None:
    path = f"/classes/{(await world.training_class(institution)).id}/enrol"
    read = await accepting(home, path.split("/")[2])
    ticks = {}
    for name, given in {"read": read, "unread": read | {"agreed": ""}, "another text": read | {"document": "0" * 64}}.items():
        refused = (await home.submit(path, NEWCOMER | given | {"birth_month": "2999-01"})).text
        elements = Elements(refused).by_id
        ticks[name] = "checked" in elements["f-document"]
        assert "checked" not in elements["f-consent"], "the separate consent is given anew"
    assert ticks == {"read": True, "unread": False, "another text": False}
    changed = await home.submit(path, NEWCOMER | read | {"document": "0" * 64})
    assert (changed.status_code, "checked" in Elements(changed.text).by_id["f-document"]) == (409, False)


async def test_the_way_that_was_chosen_stays(world: World, home: Desk, institution: Institution) -> None:
    path = f"/classes/{(await world.training_class(institution, lessons=MONTH_OF_LESSONS)).id}/enrol"
    form = await home.page(f"{path}/parts")
    refused = await home.submit(path, NEWCOMER | {"name": "", "terms": terms_in(form)})
    assert terms_in(refused.text) == terms_in(form)
    assert 'aria-current="true">按月分期' in refused.text


async def employ_at_a_school(world: World, institution: Institution) -> None:
    async with world.district.transaction() as session:
        await session.execute(update(Teacher).where(Teacher.institution_id == institution.id).values(serving_school_teacher=True))


async def blacklist(world: World, institution: Institution) -> None:
    async with world.district.transaction() as session:
        await set_listing(session, world.officer(), institution.id, "black", "卷款失联")


@pytest.mark.parametrize(
    ("forbid", "reasons"),
    [
        (employ_at_a_school, ("在职中小学教师不得在培训机构任教",)),
        (blacklist, ("按规定不能这样收费", "列入黑名单的机构不得新收费", "不符合的规定")),
    ],
)
async def test_a_class_that_may_not_be_sold_offers_no_signature_in_any_way(
    world: World,
    home: Desk,
    parent: Parent,
    institution: Institution,
    forbid: Callable[[World, Institution], Awaitable[None]],
    reasons: tuple[str, ...],
) -> None:
    path = f"/classes/{(await world.training_class(institution, lessons=MONTH_OF_LESSONS)).id}/enrol"
    child = await world.child(parent)
    in_parts = await home.page(f"{path}/parts")
    opened = await accepting(home, path.split("/")[2]) | {"student_id": str(child.id)}
    await forbid(world, institution)
    late = [await home.submit(path, opened | given) for given in ({}, {"terms": terms_in(in_parts)}, {"student_id": "new"})]
    assert {answer.status_code for answer in late} == {422}
    for page in [answer.text for answer in late] + [await home.page(f"{path}{way}") for way in ("", "/parts", "/later")]:
        for reason in reasons:
            assert reason in shown(page)
        assert link(page, "看看其他班级") == "/search?district=510112"
        for gone in ("签订合同", 'name="document"', 'name="agreed"', 'name="student_id"', "最接近的合规方案"):
            assert gone not in page.partition("<main")[2]


async def test_a_plan_that_would_be_refused_is_not_offered(world: World, home: Desk, institution: Institution) -> None:
    dear = await world.training_class(institution, lessons=40, price_fen=800_000)
    assert "最接近的合规方案" in shown(await home.page(f"/classes/{dear.id}/enrol"))
    await employ_at_a_school(world, institution)
    page = await home.page(f"/classes/{dear.id}/enrol")
    assert "在职中小学教师不得在培训机构任教" in shown(page)
    for gone in ("最接近的合规方案", "签订合同", 'name="document"'):
        assert gone not in page.partition("<main")[2]


async def test_each_way_is_judged_by_itself(world: World, home: Desk, institution: Institution) -> None:
    sold = await world.training_class(institution, lessons=40, price_fen=800_000)
    path = f"/classes/{sold.id}/enrol"
    later = await home.page(f"{path}/later")
    assert "按规定不能这样收费" not in shown(later)
    assert re.search(r'<button[^>]*type="submit">签订合同', later)
    parts = await home.page(f"{path}/parts")
    for said in ("按规定不能这样收费", "最接近的合规方案", "25 课时", "¥5,000.00", "按这个方案签订合同"):
        assert said in shown(parts)
    read = {"document": re.findall(r'name="document" value="([0-9a-f]{64})"', parts)[0], "agreed": "yes"}
    signed = await home.submit(path, NEWCOMER | read | {"terms": terms_in(parts)})
    assert "合同已签订" in shown(await home.told(signed))


async def test_parts_are_offered_where_there_are_any(world: World, home: Desk, institution: Institution) -> None:
    short = await world.training_class(institution)
    long = await world.training_class(institution, lessons=MONTH_OF_LESSONS)
    assert "按月分期" not in shown(await home.page(f"/classes/{short.id}/enrol"))
    assert "按月分期" in shown(await home.page(f"/classes/{long.id}/enrol"))
