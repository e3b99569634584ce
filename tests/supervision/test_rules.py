"""When a rule fires: pure decisions."""

from typing import get_args

import pytest

from app.supervision.rules import (
    DEFAULT_LINES,
    LEVELS,
    Crossing,
    Lines,
    Rule,
    below_minimum,
    coverage_bps,
    crossings,
    held_by,
    unfunded_old_stock,
)

LINES = Lines(large_transfer_fen=100_00, large_day_fen=250_00, minimum_balance_fen=50_00)


@pytest.mark.parametrize(
    ("amount_fen", "day_fen", "crossed"),
    [
        (100_00, 250_00, []),
        (100_01, 250_00, ["large_transfer"]),
        (100_00, 250_01, ["large_day"]),
        (100_01, 250_01, ["large_transfer", "large_day"]),
    ],
)
def test_only_what_is_above_a_line_crosses_it(amount_fen: int, day_fen: int, crossed: list[str]) -> None:
    assert [crossing.rule for crossing in crossings(amount_fen, day_fen, LINES)] == crossed


def test_a_crossing_says_what_crossed_which_line() -> None:
    assert crossings(1_00, 250_01, LINES) == [Crossing("large_day", 250_01, 250_00)]


def test_what_goes_to_a_typed_account_is_held_whatever_its_amount_and_the_rest_over_a_line() -> None:
    over = crossings(100_01, 250_01, LINES)
    assert [held_by(True, []), held_by(True, over), held_by(False, over), held_by(False, [])] == [
        "named_payee",
        "named_payee",
        "large_transfer",
        None,
    ]


def test_only_a_balance_under_the_minimum_is_too_low() -> None:
    assert below_minimum(50_00, 50_00, LINES) is None
    assert below_minimum(49_99, 0, LINES) == Crossing("minimum_balance", 49_99, 50_00)


def test_a_minimum_of_zero_never_fires() -> None:
    assert below_minimum(0, 1, Lines(1, 1, 0)) is None


def test_who_holds_nothing_is_under_the_minimum_only_while_lessons_are_owed() -> None:
    assert below_minimum(0, 0, LINES) is None
    assert below_minimum(0, 1, LINES) == Crossing("minimum_balance", 0, 50_00)


@pytest.mark.parametrize(
    ("reported_fen", "incoming_fen", "unresolved_fen", "escrow_fen", "bps"),
    [(100, 0, 0, 100, 10_000), (100, 5, 10, 100, 9_500), (200, 0, 0, 300, 6_666), (0, 0, 0, 100, 0), (100, 0, 0, 0, None)],
)
def test_coverage_is_what_is_there_for_what_is_owed(
    reported_fen: int, incoming_fen: int, unresolved_fen: int, escrow_fen: int, bps: int | None
) -> None:
    assert coverage_bps(reported_fen, incoming_fen, unresolved_fen, escrow_fen) == bps


@pytest.mark.parametrize(
    ("shortfall_fen", "debits_fen", "old_escrow_fen", "left_out_fen"),
    [
        (400, 0, 400, 400),
        (500, 100, 400, 400),
        (100, 100, 0, 0),
        (400, 0, 100, 100),
        (400, 0, 0, 0),
        (150, 100, 400, 50),
        (50, 100, 400, 0),
    ],
)
def test_only_what_old_stock_never_brought_need_not_be_at_the_bank(
    shortfall_fen: int, debits_fen: int, old_escrow_fen: int, left_out_fen: int
) -> None:
    assert unfunded_old_stock(shortfall_fen, debits_fen, old_escrow_fen) == left_out_fen


def test_every_rule_has_a_level_and_the_default_lines_are_the_cited_ones() -> None:
    assert set(LEVELS) == set(get_args(Rule))
    assert Lines(300_000_00, 300_000_00, 100_000_00) == DEFAULT_LINES
