"""Files of teachers, classes and students: checked row by row, then all of them or none."""

import io
import json
import re
from datetime import time, timedelta
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from app import bulk_commands, clock, worker
from app.audit import AuditEntry
from app.bulk import kinds, service, steps
from app.bulk.models import BulkPart, BulkUpload
from app.db import District
from app.errors import Conflict, NotFound, TooManyAttempts
from app.ids import uuid7
from app.policy.models import BusinessDay
from app.registry import classes, families, institutions, teachers
from app.registry.models import ClassSession, Guardian, Guardianship, Student, Teacher, TrainingClass
from app.security import Parent
from tests.bulk.conftest import Clerk
from tests.registry.office import MONDAY, at
from tests.world import World


async def test_teachers_are_imported(clerk: Clerk, district: District) -> None:
    ended = await clerk.bring_in("teachers", {}, {"name": "张华", "certificate_no": 42, "certificate_subject": "美术、书法"})
    assert (ended.status, ended.row_count, ended.known_count, ended.problem_count) == ("imported", 2, 0, 0)
    async with district.reading() as session:
        found = (await session.scalars(select(Teacher).order_by(Teacher.certificate_no))).all()
    assert [(each.name, each.certificate_no, each.certificate_subject) for each in found] == [
        ("张华", "42", "美术、书法"),
        ("李明", "C-1", "美术"),
    ]


async def test_what_a_certificate_covers_is_not_assumed_for_school_subjects(world: World) -> None:
    clerk = Clerk(world, await world.institution(kind="subject"))
    told = await clerk.told("teachers", {"subject": "数学"}, {"certificate_no": "C-2", "subject": "数学", "certificate_subject": "数学"})
    assert told == [("D2", "学科类机构须填写证书任教学科")]
    assert await clerk.count(Teacher) == 0


async def test_children_are_imported_with_their_guardians_and_nobodys_consent(clerk: Clerk, district: District) -> None:
    rows: list[dict[str, Any]] = [{}, {"name": "王小红", "stage": "小学"}, {"phone": "+86 139 0013 8000", "name": "欧阳明"}]
    ended = await clerk.bring_in("students", *rows)
    assert (ended.status, ended.known_count) == ("imported", 0)
    assert await clerk.children() == ["欧阳明", "王小明", "王小红"]
    async with district.reading() as session:
        found = (await session.scalars(select(Student))).all()
        assert {(child.consent_version, child.stage) for child in found} == {(None, None), (None, "primary")}
        phones = {families.phone_of(guardian) for guardian in await session.scalars(select(Guardian))}
    assert phones == {"+8613800138000", "+8613900138000"}
    assert await clerk.count(Guardianship) == 3
    again = await clerk.bring_in("students", *rows, {"name": "王小刚"})
    assert (again.known_count, await clerk.count(Student), await clerk.count(Guardian)) == (0, 4, 2)


async def test_classes_are_filed_and_wait_for_the_officers(clerk: Clerk, district: District, world: World) -> None:
    await clerk.bring_in("teachers", {})
    online_row = {"name": "线上素描", "mode": "线上", "campus": None, "room": None, "starts": time(14), "ends": "14:30", "most_unpaid": 0}
    ended = await clerk.bring_in("classes", {}, online_row)
    assert ended.status == "imported"
    async with district.reading() as session:
        onsite, online = (await session.scalars(select(TrainingClass).order_by(TrainingClass.name))).all()
        rows = (await session.scalars(select(ClassSession).where(ClassSession.class_id == onsite.id).order_by(ClassSession.number))).all()
        filed = (await session.scalars(select(AuditEntry).where(AuditEntry.action == "registry.class_filed"))).all()
    assert {onsite.status, online.status} == {"filed"}
    assert (onsite.most_unpaid, online.most_unpaid) == (2, 0)
    assert (onsite.price_fen, onsite.listed_price_fen, onsite.lesson_minutes, onsite.materials) == (
        40_000,
        40_000,
        60,
        ["素描入门", "练习册"],
    )
    assert [(row.number, row.starts_at) for row in rows] == [
        (number, at(MONDAY + timedelta(days=day), "10:00", "11:00")[0]) for number, day in enumerate((0, 2, 7, 9), start=1)
    ]
    assert {entry.subject for entry in filed} == {f"class:{onsite.id}", f"class:{online.id}"}
    async with district.transaction() as session:
        await classes.approve_class(session, world.officer(), onsite.id, "材料齐全")


