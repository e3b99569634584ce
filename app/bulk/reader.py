"""Reads a workbook (xlsx) or a CSV file into rows of texts. It runs as a process of its own and knows nothing of the service.

The file comes on standard input; JSON goes out: `{"rows": [[number, [text, …]], …]}` with the rows that hold anything, or
`{"code": …, "message_zh": …}`. Nothing is computed: of a formula only the value that stands in the file counts.
"""

import codecs
import csv
import io
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime, time
from numbers import Real
from typing import Any, NamedTuple

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

MAX_BYTES = 5 * 1024 * 1024
MAX_ROWS = 20_000
MAX_COLUMNS = 60
MAX_CELL = 500
"""Characters."""
MAX_TEXT = 8_000_000
"""Characters of a whole file."""
CPU_SECONDS = 20
MEMORY_BYTES = 1024 * 1024 * 1024

_HEADINGS = 2
"""Rows that are no data: the headings, and the template's example."""
_MAX_ENTRIES = 200
_MAX_UNPACKED = 100 * 1024 * 1024
_MAX_RATIO = 100
_RATIO_FROM = 1024 * 1024
_BLOCK = 64 * 1024
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_ACTIVE = re.compile(r"externallinks?/|vbaproject|/embeddings/|/activex/|/connections\.xml|/querytables/", re.IGNORECASE)
_MARKED = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Numbered(NamedTuple):
    """A row as people count it, from 1."""

    number: int
    cells: list[str]


class Unreadable(Exception):
    """The file cannot be taken; a stable code and a Chinese sentence."""

    def __init__(self, code: str, message_zh: str) -> None:
        super().__init__(code)
        self.code = code
        self.message_zh = message_zh


def read(content: bytes) -> list[Numbered]:
    """The rows of a file that hold anything. Raises Unreadable."""
    if not content:
        raise Unreadable("bulk.file_empty", "文件是空的")
    if len(content) > MAX_BYTES:
        raise Unreadable("bulk.file_too_large", f"文件不能超过 {MAX_BYTES // 1024 // 1024} MB，请分成几个文件")
    if content.startswith(_OLE):
        raise Unreadable("bulk.file_kind", "旧版 .xls 或加了密码的工作簿不能读取，请另存为不带密码的 .xlsx 再上传")
    rows = _workbook(content) if content.startswith(_ZIP) else _csv(_text(content))
    return list(_within_limits(rows))


def _within_limits(rows: Iterable[Numbered]) -> Iterator[Numbered]:
    held = length = 0
    for number, cells in rows:
        while cells and not cells[-1].strip():
            cells.pop()
        if not cells:
            continue
        held += 1
        length += sum(map(len, cells))
        if held > MAX_ROWS + _HEADINGS:
            raise Unreadable("bulk.too_many_rows", f"一个文件最多 {MAX_ROWS} 行，请分成几个文件")
        if len(cells) > MAX_COLUMNS:
            raise Unreadable("bulk.too_many_columns", f"第 {number} 行超过 {MAX_COLUMNS} 列，请使用模板")
        if max(map(len, cells)) > MAX_CELL or length > MAX_TEXT:
            raise Unreadable("bulk.cell_too_long", f"第 {number} 行有单元格超过 {MAX_CELL} 字，或全部内容过多")
        yield Numbered(number, cells)


def _workbook(content: bytes) -> Iterator[Numbered]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _refuse_unsafe(archive)
        with CalamineWorkbook.from_object(io.BytesIO(content)) as book:
            shown = [
                sheet.name
                for sheet in book.sheets_metadata
                if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible
            ]
            if not shown:
                raise Unreadable("bulk.file_empty", "工作簿里没有工作表")
            yield from _sheet(book.get_sheet_by_name(shown[0]))
    except (zipfile.BadZipFile, zlib.error, CalamineError, NotImplementedError, EOFError) as broken:
        raise Unreadable("bulk.file_broken", "文件已损坏或不是 .xlsx 工作簿") from broken


def _refuse_unsafe(archive: zipfile.ZipFile) -> None:
    """Before anything of it is parsed: how much it unpacks to, and that nothing in it acts or reaches outside."""
    entries = archive.infolist()
    bomb = Unreadable("bulk.file_bomb", "文件解压后过大，无法读取")
    if len(entries) > _MAX_ENTRIES or sum(entry.file_size for entry in entries) > _MAX_UNPACKED:
        raise bomb
    for entry in entries:
        if entry.file_size > _RATIO_FROM and entry.file_size > _MAX_RATIO * max(entry.compress_size, 1):
            raise bomb
        if entry.flag_bits & 1:
            raise Unreadable("bulk.file_kind", "加了密码的工作簿不能读取")
        if _ACTIVE.search(entry.filename):
            raise Unreadable("bulk.file_active", "工作簿含有宏、嵌入对象或外部链接，请另存为普通 .xlsx 再上传")
    unpacked = 0
    for entry in entries:
        with archive.open(entry) as part:
            while block := part.read(_BLOCK):
                unpacked += len(block)
                if b"<!DOCTYPE" in block or b"<!ENTITY" in block:
                    raise Unreadable("bulk.file_active", "工作簿含有不允许的内容，请另存为普通 .xlsx 再上传")
                if unpacked > _MAX_UNPACKED:
                    raise bomb


def _sheet(sheet: CalamineSheet) -> Iterator[Numbered]:
    for (row, column), _ in sheet.merged_cell_ranges or ():
        raise Unreadable("bulk.merged_cells", f"{letters(column)}{row + 1} 是合并单元格，请取消合并，每格单独填写")
    # Rows come from the first one on, their cells from the first column that holds anything.
    _, first_column = sheet.start or (0, 0)
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        yield Numbered(number, [""] * first_column + [_written(cell) for cell in cells])


def _written(cell: Any) -> str:
    """A cell as a person would type it."""
    match cell:
        case str():
            return cell
        case bool():
            return "是" if cell else "否"
        case datetime():
            return str(cell.date()) if cell.time() == time() else cell.isoformat(" ", "minutes")
        case date():
            return str(cell)
        case time():
            return cell.isoformat("minutes")
        case _:
            # Fifteen digits are all that a spreadsheet keeps of a number.
            return format(cell, ".15g") if isinstance(cell, Real) else str(cell)


def _text(content: bytes) -> str:
    marked = next((encoding for mark, encoding in _MARKED.items() if content.startswith(mark)), None)
    for encoding in (marked,) if marked else ("utf-8", "gb18030"):
        with suppress(UnicodeDecodeError):
            text = content.decode(encoding)
            if "\0" not in text:
                return text
    raise Unreadable("bulk.file_encoding", "读不出文字：请上传 .xlsx，或 UTF-8、GB18030（GBK）编码的 CSV")


def _csv(text: str) -> Iterator[Numbered]:
    csv.field_size_limit(MAX_CELL * 4)
    heading = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=heading.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, cells in enumerate(rows, start=1):
            yield Numbered(number, cells)
    except csv.Error as broken:
        raise Unreadable("bulk.file_broken", f"第 {number + 1} 行的引号或分隔符不完整") from broken


def letters(column: int) -> str:
    """A column as spreadsheets name it: 0 is A, 26 is AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def _limit_this_process() -> None:
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def main() -> None:
    """Read standard input and write what was found."""
    _limit_this_process()
    answer: dict[str, object]
    try:
        answer = {"rows": read(sys.stdin.buffer.read(MAX_BYTES + 1))}
    except Unreadable as refused:
        answer = {"code": refused.code, "message_zh": refused.message_zh}
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
