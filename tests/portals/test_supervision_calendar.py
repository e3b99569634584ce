"""Officers keep the district's working days."""

import pytest

from app.policy import days
from tests.portals.desks import Desks

YEARS = days.published_years()
UNKNOWN = YEARS[-1] + 2


async def test_a_month_is_listed_and_a_day_corrected(desks: Desks) -> None:
    desk = await desks.officer()
    october = await desk.get("/days", month="2025-10")
    assert (october["month"], len(october["days"]), october["years"]) == ("2025-10", 31, YEARS)
    assert october["days"][10] == {"on": "2025-10-11", "kind": "working", "name_zh": "国庆节", "changed_at": None, "reason": None}
    path = "/api/v1/supervision/days/2025-10-11"
    changed = (await desk.api.put(path, json={"kind": "rest", "reason": "本区放假"})).json()
    assert (changed["kind"], changed["reason"], changed["name_zh"]) == ("rest", "本区放假", "国庆节")
    assert (await desk.get("/days", month="2025-10"))["days"][10] == changed
    missing = await desk.api.put(f"/api/v1/supervision/days/{UNKNOWN}-01-01", json={"kind": "rest", "reason": "本区放假"})
    assert (missing.status_code, missing.json()["code"]) == (422, "policy.year_missing")


async def test_a_new_year_is_entered_once(desks: Desks) -> None:
    desk = await desks.officer()
    assert (await desk.get("/days", month=f"{UNKNOWN}-01"))["days"] == []
    body = {"year": UNKNOWN, "holidays": [f"{UNKNOWN}-01-01"], "make_up": [], "reason": "国务院办公厅通知"}
    entered = await desk.post("/days/years", body, "one")
    assert (entered.status_code, entered.json()["year"]) == (201, UNKNOWN)
    assert (await desk.post("/days/years", body, "one")).content == entered.content
    again = await desk.post("/days/years", body, "two")
    assert (again.status_code, again.json()["code"]) == (409, "policy.year_known")
    assert (await desk.get("/days", month=f"{UNKNOWN}-01"))["days"][0]["kind"] == "holiday"


@pytest.mark.parametrize(
    "unsound",
    [
        {"year": 1999},
        {"year": "2030"},
        {"holidays": ["30-01-01"]},
        {"holidays": [20300101]},
        {"holidays": [f"{UNKNOWN}-01-01"] * 101},
        {"reason": " "},
    ],
)
async def test_an_unsound_year_is_refused(desks: Desks, unsound: dict[str, object]) -> None:
    desk = await desks.officer()
    body = {"year": UNKNOWN, "holidays": [], "make_up": [], "reason": "通知"}
    refused = await desk.post("/days/years", body | unsound, "one")
    assert (refused.status_code, refused.json()["code"]) == (422, "request.invalid")
    assert (await desk.get("/days"))["years"] == YEARS


async def test_months_and_days_are_written_as_such(desks: Desks) -> None:
    desk = await desks.officer()
    for month in ("2025-13", "2025", "0000-01", "x"):
        assert (await desk.api.get("/api/v1/supervision/days", params={"month": month})).status_code == 422
    assert (await desk.api.put("/api/v1/supervision/days/today", json={"kind": "rest", "reason": "放假"})).status_code == 404
    assert (await (await desks.clerk()).api.get("/api/v1/supervision/days")).status_code == 403


async def test_the_page_shows_a_month_and_takes_a_correction(desks: Desks) -> None:
    desk = await desks.officer()
    page = await desk.page("/days?month=2025-10")
    assert page.count("day-holiday") == 6
    assert "国庆节" in page
    assert "2025-09" in page
    assert "2025-11" in page
    said = await desk.told(await desk.submit("/days", {"on": "2025-10-11", "kind": "rest", "reason": "本区放假"}, page))
    assert "2025-10-11 已更新" in said
    assert "本区放假" in said
    assert "请填写理由" in await desk.told(await desk.submit("/days", {"on": "2025-10-11", "kind": "rest", "reason": " "}))
    assert "还没有 1 年" in await desk.told(await desk.submit("/days", {"on": "0001-01-01", "kind": "rest", "reason": "放假"}))
    assert "请选择日期" in await desk.told(await desk.submit("/days", {"on": "", "kind": "rest", "reason": "放假"}))


async def test_the_page_takes_a_year_as_the_notice_writes_it(desks: Desks) -> None:
    desk = await desks.officer()
    page = await desk.page(f"/days?month={UNKNOWN}-10")
    assert f"还没有录入 {UNKNOWN} 年" in page
    form = {
        "year": UNKNOWN,
        "holidays": f"{UNKNOWN}-01-01，{UNKNOWN}-10-01至{UNKNOWN}-10-07",
        "make_up": f"{UNKNOWN}-10-08",
        "reason": "通知",
    }
    for unsound, said in (
        ({"holidays": "十月一日"}, "日期须写成"),
        ({"holidays": "2025-10-01"}, "须都在该年"),
        ({"holidays": f"{UNKNOWN}-01-01~{UNKNOWN}-12-31"}, "最多录入"),
        ({"year": 1999}, "年份须在"),
    ):
        refused = await desk.submit("/days/years", form | unsound, page)
        assert (refused.status_code, said in refused.text) == (400, True), unsound
        assert str({**form, **unsound}["holidays"]) in refused.text or unsound == {"year": 1999}
    assert f"{UNKNOWN} 年已录入" in await desk.told(await desk.submit("/days/years", form, page))
    assert (await desk.page(f"/days?month={UNKNOWN}-10")).count("day-holiday") == 7
