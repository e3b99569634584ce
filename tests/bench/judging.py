"""What judging one contract costs: a sale of sixty lessons beside forty untaught ones, with everything known that a rule may ask."""

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta

from app.policy.facts import ClassFacts, PricedLesson, SaleFacts
from app.policy.packs import pack_for
from app.policy.selling import judge_sale, nearest_plan
from tests.bench.ground import DISTRICT

TIMES = 2_000
ON = date(2026, 3, 2)


def sale() -> SaleFacts:
    """A subject class in the evenings of three months, too much at once."""
    lessons = [PricedLesson(ON + timedelta(days=day), 3_500, 3_500) for day in range(60)]
    begins = datetime(2026, 3, 2, 10, tzinfo=UTC)
    course = ClassFacts(
        kind="subject",
        stage="primary",
        class_size=20,
        lesson_minutes=45,
        meetings=[(begins + timedelta(days=day), begins + timedelta(days=day, minutes=45)) for day in range(60)],
        days={ON + timedelta(days=day): "working" for day in range(60)},
        certificate_covers=True,
        certificate_to_on=date(2030, 1, 1),
        serving_school_teacher=False,
    )
    return SaleFacts.of_lessons(
        "subject",
        lessons,
        charged_on=ON,
        untaught=lessons[:40],
        lease_ends_on=date(2027, 1, 1),
        loan=False,
        listing="white",
        licence_from_on=date(2024, 1, 1),
        licence_to_on=date(2028, 1, 1),
        sales_paused=False,
        course=course,
    )


def judged() -> float:
    """Milliseconds of CPU to find the pack, judge by it and write the findings down."""
    facts = sale()
    return _cpu_ms(lambda: [asdict(finding) for finding in judge_sale(pack_for(DISTRICT, ON), facts)], TIMES)


def planned() -> float:
    """Milliseconds of CPU to find the nearest legal plan for the same sale."""
    facts = sale()
    return _cpu_ms(lambda: nearest_plan(pack_for(DISTRICT, ON), facts), TIMES // 20)


def _cpu_ms(work: Callable[[], object], times: int) -> float:
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) * 1000 / times
