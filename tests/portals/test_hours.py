"""Hours in words."""

import pytest

from app.portals.hours import told


def bits(*places: tuple[int, int]) -> int:
    return sum(1 << 3 * day + part for day, part in places)


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (0, ""),
        (bits((5, 0)), "周六上午"),
        (bits((5, 0), (6, 0)), "周六上午、周日上午"),
        (bits(*((day, 2) for day in range(5))), "周一至周五晚上"),
        (bits(*((day, 1) for day in range(7))), "每天下午"),
        (bits((0, 2), (2, 2), (5, 0)), "周六上午、周一晚上、周三晚上"),
    ],
)
def test_days_of_each_part_of_the_day(hours: int, said: str) -> None:
    assert told(hours) == said
