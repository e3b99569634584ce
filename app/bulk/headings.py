"""Which column of a file is which: by its heading, in any order."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from app.bulk.cells import Column, Line
from app.bulk.kinds import AnyKind
from app.bulk.reader import MAX_ROWS, Numbered, letters
from app.errors import BadInput

_MARKS = re.compile(r"[\s*＊]|[(（](必填|选填)[)）]")


@dataclass(frozen=True, slots=True)
class Table:
    """A file's rows in the order of its kind's columns, and the letter that each column has in the file, None where it lacks it."""

    places: list[str | None]
    rows: list[Numbered]


def table_of(kind: AnyKind, found: Sequence[Numbered]) -> Table:
    """The rows under the headings, without the template's example.

    Raises BadInput("bulk.heading_invalid") naming the first heading's cell that is wrong, BadInput("bulk.file_empty",
    "bulk.too_many_rows").
    """
    if not found:
        raise _refusal("bulk.file_empty", "文件里没有内容")
    heading, rows = found[0], found[1:]
    positions = _positions(kind.columns, heading)
    taken = [
        Numbered(row.number, [row.cells[at].strip() if at is not None and at < len(row.cells) else "" for at in positions]) for row in rows
    ]
    example = [column.example if at is not None else "" for column, at in zip(kind.columns, positions, strict=True)]
    kept = [row for row in taken if row.cells != example and any(row.cells)]
    if not kept:
        raise _refusal("bulk.file_empty", "表头下面没有数据")
    if len(kept) > MAX_ROWS:
        raise _refusal("bulk.too_many_rows", f"一个文件最多 {MAX_ROWS} 行，请分成几个文件")
    return Table([None if at is None else letters(at) for at in positions], kept)


def line_of(kind: AnyKind, row: Numbered) -> Line:
    """A row of a table with its texts by field, that gathers what is wrong with it."""
    return Line(row.number, {column.field: cell for column, cell in zip(kind.columns, row.cells, strict=True)}, wrong=[])


def _positions(columns: Sequence[Column], heading: Numbered) -> list[int | None]:
    wanted = {_bare(column.heading): column for column in columns}
    found: dict[str, int] = {}
    for at, written in enumerate(heading.cells):
        name, cell = _bare(written), f"{letters(at)}{heading.number}"
        if not name:
            raise _refusal("bulk.heading_invalid", f"{cell}：表头是空的，请使用模板的表头")
        if name not in wanted:
            raise _refusal("bulk.heading_invalid", f"{cell}：没有这一列，请使用模板的表头：{'、'.join(wanted)}")
        if name in found:
            raise _refusal("bulk.heading_invalid", f"{cell}：与 {letters(found[name])}{heading.number} 重复")
        found[name] = at
    missing = [column.heading for name, column in wanted.items() if column.required and name not in found]
    if missing:
        raise _refusal("bulk.heading_invalid", f"缺少：{'、'.join(missing)}；表头须在第一行有内容的行，请使用模板")
    return [found.get(name) for name in wanted]


def _bare(heading: str) -> str:
    return _MARKS.sub("", unicodedata.normalize("NFKC", heading))


def _refusal(code: str, message_zh: str) -> BadInput:
    return BadInput(code, message_zh, field="file")
