"""Why an institution's sales are paused, as everybody reads it while changes come and go."""

from app.db import District
from app.registry import changes, institutions
from app.registry.changes import ChangeDraft
from tests.registry.test_institutions import now, propose, waiting_change
from tests.world import World


async def test_the_notice_of_paused_sales_names_what_is_still_open(world: World, district: District) -> None:
    institution, officer = await world.institution(), world.officer()
    open_zh = {kind: f"{word}，待监管部门核实" for kind, word in (("address", "变更地址"), ("legal_representative", "变更法定代表人"))}
    await propose(world, institution, ChangeDraft("address", "新路 1 号", "搬迁"))
    address = await waiting_change(world, institution)
    await propose(world, institution, ChangeDraft("legal_representative", "李法人", "股权转让"))
    assert (await now(world, institution)).sales_pause_reason == "；".join(open_zh.values())
    since = (await now(world, institution)).sales_paused_at
    async with district.transaction() as session:
        await changes.confirm(session, officer, address.id, "租赁合同属实")
    assert (await now(world, institution)).sales_pause_reason == open_zh["legal_representative"]
    async with district.transaction() as session:
        await changes.refuse(session, officer, (await waiting_change(world, institution)).id, "工商未登记")
    assert (await now(world, institution)).sales_pause_reason == "变更已核定，正在核实监管账户资金是否足额"
    await propose(world, institution, ChangeDraft("address", "新路 2 号", "再次搬迁"))
    told = await now(world, institution)
    assert (told.sales_pause_reason, told.sales_paused_at) == (open_zh["address"], since)


async def test_a_pause_of_an_officers_own_keeps_its_reason_through_changes(world: World, district: District) -> None:
    institution, officer = await world.institution(), world.officer()
    async with district.transaction() as session:
        await institutions.pause_sales(session, officer, institution.id, "群众举报；正在调查")
    await propose(world, institution, ChangeDraft("address", "新路 1 号", "搬迁"))
    assert (await now(world, institution)).sales_pause_reason == "群众举报；正在调查；变更地址，待监管部门核实"
    async with district.transaction() as session:
        await changes.confirm(session, officer, (await waiting_change(world, institution)).id, "租赁合同属实")
    assert (await now(world, institution)).sales_pause_reason == "群众举报；正在调查"
