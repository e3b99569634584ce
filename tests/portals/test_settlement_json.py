"""The settlement end in JSON: runs, payouts, reconciliation."""

from datetime import timedelta
from typing import Any

from app import clock
from app.registry.models import Institution
from tests.portals.desks import Desk, Desks
from tests.world import World


async def owed(world: World, institution: Institution, price_fen: int = 10_000) -> None:
    """A parent has confirmed one lesson at this price; its fee waits for the next run."""
    parent, contract = await world.paid_contract(institution, lessons=4, price_fen=4 * price_fen)
    lesson = (await world.lessons_of(contract))[0]
    await world.deliver(institution, lesson)
    await world.confirm(parent, lesson)


async def run(desk: Desk, body: dict[str, Any] | None = None, key: str = "run-1") -> Any:
    answer = await desk.post("/runs", body, key)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_run_drafts_one_payout_for_each_institution_that_is_owed(desks: Desks, world: World) -> None:
    first, second, _ = [await world.institution(name) for name in ("晨光艺术培训学校", "新苗语言艺术中心", "静水书画社")]
    await owed(world, first, 10_000)
    await owed(world, second, 2_501)
    desk = await desks.clerk()
    drafted = await run(desk, {})
    assert (drafted["business_date"], drafted["run_no"], drafted["next_cursor"]) == (clock.today().isoformat(), 1, None)
    assert {each["institution_id"]: each["amount_fen"] for each in drafted["items"]} == {str(first.id): 10_000, str(second.id): 2_501}
    assert {each["status"] for each in drafted["items"]} == {"drafted"}
    assert (await desk.get("/payouts"))["items"] == drafted["items"]
    one = drafted["items"][0]
    assert await desk.get(f"/payouts/{one['id']}") == one


async def test_a_repeated_run_drafts_nothing_twice(desks: Desks, world: World) -> None:
    institution = await world.institution()
    await owed(world, institution)
    desk = await desks.clerk()
    body = {"business_date": clock.today().isoformat(), "run_no": 7}
    first = await desk.post("/runs", body, "one")
    replayed = await desk.post("/runs", body, "one")
    assert (replayed.status_code, replayed.content) == (201, first.content)
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert (await run(desk, body, "two"))["items"] == first.json()["items"], "the same run under another key"
    assert await run(desk, None, "three") == {"items": [], "next_cursor": None, "business_date": body["business_date"], "run_no": 8}
    assert len((await desk.get("/payouts"))["items"]) == 1
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 30_000, "outgoing": 10_000}


async def test_a_run_needs_its_key(desks: Desks, world: World) -> None:
    desk = await desks.clerk()
    missing = await desk.post("/runs", {})
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency.missing")
    await run(desk, {}, "same")
    other = await desk.post("/runs", {"run_no": 5}, "same")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.other_request")


async def test_a_run_number_is_a_small_whole_number(desks: Desks) -> None:
    desk = await desks.clerk()
    for run_no in (0, -1, 1.5, "1", 1000, 10**30):
        refused = await desk.post("/runs", {"run_no": run_no}, "key")
        assert (refused.status_code, refused.json()["code"]) == (422, "request.invalid"), run_no


async def test_a_misspelt_field_or_a_number_for_a_date_settles_nothing(desks: Desks) -> None:
    desk = await desks.clerk()
    for body in (
        {"buisness_date": clock.today().isoformat()},
        {"business_date": 0},
        {"business_date": "0"},
        {"business_date": "2026-02-30"},
    ):
        refused = await desk.post("/runs", body, "key")
        assert (refused.status_code, refused.json()["code"]) == (422, "request.invalid"), body


async def test_tomorrow_cannot_be_settled(desks: Desks, world: World) -> None:
    await world.institution()
    desk = await desks.clerk()
    tomorrow = (clock.today() + timedelta(days=1)).isoformat()
    refused = await desk.post("/runs", {"business_date": tomorrow}, "key")
    assert (refused.status_code, refused.json()["code"]) == (400, "settlement.future_date")


async def test_payouts_are_found_by_state_and_by_run(desks: Desks, world: World) -> None:
    institution = await world.institution()
    await owed(world, institution)
    desk = await desks.clerk()
    await run(desk, {}, "one")
    await world.work()
    await owed(world, institution, 20_000)
    await run(desk, {}, "two")
    drafted, settled = [(await desk.get("/payouts", status=status))["items"] for status in ("drafted", "settled")]
    assert [each["amount_fen"] for each in drafted + settled] == [20_000, 10_000]
    on = settled[0]["business_date"]
    assert (await desk.get("/payouts", business_date=on, run_no=settled[0]["run_no"]))["items"] == settled
    assert (await desk.get("/payouts", business_date="2001-01-01"))["items"] == []
    page = await desk.get("/payouts", limit=1)
    assert page["items"] == drafted
    assert (await desk.get("/payouts", limit=1, cursor=page["next_cursor"]))["items"] == settled


async def test_a_day_is_reconciled_when_it_is_asked_for(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk = await desks.clerk()
    assert await desk.get("/reconciliation") == {"items": [], "next_cursor": None, "on": None}
    await world.paid_contract(institution, price_fen=40_000)
    day = (await desk.post("/reconciliation")).json()
    [account] = day["items"]
    assert day["on"] == clock.today().isoformat()
    assert (account["statement_fen"], account["cash_fen"], account["status"], account["breaks"]) == (40_000, 40_000, "matched", [])
    number = (await world.account(institution)).account_no
    assert account["account"] == f"{number[:4]}****{number[-4:]}"
    assert number not in str(day)
    assert await desk.get("/reconciliation") == await desk.get("/reconciliation", on=day["on"]) == day


async def test_a_difference_is_named(desks: Desks, world: World) -> None:
    institution = await world.institution()
    await world.paid_contract(institution, price_fen=40_000)
    await world.bank.debit_uninstructed((await world.account(institution)).account_no, 1_234)
    [account] = (await (await desks.clerk()).post("/reconciliation", {})).json()["items"]
    assert account["status"] == "broken"
    [found] = account["breaks"]
    assert (found["kind"], found["amount_fen"]) == ("uninstructed_debit", 1_234)


async def test_a_day_that_has_not_begun_or_a_silent_bank_is_said_so(desks: Desks, world: World) -> None:
    await world.institution()
    desk = await desks.clerk()
    future = await desk.post("/reconciliation", {"on": (clock.today() + timedelta(days=1)).isoformat()})
    assert (future.status_code, future.json()["code"]) == (400, "reconciliation.future")
    await world.bank.knob("down", "statement")
    silent = await desk.post("/reconciliation", {})
    assert (silent.status_code, silent.json()["code"]) == (503, "banking.unavailable")


async def test_only_settlement_staff_may_settle(desks: Desks, world: World) -> None:
    institution = await world.institution()
    for desk in (await desks.institution(institution), await desks.officer()):
        for path in ("/runs", "/reconciliation"):
            answer = await desk.api.post(f"/api/v1/settlement{path}", json={}, headers={"Idempotency-Key": "x"})
            assert (answer.status_code, answer.json()["code"]) == (403, "auth.wrong_role")