async def test_every_bad_row_of_teachers_is_named_by_its_cell(clerk: Clerk) -> None:
    await clerk.bring_in("teachers", {})
    formula = '=HYPERLINK("http://example.org")'
    rows: dict[int, tuple[dict[str, Any], tuple[str, str]]] = {
        2: ({"name": None, "certificate_no": "C-2"}, ("A2", "请填写姓名")),
        3: ({}, ("B3", "该资格证书号的教师已经登记")),
        4: ({"certificate_no": "C-4"}, ("", "")),
        5: ({"certificate_no": "C-4", "name": "张华"}, ("B5", "与第 4 行重复")),
        6: ({"certificate_no": "C-6", "certificate_to_on": "2020-01-01"}, ("E6", "教师资格证书已过期")),
        7: ({"certificate_no": "C-7", "employed_from_on": "2026-02-30"}, ("F7", "没有这一天，请写成 2026-09-01 这样的日期")),
        8: ({"certificate_no": "C-8", "name": formula}, ("A8", "不能以“=”开头：表格软件会把它当作公式")),
        9: ({"certificate_no": 20245101234567890}, ("B9", "长数字已被表格软件改写，请把该列设为“文本”格式后重新填写")),
        10: ({"certificate_no": "C-10", "name": "李" * 41}, ("A10", "教师姓名须为 1 至 40 个可见字符")),
    }
    told = await clerk.told("teachers", *(row for row, _ in rows.values()))
    assert sorted(told) == sorted(problem for _, problem in rows.values() if problem[0])
    assert (await clerk.count(Teacher), await clerk.kept()) == (1, 0)


async def test_every_bad_row_of_students_is_named_by_its_cell(clerk: Clerk, world: World) -> None:
    parent = await world.parent()
    await world.sign(parent, await world.training_class(clerk.institution), await world.child(parent, "李雷"))
    phone = await phone_of(world, parent)
    told = await clerk.told(
        "students",
        {},
        {},
        {"phone": "12345"},
        {"name": "王小红", "birth_month": "2016-13"},
        {"name": "王小刚", "birth_month": "1990-01"},
        {"name": "王小丽", "stage": "大学"},
        {"phone": phone, "name": "李雷", "birth_month": "2016-01"},
        {"phone": phone, "name": "李 雷"},
        {"name": "王小明", "birth_month": "2018-01"},
        *({"phone": "13700137000", "name": f"王{chr(ord('一') + number)}"} for number in range(21)),
    )
    assert sorted(told) == sorted(
        [
            ("B3", "与第 2 行是同一名学生"),
            ("A4", "须为大陆手机号码"),
            ("C5", "出生年月须写成 2016-09 这样的形式"),
            ("C6", "出生年月不能晚于本月，也不能早于 25 年前"),
            ("D7", "须为学前、小学、初中、高中之一"),
            ("C8", "该家长名下已有同名学生，出生年月不同，请与家长核对"),
            ("C10", "该家长名下已有同名学生，出生年月不同，请与家长核对"),
            ("第 31 行", "一位家长最多登记 20 名学生"),
        ]
    )
    assert (await clerk.count(Student), await clerk.count(Guardian)) == (1, 1)


async def phone_of(world: World, parent: Parent) -> str:
    async with world.district.reading() as session:
        return families.phone_of(await session.get_one(Guardian, parent.guardian_id))


