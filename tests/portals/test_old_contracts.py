"""Old contracts and their shortfall on the pages and in the JSON of all ends."""

import pytest

from tests.old_families import PAYEE_NO, ask_back, deposit, old_family, open_payee, release, rule_on
from tests.portals.desks import Desks
from tests.portals.families import at_home, problem_of, shown
from tests.school import Family, School, found_school
from tests.world import World

REASON = {"reason": "机构补缴"}


@pytest.fixture
async def school(world: World) -> School:
    await open_payee(world)
    return await found_school(world)


@pytest.fixture
async def family(school: School) -> Family:
    return await old_family(school)


async def test_a_family_is_told_what_an_old_contract_is_and_where_its_refund_goes(desks: Desks, school: School, family: Family) -> None:
    home = await at_home(desks, family.parent)
    assert "存量" in shown(await home.page("/contracts"))
    page = await home.page(f"/contracts/{family.contract.id}")
    assert "纳入监管前签订" in shown(page)
    assert "合同文本" not in page, "it was made elsewhere"
    path = f"/contracts/{family.contract.id}/refund"
    assert "收款银行账号" in shown(await home.page(path))
    without = await home.submit(path, {"reason": "搬家"})
    assert (without.status_code, "请填写收款账户" in without.text) == (400, True)
    asked = await home.submit(path, {"reason": "搬家", "payee_account_no": PAYEE_NO, "payee_name": "王家长"})
    told = shown(await home.told(asked))
    for fact in ("等待机构补足资金", "不会动用其他家庭的学费", "更换收款账户"):
        assert fact in told
    where = asked.headers["location"].removeprefix("/parent")
    assert "8 至 32 位数字" in shown(await home.told(await home.submit(f"{where}/payee", {"payee_account_no": "1"})))
    renamed = await home.submit(f"{where}/payee", {"payee_account_no": PAYEE_NO, "payee_name": "王家长"})
    assert "收款账户已记下" in shown(await home.told(renamed))
    assert PAYEE_NO not in await home.page(where)


async def test_the_same_in_json(desks: Desks, school: School, family: Family) -> None:
    home = await at_home(desks, family.parent)
    assert (await home.get(f"/contracts/{family.contract.id}"))["old_stock"] is True
    body = {"contract_id": str(family.contract.id), "reason": "搬家"}
    assert problem_of(await home.post("/refunds", body, "a")) == (400, "refunds.payee_needed")
    answer = (await home.post("/refunds", {**body, "payee": {"account_no": PAYEE_NO, "holder_name": "王家长"}}, "b")).json()
    assert (answer["status"], answer["payee_known"]) == ("waiting", True)
    renamed = await home.api.put(
        f"/api/v1/parent/refunds/{answer['refund_no']}/payee",
        json={"account_no": PAYEE_NO, "holder_name": "王家长"},
        headers={"Idempotency-Key": "c"},
    )
    assert renamed.json()["status"] == "waiting"


async def test_officers_see_what_waits_and_rule_by_their_form(desks: Desks, school: School, family: Family) -> None:
    officer = await desks.officer()
    assert "没有待裁决的款项" in await officer.page("/receipts")
    refund = await ask_back(school, family)
    receipt = await deposit(school, 400_00)
    page = await officer.page("/receipts")
    for fact in ("¥400.00", family.contract.contract_no, "等待机构补足资金", "家长已填写"):
        assert fact in page
    assert "王小明" not in page
    seen = shown(await officer.page(f"/contracts?no={family.contract.contract_no}"))
    for fact in ("存量", refund.refund_no, "等待机构补足资金"):
        assert fact in seen
    assert "待监管裁决" in await (await desks.clerk()).page("/receipts")
    path = f"/receipts/{receipt.movement_id}/ruling"
    assert "请填写理由" in await officer.told(await officer.submit(path, {"ruling": "made_good", "reason": ""}, page))
    assert "已用于补足缺口" in await officer.told(await officer.submit(path, {"ruling": "made_good", **REASON}, page))
    assert "已有处理结果" in await officer.told(await officer.submit(path, {"ruling": "return", **REASON}, page))
    assert "补足缺口" in await (await desks.clerk()).page("/receipts?show=all")
    await school.world.work()
    assert "没有等待资金的退费" in await officer.page("/receipts")
    await release(school, refund)
    assert await school.world.bank.balance_of(PAYEE_NO) == 400_00


