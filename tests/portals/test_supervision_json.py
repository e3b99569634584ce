"""The supervision end in JSON: what officers see, and what they decide."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from app import audit
from app.contracts.models import Lesson
from app.lessons import service as lessons
from app.supervision.service import Finding, raise_alerts
from tests.portals.desks import Desks
from tests.supervision.scenes import draw_lines, settle_one_lesson
from tests.world import World

REASON = {"reason": "已电话核实"}


async def held_payout(world: World, price_fen: int = 10_001) -> tuple[Any, Any]:
    """An institution with a payout over its line of ¥100, which the rule has held."""
    institution = await world.institution()
    await draw_lines(world.district, institution)
    payout = await settle_one_lesson(world, institution, price_fen)
    await world.work()
    return institution, payout


async def disputed_lesson(world: World) -> tuple[Any, Lesson]:
    institution = await world.institution()
    parent, contract = await world.paid_contract(institution, lessons=4, price_fen=40_000)
    lesson = (await world.lessons_of(contract))[0]
    await world.deliver(institution, lesson)
    async with world.district.transaction() as session:
        await lessons.dispute(session, parent, lesson.id, "老师没有来")
    return institution, lesson


async def audited(world: World) -> list[tuple[str, str | None]]:
    async with world.district.reading() as session:
        rows = await session.scalars(select(audit.AuditEntry).where(audit.AuditEntry.reason.is_not(None)).order_by(audit.AuditEntry.at))
        return [(row.action, row.reason) for row in rows]


async def test_the_overview_adds_up_all_books_and_names_what_covers_them(desks: Desks, world: World) -> None:
    desk = await desks.officer()
    empty = await desk.get("/overview")
    assert (empty["totals"]["escrow_fen"], empty["coverage"]["coverage_bps"], empty["coverage"]["reported_at"]) == (0, None, None)
    for name in ("晨光艺术培训学校", "新苗语言艺术中心"):
        await world.paid_contract(await world.institution(name), price_fen=40_000)
    await world.work()
    found = await desk.get("/overview")
    assert found["totals"] == {
        "cash_fen": 80_000,
        "incoming_fen": 0,
        "shortfall_fen": 0,
        "escrow_fen": 80_000,
        "payable_fen": 0,
        "outgoing_fen": 0,
        "suspense_fen": 0,
    }
    coverage = found["coverage"]
    assert (coverage["coverage_bps"], coverage["reported_fen"], coverage["unresolved_fen"]) == (10_000, 80_000, 0)
    assert coverage["reported_at"].endswith("Z")
    assert found["institutions"] == 2


async def test_every_book_balances(desks: Desks, world: World) -> None:
    first, second = await world.institution(), await world.institution("新苗语言艺术中心")
    await world.paid_contract(first, price_fen=40_000)
    [busy, idle] = (await (await desks.officer()).get("/books"))["items"]
    assert (busy["institution_id"], busy["assets_fen"], busy["liabilities_fen"], busy["balanced"]) == (str(first.id), 40_000, 40_000, True)
    assert {line["type"]: line["balance_fen"] for line in busy["lines"] if line["balance_fen"]} == {"cash": 40_000, "escrow": 40_000}
    assert (idle["institution_id"], idle["lines"], idle["balanced"]) == (str(second.id), [], True)


async def test_an_alert_is_taken_up_and_closed_with_notes(desks: Desks, world: World) -> None:
    institution = await world.institution()
    async with world.district.transaction() as session:
        await raise_alerts(session, [Finding(institution.id, "minimum_balance", "account:1", {"balance_fen": 1, "line_fen": 2})])
    desk = await desks.officer()
    [alert] = (await desk.get("/alerts"))["items"]
    assert (alert["rule"], alert["level"], alert["status"], alert["facts"]) == (
        "minimum_balance",
        "red",
        "opened",
        {"balance_fen": 1, "line_fen": 2},
    )
    assert (await desk.get("/overview"))["open_alerts"] == {"yellow": 0, "red": 1}

    path = f"/alerts/{alert['id']}"
    assert (await desk.post(f"{path}/acknowledge", {"note": "联系机构"})).json() == {"id": alert["id"], "status": "acknowledged"}
    twice = await desk.post(f"{path}/acknowledge", {"note": "再次"})
    assert (twice.status_code, twice.json()["code"]) == (409, "supervision.alert_decided")
    assert (await desk.post(f"{path}/resolve", {"note": "已补足"})).json()["status"] == "resolved"
    assert (await desk.get(path))["note"] == "已补足"
    assert (await desk.get("/alerts", open_only=True))["items"] == []
    assert len((await desk.get("/alerts", institution_id=str(institution.id)))["items"]) == 1
    assert await audited(world) == [("supervision.alert_acknowledged", "联系机构"), ("supervision.alert_resolved", "已补足")]


async def test_a_decision_needs_its_words(desks: Desks) -> None:
    desk = await desks.officer()
    for body in ({}, {"note": ""}, {"note": " "}, {"note": "x" * 501}, {"note": "a\0b"}, {"note": 5}):
        refused = await desk.post(f"/alerts/{uuid4()}/acknowledge", body)
        assert (refused.status_code, refused.json()["code"]) == (422, "request.invalid"), body


async def test_a_held_payout_is_released_once(desks: Desks, world: World) -> None:
    institution, payout = await held_payout(world)
    desk = await desks.officer()
    [held] = (await desk.get("/payouts", status="held"))["items"]
    assert (held["id"], held["amount_fen"]) == (str(payout.id), 10_001)
    assert (await desk.get("/overview"))["held_payouts"] == 1

    path = f"/payouts/{payout.id}/release"
    missing = await desk.post(path, REASON)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency.missing")
    first = await desk.post(path, REASON, "one")
    assert first.json() == {"id": str(payout.id), "payout_no": payout.payout_no, "status": "cleared"}
    assert (await desk.post(path, REASON, "one")).content == first.content
    again = await desk.post(path, REASON, "two")
    assert (again.status_code, again.json()["code"]) == (409, "banking.not_held")
    await world.work()
    assert (await desk.get(f"/payouts/{payout.id}"))["status"] == "settled"
    assert await world.at_bank(institution, "settlement") == 10_001
    assert await audited(world) == [("supervision.payout_released", "已电话核实")]


async def test_a_rejected_payout_gives_its_money_back(desks: Desks, world: World) -> None:
    institution, payout = await held_payout(world)
    desk = await desks.officer()
    assert (await desk.post(f"/payouts/{payout.id}/reject", REASON, "one")).json()["status"] == "rejected"
    await world.work()
    assert await world.totals(institution) == {"cash": 40_004, "escrow": 30_003, "payable": 10_001}
    assert await world.at_bank(institution, "settlement") == 0


@pytest.mark.parametrize(
    ("ruling", "lesson_totals"),
    [("release", {"cash": 40_000, "escrow": 30_000, "payable": 10_000}), ("return", {"cash": 30_000, "escrow": 30_000})],
)
async def test_a_ruling_ends_a_dispute_one_way_or_the_other(desks: Desks, world: World, ruling: str, lesson_totals: dict[str, int]) -> None:
    institution, lesson = await disputed_lesson(world)
    desk = await desks.officer()
    [dispute] = (await desk.get("/disputes", status="opened"))["items"]
    assert (dispute["lesson_id"], dispute["reason"], dispute["price_fen"]) == (str(lesson.id), "老师没有来", 10_000)
    assert "王" not in str(dispute)
    path = f"/disputes/{lesson.id}/ruling"
    unsound = await desk.post(path, REASON | {"ruling": "halve"}, "zero")
    assert (unsound.status_code, unsound.json()["code"]) == (422, "request.invalid")
    ruled = (await desk.post(path, REASON | {"ruling": ruling}, "one")).json()
    assert (ruled["status"], ruled["ruling"], ruled["ruling_reason"]) == ("ruled", ruling, "已电话核实")
    again = await desk.post(path, REASON | {"ruling": ruling}, "two")
    assert (again.status_code, again.json()["code"]) == (409, "lessons.not_disputed")
    await world.work()
    assert await world.totals(institution) == lesson_totals
    assert (await desk.get("/disputes"))["items"] == [await desk.get(f"/disputes/{lesson.id}")] == [ruled]


async def test_alarm_lines_are_set_by_an_officer(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk = await desks.officer()
    path = f"/institutions/{institution.id}"
    assert (await desk.get(path))["thresholds"]["large_transfer_fen"] == 30_000_000
    wanted = {"large_transfer_fen": 1_000_00, "large_day_fen": 2_000_00, "minimum_balance_fen": 0}
    changed = await desk.api.put(f"/api/v1/supervision{path}/thresholds", json=wanted)
    assert changed.json() == wanted | {"institution_id": str(institution.id)}
    assert (await desk.get(path))["thresholds"] == changed.json()
    for unsound in ({"large_transfer_fen": 0}, {"large_day_fen": -1}, {"minimum_balance_fen": 1.5}, {"large_transfer_fen": 10**14}):
        refused = await desk.api.put(f"/api/v1/supervision{path}/thresholds", json=wanted | unsound)
        assert (refused.status_code, refused.json()["code"]) == (422, "request.invalid")


async def test_institutions_and_movements_are_listed_in_pages(desks: Desks, world: World) -> None:
    made = [await world.institution(name) for name in ("晨光艺术培训学校", "新苗语言艺术中心", "静水书画社")]
    await world.paid_contract(made[0], price_fen=40_000)
    await world.work()
    desk = await desks.officer()
    page = await desk.get("/institutions", limit=2)
    rest = await desk.get("/institutions", limit=2, cursor=page["next_cursor"])
    assert [each["id"] for each in page["items"] + rest["items"]] == [str(each.id) for each in made]
    assert page["items"][0]["totals"]["escrow_fen"] == 40_000
    newest = await desk.get("/movements", limit=1)
    older = await desk.get("/movements", limit=1, cursor=newest["next_cursor"])
    assert [each["kind"] for each in newest["items"] + older["items"]] == ["payment_matched", "received"]
    assert [each["seq"] for each in newest["items"] + older["items"]] == [2, 1]
    too_far = await desk.api.get("/api/v1/supervision/movements", params={"cursor": str(2**63)})
    assert (too_far.status_code, too_far.json()["code"]) == (400, "request.cursor")


async def test_what_is_not_there_is_404_and_only_officers_look(desks: Desks, world: World) -> None:
    desk, clerk = await desks.officer(), await desks.clerk()
    for path in ("/alerts", "/payouts", "/disputes", "/institutions"):
        for unknown in (uuid4(), "no-id-at-all"):
            assert (await desk.api.get(f"/api/v1/supervision{path}/{unknown}")).status_code == 404
        assert (await clerk.api.get(f"/api/v1/supervision{path}")).status_code == 403
    for path in (f"/payouts/{uuid4()}/release", f"/payouts/{uuid4()}/reject"):
        assert (await desk.post(path, REASON, str(uuid4()))).status_code == 404
    assert (await desk.post(f"/disputes/{uuid4()}/ruling", REASON | {"ruling": "return"}, "key")).status_code == 404
    assert (await desk.post(f"/alerts/{uuid4()}/resolve", {"note": "x"})).status_code == 404
