"""批量导入 at the institution end: a template is filled in, handed in, checked and imported, in JSON and by the pages."""

import codecs
import csv
import re
from html import unescape
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from app.bulk import steps
from app.bulk.models import BulkUpload
from app.bulk.reader import MAX_BYTES, read
from app.bulk.told import problems_csv
from app.bulk.workbooks import EXCEL
from app.registry import teachers
from app.registry.models import Institution, Teacher
from tests.bulk.conftest import SOUND
from tests.bulk.files import as_csv, filled, xlsx
from tests.portals.desks import Desk, Desks
from tests.portals.families import problem_of, shown
from tests.world import World


def file_of(slug: str, *rows: dict[str, Any]) -> bytes:
    return xlsx(filled(slug, *rows, sound=SOUND[slug]))


async def sent(desk: Desk, slug: str, content: bytes) -> httpx.Response:
    return await desk.api.post(f"/api/v1/institution/imports/{slug}", content=content, headers={"Content-Type": EXCEL})


async def posted(desk: Desk, slug: str, content: bytes) -> httpx.Response:
    """By the form of the page."""
    csrf = (await desk.page("/imports")).partition('name="csrf" value="')[2][:64]
    files = {"file": ("名单.xlsx", BytesIO(content), EXCEL)}
    return await desk.browser.post("/institution/imports", data={"csrf": csrf, "kind": slug}, files=files)


async def test_a_file_is_handed_in_checked_confirmed_and_imported(desks: Desks, institution: Institution, world: World) -> None:
    desk, stranger = await desks.institution(institution), await desks.institution(await world.institution())
    taken = await sent(desk, "teachers", file_of("teachers", {}, {"certificate_no": "C-2"}))
    assert taken.status_code == 201, taken.text
    found = taken.json()
    path = f"/imports/{found['id']}"
    assert (found["status"], found["row_count"], found["percent"], found["repeated"]) == ("uploaded", 2, 0, False)
    assert problem_of(await desk.post(f"{path}/confirm")) == (409, "bulk.upload_not_checked")
    await steps.take_due(world.district)
    assert (await desk.get(path))["status"] == "checked"
    for refused in (await stranger.api.get(f"/api/v1/institution{path}"), await stranger.post(f"{path}/confirm")):
        assert problem_of(refused) == (404, "bulk.upload_not_found")
    assert (await desk.post(f"{path}/confirm")).json()["status"] == "confirmed"
    assert problem_of(await desk.post(f"{path}/discard")) == (409, "bulk.upload_ended")
    await steps.take_due(world.district)
    ended = await desk.get(path)
    assert (ended["status"], ended["percent"], ended["problems"]) == ("imported", 100, [])
    assert len((await desk.get("/teachers"))["items"]) == 2
    again = await sent(desk, "teachers", as_csv(filled("teachers", {}, {"certificate_no": "C-2"}, sound=SOUND["teachers"]), "gb18030"))
    assert (again.json()["repeated"], again.json()["id"]) == (True, found["id"])
    assert [each["status"] for each in (await desk.get("/imports"))["items"]] == ["imported"]
    assert (await stranger.get("/imports"))["items"] == []


async def test_bad_files_and_bad_rows_change_nothing(desks: Desks, institution: Institution, world: World) -> None:
    desk = await desks.institution(institution)
    for slug, content, status, code in (
        ("teachers", b"", 400, "bulk.file_empty"),
        ("teachers", file_of("teachers", {})[:-99], 400, "bulk.file_broken"),
        ("teachers", file_of("students", {}), 400, "bulk.heading_invalid"),
        ("teachers", b"x" * (MAX_BYTES + 1), 400, "bulk.file_too_large"),
        ("teachers", b"x" * (MAX_BYTES + 70_000), 413, "request.too_large"),
        ("pupils", file_of("students", {}), 404, "bulk.kind_not_found"),
    ):
        assert problem_of(await sent(desk, slug, content)) == (status, code)
    faulty = (await sent(desk, "teachers", file_of("teachers", {}, {"name": None, "certificate_no": "C-2"}))).json()
    await steps.take_due(world.district)
    told = await desk.get(f"/imports/{faulty['id']}")
    assert (told["status"], told["problem_count"]) == ("faulty", 1)
    assert told["problems"] == [{"row": 3, "cell": "A3", "heading": "姓名", "message_zh": "请填写姓名"}]
    assert (await desk.get("/teachers"))["items"] == []


