"""Workbooks that the service writes: templates to be filled in, and registers taken away. Every text stays a text, never a formula."""

import io
from collections.abc import Sequence
from datetime import date
from typing import IO

from xlsxwriter import Workbook

from app.bulk.kinds import AnyKind
from app.bulk.reader import MAX_ROWS

EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SHEET_ROWS = 1_000_000
"""Rows of data on one sheet; Excel holds 1,048,576."""

Value = str | int | date | None

_TEXTS_ONLY = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


def template(kind: AnyKind) -> bytes:
    """An empty file of a kind: headings, an example that no import takes, lists to choose from, and a sheet that explains the columns."""
    written = io.BytesIO()
    book = Workbook(written, {"in_memory": True, **_TEXTS_ONLY})
    as_text = book.add_format({"num_format": "@"})
    example = book.add_format({"num_format": "@", "italic": True, "font_color": "#7a7a7a"})
    needed = book.add_format({"bold": True, "bg_color": "#dbe9f6"})
    optional = book.add_format({"bg_color": "#eeeeee"})
    sheet = book.add_worksheet(kind.name_zh)
    sheet.freeze_panes(1, 0)
    for at, column in enumerate(kind.columns):
        sheet.set_column(at, at, column.width, as_text)
        sheet.write_string(0, at, column.heading, needed if column.required else optional)
        sheet.write_string(1, at, column.example, example)
        said = {"input_title": column.heading[:32], "input_message": column.hint[:255]} if column.hint else {}
        if column.options:
            sheet.data_validation(1, at, MAX_ROWS + 1, at, {"validate": "list", "source": list(column.options), **said})
        elif said:
            sheet.data_validation(1, at, MAX_ROWS + 1, at, {"validate": "any", **said})
    _explain(book, kind)
    book.close()
    return written.getvalue()


def _explain(book: Workbook, kind: AnyKind) -> None:
    sheet = book.add_worksheet("填写说明")
    bold = book.add_format({"bold": True})
    sheet.set_column(0, 0, 18)
    sheet.set_column(1, 1, 8)
    sheet.set_column(2, 3, 40)
    for at, heading in enumerate(("列", "必填", "说明", "示例")):
        sheet.write_string(0, at, heading, bold)
    for row, column in enumerate(kind.columns, start=1):
        hint = f"只能是：{'、'.join(column.options)}。{column.hint}" if column.options else column.hint
        for at, said in enumerate((column.heading, "是" if column.required else "", hint, column.example)):
            sheet.write_string(row, at, said)
    notes = (kind.note_zh, f"第一行是表头，灰色的示例行不会导入。一个文件最多 {MAX_ROWS} 行。", "有一行不能导入，就一行也不导入。")
    for row, note in enumerate(notes, start=len(kind.columns) + 2):
        sheet.write_string(row, 0, note)


class Listing:
    """A workbook that keeps one row in memory, the rest in `folder`."""

    def __init__(self, file: IO[bytes], folder: str, title: str) -> None:
        self._book = Workbook(file, {"constant_memory": True, "tmpdir": folder, **_TEXTS_ONLY})
        self._book.use_zip64()
        self._book.set_properties({"title": title})
        self._bold, self._day = self._book.add_format({"bold": True}), self._book.add_format({"num_format": "yyyy-mm-dd"})

    def begin(self, name_zh: str, headings: Sequence[tuple[str, int]]) -> None:
        """Rows from here on are of another list, with a sheet of its own; what was begun before is complete."""
        self._headings = headings
        self._begin_sheet(name_zh)

    def add(self, rows: Sequence[Sequence[Value]]) -> None:
        """Append rows of texts, numbers and dates."""
        for values in rows:
            if self._row == SHEET_ROWS:
                self._begin_sheet(None)
            self._row += 1
            for at, value in enumerate(values):
                match value:
                    case None:
                        pass
                    case int():
                        self._sheet.write_number(self._row, at, value)
                    case date():
                        self._sheet.write_datetime(self._row, at, value, self._day)
                    case _:
                        self._sheet.write_string(self._row, at, value)

    def close(self) -> None:
        """Put the parts together."""
        self._book.close()

    def _begin_sheet(self, name_zh: str | None) -> None:
        self._sheet, self._row = self._book.add_worksheet(name_zh), 0
        self._sheet.freeze_panes(1, 1)
        for at, (heading, width) in enumerate(self._headings):
            self._sheet.set_column(at, at, width)
            self._sheet.write_string(0, at, heading, self._bold)
