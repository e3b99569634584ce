"""What counts as a break (差错): pure decisions about one account's value day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

Kind = Literal["not_at_bank", "other_amount", "uninstructed_debit", "opening_differs", "closing_differs", "account_missing"]


@dataclass(frozen=True, slots=True)
class Line:
    """A booked movement that the statement does not show as it was booked; `stated_fen` None where it shows no such line."""

    reference: str
    direction: str
    booked_fen: int
    stated_fen: int | None


@dataclass(frozen=True, slots=True)
class Debit:
    """Money taken from the account without our instruction."""

    reference: str
    value_on: date
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Day:
    """One account's value day, from both sides. `previous_closing_fen` is None where no final statement of the day before is known."""

    value_on: date
    opening_fen: int
    closing_fen: int
    previous_closing_fen: int | None
    cash_fen: int
    lines: tuple[Line, ...]
    debits: tuple[Debit, ...]


@dataclass(frozen=True, slots=True)
class NamedBreak:
    """A difference with its name; `amount_fen` is what the bank shows beyond the books, for a debit what is still missing."""

    kind: Kind
    amount_fen: int
    reference: str


def breaks(day: Day) -> list[NamedBreak]:
    """Name every difference of a day.

    A line that the bank does not show, or shows with another amount, moves the balance of its day and of every later one,
    so it is named until it is resolved. A debit that nobody instructed is in the books too and moves no difference: it is
    named on its own day for as long as the money is missing. What is left after the lines is `closing_differs`, unexplained.
    """
    named = [_line_break(line) for line in day.lines]
    unexplained = day.closing_fen - day.cash_fen - sum(each.amount_fen for each in named)
    named += [NamedBreak("uninstructed_debit", debit.amount_fen, debit.reference) for debit in day.debits if debit.value_on == day.value_on]
    if day.previous_closing_fen is not None and day.opening_fen != day.previous_closing_fen:
        named.append(NamedBreak("opening_differs", day.opening_fen - day.previous_closing_fen, day.value_on.isoformat()))
    if unexplained:
        named.append(NamedBreak("closing_differs", unexplained, day.value_on.isoformat()))
    return named


def missing(value_on: date, cash_fen: int) -> NamedBreak:
    """The bank's statement leaves the whole account out, whatever the books hold in it."""
    return NamedBreak("account_missing", -cash_fen, value_on.isoformat())


def open_debits(moved: Iterable[tuple[str, int, int]]) -> int:
    """What is still missing of all debits of a book, in fen, by the transfers of its shortfall in their order: kind, fen, and what of
    these are fees of old stock.

    Old stock lacks its cash too. What is made good counts for debits first, so that a bank that repays its own ends its break; but a
    fee of old stock brings no cash while old stock itself is short.
    """
    debits_fen = old_stock_fen = 0
    for kind, amount_fen, own_fen in moved:
        if kind == "taken":
            debits_fen += amount_fen
        elif kind == "old_stock_recognised":
            old_stock_fen += amount_fen
        else:
            own_fen = min(own_fen, old_stock_fen)
            repaid_fen = min(amount_fen - own_fen, debits_fen)
            debits_fen -= repaid_fen
            old_stock_fen -= amount_fen - repaid_fen
    return debits_fen


def standing(newest_first: Iterable[Debit], open_fen: int) -> tuple[Debit, ...]:
    """What is still missing of each debit, when so much (fen) is missing of all: the oldest is made good first."""
    left, found = open_fen, []
    for debit in newest_first:
        missing = min(debit.amount_fen, left)
        if missing <= 0:
            break
        found.append(Debit(debit.reference, debit.value_on, missing))
        left -= missing
    return tuple(found)


def _line_break(line: Line) -> NamedBreak:
    beyond = (line.stated_fen or 0) - line.booked_fen
    kind: Kind = "not_at_bank" if line.stated_fen is None else "other_amount"
    return NamedBreak(kind, beyond if line.direction == "in" else -beyond, line.reference)
