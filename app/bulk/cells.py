"""Columns of a file and the cells of its rows, read as what they mean. A refusal names the column's field, never what the cell holds."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from app import money
from app.errors import BadInput
from app.ledger.sheets import never_a_formula

UNFIT = "bulk.cell_invalid"
YES_NO: Mapping[str, bool] = {"是": True, "否": False}

_DAY = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?")
_MONTH = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*(?:月|[-/.月]\s*\d{1,2}\s*日?)?")
_HOUR = re.compile(r"(\d{1,2}):(\d{2})(?::00)?")
_WEEKDAYS = "一二三四五六日"
_BETWEEN = re.compile(r"[\s、,，;；]+")
_ROUNDED = re.compile(r"\d(\.\d+)?e\+\d+", re.IGNORECASE)

P = ParamSpec("P")
T = TypeVar("T")


def _noting(instead: Any) -> Callable[[Callable[Concatenate["Line", P], T]], Callable[Concatenate["Line", P], T]]:
    """Where a line gathers what is wrong with it, a cell that cannot be read is noted, and `instead` stands for it."""

    def decorate(read: Callable[Concatenate["Line", P], T]) -> Callable[Concatenate["Line", P], T]:
        @wraps(read)
        def reading(line: "Line", /, *arguments: P.args, **named: P.kwargs) -> T:
            try:
                return read(line, *arguments, **named)
            except BadInput as wrong:
                if line.wrong is None:
                    raise
                line.wrong.append(wrong)
                stands: T = instead
                return stands

        return reading

    return decorate


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a kind of file: its field in the register, its heading, an example and what people should know.

    `options` are the texts that may stand in it, by what they mean.
    """

    field: str
    heading: str
    example: str
    hint: str = ""
    required: bool = True
    width: int = 16
    options: Mapping[str, str | bool] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a file: its number there, and its texts by field, an empty one for a blank cell.

    `wrong`, where given, gathers the refusals of cells that cannot be read, so that one reading finds them all.
    """

    number: int
    cells: Mapping[str, str]
    wrong: list[BadInput] | None = None

    @_noting("")
    def text(self, field: str) -> str:
        """A text. Raises BadInput for one that a spreadsheet would compute, and for a long number that one has rounded."""
        found = self.cells[field]
        if never_a_formula(found) != found:
            raise unfit(field, f"不能以“{found[0].strip()}”开头：表格软件会把它当作公式")
        if _ROUNDED.fullmatch(found):
            raise unfit(field, "长数字已被表格软件改写，请把该列设为“文本”格式后重新填写")
        return found

    def optional(self, field: str) -> str | None:
        """A text, None for a blank cell."""
        return self.text(field) or None

    def phone(self, field: str) -> str:
        """A phone, which may begin with +86."""
        return self.cells[field]

    @_noting(None)
    def day(self, field: str) -> date | None:
        """A date, None for a blank cell."""
        return _day(self.cells[field], field) if self.cells[field] else None

    @_noting(date.min)
    def some_day(self, field: str) -> date:
        """A date that must be there."""
        found = self.day(field)
        if found is None:
            raise unfit(field, "请填写日期")
        return found

    @_noting([])
    def days(self, field: str) -> list[date]:
        """Several dates, divided by 、 or commas."""
        return [_day(part, field) for part in _BETWEEN.split(self.cells[field]) if part]

    @_noting("")
    def month(self, field: str) -> str:
        """A month as `YYYY-MM`; a whole date stands for its month."""
        found = _MONTH.fullmatch(_plain(self.cells[field]))
        if found is None:
            raise unfit(field, "请写成 2016-09 这样的年月")
        return f"{found[1]}-{int(found[2]):02d}"

    @_noting(time())
    def hour(self, field: str) -> time:
        """An hour of the day, 18:30."""
        found = _HOUR.fullmatch(_plain(self.cells[field]))
        if found is None or int(found[1]) > 23 or int(found[2]) > 59:
            raise unfit(field, "请写成 18:30 这样的时间")
        return time(int(found[1]), int(found[2]))

    @_noting(None)
    def fen(self, field: str) -> int | None:
        """An amount typed in yuan, None for a blank cell."""
        if not self.cells[field]:
            return None
        try:
            return money.typed(_plain(self.cells[field]))
        except (ValueError, OverflowError) as wrong:
            raise unfit(field, "金额须为数字，最多两位小数，且不超过上限") from wrong

    @_noting(0)
    def some_fen(self, field: str) -> int:
        """An amount typed in yuan that must be there."""
        found = self.fen(field)
        if found is None:
            raise unfit(field, "请填写金额")
        return found

    @_noting(0)
    def count(self, field: str, otherwise: int | None = None) -> int:
        """A whole number, or the other one for a blank cell."""
        written = _plain(self.cells[field])
        if not written and otherwise is not None:
            return otherwise
        if not re.fullmatch(r"\d{1,9}", written):
            raise unfit(field, "须为整数")
        return int(written)

    @_noting(set())
    def weekdays(self, field: str) -> set[int]:
        """Days of the week, Monday is 0: 周一、周三, or 一三."""
        written = re.sub(r"周|星期|[\s、,，;；/]", "", self.cells[field]).replace("天", "日")
        if not set(written) <= set(_WEEKDAYS):
            raise unfit(field, "请写成“周一、周三”")
        return {_WEEKDAYS.index(each) for each in written}

    @_noting(None)
    def chosen(self, column: Column) -> str | bool | None:
        """What the text in a column of choices means, None for a blank cell."""
        written, options = self.cells[column.field], column.options or {}
        if written and written not in options:
            raise unfit(column.field, f"须为{'、'.join(options)}之一")
        return options[written] if written else None


def unfit(field: str, message_zh: str) -> BadInput:
    """The refusal of one cell, to be raised."""
    return BadInput(UNFIT, message_zh, field=field)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()


def _day(text: str, field: str) -> date:
    found = _DAY.fullmatch(_plain(text).removesuffix(" 00:00"))
    try:
        if found is not None:
            return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        pass
    raise unfit(field, "没有这一天，请写成 2026-09-01 这样的日期")
