"""Officers take the four registers away as workbooks: recorded, masked, without a formula, few at a time."""

import asyncio
import io
import zipfile
from datetime import date

import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import select

from app.audit import AuditEntry
from app.bulk import exports
from app.bulk.workbooks import EXCEL
from app.portals.supervision import register_exports
from app.registry import changes, families, institutions, teachers
from app.registry.institutions import CheckDraft
from app.registry.rules import CampusDraft
from tests.ledger.auditors import Sheet, excel_rows
from tests.portals.desks import Desk, Desks
from tests.portals.families import problem_of
from tests.world import World


@pytest.fixture
async def officer(desks: Desks) -> Desk:
    return await desks.officer()


async def taken(officer: Desk, register: str) -> Sheet:
    answer = await officer.api.get(f"/api/v1/supervision/registers/{register}.xlsx")
    assert (answer.status_code, answer.headers["content-type"]) == (200, EXCEL)
    assert answer.headers["content-disposition"] == f'attachment; filename="{register}-510112-2026-03-03.xlsx"'
    return excel_rows(answer.content)


async def institutions_taken(officer: Desk) -> dict[str, Sheet]:
    """The sheets of the institutions' workbook."""
    book = CalamineWorkbook.from_filelike(io.BytesIO((await officer.api.get("/api/v1/supervision/registers/institutions.xlsx")).content))
    sheets = {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}
    return {name: [dict(zip(rows[0], row, strict=True)) for row in rows[1:]] for name, rows in sheets.items()}


async def test_what_belongs_to_an_institution_is_taken_away_with_it(officer: Desk, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "AT_A_TIME", 1)
    institution = await world.institution("=1+1 艺术学校")
    draft = CampusDraft("东校区", "驿都大道 8 号", date(2028, 6, 30), 300)
    async with world.district.transaction() as session:
        await changes.add_campus(session, world.staff(institution), draft)
        await institutions.record_yearly_check(session, world.officer(), institution.id, CheckDraft(2025, "conditional", "消防整改"))
        for listing in ("white", None):
            await institutions.set_listing(session, world.officer(), institution.id, listing, "=SUM(A1)")
    found = await institutions_taken(officer)
    assert list(found) == ["机构库", "校区", "银行账户", "年检", "名单记录"]
    assert {row["统一社会信用代码"] for rows in found.values() for row in rows} == {institution.credit_code}
    [campus], [check] = [row for row in found["校区"] if row["校区"] == "东校区"], found["年检"]
    assert (campus["校区"], campus["地址"], campus["租赁到期日"]) == ("东校区", "驿都大道 8 号", date(2028, 6, 30))
    assert (check["年度"], check["结果"], check["说明"]) == (2025, "基本合格", "消防整改")
    assert {(row["账户"], str(row["账号（已脱敏）"])[4:8]) for row in found["银行账户"]} == {("监管账户", "****"), ("结算账户", "****")}
    assert [(row["名单"], row["理由"]) for row in found["名单记录"]] == [("白名单", "=SUM(A1)"), ("移出名单", "=SUM(A1)")]


async def test_the_four_registers_are_taken_away(officer: Desk, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "AT_A_TIME", 2)
    institution, parent = await world.institution("=1+1 艺术学校"), await world.parent()
    course = await world.training_class(institution)
    child = await world.child(parent, "欧阳小明")
    await world.sign(parent, course, child)
    for name in ("王小红", "王小刚"):
        await world.child(parent, name)
    async with world.district.transaction() as session:
        await teachers.create_teacher(session, institution.id, "@SUM(A1)", "0012", "书法")
    [entry] = (await institutions_taken(officer))["机构库"]
    assert (entry["机构名称"], entry["统一社会信用代码"], entry["状态"]) == ("=1+1 艺术学校", institution.credit_code, "正常")
    assert entry["联系人（已脱敏）"] == "钱*长"
    assert {(row["姓名"], row["资格证书号"]) for row in await taken(officer, "teachers")} >= {("@SUM(A1)", "0012")}
    [row] = await taken(officer, "classes")
    assert (row["机构"], row["实收总价（元）"], row["课时数"], row["状态"]) == ("=1+1 艺术学校", "400.00", 4, "招生中")
    students = await taken(officer, "students")
    assert [(row["学生（已脱敏）"], row["出生年份"], row["合同数"]) for row in students] == [
        ("欧**明", "2017", 1),
        ("王*红", "2017", 0),
        ("王*刚", "2017", 0),
    ]
    assert all(str(row["监护人手机号（已脱敏）"]).count("*") == 4 for row in students)
    async with world.district.reading() as session:
        entries = await session.scalars(select(AuditEntry.subject).where(AuditEntry.action == "bulk.register_exported"))
        assert set(entries) == {f"register:{name}" for name in ("institutions", "teachers", "classes", "students")}


async def test_no_cell_of_an_export_is_a_formula(officer: Desk, world: World) -> None:
    await world.institution("=1+1")
    answer = await officer.browser.get("/supervision/registers/institutions.xlsx")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        sheets = [archive.read(name) for name in archive.namelist() if "worksheets/" in name]
    assert sheets
    assert not any(b"<f>" in sheet or b"<f " in sheet for sheet in sheets)


async def test_whose_consent_was_withdrawn_is_not_shown(officer: Desk, world: World) -> None:
    parent = await world.parent()
    child = await world.child(parent)
    async with world.district.transaction() as session:
        await families.withdraw_consent(session, parent, child.id)
    [row] = await taken(officer, "students")
    assert {row["学生（已脱敏）"], row["出生年份"], row["学段"], row["监护人手机号（已脱敏）"]} == {"已隐藏"}


async def test_exports_are_for_officers_few_at_a_time_and_of_known_registers(
    officer: Desk, desks: Desks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await desks.institution(await world.institution())
    assert problem_of(await other.api.get("/api/v1/supervision/registers/students.xlsx")) == (403, "auth.wrong_role")
    assert problem_of(await officer.api.get("/api/v1/supervision/registers/staff.xlsx")) == (404, "bulk.register_not_found")
    monkeypatch.setattr(register_exports, "_places", asyncio.Semaphore(0))
    assert problem_of(await officer.api.get("/api/v1/supervision/registers/students.xlsx")) == (503, "bulk.exports_busy")


async def test_the_pages_of_the_registers_lead_to_them(officer: Desk) -> None:
    for page, registers in (("/institutions", ("institutions", "teachers")), ("/classes", ("classes",)), ("/students", ("students",))):
        shown = await officer.page(page)
        for register in registers:
            assert f'href="/supervision/registers/{register}.xlsx"' in shown