@pytest.mark.parametrize(("status", "done", "said"), [("uploaded", 4, "正在逐行核对 50%"), ("confirmed", 9, "正在导入 75%")])
async def test_a_file_under_way_says_how_far_it_is(
    status: str, done: int, said: str, desks: Desks, institution: Institution, world: World
) -> None:
    desk = await desks.institution(institution)
    rows = [{"certificate_no": f"C-{number}"} for number in range(4)]
    upload_id = (await sent(desk, "teachers", file_of("teachers", *rows))).json()["id"]
    async with world.district.transaction() as session:
        upload = await session.get_one(BulkUpload, UUID(upload_id))
        upload.status, upload.done = status, done
    percent = said.split()[1].removesuffix("%")
    page = await desk.page(f"/imports/{upload_id}")
    assert said in shown(page)
    assert re.search(rf'<progress [^>]*max="100" value="{percent}">{percent}%</progress>', page)
    assert (await desk.get(f"/imports/{upload_id}"))["percent"] == int(percent)


async def test_every_problem_is_told_in_pages_and_as_a_file(desks: Desks, institution: Institution, world: World) -> None:
    desk, stranger = await desks.institution(institution), await desks.institution(await world.institution())
    rows = [{"name": None, "certificate_no": None, "subject": "=1+1"} for _ in range(200)]
    path = f"/imports/{(await sent(desk, 'teachers', file_of('teachers', *rows))).json()['id']}"
    await steps.take_due(world.district)
    told = await desk.get(path)
    assert (told["problem_count"], told["problem_total"], len(told["problems"])) == (200, 600, 500)
    first = await desk.get(f"{path}/problems", limit=99)
    rest = await desk.get(f"{path}/problems", limit=1, cursor=first["next_cursor"])
    assert first["items"] + rest["items"] == told["problems"][:100]
    last = await desk.get(f"{path}/problems", limit=50, cursor="599")
    assert ([each["cell"] for each in last["items"]], last["next_cursor"]) == (["C201"], None)
    page = shown(await desk.page(path))
    assert "200 行不能导入" in page
    assert "共 600 处，先列出前 500 处" in page
    for answer in (
        await desk.api.get(f"/api/v1/institution{path}/problems.csv"),
        await desk.browser.get(f"/institution{path}/problems.csv"),
    ):
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "attachment" in answer.headers["content-disposition"]
        written = list(csv.reader(answer.content.decode("utf-8-sig").splitlines()))
        assert answer.content.startswith(codecs.BOM_UTF8)
        assert written[:2] == [["行", "单元格", "列", "问题"], ["2", "A2", "姓名", "请填写姓名"]]
        assert len(written) == 601
    for name in ("problems", "problems.csv"):
        assert problem_of(await stranger.api.get(f"/api/v1/institution{path}/{name}")) == (404, "bulk.upload_not_found")
    assert (await stranger.browser.get(f"/institution{path}/problems.csv")).status_code == 404


def test_what_is_told_is_never_a_formula() -> None:
    written = problems_csv(
        [{"row": 2, "cell": "A2", "heading": "=1+1", "message_zh": "@SUM(A1)"}, {"cell": "", "heading": "", "message_zh": "整个文件"}]
    )
    assert written.decode("utf-8-sig").splitlines()[1:] == ['"2","A2","\'=1+1","\'@SUM(A1)"', '"","","","整个文件"']


