"""JSON for everybody: institutions, classes, and QR codes as images."""

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from tests.portals.desks import Desks
from tests.portals.families import problem_of, scanned
from tests.world import World

LIST = "/api/v1/public/institutions"
CLASSES = "/api/v1/public/classes"


@pytest.fixture
async def anybody(desks: Desks) -> httpx.AsyncClient:
    return await desks.anybody()


async def test_institutions_are_listed_page_by_page(world: World, anybody: httpx.AsyncClient) -> None:
    assert (await anybody.get(LIST)).json() == {"items": [], "next_cursor": None}
    entered = [str((await world.institution(name)).id) for name in ("晨光艺术", "星火体育", "远山科技")]
    first = (await anybody.get(LIST, params={"limit": 2})).json()
    rest = (await anybody.get(LIST, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == entered
    assert rest["next_cursor"] is None
    assert (await anybody.get(f"{LIST}/{entered[0]}")).json() == first["items"][0]
    shown = {
        "id",
        "name",
        "kind",
        "address",
        "credit_code",
        "status",
        "stage",
        "for_profit",
        "listing",
        "sales_paused_at",
        "sales_pause_reason",
    }
    licence = {f"licence_{part}" for part in ("no", "issuer", "scope", "from_on", "to_on")}
    assert set(first["items"][0]) == shown | licence


async def test_a_class_shows_its_teacher_price_and_seats(world: World, anybody: httpx.AsyncClient) -> None:
    institution = await world.institution()
    offered = await world.training_class(institution, lessons=3, price_fen=10_000, seats=2)
    parent = await world.parent()
    await world.sign(parent, offered)
    (item,) = (await anybody.get(CLASSES)).json()["items"]
    assert (item["id"], item["institution_id"], item["institution_name"]) == (str(offered.id), str(institution.id), institution.name)
    assert (item["price_fen"], item["lesson_count"], item["seats"], item["seats_left"]) == (10_000, 3, 2, 1)
    assert (item["teacher_name"], item["teacher_certificate_no"][:4]) == ("李老师", "CERT")


async def test_joining_late_costs_the_lessons_that_are_left(world: World, anybody: httpx.AsyncClient) -> None:
    offered = await world.training_class(await world.institution(), lessons=3, price_fen=10_000)
    await world.wait(timedelta(hours=2))
    detail = (await anybody.get(f"{CLASSES}/{offered.id}")).json()
    assert (detail["lesson_count"], detail["lessons_left"], detail["price_fen"], detail["amount_fen"]) == (3, 2, 10_000, 6_666)
    assert [(lesson["number"], lesson["price_fen"]) for lesson in detail["lessons"]] == [(2, 3_333), (3, 3_333)]
    assert detail["lessons"][0]["starts_at"].endswith("Z")


async def test_classes_of_one_institution_only(world: World, anybody: httpx.AsyncClient) -> None:
    one, other = await world.institution(), await world.institution()
    wanted = await world.training_class(one)
    await world.training_class(other)
    found = (await anybody.get(CLASSES, params={"institution_id": str(one.id)})).json()
    assert [item["id"] for item in found["items"]] == [str(wanted.id)]
    assert (await anybody.get(CLASSES, params={"institution_id": str(uuid4())})).json()["items"] == []
    assert problem_of(await anybody.get(CLASSES, params={"institution_id": "x"})) == (422, "request.invalid")


async def test_what_is_not_there_is_not_found(anybody: httpx.AsyncClient) -> None:
    for nothing in (str(uuid4()), "x"):
        assert problem_of(await anybody.get(f"{LIST}/{nothing}")) == (404, "registry.institution_not_found")
        assert problem_of(await anybody.get(f"{CLASSES}/{nothing}")) == (404, "registry.class_not_found")
    assert problem_of(await anybody.get(LIST, params={"district": "110101"})) == (404, "districts.unknown")
    assert problem_of(await anybody.get(LIST, params={"cursor": "x"})) == (400, "request.cursor")


async def test_the_district_code_leads_to_the_home_page(anybody: httpx.AsyncClient) -> None:
    picture = await anybody.get("/qr/district.png")
    assert picture.headers["content-type"] == "image/png"
    assert scanned(picture.content) == "http://escrow.test/?district=510112"
    drawing = await anybody.get("/qr/district.svg", params={"district": "510112"})
    assert (drawing.status_code, drawing.headers["content-type"]) == (200, "image/svg+xml")
    assert problem_of(await anybody.get("/qr/district.png", params={"district": "110101"})) == (404, "districts.unknown")


async def test_only_our_own_codes_are_drawn(anybody: httpx.AsyncClient) -> None:
    for text in ("https:example.com", f"P510112260302{'A' * 12}.{'b' * 16}.{'c' * 43}"):
        for image in ("png", "svg"):
            assert problem_of(await anybody.get(f"/qr/payments/{text}.{image}")) == (400, "payments.code_invalid")
