"""The officers' pages."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from app import clock
from app.db import District
from app.supervision.rules import DEFAULT_LINES
from app.supervision.service import Finding, raise_alerts
from tests.portals.desks import Desks
from tests.portals.families import shown
from tests.portals.test_supervision_json import disputed_lesson, held_payout
from tests.world import World

LISTS = (
    "",
    "/live/money",
    "/live/alerts",
    "/live/waiting",
    "/institutions",
    "/alerts",
    "/alerts?show=all",
    "/payouts",
    "/payouts?show=all",
    "/disputes",
    "/disputes?show=all",
    "/books",
    "/contracts",
)


async def test_a_district_without_anything_is_calm(desks: Desks) -> None:
    desk = await desks.officer()
    shown = {path: await desk.page(path) for path in LISTS}
    assert "没有未办结的预警" in shown[""]
    assert "还没有资金往来" in shown["/live/money"]
    assert "没有等待审核的结算款" in shown["/live/waiting"]
    assert "还没有登记机构" in shown["/institutions"]
    assert "没有待裁决的争议" in shown["/disputes"]


async def test_every_list_and_its_details_open_without_childrens_names(desks: Desks, world: World) -> None:
    institution, payout = await held_payout(world)
    _, lesson = await disputed_lesson(world)
    desk = await desks.officer()
    alert = (await desk.get("/alerts"))["items"][0]
    details = (f"/institutions/{institution.id}", f"/alerts/{alert['id']}", f"/payouts/{payout.id}", f"/disputes/{lesson.id}")
    for path in (*LISTS, *details):
        page = await desk.page(path)
        assert "王小明" not in page
        assert "王*明" not in page
    assert "¥100.01" in await desk.page("/payouts")
    assert "老师没有来" in await desk.page("/disputes")
    for absent in ("/institutions/x", "/alerts/x", "/payouts/x", "/disputes/x"):
        assert (await desk.browser.get(f"/supervision{absent}")).status_code == 404


async def test_the_dashboard_begins_to_follow_where_it_was_drawn(desks: Desks, world: World) -> None:
    await held_payout(world)
    desk = await desks.officer()
    page = await desk.page()
    newest = (await desk.get("/movements", limit=1))["items"][0]["seq"]
    assert f'data-movement="/api/v1/supervision/movements/stream?after={newest}"' in page
    assert re.search(r'data-alert="/api/v1/supervision/alerts/stream\?after=[1-9]', page)
    assert "资金覆盖率" in page
    assert "100.00%" in page


async def test_a_held_payout_is_released_by_its_form_with_a_reason(desks: Desks, world: World) -> None:
    _, payout = await held_payout(world)
    desk = await desks.officer()
    path = f"/payouts/{payout.id}"
    assert "请填写理由" in await desk.told(await desk.submit(f"{path}/release", {"reason": " "}))
    page = await desk.told(await desk.submit(f"{path}/release", {"reason": "已电话核实"}))
    assert "已放行" in page
    assert "已电话核实" in page
    assert "张工" in page, "the officer who decided"
    assert "状态已改变" in await desk.told(await desk.submit(f"{path}/reject", {"reason": "太晚了"}))
    await world.work()
    assert "已到账" in await desk.page(path)


async def test_a_held_payout_is_rejected_by_its_form(desks: Desks, world: World) -> None:
    institution, payout = await held_payout(world)
    desk = await desks.officer()
    page = await desk.told(await desk.submit(f"/payouts/{payout.id}/reject", {"reason": "材料不全"}))
    assert "监管部门驳回" in page
    await world.work()
    assert (await world.totals(institution))["payable"] == 10_001


async def test_an_alert_of_a_low_balance_names_where_its_line_comes_from(desks: Desks, world: World) -> None:
    institution = await world.institution()
    officer, said = await desks.officer(), {}
    for line_fen in (DEFAULT_LINES.minimum_balance_fen, 500_00):
        facts = {"balance_fen": 99_00, "line_fen": line_fen}
        async with world.district.transaction() as session:
            await raise_alerts(session, [Finding(institution.id, "minimum_balance", f"account:{line_fen}", facts)])
        [alert, *_] = (await officer.get("/alerts"))["items"]
        said[line_fen] = await officer.page(f"/alerts/{alert['id']}")
    assert "杭州市 2020 年办法，办学不满一年的机构（C 级：转载）" in said[DEFAULT_LINES.minimum_balance_fen]
    assert "监管部门设定" in said[500_00]


async def test_an_alert_goes_through_its_forms(desks: Desks, world: World) -> None:
    institution = await world.institution()
    facts = {"balance_fen": 99_00, "line_fen": 100_00, "as_of": "2025-09-01T08:00:00+00:00"}
    async with world.district.transaction() as session:
        await raise_alerts(session, [Finding(institution.id, "minimum_balance", "account:1", facts)])
    desk = await desks.officer()
    [alert] = (await desk.get("/alerts"))["items"]
    path = f"/alerts/{alert['id']}"
    page = await desk.page(path)
    assert "余额低于下限" in page
    assert "¥99.00" in page
    assert "2025-09-01 16:00" in page, "Shanghai time"
    assert "已开始处置" in await desk.told(await desk.submit(f"{path}/acknowledge", {"note": "联系机构"}))
    assert "预警已办结" in await desk.told(await desk.submit(f"{path}/resolve", {"note": "已补足"}))
    assert "没有未办结的预警" in await desk.page("/alerts")
    assert "已办结" in await desk.page("/alerts?show=all")


@pytest.mark.parametrize(("ruling", "said"), [("release", "课费划拨给机构"), ("return", "课费退还家长")])
async def test_a_dispute_is_ruled_on_by_its_form(desks: Desks, world: World, ruling: str, said: str) -> None:
    _, lesson = await disputed_lesson(world)
    desk = await desks.officer()
    page = await desk.told(await desk.submit(f"/disputes/{lesson.id}/ruling", {"ruling": ruling, "reason": "监控显示"}))
    assert said in page
    assert "监控显示" in page
    assert "没有待处理的异议" in await desk.told(await desk.submit(f"/disputes/{lesson.id}/ruling", {"ruling": ruling, "reason": "再来"}))


async def test_alarm_lines_are_typed_in_yuan(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk = await desks.officer()
    path = f"/institutions/{institution.id}"
    form = {"large_transfer": "1,000", "large_day": "¥2000.5", "minimum_balance": "0"}
    assert "预警线已更新" in await desk.told(await desk.submit(f"{path}/thresholds", form))
    lines = (await desk.get(path))["thresholds"]
    assert (lines["large_transfer_fen"], lines["large_day_fen"], lines["minimum_balance_fen"]) == (100_000, 200_050, 0)
    assert 'value="2000.50"' in await desk.page(path)
    for unsound, said in (({"large_day": "abc"}, "金额须为数字"), ({"large_transfer": "0"}, "大额线须大于零")):
        assert said in await desk.told(await desk.submit(f"{path}/thresholds", form | unsound))


async def test_a_contract_is_looked_up_by_its_number(desks: Desks, world: World) -> None:
    institution = await world.institution()
    _, contract = await world.paid_contract(institution, price_fen=123_450)
    desk = await desks.officer()
    page = await desk.page(f"/contracts?no={contract.contract_no.lower()}")
    assert "¥1,234.50" in page
    assert institution.name in page
    assert "王*明" not in page
    absent = await desk.browser.get("/supervision/contracts?no=C1")
    assert (absent.status_code, "没有这份合同" in absent.text) == (404, True)


async def test_books_that_hold_are_said_to_hold(desks: Desks, world: World) -> None:
    await held_payout(world)
    desk = await desks.officer()
    answer = await desk.submit("/books/check", {})
    assert answer.status_code == 200
    assert "全部账簿相符" in answer.text


@pytest.mark.broken_books
async def test_a_row_that_breaks_an_invariant_is_named(desks: Desks, world: World, owner: District) -> None:
    institution = await world.institution()
    await world.paid_contract(institution)
    async with owner.transaction() as session:
        await session.execute(text("UPDATE ledger_account SET balance_fen = balance_fen + 1 WHERE type = 'escrow'"))
    answer = await (await desks.officer()).submit("/books/check", {})
    assert "处不符" in answer.text
    assert "ledger." in answer.text


async def test_officers_see_which_institutions_lack_money_and_since_when(desks: Desks, world: World) -> None:
    short, longer, sound = [await world.institution(name) for name in ("短缺甲", "短缺乙", "无缺口")]
    assert "没有机构有缺口" in await (await desks.officer()).page("/receipts")
    since = {}
    for institution, debit_fen in ((short, 1_333_33), (longer, 200_00)):
        await world.paid_contract(institution, price_fen=2_000_00)
        await world.wait(timedelta(days=1))
        since[institution] = clock.now()
        await world.bank.debit_uninstructed((await world.account(institution)).account_no, debit_fen)
    await world.wait(timedelta(days=1))
    await world.work()

    officer = await desks.officer()
    table = shown(await officer.page("/receipts"))
    told = [table.index(text) for text in ("短缺甲", "¥1,333.33", "短缺乙", "¥200.00")]
    assert told == sorted(told), "the largest first"
    assert sound.name not in table
    for institution, began_at in since.items():
        assert began_at.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d") in table
        assert f'href="/supervision/institutions/{institution.id}/entry"' in await officer.page("/receipts")
    assert '须由责任方补足，<a href="/supervision/receipts">查看机构</a>' in await officer.page()
    listed = shown(await officer.page("/institutions"))
    assert [listed.count(f"缺口 {fen}") for fen in ("¥1,333.33", "¥200.00")] == [1, 1]
    assert "缺口 ¥1,333.33" in shown(await officer.page(f"/institutions/{short.id}/entry"))
    assert "须由责任方补足" not in await officer.page(f"/institutions/{sound.id}/entry")