async def test_families_without_a_contract_here_look_like_strangers(clerk: Clerk, world: World) -> None:
    parent = await world.parent()
    child = await world.child(parent, "李雷")
    for name in ("韩梅", "李明", "张三"):
        await world.child(parent, name)
    await world.sign(parent, await world.training_class(await world.institution()), child)
    phone = await phone_of(world, parent)
    known = await clerk.check("students", {"phone": phone, "name": "李雷"}, {"phone": phone, "name": "韩梅", "birth_month": "2016-01"})
    strange = await clerk.check("students", {"name": "李雷"}, {"name": "韩梅", "birth_month": "2016-01"})
    assert [(each.status, each.known_count, each.problems) for each in (known, strange)] == [("checked", 0, [])] * 2
    ended = await clerk.confirm(known)
    assert (ended.status, ended.known_count) == ("imported", 0)
    async with world.district.reading() as session:
        months = {families.name_of(each): families.birth_month_of(each) for each in await session.scalars(select(Student))}
    assert months == dict.fromkeys(("李雷", "韩梅", "李明", "张三"), "2017-05"), "what the guardian said stands"


async def test_children_of_the_institutions_own_families_are_counted_as_known(clerk: Clerk, world: World) -> None:
    parent = await world.parent()
    await world.sign(parent, await world.training_class(clerk.institution), await world.child(parent, "李雷"))
    checked = await clerk.check("students", {"phone": await phone_of(world, parent), "name": "李雷"}, {})
    assert (checked.status, checked.known_count) == ("checked", 1)


async def test_every_bad_row_of_classes_is_named_by_its_cell(clerk: Clerk, world: World, district: District) -> None:
    await clerk.bring_in("teachers", {}, {"certificate_no": "C-2"}, {"certificate_no": "C-3"})
    await clerk.bring_in("classes", {})
    elsewhere = {"certificate_no": "C-2", "room": None}
    told = await clerk.told(
        "classes",
        {"name": "与在库的冲突", "weekdays": "周一", "starts": "10:30", "ends": "11:30", "room": None},
        {"name": "占用教室", "certificate_no": "C-3"},
        elsewhere | {"name": "早课", "starts": "08:00", "ends": "09:00"},
        elsewhere | {"name": "与上一行冲突", "starts": "08:30", "ends": "09:30"},
        elsewhere | {"name": "太晚", "starts": "20:00", "ends": "21:00"},
        elsewhere | {"name": "没有教师", "certificate_no": "C-9"},
        elsewhere | {"name": "没有校区", "campus": "东校区"},
        elsewhere | {"name": "过去", "first_on": MONDAY - timedelta(days=14)},
        elsewhere | {"name": "太贵", "price_fen": 500, "listed_price_fen": 400},
        elsewhere | {"name": "线上教室", "mode": "线上", "campus": None, "room": "201"},
        elsewhere | {"name": "没有名额", "seats": 0},
        elsewhere | {"name": "课太多", "count": 501},
        elsewhere | {"name": "倒着上", "starts": "11:00", "ends": "10:00"},
        elsewhere | {"name": "钱不对", "price_fen": "四百元"},
        elsewhere | {"name": "欠太多", "most_unpaid": 21},
        elsewhere | {"name": "不写校区", "campus": None},
    )
    cells = dict(told)
    assert sorted(cells) == sorted(
        ["C2", "F3", "G5", "第 6 行", "C7", "E8", "G9", "R10", "F11", "P12", "K13", "J14", "Q15", "T16", "E17"],
    )
    assert "李明在 3月9日 10:00 已有“少儿美术”第 1 次课" in cells["C2"]
    assert "201" in cells["F3"]
    assert cells["G5"] == "与第 4 行的教师或教室时间冲突"
    assert "20:30" in cells["第 6 行"]
    assert "已经开始" in cells["G9"]
    assert await clerk.count(TrainingClass) == 1


async def test_the_calendar_and_the_pack_are_asked_for_school_subjects(world: World, district: District) -> None:
    clerk = Clerk(world, await world.institution(kind="subject"))
    certified = {"subject": "数学", "certificate_subject": "数学"}
    await clerk.bring_in("teachers", certified, certified | {"certificate_no": "C-2", "certificate_subject": "物理"})
    mathematics = {"subject": "数学", "count": 2, "price_fen": 40}
    told = dict(
        await clerk.told(
            "classes",
            mathematics | {"weekdays": "周六"},
            mathematics | {"certificate_no": "C-2", "room": "202"},
            mathematics | {"room": "203", "starts": "14:00", "ends": "15:00"},
        )
    )
    assert "休息日" in told["第 2 行"]
    assert "不含本科目" in told["第 3 行"]
    assert len(told) == 2
    assert (await clerk.bring_in("classes", mathematics)).status == "imported"


