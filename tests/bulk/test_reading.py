"""What a file may be, and what is refused before anything of it is believed."""

import asyncio
import io
import json
import struct
import subprocess
import sys
import time as clock_time
import zipfile
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from app.bulk import reader, reading
from app.bulk.reader import MAX_BYTES, MAX_CELL, MAX_COLUMNS, MAX_ROWS, Unreadable, letters, read
from app.errors import BadInput, Unavailable
from app.ids import uuid7
from tests.bulk.files import as_csv, repacked, xlsx

ROWS = [["姓名", "科目"], ["王小明", "数学"], ["欧阳㐂", "语文"]]
SOUND = [(1, ["姓名", "科目"]), (2, ["王小明", "数学"]), (3, ["欧阳㐂", "语文"])]
SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_of_each_encoding_and_delimiter_is_read(encoding: str, delimiter: str) -> None:
    assert read(as_csv(ROWS, encoding, delimiter)) == SOUND


def test_a_workbook_is_read_as_its_cells_look() -> None:
    cells = ["a", 20, 1234.56, date(2026, 9, 1), time(18, 30), True, None, 20245101234567890]
    assert read(xlsx([["表头"], cells])) == [
        (1, ["表头"]),
        (2, ["a", "20", "1234.56", "2026-09-01", "18:30", "是", "", "2.02451012345679e+16"]),
    ]


def test_of_a_formula_only_the_stored_value_counts() -> None:
    sheet = xlsx([["金额"], ["=1+1"]])
    assert read(sheet) == [(1, ["金额"]), (2, ["=1+1"])], "a text stays a text"
    computed = b'<row r="2"><c r="A2"><f>WEBSERVICE("http://example.org")</f><v>7</v></c></row>'
    with zipfile.ZipFile(io.BytesIO(sheet)) as archive:
        written = archive.read(SHEET)
    begin, end = written.index(b'<row r="2"'), written.index(b"</sheetData>")
    assert read(repacked(sheet, {SHEET: written[:begin] + computed + written[end:]}))[1] == (2, ["7"])


def test_rows_keep_their_numbers_and_blank_ones_are_left_out() -> None:
    assert [number for number, _ in read(xlsx([["a"], [], [" "], ["b"], []]))] == [1, 4]
    assert read(xlsx([[], [None, "x"]])) == [(2, ["", "x"])]
    assert [number for number, _ in read(b"a\r\n,,\r\n\r\nb\r\n")] == [1, 4]


