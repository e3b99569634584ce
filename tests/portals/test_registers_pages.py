"""Registers of institutions and teachers as pages: the forms that apply, decide, change and upload."""

import re
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

from PIL import Image

from app import clock
from app.registry import institution_queries as registry
from app.registry.rules import InstitutionDraft
from tests.portals.desks import Desks
from tests.portals.families import accepting, at_home, shown
from tests.world import World

HERE = "?district=510112"
SOON, FAR_OFF = [(clock.today() + timedelta(days=days)).isoformat() for days in (40, 4000)]


def filled_in(draft: InstitutionDraft, **changed: str) -> dict[str, str]:
    return {
        "credit_code": draft.credit_code,
        "name": draft.name,
        "kind": "arts",
        "for_profit": "1",
        "address": draft.address,
        "legal_representative": "赵法人",
        "licence_no": "教民 1 号",
        "licence_issuer": "教育局",
        "licence_scope": "美术",
        "licence_from_on": "2020-01-01",
        "licence_to_on": FAR_OFF,
        "contact_name": "钱校长",
        "contact_phone": "13900000001",
        "supervised_no": draft.supervised_no,
        "settlement_no": draft.settlement_no,
        "username": "chenguang",
        "staff_name": "孙管理",
        "password": "correct horse battery",
    } | changed


async def test_an_application_by_the_form_is_decided_on_its_page(desks: Desks, world: World) -> None:
    public, officer, draft = await desks.anybody(), await desks.officer(), await world.institution_draft("青禾书院")
    assert "机构入库申请" in (await public.get(f"/apply{HERE}")).text
    wrong = await public.post(f"/apply{HERE}", data=filled_in(draft, licence_to_on="2021-01-01"))
    assert wrong.status_code == 400
    assert "办学许可证已过期" in shown(wrong.text)
    assert 'value="青禾书院"' in wrong.text
    assert "correct horse" not in wrong.text
    assert (await public.post(f"/apply{HERE}", data=filled_in(draft), headers={"Sec-Fetch-Site": "cross-site"})).status_code == 403
    fresh = re.search(r'name="key" value="([0-9a-f]{32})"', (await public.get(f"/apply{HERE}")).text)
    assert fresh is not None
    sent, again = [await public.post(f"/apply{HERE}", data=filled_in(draft, key=fresh.group(1))) for _ in range(2)]
    assert (sent.status_code, again.status_code) == (303, 303)
    assert again.headers["location"] == sent.headers["location"], "sent twice, applied once"
    status = sent.headers["location"]
    assert "待审批" in shown((await public.get(status)).text)

    listed = await officer.page("/applications")
    assert "青禾书院" in listed
    async with world.district.reading() as session:
        [application] = await registry.applications(session, "applied")
    path = f"/applications/{application.id}"
    page = await officer.page(path)
    assert "139****0001" in page
    assert "13900000001" not in page
    assert "请填写" not in await officer.told(await officer.submit(f"{path}/approve", {"reason": "材料齐全"}, page))
    assert "已入库" in await officer.page(path)
    decided = shown((await public.get(status)).text)
    assert "材料齐全" in decided
    assert "登录机构端" in decided
    assert "青禾书院" in await officer.page(f"/institutions/{application.id}/entry")
    for show in ("approved", "refused", "all"):
        await officer.page(f"/applications?show={show}")
    assert (await public.get(f"/apply/A{uuid4().hex[:24]}{HERE}")).status_code == 404


async def test_an_application_whose_accounts_differ_stays_undecided(desks: Desks, world: World) -> None:
    public, officer, draft = await desks.anybody(), await desks.officer(), await world.institution_draft()
    await public.post(f"/apply{HERE}", data=filled_in(draft, name="别的名字"))
    async with world.district.reading() as session:
        [application] = await registry.applications(session)
    told = await officer.told(await officer.submit(f"/applications/{application.id}/approve", {"reason": "材料齐全"}))
    assert "户名与机构名称不一致" in told
    assert "不予批准" in await officer.told(await officer.submit(f"/applications/{application.id}/refuse", {"reason": "户名不符"}))