async def test_holidays_are_left_out_unless_said_otherwise(clerk: Clerk, district: District) -> None:
    """1 to 5 May 2026 are days off."""
    await clerk.bring_in("teachers", {})
    april = {"first_on": "2026-04-30", "weekdays": "周四、周五", "count": 2}
    await clerk.bring_in("classes", april, april | {"name": "照常", "starts": "14:00", "ends": "15:00", "skip_holidays": "否"})
    async with district.reading() as session:
        ends = {name: ends_on for name, ends_on in await session.execute(select(TrainingClass.name, TrainingClass.ends_on))}
    assert (str(ends["少儿美术"]), str(ends["照常"])) == ("2026-05-07", "2026-05-01")


async def test_the_same_file_again_changes_nothing_and_says_so(clerk: Clerk, world: World) -> None:
    first = await clerk.bring_in("teachers", {}, {"certificate_no": "C-2"})
    again = await clerk.hand_in("teachers", {}, {"certificate_no": "C-2"})
    assert (again.repeated, again.upload.id, await clerk.count(BulkUpload)) == (True, first.id, 1)
    other = Clerk(world, await world.institution())
    assert (await other.bring_in("teachers", {}, {"certificate_no": "C-2"})).status == "imported"


async def test_of_two_copies_that_wait_only_one_is_imported(clerk: Clerk) -> None:
    one, two = await clerk.check("students", {}), await clerk.check("students", {})
    assert (await clerk.confirm(one)).status == "imported"
    late = await clerk.confirm(two)
    assert (late.status, late.problems[0]["message_zh"]) == ("faulty", "同样的内容已经导入过，没有重复导入")
    assert (await clerk.count(Student), await clerk.kept()) == (1, 0)


async def test_what_changed_between_check_and_import_leaves_nothing_half_done(clerk: Clerk, district: District) -> None:
    checked = await clerk.check("teachers", {}, {"certificate_no": "C-2"})
    async with district.transaction() as session:
        await teachers.create_teacher(session, clerk.institution.id, "别人", "C-2", "美术")
    ended = await clerk.confirm(checked)
    assert (ended.status, ended.problems) == (
        "faulty",
        [{"row": 3, "cell": "B3", "heading": "资格证书号", "message_zh": "该资格证书号的教师已经登记"}],
    )
    assert await clerk.count(Teacher) == 1


async def test_an_institution_that_was_suspended_files_nothing(clerk: Clerk, world: World, district: District) -> None:
    await clerk.bring_in("teachers", {})
    async with district.transaction() as session:
        await institutions.set_status(session, world.officer(), clerk.institution.id, "suspended", "整改")
    assert await clerk.told("classes", {}) == [("", "机构已被暂停或注销，不能开班")]


async def test_a_file_is_sealed_and_deleted_once_it_is_not_needed(clerk: Clerk, district: District) -> None:
    checked = await clerk.check("students", {})
    async with district.reading() as session:
        [part] = await session.scalars(select(BulkPart))
        stored = json.dumps([upload.problems for upload in await session.scalars(select(BulkUpload))], ensure_ascii=False)
    assert "王小明".encode() not in part.rows_enc
    assert "王小明" not in stored
    async with district.transaction() as session:
        await service.discard(session, clerk.importer, checked.id)
    assert ((await clerk.seen(checked)).status, await clerk.kept()) == ("discarded", 0)
    with pytest.raises(Conflict):
        await clerk.confirm(checked)


async def test_the_worker_takes_the_steps_beside_its_other_jobs(clerk: Clerk, world: World) -> None:
    upload = (await clerk.hand_in("students", {})).upload
    await world.work()
    assert (await clerk.seen(upload)).status == "uploaded"
    assert await worker.one_pass(world.district, world.banks, worker.LONG_JOBS) == worker.Pass(1, ())
    assert (await clerk.seen(upload)).status == "checked"


