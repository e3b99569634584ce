"""Cells as people fill them in, and the headings above them."""

from collections.abc import Callable
from datetime import date, time
from typing import Any

import pytest

from app.bulk.cells import YES_NO, Column, Line
from app.bulk.headings import table_of
from app.bulk.reader import Numbered
from app.bulk.registry import KINDS
from app.errors import BadInput

TEACHERS = KINDS["teachers"]
HEADINGS = [column.heading for column in TEACHERS.columns]
YES = Column("f", "是否", "是", options=YES_NO)

Read = Callable[[Line, str], Any]


@pytest.mark.parametrize(
    ("read", "written", "meant"),
    [
        (Line.text, "王小明", "王小明"),
        (Line.optional, "", None),
        (Line.phone, "+86 138 0013 8000", "+86 138 0013 8000"),
        (Line.day, "", None),
        (Line.day, "2026-09-01", date(2026, 9, 1)),
        (Line.day, "2026/9/1", date(2026, 9, 1)),
        (Line.day, "2026.9.1", date(2026, 9, 1)),
        (Line.day, "２０２６年９月１日", date(2026, 9, 1)),
        (Line.days, "2026-03-21、2026/3/22", [date(2026, 3, 21), date(2026, 3, 22)]),
        (Line.month, "2016-09", "2016-09"),
        (Line.month, "2016年9月", "2016-09"),
        (Line.month, "2016-09-01", "2016-09"),
        (Line.hour, "18:30", time(18, 30)),
        (Line.hour, "8：05:00", time(8, 5)),
        (Line.fen, "1,234.5", 123_450),
        (Line.fen, "¥1600", 160_000),
        (Line.fen, "", None),
        (Line.some_fen, "1,234.5", 123_450),
        (Line.some_day, "2026-09-01", date(2026, 9, 1)),
        (Line.count, "２０", 20),
        (Line.weekdays, "周一、周三", {0, 2}),
        (Line.weekdays, "星期六 星期天", {5, 6}),
        (Line.weekdays, "", set()),
        (lambda line, _: line.chosen(YES), "否", False),
        (lambda line, _: line.chosen(YES), "", None),
    ],
)
def test_a_cell_means(read: Read, written: str, meant: object) -> None:
    assert read(Line(2, {"f": written}), "f") == meant


@pytest.mark.parametrize(
    ("read", "written"),
    [
        *((Line.text, f"{sign}HYPERLINK") for sign in "=+-@＝＋－＠\t"),
        *((Line.text, rounded) for rounded in ("2.02451012345679e+16", "2.0245101E+16", "2E+16", "２e+16")),
        (Line.day, "2026-02-30"),
        (Line.day, "26-9-1"),
        (Line.day, "46266"),
        (Line.month, "2016年秋"),
        (Line.hour, "25:00"),
        (Line.hour, "半夜"),
        (Line.fen, "-5"),
        (Line.fen, "1.005"),
        (Line.fen, "999999999999999"),
        (Line.count, "1.5"),
        (Line.count, ""),
        (Line.some_fen, ""),
        (Line.some_day, ""),
        (Line.weekdays, "周八"),
        (lambda line, _: line.chosen(YES), "也许"),
    ],
)
def test_a_bad_cell_is_refused_by_its_field_without_what_it_holds(read: Read, written: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(Line(2, {"f": written}), "f")
    assert refused.value.facts == {"field": "f"}
    assert not written or written not in refused.value.message_zh


def table(*rows: list[str], heading: list[str] | None = None) -> list[Numbered]:
    return [Numbered(number, row) for number, row in enumerate([heading or HEADINGS, *rows], start=1)]


def test_columns_are_found_by_their_headings_in_any_order() -> None:
    found = table_of(TEACHERS, table(["C-1", "", "李明", " 数学 "], heading=["资格证书号（必填）", "入职日期", "姓名*", "任 教 科 目"]))
    assert found.places == ["C", "A", "D", None, None, "B"]
    assert found.rows == [(2, ["李明", "C-1", "数学", "", "", ""])]


def test_the_templates_example_is_not_taken() -> None:
    example = [column.example for column in TEACHERS.columns]
    assert [number for number, _ in table_of(TEACHERS, table(example, ["李明", "C-1", "数学"])).rows] == [3]
    with pytest.raises(BadInput) as refused:
        table_of(TEACHERS, table(example))
    assert refused.value.code == "bulk.file_empty"


def test_the_example_is_known_without_the_columns_that_were_deleted() -> None:
    kept = [column for column in TEACHERS.columns if column.required]
    heading, example = [column.heading for column in kept], [column.example for column in kept]
    assert [number for number, _ in table_of(TEACHERS, table(example, ["张华", "C-1", "数学"], heading=heading)).rows] == [3]


@pytest.mark.parametrize(
    ("heading", "said"),
    [
        ([*HEADINGS, "备注"], "G1：没有这一列"),
        (["姓名", "", *HEADINGS[1:]], "B1：表头是空的"),
        ([*HEADINGS, "姓名"], "G1：与 A1 重复"),
        (HEADINGS[1:], "缺少：姓名"),
        (["李明", "C-1", "数学"], "A1：没有这一列"),
    ],
)
def test_wrong_headings_are_named_by_their_cell(heading: list[str], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        table_of(TEACHERS, table(["李明", "C-1", "数学"], heading=heading))
    assert refused.value.code == "bulk.heading_invalid"
    assert refused.value.message_zh.startswith(said)


@pytest.mark.parametrize("found", [[], table()])
def test_a_file_without_rows_is_empty(found: list[Numbered]) -> None:
    with pytest.raises(BadInput) as refused:
        table_of(TEACHERS, found)
    assert refused.value.code == "bulk.file_empty"