async def test_the_profile_asks_for_a_change_and_everybody_reads_of_the_pause(desks: Desks, world: World) -> None:
    institution = await world.institution()
    parent, contract = await world.paid_contract(institution)
    desk, officer, home = await desks.institution(institution), await desks.officer(), await at_home(desks, parent)
    page = await desk.page("/profile")
    asked = {"kind": "legal_representative", "new_value": "李法人", "reason": "股权转让", "campus_id": ""}
    assert "暂停招生收费" in await desk.told(await desk.submit("/profile/changes", asked, page))
    again = await desk.submit("/profile/changes", asked | {"new_value": "王法人"})
    assert (again.status_code, "正在等待核定" in shown(again.text), 'value="王法人"' in again.text) == (409, True, True)
    notice = f"{institution.name}暂停招生收费"
    for path in ("", f"/contracts/{contract.id}"):
        assert notice in shown(await home.page(path))
    public = await desks.anybody()
    assert "暂停招生收费" in shown((await public.get(f"/institutions/{institution.id}{HERE}")).text)
    assert "目前不能招生收费" in shown((await public.get(f"/classes/{contract.class_id}{HERE}")).text)
    assert institution.name in await officer.page("/changes")

    entry = f"/institutions/{institution.id}/entry"
    page = await officer.page(entry)
    assert "李法人" in page
    async with world.district.reading() as session:
        [change] = await registry.changes(session, institution_id=institution.id)
    resume = f"/institutions/{institution.id}/resume"
    assert "还有变更事项没有核定" in await officer.told(await officer.submit(resume, {"reason": "已核实"}, page))
    assert "变更已核定" in await officer.told(await officer.submit(f"/changes/{change.id}/confirm", {"reason": "登记一致"}, page))
    assert "100.00%" in await officer.page(entry)
    assert "恢复招生收费" in await officer.told(await officer.submit(resume, {"reason": "已核实"}, page))
    assert notice not in shown(await home.page())
    for show in ("confirmed", "refused", "all"):
        await officer.page(f"/changes?show={show}")


async def test_a_campus_address_without_its_campus_asks_for_it_and_keeps_what_was_typed(desks: Desks, world: World) -> None:
    desk = await desks.institution(await world.institution())
    campus = (await desk.get("/profile"))["campuses"][0]
    asked = {"kind": "campus_address", "new_value": "西路 9 号", "reason": "租约到期", "campus_id": ""}
    refused = await desk.submit("/profile/changes", asked)
    assert refused.status_code == 400
    beside = r'name="campus_id"[^>]*aria-invalid="true"[^>]*>.*?</select>\s*<div class="form-error"[^>]*>请选择校区</div>'
    assert re.search(beside, refused.text, re.DOTALL)
    for kept in ('<option value="campus_address" selected>', 'value="西路 9 号"', ">租约到期</textarea>"):
        assert kept in refused.text
    body = {"kind": "campus_address", "new_value": "西路 9 号", "reason": "租约到期"}
    missing = await desk.post("/profile/changes", body, key=uuid4().hex)
    assert (missing.status_code, missing.json()["code"], missing.json()["field"]) == (400, "registry.campus_id_invalid", "campus_id")
    assert "变更已提交" in await desk.told(await desk.submit("/profile/changes", asked | {"campus_id": campus["id"]}, refused.text))