async def test_what_nobody_imports_is_forgotten_after_a_day(clerk: Clerk, district: District) -> None:
    waiting = await clerk.check("students", {})
    await worker.tidy(district)
    assert await clerk.kept() == 1
    with clock.at(clock.now() + timedelta(hours=25)):
        await worker.tidy(district)
    assert ((await clerk.seen(waiting)).status, await clerk.kept()) == ("discarded", 0)


async def test_a_file_is_its_own_institutions(clerk: Clerk, world: World, district: District) -> None:
    checked = await clerk.check("students", {})
    stranger = Clerk(world, await world.institution())
    for verb in (service.confirm, service.discard):
        with pytest.raises(NotFound):
            async with district.transaction() as session:
                await verb(session, stranger.importer, checked.id)
    async with district.reading() as session:
        assert await service.uploads(session, stranger.institution.id) == []


async def test_files_are_bounded_by_the_hour(clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_AN_HOUR", 2)
    await clerk.hand_in("students", {})
    await clerk.hand_in("students", {"name": "王小红"})
    with pytest.raises(TooManyAttempts):
        await clerk.hand_in("students", {"name": "王小刚"})
    with clock.at(clock.now() + timedelta(hours=1, minutes=1)):
        await clerk.hand_in("students", {"name": "王小刚"})


async def test_files_that_cannot_be_read_count_too(clerk: Clerk, district: District, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_AN_HOUR", 1)
    async with district.transaction() as session:
        await service.admit(session, clerk.importer)
    with pytest.raises(TooManyAttempts):
        await clerk.hand_in("students", {})


@pytest.mark.parametrize("confirmed", [False, True])
async def test_a_step_that_keeps_failing_ends_the_file(
    confirmed: bool, clerk: Clerk, district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await clerk.check("students", {}) if confirmed else (await clerk.hand_in("students", {})).upload
    if confirmed:
        async with district.transaction() as session:
            await service.confirm(session, clerk.importer, upload.id)

    async def broken(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(families, "recognise", broken)
    began = clock.now()
    for tried in range(steps.MOST_TRIES):
        with clock.at(began + 2 * tried * steps.LEASE), pytest.raises(RuntimeError):
            await steps.take_due(district)
    with clock.at(began + 2 * steps.MOST_TRIES * steps.LEASE):
        assert await steps.take_due(district) == 1
    ended = await clerk.seen(upload)
    assert (ended.status, await clerk.kept(), await clerk.count(Student)) == ("faulty", 0, 0)
    assert [problem["message_zh"] for problem in ended.problems] == ["系统多次未能处理完这个文件，没有导入任何一行，请联系管理员"]


async def test_a_step_that_somebody_is_at_is_not_taken_twice_and_one_that_died_begins_anew(clerk: Clerk, district: District) -> None:
    upload = (await clerk.hand_in("students", {})).upload
    async with district.transaction() as session:
        held = await session.get_one(BulkUpload, upload.id)
        held.leased_by, held.leased_until = uuid7(), clock.now() + steps.LEASE
    assert (await steps.take(district, upload.id), await steps.take_due(district)) == (0, 0)
    with clock.at(clock.now() + steps.LEASE + timedelta(seconds=1)):
        assert await steps.take_due(district) == 1
    assert (await clerk.seen(upload)).status == "checked"
    assert await steps.take_due(district) == 0


async def test_who_lost_its_lease_stores_nothing(clerk: Clerk, district: District, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = await clerk.check("students", {})
    enter = families.enter_students

    async def overtaken(*arguments: Any, by_name: bool) -> Any:
        entered = await enter(*arguments, by_name=by_name)
        async with district.transaction() as session:
            taken = await session.get_one(BulkUpload, checked.id)
            taken.leased_by = uuid7()
        return entered

    monkeypatch.setattr(families, "enter_students", overtaken)
    async with district.transaction() as session:
        await service.confirm(session, clerk.importer, checked.id)
    assert await steps.take_due(district) == 0
    assert ((await clerk.seen(checked)).status, await clerk.count(Student)) == ("confirmed", 0)


async def test_who_watches_is_told_how_far_it_is(clerk: Clerk, district: District, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_TELLS_EVERY_SECONDS", 0)
    upload = (await clerk.hand_in("teachers", *({"certificate_no": f"C-{number}"} for number in range(60)))).upload
    told: list[tuple[int, int]] = []
    assert await steps.take(district, upload.id, lambda done, rows: told.append((done, rows))) == 1
    assert told == [(25, 120), (50, 120), (75, 120), (100, 120)]
    assert (await clerk.seen(upload)).done == 100


async def test_the_command_line_draws_how_far_it_is(clerk: Clerk, district: District, monkeypatch: pytest.MonkeyPatch) -> None:
    class Drawn(Progress):
        """Every change is drawn, not ten a second."""

        def update(self, *arguments: Any, **changes: Any) -> None:
            super().update(*arguments, **changes)
            self.refresh()

    drawn = io.StringIO()
    monkeypatch.setattr(steps, "_TELLS_EVERY_SECONDS", 0)
    monkeypatch.setattr(bulk_commands, "Progress", Drawn)
    monkeypatch.setattr(bulk_commands, "console", Console(file=drawn, force_terminal=True, width=100))
    upload = (await clerk.hand_in("teachers", *({"certificate_no": f"C-{number}"} for number in range(60)))).upload
    assert (await bulk_commands._done(district, upload.id, "核对")).status == "checked"
    percents = [int(each) for each in re.findall(r"(\d+)%", drawn.getvalue())]
    assert percents == sorted(percents)
    assert {21, 42, 62, 83} <= set(percents)
    assert "核对" in drawn.getvalue()


async def test_of_very_many_bad_rows_every_one_is_told(clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "MOST_FURTHER", 3)
    faulty = await clerk.check("teachers", *({"name": None, "subject": None} for _ in range(620)))
    assert faulty.problem_count == 620
    assert [problem["cell"] for problem in faulty.problems[:7]] == ["A2", "C2", "A3", "C3", "A4", "C4", "A5"]
    assert faulty.problems[-1] == {"row": 621, "cell": "A621", "heading": "姓名", "message_zh": "请填写姓名"}


async def test_every_bad_cell_of_a_row_is_told_at_once(clerk: Clerk) -> None:
    """What the rules say of a row is asked once all its cells can be read."""
    teacher = {"name": None, "certificate_to_on": "2026-02-30", "employed_from_on": "昨天"}
    assert [cell for cell, _ in await clerk.told("teachers", teacher)] == ["A2", "E2", "F2"]
    assert [cell for cell, _ in await clerk.told("students", {"phone": "12", "name": "=1+1", "birth_month": "春天", "stage": "大学"})] == [
        "D2",
        "B2",
        "C2",
        "A2",
    ]
    assert [cell for cell, _ in await clerk.told("students", {"name": "<b>小明</b>"})] == ["B2"]
    course = {"first_on": None, "starts": "早上", "count": "很多", "seats": None, "price_fen": "四百", "mode": "电话"}
    assert {cell for cell, _ in await clerk.told("classes", course)} == {"G2", "P2", "I2", "K2", "Q2", "D2"}


async def test_a_year_without_a_calendar_is_said_not_guessed(world: World, owner: District) -> None:
    clerk = Clerk(world, await world.institution(kind="subject"))
    await clerk.bring_in("teachers", {"subject": "数学", "certificate_subject": "数学"})
    async with owner.transaction() as session:
        await session.execute(text("DELETE FROM business_day"))
        day = {"on_date": MONDAY, "kind": "working"}
        await session.execute(insert(BusinessDay).values(day))
    [(cell, message)] = await clerk.told("classes", {"subject": "数学", "price_fen": 40})
    assert (cell, message) == ("第 2 行", "工作日历还没有 2026 年，请监管人员录入后再办理")


async def test_holidays_of_a_year_without_a_calendar_are_not_guessed(clerk: Clerk, owner: District) -> None:
    await clerk.bring_in("teachers", {})
    async with owner.transaction() as session:
        await session.execute(text("DELETE FROM business_day"))
    [(cell, message)] = await clerk.told("classes", {})
    assert (cell, message) == ("M2", "工作日历还没有 2026 年，无法避开节假日；请待监管人员录入，或填“否”并写明不上课的日期")
    assert (await clerk.check("classes", {"skip_holidays": "否"})).status == "checked"
