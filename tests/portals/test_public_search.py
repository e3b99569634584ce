"""Searching as everybody does it: a box, a few choices, page by page."""

from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from app.portals.fields import Listed
from app.portals.public.searching import FoundClassItem, FoundInstitutionItem
from app.registry.models import Institution, TrainingClass
from app.registry.search import keep_up
from tests.portals.desks import Desks
from tests.portals.families import link, links, problem_of, shown
from tests.world import World

CLASSES = "/api/v1/public/search/classes"
INSTITUTIONS = "/api/v1/public/search/institutions"


@pytest.fixture
async def anybody(desks: Desks) -> httpx.AsyncClient:
    return await desks.anybody()


async def open_classes(world: World, count: int = 1, price_fen: int = 40_000, kind: str = "arts") -> list[str]:
    """Ids of new classes, each found by now."""
    institution = await world.institution(kind=kind)
    opened = [str((await world.training_class(institution, price_fen=price_fen)).id) for _ in range(count)]
    while await keep_up(world.district):
        pass
    return opened


async def page(anybody: httpx.AsyncClient, path: str, status: int = 200) -> str:
    answer = await anybody.get(path)
    assert answer.status_code == status, answer.text[:300]
    return answer.text


async def test_a_class_is_found_from_the_home_page(world: World, anybody: httpx.AsyncClient) -> None:
    (offered,) = await open_classes(world)
    home = await page(anybody, "/?district=510112")
    assert 'action="/search"' in home
    found = await page(anybody, "/search?district=510112&q=晨光+美术")
    said = shown(found)
    for fact in ("创意美术", "晨光艺术培训学校", "李老师", "¥400.00", "余 20 位", "上午"):
        assert fact in said
    assert link(found, "创意美术").startswith(f"/classes/{offered}?district=510112")


async def test_a_list_says_what_a_class_that_has_begun_still_costs(world: World, anybody: httpx.AsyncClient) -> None:
    institution = await world.institution()
    await world.training_class(institution, lessons=4)
    paths = ("/search", f"/institutions/{institution.id}?district=510112")
    assert await keep_up(world.district)
    for path in paths:
        assert "已开课" not in shown(await page(anybody, path))
    await world.wait(timedelta(days=2))
    begun = [shown(await page(anybody, path)) for path in paths]
    assert "已开课，只付剩下的课时" in begun[0]
    assert "已开课，只付剩下的 2 课时" in begun[1]


async def test_choices_narrow_the_list_and_stay_in_the_form(world: World, anybody: httpx.AsyncClient) -> None:
    await open_classes(world)
    chosen = "kind=arts&mode=onsite&area=驿都&price_from=399.99&price_to=￥400&weekday=2&weekday=3&part=morning"
    found = await page(anybody, f"/search?{chosen}")
    assert "创意美术" in shown(found)
    for kept in ('value="驿都"', 'value="399.99"', 'name="weekday" value="2" checked', '<option value="arts" selected>', "<details open>"):
        assert kept in found, kept
    for other in ("kind=sports", "mode=online", "area=大面", "price_from=400.01", "price_to=399.99", "weekday=1&weekday=7", "part=evening"):
        assert "没有找到" in shown(await page(anybody, f"/search?{other}")), other


async def test_a_form_with_nothing_in_it_lists_what_is_new(world: World, anybody: httpx.AsyncClient) -> None:
    await open_classes(world)
    empty = await page(anybody, "/search?q=&area=&kind=&mode=&price_from=&price_to=")
    assert "创意美术" in shown(empty)
    assert "<details>" in empty
    assert "创意美术" in shown(await page(anybody, "/search?kind=nothing&mode=x&weekday=9&part=night"))


async def test_a_price_that_is_none_is_said(anybody: httpx.AsyncClient) -> None:
    for path in ("/search", "/search/institutions"):
        assert "金额须为数字" in shown(await page(anybody, f"{path}?price_from=many", 400))


async def test_pages_keep_what_was_asked(world: World, anybody: httpx.AsyncClient) -> None:
    newest_first = (await open_classes(world, 3))[::-1]
    first = await page(anybody, "/search?q=美术&weekday=2&limit=2")
    further = link(first, "更多结果")
    assert {"weekday=2", "district=510112"} <= set(further.split("?")[1].split("&"))
    both = [path for each in (first, await page(anybody, further)) for path in links(each, r"/classes/[0-9a-f-]+\?[^\"]+")]
    shown_ids = [path.split("/")[2].partition("?")[0] for path in both]
    assert shown_ids == newest_first