async def test_officers_rule_in_json(desks: Desks, school: School, family: Family) -> None:
    officer = await desks.officer()
    refund = await ask_back(school, family)
    receipt = await deposit(school, 300_00)
    [waiting] = (await officer.get("/waiting-refunds"))["items"]
    assert (waiting["refund_no"], waiting["status"], waiting["payee_known"]) == (refund.refund_no, "waiting", True)
    [item] = (await officer.get("/receipts"))["items"]
    assert (item["movement_id"], item["awaits_ruling"], item["ruling"]) == (str(receipt.movement_id), True, None)
    path = f"/receipts/{receipt.movement_id}/ruling"
    ruled = (await officer.post(path, {"ruling": "made_good", **REASON}, "a")).json()
    assert (ruled["ruling"], ruled["made_good_fen"], ruled["awaits_ruling"]) == ("made_good", 300_00, False)
    assert (await officer.post(path, {"ruling": "made_good", **REASON}, "a")).json() == ruled
    assert problem_of(await officer.post(path, {"ruling": "return", **REASON}, "b")) == (409, "payments.receipt_decided")
    assert (await officer.get("/receipts"))["items"] == []


async def test_officers_decide_about_held_refunds_in_json_and_by_their_form(desks: Desks, school: School, family: Family) -> None:
    officer = await desks.officer()
    refund = await ask_back(school, family)
    await rule_on(school, await deposit(school, 400_00), "made_good")
    await school.world.work()
    [held] = (await officer.get("/held-refunds"))["items"]
    assert (held["refund_no"], held["status"], held["amount_fen"]) == (refund.refund_no, "held", 400_00)
    page = await officer.page("/receipts")
    for fact in ("暂扣的退费", refund.refund_no, family.contract.contract_no, "收款账户由家长指定，需人工核对", "6217****0001"):
        assert fact in page
    path = f"/receipts/refunds/{refund.refund_no}/decision"
    assert "请填写理由" in await officer.told(await officer.submit(path, {"decision": "release", "reason": ""}, page))
    assert "课时退回合同" in await officer.told(await officer.submit(path, {"decision": "reject", "reason": "账户存疑"}, page))
    await school.world.work()
    again = await ask_back(school, family)
    await school.world.work()
    released = await officer.post(f"/refunds/{again.refund_no}/release", {"reason": "已核实"}, "a")
    assert released.json() == {"refund_no": again.refund_no, "status": "cleared"}
    assert problem_of(await officer.post(f"/refunds/{again.refund_no}/reject", {"reason": "晚了"}, "b")) == (409, "banking.not_held")
    await school.world.work()
    assert await school.world.bank.balance_of(PAYEE_NO) == 400_00
    assert (await officer.get("/held-refunds"))["items"] == []


async def test_an_institution_sees_what_it_lacks(desks: Desks, school: School, family: Family) -> None:
    desk = await desks.institution(school.institution)
    assert "资金缺口" in await desk.page()
    assert (await desk.get("/balance"))["shortfall_fen"] == 400_00
    await ask_back(school, family)
    assert "等待机构补足资金" in await desk.page("/refunds")


async def test_an_officer_sees_what_must_be_there_before_it_sells_again(desks: Desks, school: School, family: Family) -> None:
    await school.enrol()
    officer = await desks.officer()
    page = shown(await officer.page(f"/institutions/{school.institution.id}/entry"))
    for fact in ("其中存量缺口 ¥400.00", "恢复招生须有 ¥400.00", "已覆盖 100"):
        assert fact in page
