"""Hours in words."""

import pytest

from app.portals.hours import told


def bits(*places: tuple[int, int]) -> int:
    return sum(1 << 3 * day + part for day, part in places)


@pytest.mark.parametrize(
    ("hours", "a_week", "said"),
    [
        (0, 0, ""),
        (bits((5, 0)), 1, "周六上午"),
        (bits((5, 0), (6, 0)), 2, "周六上午、周日上午"),
        (bits(*((day, 2) for day in range(5))), 5, "周一至周五晚上"),
        (bits(*((day, 1) for day in range(7))), 7, "每天下午"),
        (bits((0, 2), (2, 2), (5, 0)), 3, "周六上午、周一晚上、周三晚上"),
    ],
)
def test_days_of_each_part_of_the_day(hours: int, a_week: int, said: str) -> None:
    assert told(hours, a_week * 10, 70) == said


def test_a_class_that_meets_every_few_days_has_no_weekday() -> None:
    every_evening, mostly_evenings = bits(*((day, 2) for day in range(7))), bits((6, 0), *((day, 2) for day in range(6)))
    assert told(every_evening, 10, 37) == "周几不固定，晚上"
    assert told(mostly_evenings, 12, 34) == "周几不固定，上午、晚上"
    assert told(every_evening, 60, 70) == "每天晚上"
    assert told(bits((1, 0), (5, 0)), 16, 80) == "周二上午、周六上午", "with a week of holidays and more"