async def test_institutions_have_a_page_of_their_own(world: World, anybody: httpx.AsyncClient) -> None:
    await open_classes(world)
    found = await page(anybody, "/search/institutions?q=光艺&kind=arts&area=驿都")
    assert "1 个班级正在招生" in shown(found)
    assert link(found, "晨光艺术培训学校").startswith("/institutions/")
    assert "没有找到" in shown(await page(anybody, "/search/institutions?q=星火"))


async def test_who_doubts_an_institution_finds_what_was_decided_about_it(world: World, anybody: httpx.AsyncClient) -> None:
    institution = await world.institution()
    await world.training_class(institution)
    for changed, told in (
        ({"listing": "black"}, "已列入黑名单"),
        ({"listing": None, "status": "suspended"}, "暂停招生"),
        ({"status": "closed"}, "已注销"),
    ):
        async with world.district.transaction() as session:
            stored = await session.get_one(Institution, institution.id)
            for name, value in changed.items():
                setattr(stored, name, value)
        while await keep_up(world.district):
            pass
        found = shown(await page(anybody, "/search/institutions?q=晨光艺术"))
        assert (told in found, "目前没有招生" in found) == (True, True), told
        no_class = await page(anybody, "/search?q=晨光艺术")
        assert "创意美术" not in shown(no_class)
        assert told in shown(await page(anybody, link(no_class, "按机构找"))), "who looks for its classes is led to it"
    (item,) = (await anybody.get(INSTITUTIONS, params={"q": "晨光"})).json()["items"]
    assert (item["status"], item["listing"], item["sales_paused"], item["open_classes"]) == ("closed", None, False, 0)


async def test_what_is_typed_is_shown_as_text(anybody: httpx.AsyncClient) -> None:
    shown_back = await page(anybody, '/search?q="><script>alert(1)</script>')
    assert "<script>alert" not in shown_back


async def test_json_takes_the_same_questions(world: World, anybody: httpx.AsyncClient) -> None:
    ids = await open_classes(world, 3)
    first = (await anybody.get(CLASSES, params={"q": "创意", "part": "morning", "limit": 2})).json()
    second = (await anybody.get(CLASSES, params={"q": "创意", "limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None
    item = first["items"][0]
    assert (item["price_fen"], item["seats_left"], item["teacher_name"], item["mode"]) == (40_000, 20, "李老师", "onsite")
    asked = {"price_from_fen": 40_000, "price_to_fen": 40_000, "weekday": [2, 3], "kind": "arts", "mode": "onsite", "area": "龙泉"}
    assert len((await anybody.get(CLASSES, params=asked)).json()["items"]) == 3
    (institution,) = (await anybody.get(INSTITUTIONS, params={"q": "晨光"})).json()["items"]
    assert (institution["open_classes"], institution["kind"]) == (3, "arts")


async def test_json_is_what_its_description_says(world: World, anybody: httpx.AsyncClient) -> None:
    await open_classes(world, 2)
    for path, page_of in ((CLASSES, Listed[FoundClassItem]), (INSTITUTIONS, Listed[FoundInstitutionItem])):
        for limit in (1, 20):
            said = (await anybody.get(path, params={"limit": limit})).text
            assert page_of.model_validate_json(said).model_dump_json() == said


async def test_what_changed_is_on_the_next_page(world: World, anybody: httpx.AsyncClient) -> None:
    (offered,) = await open_classes(world)
    assert "创意美术" in shown(await page(anybody, "/search"))
    async with world.district.transaction() as session:
        (await session.get_one(TrainingClass, UUID(offered))).name = "水墨"
    assert await keep_up(world.district)
    changed = shown(await page(anybody, "/search"))
    assert "水墨" in changed
    assert "创意美术" not in changed


@pytest.mark.parametrize(
    "asked",
    [{"q": "长" * 61}, {"kind": "x"}, {"mode": "x"}, {"weekday": 8}, {"part": "noon"}, {"price_to_fen": -1}, {"limit": 0}, {"limit": 101}],
)
async def test_json_refuses_what_it_does_not_understand(anybody: httpx.AsyncClient, asked: dict[str, str | int]) -> None:
    assert problem_of(await anybody.get(CLASSES, params=asked)) == (422, "request.invalid")


async def test_a_cursor_that_is_none_and_a_district_that_is_none(anybody: httpx.AsyncClient) -> None:
    for path in (CLASSES, INSTITUTIONS):
        assert problem_of(await anybody.get(path, params={"cursor": "x"})) == (400, "request.cursor")
        assert problem_of(await anybody.get(path, params={"district": "110101"})) == (404, "districts.unknown")