async def test_an_officer_decides_on_the_entry_page(desks: Desks, world: World) -> None:
    institution = await world.institution()
    await world.training_class(institution)
    officer, base = await desks.officer(), f"/institutions/{institution.id}"
    page = await officer.page(f"{base}/entry")
    assert f"{base}/entry" in await officer.page(base)
    async with world.district.reading() as session:
        [teacher] = await registry.teachers(session, institution.id)
    licence = {"licence_no": "新证", "licence_issuer": "教育局", "licence_scope": "美术", "licence_from_on": "2021-01-01"}
    serving = {"institution_id": str(institution.id), "serving": "yes", "reason": "教育局名册"}
    abroad = {"institution_id": str(institution.id), "abroad": "yes", "reason": "出入境记录"}
    steps: tuple[tuple[str, dict[str, Any], str], ...] = (
        (f"{base}/listing", {"listing": "black", "reason": "卷款嫌疑"}, "名单已更新"),
        (f"{base}/listing", {"listing": "black", "reason": "再列"}, "名单状态没有变化"),
        (f"{base}/listing", {"listing": "none", "reason": "查无实据"}, "名单已更新"),
        (f"{base}/yearly-checks", {"year": "2025", "result": "passed", "note": "合格"}, "年检结果已登记"),
        (f"{base}/licence", licence | {"licence_to_on": FAR_OFF, "reason": "换证"}, "许可证已更新"),
        (f"{base}/pause", {"reason": "群众举报"}, "已暂停招生收费"),
        (f"{base}/resume", {"reason": "没有预收费"}, "恢复招生收费"),
        (f"{base}/changes", {"kind": "address", "new_value": "新址", "reason": "企业登记系统"}, "变更已记录"),
        (f"{base}/status", {"status": "suspended", "reason": "检查"}, "机构状态已更新"),
        (f"{base}/contact", {"reason": " "}, "理由须为"),
        (f"/teachers/{teacher.id}/serving", serving, "教师标记已更新"),
        (f"/teachers/{teacher.id}/abroad", abroad, "教师标记已更新"),
    )
    for path, form, told in steps:
        assert told in await officer.told(await officer.submit(path, form, page)), path
    assert 'name="abroad" value="no"' in await officer.page(f"{base}/entry")
    desk = await desks.institution(institution)
    for page_of_teachers in ("/teachers", f"/teachers/{teacher.id}"):
        assert "在境外的外籍人员" in await desk.page(page_of_teachers)
    for path, form, told in (
        ("licence", licence | {"licence_to_on": "2022-01-01", "reason": "换证的依据"}, "办学许可证已过期"),
        ("licence", licence | {"licence_to_on": "明年", "reason": "换证的依据"}, "请填写许可证截止日期"),
        ("yearly-checks", {"year": "去年", "result": "passed", "note": "换证的依据"}, "年度须为"),
        ("yearly-checks", {"year": "1949", "result": "failed", "note": "换证的依据"}, "年检年度须为"),
        ("changes", {"kind": "settlement_account", "new_value": "12", "reason": "换证的依据"}, "须为 6 至 34 位"),
    ):
        refused = await officer.submit(f"{base}/{path}", form, page)
        assert (refused.status_code, told in shown(refused.text), "换证的依据" in refused.text) == (400, True, True), path
    seen = await officer.submit(f"{base}/contact", {"reason": "核实举报"}, page)
    assert "钱校长" in seen.text
    assert "钱校长" not in await officer.page(f"{base}/entry")


