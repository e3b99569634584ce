"""What joining a class buys, and for how much."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock import business_date
from app.contracts import rules
from app.contracts.terms import ChargeTerms, Terms
from app.errors import BadInput
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


@given(st.integers(1, 80), st.integers(0, 10**7), st.integers(-40, 79))
def test_every_way_to_pay_deals_out_the_offer_at_its_prices(lesson_count: int, above_fen: int, days_late: int) -> None:
    now = START + timedelta(days=days_late, seconds=-1)
    offered, on = rules.offer(course(lesson_count, lesson_count + above_fen), now), business_date(now)
    if not offered:
        return
    for terms in (rules.once(offered, on), rules.monthly(offered, on), rules.afterwards(offered)):
        charges = rules.sold(offered, terms, on) if terms else []
        if terms:
            assert [lesson for charge in charges for lesson in charge.lessons] == offered
        assert all(charge.amount_fen == rules.price_of(charge.lessons) for charge in charges)
        assert all(on <= charge.opens_on <= charge.due_on for charge in charges)
        assert all(before.last_lesson + 1 == charge.first_lesson for before, charge in pairwise(charges))


def test_a_months_charge_opens_a_week_before_its_first_lesson() -> None:
    offered = rules.offer(course(40, 4000), START - timedelta(days=1))
    terms = rules.monthly(offered, date(2026, 3, 1))
    assert terms is not None
    assert [(charge.lesson_count, charge.charged_on) for charge in terms.charges] == [(30, date(2026, 3, 1)), (10, date(2026, 3, 25))]
    assert rules.monthly(offered[:30], date(2026, 3, 1)) is None


def test_a_lesson_that_was_moved_later_gives_time_to_pay_and_one_moved_earlier_takes_none() -> None:
    agreed = date(2026, 3, 10)
    for begins_at in (START + timedelta(days=8), START + timedelta(days=20)):
        assert rules.lapses_at(begins_at, agreed) == begins_at
    for begins_at in (START + timedelta(days=2), datetime(2026, 3, 9, 15, 59, tzinfo=UTC)):
        assert rules.lapses_at(begins_at, agreed) == datetime(2026, 3, 10, 16, tzinfo=UTC)


def test_a_first_charge_of_a_later_day_is_paid_on_that_day_and_before_its_first_lesson() -> None:
    offered, on = rules.offer(course(3, 1000), START - timedelta(days=30)), business_date(START) - timedelta(days=30)
    for day, until in (
        (on, None),
        (on - timedelta(days=1), None),
        (on + timedelta(days=3), datetime(2026, 2, 3, 16, tzinfo=UTC)),
        (business_date(START), START),
    ):
        [first] = rules.sold(offered, Terms("once", (ChargeTerms(3, 1000, day),)), on)
        assert (first.opens_on, rules.pays_by(first, on)) == (max(on, day), until)
    with pytest.raises(BadInput):
        rules.sold(offered, Terms("once", (ChargeTerms(3, 1000, business_date(START) + timedelta(days=1)),)), on)


@given(st.integers(1, 80), st.integers(0, 10**6), st.integers(1, 10**6))
def test_another_amount_is_the_same_for_every_lesson(lesson_count: int, above_fen: int, lower_fen: int) -> None:
    offered, on = rules.offer(course(lesson_count, lesson_count + above_fen), START - timedelta(days=1)), date(2026, 3, 1)
    amount_fen = max(lesson_count, lesson_count + above_fen - lower_fen)
    [first] = rules.sold(offered, Terms("once", (ChargeTerms(lesson_count, amount_fen, on),)), on)
    prices = [lesson.price_fen for lesson in first.lessons]
    assert (sum(prices), max(prices) - min(prices) <= 1) == (amount_fen, True)