async def test_the_same_by_the_pages(desks: Desks, institution: Institution, world: World) -> None:
    desk = await desks.institution(institution)
    refused = await posted(desk, "teachers", file_of("students", {}))
    assert refused.status_code == 400
    assert re.search(r'name="file"[^>]*><div class="form-error" role="alert">[^<]*没有这一列', refused.text), "beside the field"
    assert "请选择文件" in shown((await posted(desk, "teachers", b"")).text)
    for rows, words in (
        ([{}, {"certificate_no": "C-1", "name": "张华"}], ("1 行不能导入", "B3", "与第 2 行重复")),
        ([{}, {"certificate_no": "C-2", "name": "张华"}], ("2 行全部可以导入", "导入 2 行")),
    ):
        told = await posted(desk, "teachers", file_of("teachers", *rows))
        path = told.headers["location"].removeprefix("/institution")
        working = unescape(await desk.told(told))
        assert "正在逐行核对" in working
        assert 'hx-trigger="every 1s"' in working
        await steps.take_due(world.district)
        page = await desk.page(path)
        assert "hx-trigger" not in page
        for said in words:
            assert said in shown(page), said
        again = 'href="/institution/imports?kind=teachers"' in page
        assert again == ("不能导入" in words[0]), "a refused file is no dead end"
    assert "正在导入" in await desk.told(await desk.submit(f"{path}/confirm", {}))
    await steps.take_due(world.district)
    assert "2 行已导入" in shown(await desk.page(path))
    assert '<option value="students" selected>' in await desk.page("/imports?kind=students")
    assert "已导入" in shown(await desk.page("/imports"))
    repeated = await desk.told(await posted(desk, "teachers", file_of("teachers", {}, {"certificate_no": "C-2", "name": "张华"})))
    assert "同样的内容已经导入过" in repeated
    given_up = await posted(desk, "students", file_of("students", {}))
    path = given_up.headers["location"].removeprefix("/institution")
    assert "文件内容已删除" in await desk.told(await desk.submit(f"{path}/discard", {}))
    assert "没有导入" in shown(await desk.page(path))
    async with world.district.reading() as session:
        assert len((await session.scalars(select(Teacher))).all()) == 2


async def test_what_is_uploaded_never_waits_on_the_disk(desks: Desks, institution: Institution, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form's parser would write a larger file to one of its own, in clear."""
    rolled: list[int] = []
    monkeypatch.setattr(SpooledTemporaryFile, "rollover", lambda file: rolled.append(file.tell()))
    desk = await desks.institution(institution)
    assert "引号或分隔符不完整" in shown((await posted(desk, "students", b"x" * MAX_BYTES)).text)
    assert rolled == []


@pytest.mark.parametrize("slug", ["teachers", "classes", "students"])
async def test_a_template_that_is_filled_in_is_taken(slug: str, desks: Desks, institution: Institution, world: World) -> None:
    desk = await desks.institution(institution)
    async with world.district.transaction() as session:
        if slug == "classes":
            await teachers.create_teacher(session, institution.id, "李明", "C-1", "美术")
    answer = await desk.api.get(f"/api/v1/institution/imports/templates/{slug}.xlsx")
    assert (answer.status_code, answer.headers["content-type"]) == (200, EXCEL)
    assert (await desk.browser.get(f"/institution/imports/templates/{slug}.xlsx")).content[:4] == answer.content[:4]
    (_, heading), (_, example) = read(answer.content)
    row = filled(slug, {}, sound=SOUND[slug])[1]
    taken = await sent(desk, slug, xlsx([heading, example, row]))
    assert (taken.status_code, taken.json().get("row_count")) == (201, 1)
    await steps.take_due(world.district)
    assert (await desk.get(f"/imports/{taken.json()['id']}"))["status"] == "checked"
    assert problem_of(await desk.api.get("/api/v1/institution/imports/templates/pupils.xlsx")) == (404, "bulk.kind_not_found")
