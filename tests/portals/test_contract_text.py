"""The contract as its guardian meets it: read before signing, kept word for word, taken along as a file."""

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import func, select, text

from app import clock
from app import settings as settings_module
from app.contracts.accepting import DocumentView
from app.contracts.models import Contract
from app.db import District
from app.errors import Unavailable
from app.ids import uuid7
from app.portals import contract_pdf
from app.registry import consenting
from app.registry.models import Institution, Student
from app.security import Parent
from tests.portals.desks import Desk, Desks
from tests.portals.families import accepted, accepting, document, link, problem_of, shown
from tests.portals.pdf_text import text_of
from tests.world import World


@pytest.fixture
async def child(world: World, parent: Parent) -> Student:
    return await world.child(parent)


@pytest.fixture
def no_font(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server where nobody installed a Chinese font."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESCROW_PDF_FONT", str(tmp_path_factory.mktemp("fonts") / "none.ttc"))
        settings_module.settings.cache_clear()
        yield
    settings_module.settings.cache_clear()


async def signed(world: World) -> int:
    async with world.district.reading() as session:
        return await session.scalar(select(func.count()).select_from(Contract)) or 0


async def test_a_contract_is_read_signed_kept_and_taken_along(world: World, home: Desk, child: Student, institution: Institution) -> None:
    offered = await world.training_class(institution, price_fen=40_000)
    form = await home.page(f"/classes/{offered.id}/enrol")
    account_no = (await world.account(institution)).account_no
    assert "价款合计 ¥400.00" in shown(form)
    assert account_no in shown(form), "a parent compares it with what is said at the counter"
    path = f"/classes/{offered.id}/enrol"
    for unread in ({}, {"agreed": "yes"}, accepted(form) | {"agreed": ""}, {"document": "x" * 64, "agreed": "yes"}):
        refused = await home.submit(path, {"student_id": str(child.id)} | unread)
        assert (refused.status_code, "请先阅读合同" in shown(refused.text)) == (422, True)
    assert await signed(world) == 0
    contract = await home.told(await home.submit(path, {"student_id": str(child.id)} | accepted(form)))
    page = (await home.browser.get(link(contract, "查看全文"))).text
    assert "学员：王小明" in shown(page)
    file = await home.browser.get(link(page, "下载 PDF"))
    assert (file.status_code, file.headers["content-type"]) == (200, "application/pdf")
    number = re.search(r"C510112\w+", shown(page))
    assert number is not None
    assert file.headers["content-disposition"] == f'attachment; filename="{number[0]}.pdf"'
    said = text_of(file.content)
    sha256 = re.search(r"[0-9a-f]{64}", shown(page).partition("全文的 SHA-256")[2])
    assert sha256 is not None
    for fact in (institution.name, institution.credit_code, "王小明", "138****", "¥400.00", "李老师", number[0], sha256[0]):
        assert fact in said, fact
    assert account_no in shown(page)
    assert account_no in re.sub(r"\s", "", said)
    assert "第1/2页" in re.sub(r"\s", "", said)


