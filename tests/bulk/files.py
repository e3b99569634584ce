"""Files as people and their programs make them."""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from xlsxwriter import Workbook

from app.bulk.registry import KINDS

Sheet = Sequence[Sequence[Any]]


def xlsx(rows: Sheet, *merged: str) -> bytes:
    """A workbook of one sheet, with the types that a person's cells have; `merged` are ranges like A1:B1."""
    written = io.BytesIO()
    book = Workbook(written, {"in_memory": True, "strings_to_formulas": False})
    sheet, day, hour = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": "hh:mm"})
    for number, row in enumerate(rows):
        for at, value in enumerate(row):
            if isinstance(value, date | datetime):
                sheet.write_datetime(number, at, value, day)
            elif isinstance(value, time):
                sheet.write_datetime(number, at, value, hour)
            elif value is not None:
                sheet.write(number, at, value)
    for cells in merged:
        sheet.merge_range(cells, "合并")
    book.close()
    return written.getvalue()


def as_csv(rows: Sheet, encoding: str = "utf-8", delimiter: str = ",") -> bytes:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter).writerows(rows)
    return written.getvalue().encode(encoding)


def filled(slug: str, *rows: Mapping[str, Any], sound: Mapping[str, Any]) -> Sheet:
    """The headings of a kind and rows by field, each a sound one with changes."""
    columns = KINDS[slug].columns
    return [[column.heading for column in columns], *([(dict(sound) | dict(row)).get(column.field) for column in columns] for row in rows)]


def repacked(workbook: bytes, added: Mapping[str, bytes]) -> bytes:
    """A workbook with more entries in its zip, or others in their place."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in added:
                new.writestr(name, old.read(name))
        for name, content in added.items():
            new.writestr(name, content)
    return written.getvalue()