def test_columns_have_letters() -> None:
    assert [letters(column) for column in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


def encrypted(workbook: bytes) -> bytes:
    """The same with its entries marked as encrypted."""
    at = workbook.index(b"PK\x01\x02") + 8
    return workbook[:at] + b"\x01\x00" + workbook[at + 2 :]


def understated(workbook: bytes) -> bytes:
    """The same with an entry that says it is smaller than it is."""
    large = repacked(workbook, {"xl/media/large.xml": b"\0" * 3_000_000})
    sizes = struct.pack("<I", 3_000_000)
    return large.replace(sizes, struct.pack("<I", 3_000))


BAD = {
    "nothing": (b"", "bulk.file_empty"),
    "too large": (b"a" * (MAX_BYTES + 1), "bulk.file_too_large"),
    "an old or locked workbook": (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "bulk.file_kind"),
    "encrypted entries": (encrypted(xlsx(ROWS)), "bulk.file_kind"),
    "a truncated zip": (xlsx(ROWS)[:-300], "bulk.file_broken"),
    "a zip that is no workbook": (repacked(xlsx([]), {"[Content_Types].xml": b"?", "xl/workbook.xml": b"?"}), "bulk.file_broken"),
    "broken xml": (repacked(xlsx(ROWS), {SHEET: b"<worksheet><sheetData><row"}), "bulk.file_broken"),
    "a bomb": (repacked(xlsx(ROWS), {"xl/media/zero.bin": b"\0" * 3_000_000}), "bulk.file_bomb"),
    "a bomb of many entries": (repacked(xlsx(ROWS), {f"a/{number}": b"x" for number in range(300)}), "bulk.file_bomb"),
    "a bomb that hides its size": (understated(xlsx(ROWS)), "bulk.file_broken"),
    "a macro": (repacked(xlsx(ROWS), {"xl/vbaProject.bin": b"x"}), "bulk.file_active"),
    "an external link": (repacked(xlsx(ROWS), {"xl/externalLinks/externalLink1.xml": b"<x/>"}), "bulk.file_active"),
    "an entity": (repacked(xlsx(ROWS), {"xl/workbook.xml": b'<!DOCTYPE x [<!ENTITY a "b">]><workbook/>'}), "bulk.file_active"),
    "merged headings": (xlsx([["姓名", None, "科目"]], "A1:B1"), "bulk.merged_cells"),
    "too many columns": (as_csv([["x"] * (MAX_COLUMNS + 1)]), "bulk.too_many_columns"),
    "a long cell": (as_csv([["x" * (MAX_CELL + 1)]]), "bulk.cell_too_long"),
    "a longer cell": (as_csv([["x" * (MAX_CELL * 5)]]), "bulk.file_broken"),
    "too many rows": (b"x\n" * (MAX_ROWS + 3), "bulk.too_many_rows"),
    "an open quote": (b'a,b\n"c,d\n', "bulk.file_broken"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "bulk.file_encoding"),
    "half of a character": ("王小明".encode("gb18030")[:-1], "bulk.file_encoding"),
    "an odd utf-16": (b"\xff\xfea\x00b", "bulk.file_encoding"),
}


@pytest.mark.parametrize(("content", "code"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused_in_words(content: bytes, code: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(content)
    assert refused.value.code == code
    assert any("\u4e00" <= char <= "\u9fff" for char in refused.value.message_zh)


async def test_the_service_reads_in_a_process_of_its_own() -> None:
    assert await reading.read(uuid7(), xlsx(ROWS)) == SOUND
    for content in (xlsx(ROWS)[:-300], b"x" * (MAX_BYTES + 1)):
        with pytest.raises(BadInput) as refused:
            await reading.read(uuid7(), content)
        assert refused.value.facts == {"field": "file"}


async def test_a_sheet_without_end_outgrows_only_the_reader() -> None:
    """Two cells at its far ends: read whole it would be seventeen billion."""
    sheet = xlsx([["a"]])
    far = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    far += b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData></worksheet>'
    with pytest.raises(BadInput) as refused:
        await reading.read(uuid7(), repacked(sheet, {SHEET: far}))
    assert refused.value.code == "bulk.file_broken"


async def test_a_reader_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WALL_SECONDS", 0.001)
    began = clock_time.monotonic()
    with pytest.raises(BadInput) as refused:
        await reading.read(uuid7(), as_csv(ROWS))
    assert refused.value.code == "bulk.file_broken"
    assert clock_time.monotonic() - began < 5


async def test_few_files_are_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_places", asyncio.Semaphore(0))
    with pytest.raises(Unavailable):
        await reading.read(uuid7(), as_csv(ROWS))


async def test_one_file_of_an_institution_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, going_on = asyncio.Event(), asyncio.Event()

    async def slow(content: bytes) -> dict[str, Any]:
        begun.set()
        await going_on.wait()
        return {"rows": SOUND}

    monkeypatch.setattr(reading, "_read_apart", slow)
    institution_id = uuid7()
    first = asyncio.create_task(reading.read(institution_id, as_csv(ROWS)))
    await begun.wait()
    with pytest.raises(Unavailable, match=r"bulk\.busy"):
        await reading.read(institution_id, as_csv(ROWS))
    going_on.set()
    assert await reading.read(uuid7(), as_csv(ROWS)) == SOUND
    assert await first == SOUND
    assert await reading.read(institution_id, as_csv(ROWS)) == SOUND


def test_the_reader_knows_nothing_of_the_service() -> None:
    ran = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", str(Path(reader.__file__))],
        input=as_csv(ROWS),
        env={},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(ran.stdout)["rows"][1] == [2, ["王小明", "数学"]]
    assert b"| app" not in ran.stderr
    assert b"sqlalchemy" not in ran.stderr
