"""When a class usually meets, in words: the bits of `ClassSearch.hours` as 周一至周五晚上、周六上午."""

from functools import lru_cache
from itertools import groupby

WEEKDAYS = "一二三四五六日"
PARTS_ZH = {"morning": "上午", "afternoon": "下午", "evening": "晚上"}
_NEARLY_TWICE = 1.8
_A_ROW = 3
"""From so many days one after the other on, only the first and the last are named."""


@lru_cache(maxsize=1024)
def told(hours: int, lesson_count: int, days: int) -> str:
    """The days of each part of the day, weekdays in order, for a class that meets so often from its first to its last day.

    One that would have to meet twice as often to be there on all of them, as every third day, has no days of its own.
    """
    weekdays = sum(bool(hours >> 3 * day & 0b111) for day in range(7))
    if weekdays > _NEARLY_TWICE * lesson_count * 7 / days:
        parts = [name for part, name in enumerate(PARTS_ZH.values()) if any(hours & 1 << 3 * day + part for day in range(7))]
        return f"周几不固定，{'、'.join(parts)}"
    said = []
    for part, name in enumerate(PARTS_ZH.values()):
        met = [day for day in range(7) if hours & 1 << 3 * day + part]
        said += ["每天" + name] if len(met) == 7 else [stretch + name for stretch in _stretches(met)]
    return "、".join(said)


def _stretches(days: list[int]) -> list[str]:
    stretches = []
    for _, numbered in groupby(enumerate(days), lambda each: each[1] - each[0]):
        run = [day for _, day in numbered]
        if len(run) >= _A_ROW:
            stretches.append(f"周{WEEKDAYS[run[0]]}至周{WEEKDAYS[run[-1]]}")
        else:
            stretches += [f"周{WEEKDAYS[day]}" for day in run]
    return stretches
