"""Naming differences: pure decisions."""

from datetime import date

import pytest

from app.reconciliation.rules import Day, Debit, Line, NamedBreak, breaks, open_debits, standing

TODAY = date(2025, 3, 4)
YESTERDAY = date(2025, 3, 3)


def day(**facts: object) -> Day:
    agreed: dict[str, object] = {
        "value_on": TODAY,
        "opening_fen": 100_00,
        "closing_fen": 150_00,
        "previous_closing_fen": 100_00,
        "cash_fen": 150_00,
        "lines": (),
        "debits": (),
    }
    return Day(**(agreed | facts))  # type: ignore[arg-type]


def test_a_day_on_which_bank_and_books_agree_has_no_break() -> None:
    assert breaks(day()) == []


@pytest.mark.parametrize(("direction", "beyond_fen"), [("in", -50_00), ("out", 50_00)])
def test_a_movement_that_the_bank_does_not_show_explains_the_whole_difference(direction: str, beyond_fen: int) -> None:
    missing = Line("P1", direction, 50_00, None)
    assert breaks(day(closing_fen=150_00 + beyond_fen, lines=(missing,))) == [NamedBreak("not_at_bank", beyond_fen, "P1")]


@pytest.mark.parametrize(("direction", "beyond_fen"), [("in", 1), ("out", -1)])
def test_a_movement_with_another_amount_explains_what_it_differs_by(direction: str, beyond_fen: int) -> None:
    differing = Line("P1", direction, 50_00, 50_01)
    assert breaks(day(closing_fen=150_00 + beyond_fen, lines=(differing,))) == [NamedBreak("other_amount", beyond_fen, "P1")]


def test_what_the_lines_leave_over_is_unexplained() -> None:
    missing = Line("P1", "in", 50_00, None)
    assert breaks(day(closing_fen=99_99, lines=(missing,))) == [
        NamedBreak("not_at_bank", -50_00, "P1"),
        NamedBreak("closing_differs", -1, "2025-03-04"),
    ]


def test_an_opening_balance_that_is_not_the_last_closing_one_is_named_even_where_the_closing_one_agrees() -> None:
    assert breaks(day(opening_fen=100_01)) == [NamedBreak("opening_differs", 1, "2025-03-04")]


def test_without_a_final_statement_of_the_day_before_the_opening_balance_is_not_judged() -> None:
    assert breaks(day(opening_fen=100_01, previous_closing_fen=None)) == []


def test_an_uninstructed_debit_is_named_on_its_own_day_and_moves_no_difference() -> None:
    assert breaks(day(debits=(Debit("M9", TODAY, 30_00), Debit("M8", YESTERDAY, 20_00)))) == [NamedBreak("uninstructed_debit", 30_00, "M9")]


@pytest.mark.parametrize(
    ("shortfall_fen", "missing"),
    [(60_00, [30_00, 20_00, 10_00]), (55_00, [30_00, 20_00, 5_00]), (50_00, [30_00, 20_00]), (1, [1]), (0, [])],
)
def test_the_oldest_debit_is_made_good_first(shortfall_fen: int, missing: list[int]) -> None:
    newest_first = [Debit("M3", TODAY, 30_00), Debit("M2", YESTERDAY, 20_00), Debit("M1", YESTERDAY, 10_00)]
    assert [debit.amount_fen for debit in standing(newest_first, shortfall_fen)] == missing


OLD, TAKEN = ("old_stock_recognised", 400, 0), ("taken", 100, 0)


@pytest.mark.parametrize(
    ("moved", "open_fen"),
    [
        ([OLD], 0),
        ([TAKEN], 100),
        ([OLD, TAKEN, ("made_good", 60, 0)], 40),
        ([OLD, TAKEN, ("made_good", 300, 0)], 0),
        ([OLD, ("made_good", 400, 0), TAKEN], 100),
        ([TAKEN, ("made_good", 100, 0), OLD, TAKEN], 100),
        ([OLD, TAKEN, ("made_good", 100, 100)], 100),
        ([OLD, TAKEN, ("made_good", 100, 70)], 70),
        ([OLD, ("made_good", 400, 0), TAKEN, ("made_good", 100, 100)], 0),
    ],
)
def test_a_debit_is_open_until_money_makes_it_good(moved: list[tuple[str, int, int]], open_fen: int) -> None:
    assert open_debits(moved) == open_fen
