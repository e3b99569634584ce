"""A refund that came back, as its family meets it: why, and another account for the next one."""

import pytest

from app.refunds import service as refunds
from tests.old_families import PAYEE_NO, open_payee
from tests.portals.desks import Desks
from tests.portals.families import at_home, problem_of, shown
from tests.school import Family, School, found_school, send
from tests.world import World

PAYEE = {"account_no": PAYEE_NO, "holder_name": "王家长"}


@pytest.fixture
async def school(world: World) -> School:
    await open_payee(world)
    return await found_school(world)


async def came_back(school: School, family: Family) -> str:
    """The number of a refund that the bank did not pay."""
    async with school.world.district.transaction() as session:
        [refund] = await refunds.request(session, family.parent, family.contract.id, "搬家了")
    await school.world.bank.knob("reject", reference=refund.refund_no, code="account_closed")
    await send(school.world)
    await school.world.work()
    return refund.refund_no


async def test_the_family_names_another_account_by_its_form(desks: Desks, school: School) -> None:
    family = await school.enrol()
    home = await at_home(desks, family.parent)
    path = f"/contracts/{family.contract.id}/refund"
    assert "收款银行账号" not in await home.page(path)
    failed = await came_back(school, family)
    told = shown(await home.page(f"/refunds/{failed}"))
    for fact in ("也可以填写另一个收款账户", "再次申请"):
        assert fact in told
    page = shown(await home.page(path))
    for fact in ("上次的退费没有退成", "收款银行账号", "不填则再次原路退回"):
        assert fact in page
    wrong = await home.submit(path, {"reason": "搬家", "payee_account_no": "12", "payee_name": "王家长"})
    assert (wrong.status_code, "8 至 32 位数字" in wrong.text) == (400, True)
    asked = await home.submit(path, {"reason": "搬家", "payee_account_no": PAYEE_NO, "payee_name": "王家长"})
    assert "监管部门核对收款账户后由银行付出" in shown(await home.told(asked))
    await school.world.work()
    seen = shown(await home.page(asked.headers["location"].removeprefix("/parent")))
    for fact in ("已暂扣", "收款账户由监管部门核对后付出", "6217****0001 王*长"):
        assert fact in seen


async def test_the_same_in_json(desks: Desks, school: School) -> None:
    family = await school.enrol()
    home = await at_home(desks, family.parent)
    body = {"contract_id": str(family.contract.id), "reason": "搬家", "payee": PAYEE}
    assert problem_of(await home.post("/refunds", body, "a")) == (400, "refunds.payee_not_needed")
    await came_back(school, family)
    answer = (await home.post("/refunds", body, "b")).json()
    assert (answer["status"], answer["amount_fen"]) == ("drafted", 400_00)
    await school.world.work()
    assert (await home.get(f"/refunds/{answer['refund_no']}"))["status"] == "held"
    [held] = (await (await desks.officer()).get("/held-refunds"))["items"]
    assert (held["refund_no"], held["payee_masked"]) == (answer["refund_no"], "6217****0001 王*长")
