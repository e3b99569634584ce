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
    met = {name: [day for day in range(7) if hours & 1 << 3 * day + part] for part, name in enumerate(PARTS_ZH.values())}
    weekdays = {day for each in met.values() for day in each}
    if len(weekdays) > _NEARLY_TWICE * lesson_count * 7 / days:
        return f"周几不固定，{'、'.join(name for name, each in met.items() if each)}"
    said = []
    for name, each in met.items():
        said += ["每天" + name] if len(each) == 7 else [stretch + name for stretch in _stretches(each)]
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
