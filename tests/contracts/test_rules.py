"""What joining a class buys, and for how much."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from app.contracts import rules
from app.registry.courses import Course
from app.registry.models import ClassSession, Institution, TrainingClass

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def course(lesson_count: int, price_fen: int) -> Course:
    sessions = [
        ClassSession(id=uuid4(), number=n + 1, starts_at=START + timedelta(days=n), ends_at=START + timedelta(days=n, hours=1))
        for n in range(lesson_count)
    ]
    return Course(TrainingClass(price_fen=price_fen, lesson_count=lesson_count), Institution(kind="arts"), sessions)


@given(st.integers(1, 80), st.integers(0, 10**9), st.integers(-1, 81))
def test_a_late_joiner_pays_the_rest_at_the_same_prices(lesson_count: int, above_fen: int, days_late: int) -> None:
    sold = course(lesson_count, lesson_count + above_fen)
    whole = rules.offer(sold, START - timedelta(seconds=1))
    rest = rules.offer(sold, START + timedelta(days=days_late, seconds=-1))
    assert rules.price_of(whole) == lesson_count + above_fen
    assert rest == whole[max(days_late, 0) :]
    assert all(lesson.price_fen >= 1 for lesson in rest)


def test_a_session_that_starts_now_is_not_sold_any_more() -> None:
    assert [lesson.number for lesson in rules.offer(course(3, 1000), START)] == [2, 3]


def test_the_remainder_goes_to_the_earlier_lessons() -> None:
    assert [lesson.price_fen for lesson in rules.offer(course(3, 1000), START - timedelta(days=1))] == [334, 333, 333]


def test_policy_is_told_shanghai_dates() -> None:
    late_evening = course(2, 1000)
    late_evening.sessions[0].starts_at = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)
    facts = rules.facts_of("arts", rules.offer(late_evening, datetime(2026, 3, 1, tzinfo=UTC)))
    assert (facts.kind, facts.price_fen, facts.lesson_count) == ("arts", 1000, 2)
    assert (facts.first_on.isoformat(), facts.last_on.isoformat()) == ("2026-03-02", "2026-03-03")