async def test_a_file_says_what_the_page_says(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract = await world.sign(parent, await world.training_class(institution, lessons=60, price_fen=60_00))
    kept = await home.get(f"/contracts/{contract.id}/document")
    file = await home.api.get(f"/api/v1/parent/contracts/{contract.id}/document.pdf")
    assert file.content[:5] == b"%PDF-"
    drawn = re.sub(r"\s", "", text_of(file.content))
    assert re.sub(r"合同C\w{20,30}SHA-256[0-9a-f]{64}第\d/\d页", "", drawn) == re.sub(r"\s", "", kept["text"])
    again = await home.browser.get(f"/parent/contracts/{contract.id}/document.pdf")
    assert again.content == file.content, "the same contract, the same bytes"


async def test_the_institution_keeps_a_copy_without_the_name(
    world: World, desks: Desks, home: Desk, parent: Parent, child: Student, institution: Institution
) -> None:
    offered = await world.training_class(institution)
    contract = await world.sign(parent, offered, child)
    accepted_text = await home.get(f"/contracts/{contract.id}/document")
    desk = await desks.institution(institution)
    [listed] = (await desk.get("/contracts", class_id=str(offered.id)))["items"]
    assert (listed["id"], listed["student_name"], listed["status"]) == (str(contract.id), "王*明", "created")
    assert (await desk.get("/contracts", class_id=str(uuid7())))["items"] == []
    copy = await desk.get(f"/contracts/{contract.id}/document")
    assert (copy["sha256"], copy["whole"]) == (accepted_text["sha256"], True)
    kept = accepted_text["text"].replace("学员：王小明", "学员：王*明") + "机构留存本：学员姓名已遮盖，其余与监护人签订的全文相同\n"
    assert copy["text"] == kept
    page = (await desk.browser.get(link(await desk.page(f"/classes/{offered.id}"), contract.contract_no))).text
    assert "王小明" not in page
    file = await desk.browser.get(link(page, "下载 PDF"))
    assert file.content == (await desk.api.get(f"/api/v1/institution/contracts/{contract.id}/document.pdf")).content
    said = text_of(file.content)
    assert ("王*明" in said, "王小明" in said, contract.contract_no in said) == (True, False, True)
    async with world.district.transaction() as session:
        await consenting.take_back(session, parent.guardian_id, child.id)
    assert "学员：已隐藏\n" in (await desk.get(f"/contracts/{contract.id}/document"))["text"]


async def test_another_institution_has_no_copy(world: World, desks: Desks, parent: Parent, institution: Institution) -> None:
    contract = await world.sign(parent, await world.training_class(institution))
    desk = await desks.institution(await world.institution("新苗语言艺术中心"))
    assert (await desk.get("/contracts"))["items"] == []
    for contract_id in (contract.id, uuid7()):
        for path in ("document", "document.pdf"):
            absent = await desk.api.get(f"/api/v1/institution/contracts/{contract_id}/{path}")
            assert problem_of(absent) == (404, "contracts.not_found")
        for path in ("", "/document.pdf"):
            assert (await desk.browser.get(f"/institution/contracts/{contract_id}{path}")).status_code == 404


async def test_what_changed_meanwhile_is_read_again(world: World, home: Desk, child: Student, institution: Institution) -> None:
    offered = await world.training_class(institution)
    form = {"student_id": str(child.id)} | await accepting(home, offered.id)
    await world.wait(timedelta(days=1))
    changed = await home.submit(f"/classes/{offered.id}/enrol", form)
    assert changed.status_code == 409
    assert "合同内容刚刚有变动" in shown(changed.text)
    assert "购买 3 课时" in shown(changed.text)
    assert await signed(world) == 0
    await home.told(await home.submit(f"/classes/{offered.id}/enrol", form | accepted(changed.text)))
    assert await signed(world) == 1


async def test_a_legal_plan_is_signed_with_its_own_text(world: World, home: Desk, child: Student, institution: Institution) -> None:
    dear = await world.training_class(institution, lessons=4, price_fen=600_000)
    path = f"/classes/{dear.id}/enrol"
    refused = await home.submit(path, {"student_id": str(child.id)} | await accepting(home, dear.id))
    plan = refused.text.partition("最接近的合规方案")[2].partition("</form>")[0]
    fields = {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', plan)}
    assert "价款分 2 次支付" in plan
    await home.told(await home.submit(path, fields))
    async with world.district.reading() as session:
        contract = (await session.scalars(select(Contract))).one()
    assert (contract.way, contract.amount_fen) == ("parts", 600_000)
    assert "价款分 2 次支付" in await home.page(f"/contracts/{contract.id}/document")


async def test_programs_read_before_they_sign(world: World, home: Desk, child: Student, institution: Institution) -> None:
    offered = await world.training_class(institution)
    wish = {"class_id": str(offered.id), "student_id": str(child.id)}
    assert problem_of(await home.post("/contracts", wish)) == (422, "request.invalid")
    stale = await home.post("/contracts", wish | {"document": "0" * 64})
    assert problem_of(stale) == (409, "contracts.document_changed")
    read = await document(home, offered.id)
    assert stale.json()["sha256"] == read["document"]
    made = await home.post("/contracts", wish | read)
    assert made.status_code == 201
    kept = await home.get(f"/contracts/{made.json()['id']}/document")
    assert kept["text"].startswith(stale.json()["text"])
    assert (kept["contract_no"], kept["whole"]) == (made.json()["contract_no"], True)


async def test_without_a_font_the_page_stays(world: World, home: Desk, parent: Parent, institution: Institution, no_font: None) -> None:
    contract = await world.sign(parent, await world.training_class(institution))
    answer = await home.api.get(f"/api/v1/parent/contracts/{contract.id}/document.pdf")
    assert problem_of(answer) == (503, "contracts.no_font")
    assert "校外培训服务合同" in shown(await home.page(f"/contracts/{contract.id}/document"))


def written(text: str) -> DocumentView:
    return DocumentView(uuid7(), "C510112202603010001", "1", text, b"\0" * 32, clock.now(), whole=True)


@pytest.mark.parametrize("character", ["\U0001f600", "\ue000"])
def test_what_the_font_cannot_draw_is_not_drawn_and_not_told(character: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Unavailable) as refused:
        contract_pdf.drawn(written(f"校外培训服务合同\n学员：王{character}明\n"))
    assert refused.value.code == "contracts.no_font"
    assert character not in refused.value.message_zh
    assert caplog.records == []


def test_only_the_foot_says_how_many_pages_there_are() -> None:
    said = text_of(contract_pdf.drawn(written("校外培训服务合同\n教材：{nb}\n")))
    assert "教材：{nb}" in said
    assert "第1/1页" in re.sub(r"\s", "", said)


def test_no_line_begins_with_a_closing_sign_and_no_number_is_torn() -> None:
    account = "6228000000000000000001"
    sentences = [f"{'款' * count}，账号 {account}；（乙方）可以拒绝。" for count in range(24, 64)]
    said = text_of(contract_pdf.drawn(written("\n".join(["校外培训服务合同", *sentences, ""]))))
    assert said.count(account) == len(sentences)
    lines = said.split("\n")
    assert not [line for line in lines if line[0] in "，。；）" or line[-1] == "（"]
    assert max(map(len, lines)) > 40


def test_the_record_of_signing_stands_on_one_page() -> None:
    record = ["签署记录", "合同编号：C510112202603010001", "学员：王小明", "签订时间：2026-03-01 10:00:00（北京时间）"]
    for before in range(33, 40):
        paragraphs = [f"第 {number} 课时" for number in range(before)]
        said = text_of(contract_pdf.drawn(written("\n".join(["校外培训服务合同", *paragraphs, *record, ""]))))
        assert any(all(line in page for line in record) for page in said.split("SHA-256")), before
        assert said.count("SHA-256") == (1 if before < 35 else 2), before


async def test_only_a_few_wait_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_pdf, "_places", asyncio.Semaphore(0))
    with pytest.raises(Unavailable, match=r"contracts\.pdf_busy"):
        await contract_pdf.contract_pdf(written("校外培训服务合同\n"))


async def test_a_contract_of_before_has_no_text(
    world: World, home: Desk, parent: Parent, institution: Institution, owner: District
) -> None:
    contract = await world.sign(parent, await world.training_class(institution))
    async with owner.transaction() as session:
        await session.execute(text("ALTER TABLE contract_document DISABLE TRIGGER append_only"))
        await session.execute(text("DELETE FROM contract_document"))
    assert "没有电子文本" in shown(await home.page(f"/contracts/{contract.id}/document"))
    for name in ("document", "document.pdf"):
        answer = await home.api.get(f"/api/v1/parent/contracts/{contract.id}/{name}")
        assert problem_of(answer) == (404, "contracts.no_document")
