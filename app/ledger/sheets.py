"""The journal for a spreadsheet, as CSV and as Excel: a row per sealed transfer, with everything that its leaf is computed from."""

import csv
import io
import tempfile
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import IO, Literal

from anyio import to_thread
from sqlalchemy.ext.asyncio import AsyncSession
from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from app.db import district_of
from app.ledger import journal
from app.ledger.journal import Glossary, Line, Scope, local
from app.money import plain

SHEET_ROWS = 1_000_000
"""Transfers on one sheet; Excel holds 1,048,576 rows."""
_BLOCK = 256 * 1024
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_FORMATS = {"fen": "#,##0.00", "day": "yyyy-mm-dd"}

Cell = str | int | date


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the journal. Fen are shown as yuan; days are dates; texts are never formulas."""

    heading: str
    holds: Literal["text", "number", "fen", "day"]
    width: int
    value: Callable[[Line, Glossary], Cell]


COLUMNS = (
    Column("凭证号", "number", 9, lambda line, _: line.seq),
    Column("记账日期", "day", 11, lambda line, _: line.recorded_on),
    Column("账簿名称", "text", 24, lambda line, glossary: glossary.books.get(line.book_id, "")),
    Column("摘要", "text", 14, lambda line, glossary: glossary.word(line.kind, "transfer")),
    Column("借方科目", "text", 14, lambda line, glossary: glossary.word(_type(line.debit), "account")),
    Column("贷方科目", "text", 14, lambda line, glossary: glossary.word(_type(line.credit), "account")),
    Column("金额（元）", "fen", 14, lambda line, _: line.amount_fen),
    Column("借方户余额（元）", "fen", 16, lambda line, _: line.debit_balance_fen),
    Column("贷方户余额（元）", "fen", 16, lambda line, _: line.credit_balance_fen),
    Column("发生时间", "text", 32, lambda line, _: local(line.occurred_at)),
    Column("起息日", "day", 11, lambda line, _: line.value_on),
    Column("营业日", "day", 11, lambda line, _: line.business_on),
    Column("记账时间", "text", 32, lambda line, _: local(line.recorded_at)),
    Column("经办", "text", 42, lambda line, _: line.posted_by),
    Column("类型代码", "text", 18, lambda line, _: line.kind),
    Column("依据", "text", 37, lambda line, _: line.reference),
    Column("账簿", "text", 37, lambda line, _: str(line.book_id)),
    Column("借方分户账", "text", 46, lambda line, _: line.debit),
    Column("贷方分户账", "text", 46, lambda line, _: line.credit),
    Column("借方户笔次", "number", 11, lambda line, _: line.debit_version),
    Column("贷方户笔次", "number", 11, lambda line, _: line.credit_version),
    Column("凭证标识", "text", 37, lambda line, _: str(line.transfer_id)),
    Column("冲正凭证", "text", 37, lambda line, _: str(line.reverses or "")),
    Column("批次", "text", 37, lambda line, _: str(line.batch or "")),
    Column("格式", "number", 6, lambda line, _: line.format),
    Column("证据摘要", "text", 66, lambda line, _: (line.evidence_sha256 or b"").hex()),
    Column("叶哈希", "text", 66, lambda line, _: line.leaf_hash.hex()),
)


async def as_csv(session: AsyncSession, scope: Scope, glossary: Glossary) -> AsyncGenerator[bytes]:
    """The journal as CSV in parts, out of a fresh session's one snapshot.

    It begins with a byte order mark, without which Excel takes Chinese for Latin; a text that Excel would compute gets a `'` in front.
    """
    await journal.begin(session)
    yield "\ufeff".encode() + _rows([[column.heading for column in COLUMNS]])
    async for lines in journal.lines(session, scope):
        yield _rows([[_written(column, column.value(line, glossary)) for column in COLUMNS] for line in lines])


async def as_workbook(session: AsyncSession, scope: Scope, glossary: Glossary) -> AsyncGenerator[bytes]:
    """The journal as an Excel workbook, out of a fresh session's one snapshot; written to disk first, then handed out in parts."""
    await journal.begin(session)
    with tempfile.TemporaryDirectory(prefix="journal-") as folder, tempfile.TemporaryFile(dir=folder) as file:
        book = _Journal(file, folder, district_of(session))
        async for lines in journal.lines(session, scope):
            await to_thread.run_sync(book.add, lines, glossary)
        await to_thread.run_sync(book.close)
        # A slow reader of the file needs no snapshot any more.
        await session.rollback()
        file.seek(0)
        while block := await to_thread.run_sync(file.read, _BLOCK):
            yield block


class _Journal:
    """A workbook that keeps one row in memory, the rest in `folder`."""

    def __init__(self, file: IO[bytes], folder: str, district: str) -> None:
        self._book = Workbook(file, {"constant_memory": True, "tmpdir": folder})
        self._book.use_zip64()
        self._book.set_properties({"title": district})
        self._heading = self._book.add_format({"bold": True})
        self._formats = {holds: self._book.add_format({"num_format": shown}) for holds, shown in _FORMATS.items()}
        self._sheet = self._new_sheet()
        self._row = 0

    def add(self, lines: list[Line], glossary: Glossary) -> None:
        """Append a row per transfer."""
        for line in lines:
            if self._row == SHEET_ROWS:
                self._sheet, self._row = self._new_sheet(), 0
            self._row += 1
            for position, column in enumerate(COLUMNS):
                self._write(position, column, column.value(line, glossary))

    def close(self) -> None:
        """Put the parts together."""
        self._book.close()

    def _new_sheet(self) -> Worksheet:
        sheet = self._book.add_worksheet()
        sheet.freeze_panes(1, 1)
        for position, column in enumerate(COLUMNS):
            sheet.set_column(position, position, column.width)
            sheet.write_string(0, position, column.heading, self._heading)
        return sheet

    def _write(self, position: int, column: Column, value: Cell) -> None:
        cell_format: Format | None = self._formats.get(column.holds)
        match value:
            case int():
                # Excel keeps numbers as doubles; until there the amount is exact.
                number = Fraction(value, 100) if column.holds == "fen" else value
                self._sheet.write_number(self._row, position, number, cell_format)
            case date():
                self._sheet.write_datetime(self._row, position, value, cell_format)
            case _:
                self._sheet.write_string(self._row, position, value)


def _type(code: str) -> str:
    return code.partition(":")[0]


def never_a_formula(text: str) -> str:
    """The text as a spreadsheet shows it: one that would be computed gets a `'` in front."""
    return f"'{text}" if text.startswith(_STARTS_A_FORMULA) else text


def _written(column: Column, value: Cell) -> str:
    if isinstance(value, int):
        return plain(value) if column.holds == "fen" else str(value)
    return never_a_formula(str(value))


def _rows(rows: list[list[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows(rows)
    return written.getvalue().encode()