async def test_campuses_and_contact_are_kept_by_forms(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk = await desks.institution(institution)
    page = await desk.page("/profile")
    campus = {"campus_name": "东校区", "campus_address": "东路 1 号", "lease_ends_on": ""}
    assert "校区已登记" in await desk.told(await desk.submit("/profile/campuses", campus, page))
    ended = await desk.submit("/profile/campuses", campus | {"campus_name": "西校区", "lease_ends_on": "2001-01-01"}, page)
    assert (ended.status_code, "租赁到期日" in shown(ended.text), 'value="西校区"' in ended.text) == (400, True, True)
    unreachable = await desk.submit("/profile/contact", {"contact_name": "孙主任", "contact_phone": "12345"}, page)
    assert (unreachable.status_code, "手机" in shown(unreachable.text), 'value="12345"' in unreachable.text) == (400, True, True)
    assert "联系人已更新" in await desk.told(
        await desk.submit("/profile/contact", {"contact_name": "孙主任", "contact_phone": "13800138000"}, page)
    )
    async with world.district.reading() as session:
        entered = (await registry.entry(session, institution.id)).campuses[1]
    waiting = await (await desks.officer()).page(f"/institutions/{institution.id}/entry")
    assert all(said in waiting for said in ("待核定：新增校区", "东校区", "退回，关闭校区"))
    for step, form, told in (
        ("lease", {"lease_ends_on": FAR_OFF}, "租赁期限已更新"),
        ("closing", {}, "校区已关闭"),
    ):
        assert told in await desk.told(await desk.submit(f"/profile/campuses/{entered.id}/{step}", form, page))


async def test_the_lease_form_says_whether_an_officer_is_asked_first(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk, officer = await desks.institution(institution), await desks.officer()
    page = await desk.page("/profile")
    assert "延长租期须经监管部门核定" in page
    async with world.district.reading() as session:
        [campus] = (await registry.entry(session, institution.id)).campuses
    form = f"/profile/campuses/{campus.id}/lease"
    for days, told in (
        ({"lease_ends_on": SOON}, "租赁期限已更新"),
        ({"lease_ends_on": "2001-01-01", "reason": "续租"}, "租赁到期日不能早于今天"),
        ({"lease_ends_on": FAR_OFF}, "延长租期须填写理由"),
        ({"lease_ends_on": FAR_OFF, "reason": "续租三年"}, "延长租期已提交，监管部门核定前仍按原到期日"),
        ({"lease_ends_on": "", "reason": "买下"}, "正在等待核定"),
    ):
        assert told in await desk.told(await desk.submit(form, days, page))
    assert "校区租期" in await officer.page("/changes")
    entry = await officer.page(f"/institutions/{institution.id}/entry")
    assert all(said in entry for said in ("待核定：变更校区租期", "主校区", f"租至 {SOON}", FAR_OFF, "续租三年", "退回，登记不变"))
    async with world.district.reading() as session:
        [change] = await registry.changes(session, institution_id=institution.id)
    assert "变更已核定" in await officer.told(await officer.submit(f"/changes/{change.id}/confirm", {"reason": "合同属实"}, entry))
    assert f"租至 {FAR_OFF}" in await officer.page(f"/institutions/{institution.id}/entry")
    assert "暂停招生收费</strong>" not in await desk.page("/profile")


async def test_a_teacher_is_entered_edited_and_pictured_by_forms(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk, public = await desks.institution(institution), await desks.anybody()
    page = await desk.page("/teachers")
    facts = {
        "name": "李老师",
        "certificate_no": "20251001",
        "subject": "美术",
        "certificate_subject": "",
        "certificate_to_on": FAR_OFF,
    }
    assert "教师已登记" in await desk.told(await desk.submit("/teachers", facts, page))
    for wrong, status, told in (
        ({"certificate_to_on": "2026-13-01"}, 400, "请填写证书有效期"),
        ({"certificate_to_on": "2020-01-01"}, 400, "教师资格证书已过期"),
        ({"employed_from_on": "1920-01-01"}, 400, "入职日期不合理"),
        ({"certificate_no": " "}, 400, "资格证书号须为"),
        ({}, 409, "已经登记"),
    ):
        refused = await desk.submit("/teachers", facts | {"name": "王新来"} | wrong, page)
        assert (refused.status_code, told in shown(refused.text), 'value="王新来"' in refused.text) == (status, True, True), wrong
    async with world.district.reading() as session:
        [teacher] = await registry.teachers(session, institution.id)
    path = f"/teachers/{teacher.id}"
    page = await desk.page(path)
    edited = {"subject": "美术", "certificate_subject": "美术、书法", "employed_from_on": "2020-01-01"}
    assert "教师信息已更新" in await desk.told(await desk.submit(path, edited, page))
    refused = await desk.submit(path, edited | {"subject": "国画", "employed_to_on": "2019-01-01"}, page)
    assert (refused.status_code, "离职日期不能早于入职日期" in shown(refused.text), 'value="国画"' in refused.text) == (400, True, True)

    written = BytesIO()
    Image.effect_noise((900, 1200), 90).convert("RGB").save(written, "JPEG", quality=95)
    csrf = page.partition('name="csrf" value="')[2][:64]
    for content, told in ((written.getvalue(), "照片已更新"), (b"<svg/>", "JPEG 或 PNG")):
        files = {"photo": ("me.jpg", content, "image/jpeg")}
        assert told in await desk.told(await desk.browser.post(f"/institution{path}/photo", data={"csrf": csrf}, files=files))
    forged = await desk.browser.post(f"/institution{path}/photo", data={"csrf": "0" * 64}, files={"photo": ("me.jpg", b"x", "image/jpeg")})
    assert forged.status_code == 403
    seen = (await public.get(f"/institutions/{institution.id}{HERE}")).text
    assert f"/teachers/{teacher.id}/photo.jpg" in seen
    assert "20251001" in shown(seen)
    assert "照片已删除" in await desk.told(await desk.submit(f"{path}/photo/removal", {}, page))


async def test_a_paused_institution_refuses_the_enrolment_form(desks: Desks, world: World) -> None:
    institution = await world.institution()
    training_class, parent = await world.training_class(institution), await world.parent()
    child = await world.child(parent)
    officer, home = await desks.officer(), await at_home(desks, parent)
    form = {"student_id": str(child.id)} | await accepting(home, training_class.id)
    await officer.submit(f"/institutions/{institution.id}/pause", {"reason": "群众举报"})
    refused = await home.submit(f"/classes/{training_class.id}/enrol", form, await home.page("/refunds"))
    assert refused.status_code == 422
    assert "暂停招生收费：群众举报" in shown(refused.text)
