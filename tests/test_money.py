"""Fen are divided without losing or making one, and read as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.money import allocate, yuan

TOTALS = st.integers(0, 10**13)
WEIGHTS = st.lists(st.integers(1, 10**6), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("total_fen", "weights", "parts"),
    [
        (400_000, [1] * 40, [10_000] * 40),
        (100, [1, 1, 1], [34, 33, 33]),
        (200, [1, 1, 1], [67, 67, 66]),
        (0, [1, 2], [0, 0]),
        (1, [1, 1, 1], [1, 0, 0]),
        (1, [1, 2], [0, 1]),
        (10, [45, 45, 30], [4, 4, 2]),
        (7, [5], [7]),
    ],
)
def test_lesson_prices_add_up_to_what_was_paid(total_fen: int, weights: list[int], parts: list[int]) -> None:
    assert allocate(total_fen, weights) == parts


@pytest.mark.parametrize(("total_fen", "weights"), [(-1, [1]), (1, []), (1, [0]), (1, [1, -1]), (1, [1, 0])])
def test_what_cannot_be_divided_is_refused(total_fen: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="allocate needs"):
        allocate(total_fen, weights)


@given(total_fen=TOTALS, weights=WEIGHTS)
def test_parts_sum_to_the_total_exactly(total_fen: int, weights: list[int]) -> None:
    assert sum(allocate(total_fen, weights)) == total_fen


@given(total_fen=TOTALS, weights=WEIGHTS)
def test_every_part_is_less_than_a_fen_from_its_exact_share(total_fen: int, weights: list[int]) -> None:
    whole = sum(weights)
    for part, weight in zip(allocate(total_fen, weights), weights, strict=True):
        assert abs(part * whole - total_fen * weight) < whole


@given(total_fen=TOTALS, weights=WEIGHTS)
def test_the_same_total_and_weights_give_the_same_parts(total_fen: int, weights: list[int]) -> None:
    before = list(weights)
    assert allocate(total_fen, weights) == allocate(total_fen, list(weights))
    assert weights == before


@given(total_fen=TOTALS, count=st.integers(1, 200))
def test_equal_lessons_differ_by_at_most_a_fen_and_the_earlier_is_not_the_cheaper(total_fen: int, count: int) -> None:
    parts = allocate(total_fen, [1] * count)
    assert parts == sorted(parts, reverse=True)
    assert parts[0] - parts[-1] <= 1


@given(total_fen=TOTALS, weights=WEIGHTS)
def test_a_heavier_lesson_never_costs_less(total_fen: int, weights: list[int]) -> None:
    parts = [part for _, part in sorted(zip(weights, allocate(total_fen, weights), strict=True))]
    assert parts == sorted(parts)


@pytest.mark.parametrize(
    ("fen", "text"),
    [
        (0, "¥0.00"),
        (1, "¥0.01"),
        (99, "¥0.99"),
        (100, "¥1.00"),
        (123_450, "¥1,234.50"),
        (10**13, "¥100,000,000,000.00"),
        (-1, "−¥0.01"),
        (-123_450, "−¥1,234.50"),
    ],
)
def test_amounts_read_as_people_write_them(fen: int, text: str) -> None:
    assert yuan(fen) == text


@given(fen=st.integers(-(10**13), 10**13))
def test_no_fen_is_lost_in_reading(fen: int) -> None:
    digits = yuan(fen).translate({ord(sign): None for sign in "¥,."}).replace("−", "-")
    assert int(digits) == fen
