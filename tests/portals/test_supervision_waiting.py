"""What an officer finds waiting in the registers, and the register of students."""

import re

from app.registry import applications, changes
from app.registry.applications import ApplicationDraft
from app.registry.changes import ChangeDraft
from app.supervision import scanning
from tests.portals.desks import Desks
from tests.portals.families import at_home, link, shown
from tests.registry.office import found_office
from tests.world import World

WAITING = ("applications", "changes", "classes", "held_payouts", "held_refunds", "open_disputes", "scan_reports", "receipts", "lookups")
LISTS = ("applications", "changes", "classes", "payouts", "disputes", "receipts", "scan-reports", "lookups")


async def test_the_dashboard_counts_what_waits_and_leads_there(desks: Desks, world: World) -> None:
    officer = await desks.officer()
    assert await counted(desks) == dict.fromkeys(WAITING, 0)
    office, draft = await found_office(world), await world.institution_draft("青禾书院")
    await office.file()
    async with world.district.transaction() as session:
        await applications.apply(session, ApplicationDraft(draft, "qinghe", "孙管理", "no hash"))
        await changes.propose(session, office.staff, office.institution.id, ChangeDraft("legal_representative", "赵新", "换届"))
        await scanning.report(session, "https://pay.example/1", "校门口", "")
    assert await counted(desks) == dict.fromkeys(WAITING, 0) | {"applications": 1, "changes": 1, "classes": 1, "scan_reports": 1}

    for page in (await officer.page(), await officer.page("/live/counts")):
        rows = re.findall(r'<a href="/supervision/([a-z-]+)"(?: class="due")?><b class="number">(\d+)</b>', page)
        assert rows == list(zip(LISTS, "11100010", strict=True))
    for listed in LISTS:
        await officer.page(f"/{listed}")


async def test_a_decision_takes_it_off_the_count(desks: Desks, world: World) -> None:
    office = await found_office(world)
    await office.approve(await office.file())
    assert (await counted(desks))["classes"] == 0


async def test_a_child_is_found_in_the_register_without_its_name_and_looked_up_from_there(desks: Desks, world: World) -> None:
    institution = await world.institution()
    parent, contract = await world.paid_contract(institution)
    await world.child(await world.parent(), "欧阳无合同")
    officer = await desks.officer()
    page = await officer.page("/students")
    for secret in ("王小明", "王*明", "欧阳", "2017-05"):
        assert secret not in page
    assert "没有合同" in shown(page)
    form = await officer.page(link(page, contract.contract_no).removeprefix("/supervision"))
    assert f'value="{contract.contract_no}"' in form
    asked = {"contract_no": contract.contract_no, "shown": "student", "case_kind": "complaint", "case_no": "投诉 7"}
    answer = await officer.submit("/lookups", asked | {"reason": "核实投诉人身份"}, form)
    assert "王小明" in shown(answer.text)
    assert (await counted(desks))["lookups"] == 1
    assert "核实投诉人身份" in shown(await (await at_home(desks, parent)).page("/privacy"))

    everybody = (await officer.get("/students"))["items"]
    assert [each["contract_nos"] for each in everybody] == [[], [contract.contract_no]], "the latest entry first"
    assert {(each["stage"], each["consented"], each["guardians"]) for each in everybody} == {("primary", True, 1)}
    there = await officer.get("/students", institution_id=str(institution.id))
    assert [each["contract_nos"] for each in there["items"]] == [[contract.contract_no]]
    assert institution.name in await officer.page(f"/students?institution_id={institution.id}")
    [last] = (await officer.get("/students", limit=1))["items"]
    assert last == everybody[0]


async def test_a_withdrawn_consent_takes_the_stage_off_the_register(desks: Desks, world: World) -> None:
    parent = await world.parent()
    child = await world.child(parent)
    await (await at_home(desks, parent)).submit(f"/students/{child.id}/withdrawal", {})
    officer = await desks.officer()
    [shown_child] = (await officer.get("/students"))["items"]
    assert (shown_child["stage"], shown_child["consented"], shown_child["hidden_at"] is None) == (None, False, False)
    assert "已撤回" in shown(await officer.page("/students"))


async def counted(desks: Desks) -> dict[str, int]:
    overview = await (await desks.officer()).get("/overview")
    return {name: overview[name] for name in WAITING}
