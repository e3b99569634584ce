"""The settlement end's pages."""

from datetime import timedelta

from app import clock
from tests.portals.desks import Desks
from tests.portals.test_settlement_json import owed
from tests.world import World

LISTS = (
    "",
    "/payouts",
    "/payouts?show=held",
    "/reconciliation",
    "/receipts",
    "/receipts?show=all",
    "/instructions",
    "/instructions?show=settled",
)


async def test_without_anything_every_page_says_so(desks: Desks) -> None:
    desk = await desks.clerk()
    shown = {path: await desk.page(path) for path in LISTS}
    assert "还没有结算款" in shown[""]
    assert "这一天还没有对账" in shown["/reconciliation"]
    assert "没有待退回的款项" in shown["/receipts"]
    assert "没有这样的指令" in shown["/instructions"]


async def test_a_run_by_its_form_is_one_run_however_often_it_is_sent(desks: Desks, world: World) -> None:
    institution = await world.institution()
    await owed(world, institution, 10_000)
    desk = await desks.clerk()
    page = await desk.page()
    assert 'name="run_no" type="number" value="1"' in page
    form = {"business_date": clock.today().isoformat(), "run_no": "1"}
    assert "第 1 批结算：1 笔，共 ¥100.00" in await desk.told(await desk.submit("/runs", form, page))
    assert "第 1 批结算：1 笔，共 ¥100.00" in await desk.told(await desk.submit("/runs", form, page))
    assert "没有可结算的课费" in await desk.told(await desk.submit("/runs", form | {"run_no": "2"}))
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 30_000, "outgoing": 10_000}


async def test_a_run_that_cannot_be_says_why(desks: Desks, world: World) -> None:
    await world.institution()
    desk = await desks.clerk()
    tomorrow = (clock.today() + timedelta(days=1)).isoformat()
    for form, said in (
        ({"business_date": tomorrow, "run_no": "1"}, "结算日期不能晚于今天"),
        ({"business_date": "soon", "run_no": "1"}, "请填写日期"),
        ({"business_date": "2025-01-01", "run_no": "-1"}, "结算批次号须在"),
        ({"business_date": "2025-01-01", "run_no": "1000"}, "结算批次号须在"),
    ):
        assert said in await desk.told(await desk.submit("/runs", form))


async def test_a_payout_and_its_instruction_open(desks: Desks, world: World) -> None:
    institution = await world.institution()
    await owed(world, institution, 123_450)
    desk = await desks.clerk()
    form = {"business_date": clock.today().isoformat(), "run_no": "1"}
    await desk.told(await desk.submit("/runs", form))
    await world.work()
    [payout] = (await desk.get("/payouts"))["items"]
    page = await desk.page(f"/payouts/{payout['id']}")
    assert "¥1,234.50" in page
    assert "已到账" in page
    instruction = await desk.page(f"/instructions/{payout['payout_no']}")
    assert "支出" in instruction
    account_no = (await world.account(institution)).account_no
    assert f"{account_no[:4]}****{account_no[-4:]}" in instruction
    for path in LISTS:
        assert account_no not in await desk.page(path)
    for absent in ("/payouts/x", "/instructions/T510112250901ABCDEFGHJKMN", "/instructions/x-y"):
        assert (await desk.browser.get(f"/settlement{absent}")).status_code == 404


async def test_reconciling_by_the_form_shows_the_day_and_its_breaks(desks: Desks, world: World) -> None:
    institution = await world.institution()
    await world.paid_contract(institution, price_fen=40_000)
    await world.bank.debit_uninstructed((await world.account(institution)).account_no, 1_234)
    desk = await desks.clerk()
    page = await desk.told(await desk.submit("/reconciliation", {"on": clock.today().isoformat()}))
    assert "未经指令的支出" in page
    assert "¥12.34" in page
    assert "1 户有差错" in page
    assert "请填写日期" in await desk.told(await desk.submit("/reconciliation", {"on": ""}))
    await world.bank.knob("down", "statement")
    assert "银行暂时没有应答" in await desk.told(await desk.submit("/reconciliation", {"on": clock.today().isoformat()}))


async def test_money_that_could_not_be_matched_waits_in_sight_until_it_has_gone_back(desks: Desks, world: World) -> None:
    institution = await world.institution()
    parent = await world.parent()
    payment = await world.order(parent, await world.sign(parent, await world.training_class(institution)))
    await world.bank.pay(payment.payment_no, amount_fen=77_700)
    await world.learn_of(payment.payment_no)
    desk = await desks.clerk()
    page = await desk.page("/receipts")
    assert "金额不符" in page
    assert "¥777.00" in page
    assert "¥777.00" in await desk.page(), "what is in suspense stands in the overview"
    await world.work()
    assert "没有待退回的款项" in await desk.page("/receipts")
    assert "已退回" in await desk.page("/receipts?show=all")
