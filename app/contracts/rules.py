"""What a contract sells and for how much, as pure decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.clock import business_date
from app.money import allocate
from app.policy.facts import SaleFacts
from app.registry.courses import Course

SEAT_HELD = timedelta(minutes=30)
"""How long an unpaid contract keeps its seat: two payment codes of 15 minutes, so that one failed attempt costs nobody the seat,
and short enough that a full class opens again within the half hour."""


@dataclass(frozen=True, slots=True)
class OfferedLesson:
    """One class session still to come, at its part of the class's price."""

    class_session_id: UUID
    number: int
    starts_at: datetime
    ends_at: datetime
    price_fen: int


def offer(course: Course, now: datetime) -> list[OfferedLesson]:
    """What joining the class buys at `now`: every class session that has not started, each at its part of the class's price.

    In order of time. The whole price is allocated over the whole schedule by number first, so a lesson costs the same for whoever
    joins early or late, and wherever it was moved; a cancelled one is sold once its replacement is set.
    """
    prices = allocate(course.training_class.price_fen, [1] * course.training_class.lesson_count)
    coming = [
        OfferedLesson(row.id, row.number, row.starts_at, row.ends_at, price_fen)
        for row, price_fen in zip(course.sessions, prices, strict=True)
        if row.starts_at > now and row.status != "cancelled"
    ]
    return sorted(coming, key=lambda lesson: lesson.starts_at)


def price_of(lessons: Sequence[OfferedLesson]) -> int:
    """What the lessons cost together, in fen."""
    return sum(lesson.price_fen for lesson in lessons)


def facts_of(kind: str, lessons: Sequence[OfferedLesson]) -> SaleFacts:
    """The facts that policy judges a sale by; `lessons` are in order of time and at least one."""
    return SaleFacts(
        kind=kind,
        price_fen=price_of(lessons),
        lesson_count=len(lessons),
        first_on=business_date(lessons[0].starts_at),
        last_on=business_date(lessons[-1].starts_at),
    )
