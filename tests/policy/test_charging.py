"""How early a charge may come, what counts together with it, and what it may not reach over."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.charging import months_later
from app.policy.facts import PricedLesson
from app.policy.packs import Pack, pack_for
from tests.locality import stating
from tests.policy.sales import BEIJING, LONGQUANYI, NATION, finding, lessons, refused_by, sale, verdicts

JIANGSU = pack_for("320102", date(2025, 9, 1))
DAYS = st.dates(date(2023, 1, 1), date(2090, 1, 1))
SOURCED = NATION.school_year.model_copy(update={"grade": "A", "source": "校历"}) if NATION.school_year else None


def test_forty_lessons_beside_forty_untaught_ones_of_the_subject_fail() -> None:
    facts = sale(40, untaught=lessons(40))
    assert refused_by(NATION, facts) == [("charge.split", "lesson")]
    assert finding(NATION, facts, "charge.split", "lesson").value == 80
    assert ("charge.split", "lesson") in refused_by(LONGQUANYI, facts)


def test_untaught_lessons_and_new_ones_within_the_limits_together_pass() -> None:
    assert verdicts(NATION, sale(40, untaught=lessons(20)), "charge.split") == [True, True, True]
    assert verdicts(NATION, sale(40, untaught=lessons(21)), "charge.split") == [False, True, True]


def test_a_price_is_not_split_over_two_charges() -> None:
    together = sale(20, price_fen=15_000, untaught=lessons(20, price_fen=10_000))
    assert verdicts(NATION, together, "charge.split") == [True, True, True]
    dearer = sale(20, price_fen=15_001, untaught=lessons(20, price_fen=10_000))
    assert refused_by(NATION, dearer) == [("charge.split", "fen")]
    assert refused_by(NATION, sale(20, kind="subject", price_fen=15_001, untaught=lessons(20, price_fen=10_000))) == []


def test_a_period_is_not_split_over_two_charges() -> None:
    autumn = lessons(13, "2025-09-01", every=7)
    assert refused_by(NATION, sale(13, "2025-12-01", every=7, untaught=autumn)) == [("charge.split", "month")]
    rest = sale(13, "2025-12-01", every=7, untaught=autumn[-2:], charged_on=date(2025, 11, 17))
    assert finding(NATION, rest, "charge.split", "month").limit == "2026-02-17"


def test_what_is_overdue_counts_as_lessons_and_not_as_time() -> None:
    missed = sale(10, "2025-12-01", untaught=lessons(30, "2025-06-01"), charged_on=date(2025, 12, 1))
    assert verdicts(NATION, missed, "charge.split") == [True, True, True]


def test_a_renewal_at_its_time_is_a_charge_of_its_own() -> None:
    assert refused_by(LONGQUANYI, sale(60, untaught=lessons(20))) == []
    assert refused_by(NATION, sale(60, untaught=lessons(20))) == [("charge.split", "lesson")], "where nobody says when renewals may come"


@pytest.mark.parametrize(("begun_on", "refused"), [("2025-08-31", []), ("2025-09-01", [("charge.split", "lesson")])])
def test_what_was_charged_just_now_is_not_left_over(begun_on: str, refused: list[tuple[str, str]]) -> None:
    """Twenty lessons are few, but where none of their charge has been taught, the next charge is a part of the same."""
    left = [replace(each, begun_on=date.fromisoformat(begun_on)) for each in lessons(20)]
    assert refused_by(LONGQUANYI, sale(60, untaught=left, charged_on=date(2025, 9, 1))) == refused


def test_before_anything_was_taught_the_next_charge_waits_for_its_own_month() -> None:
    left = [replace(each, begun_on=date(2025, 9, 1)) for each in lessons(1)]
    early = sale(10, "2025-12-31", untaught=left, charged_on=date(2025, 9, 1))
    assert verdicts(LONGQUANYI, early, "charge.advance") == [False]
    assert verdicts(LONGQUANYI, replace(early, charged_on=date(2025, 9, 2)), "charge.advance") == [True]


@pytest.mark.parametrize(("gifts", "passed"), [(0, True), (10, True), (11, False)])
def test_gift_lessons_count(gifts: int, passed: bool) -> None:
    assert verdicts(NATION, sale(50, gift_lessons=gifts), "charge.span") == [passed, True]
    assert verdicts(NATION, sale(30, gift_lessons=gifts, untaught=lessons(20)), "charge.split") == [passed, True, True]


@pytest.mark.parametrize("pack", [LONGQUANYI, BEIJING, JIANGSU], ids=lambda pack: pack.edition)
@pytest.mark.parametrize(("charged_on", "passed"), [("2025-09-15", True), ("2025-09-14", False)])
def test_one_month_before_the_start_passes_and_a_day_earlier_fails(pack: Pack, charged_on: str, passed: bool) -> None:
    facts = sale(10, "2025-10-15", charged_on=date.fromisoformat(charged_on))
    assert verdicts(pack, facts, "charge.advance") == [passed]


@pytest.mark.parametrize(("left", "passed"), [(1, True), (20, True), (21, False)])
def test_a_renewal_with_twenty_left_passes_and_with_twenty_one_left_waits_for_the_month_before(left: int, passed: bool) -> None:
    early = sale(10, "2025-12-31", untaught=lessons(left), charged_on=date(2025, 9, 1))
    assert verdicts(LONGQUANYI, early, "charge.advance") == [passed]
    in_time = sale(10, "2025-10-01", untaught=lessons(left), charged_on=date(2025, 9, 1))
    assert verdicts(LONGQUANYI, in_time, "charge.advance") == [True]


def test_nationwide_nothing_is_too_early() -> None:
    assert verdicts(NATION, sale(10, "2026-12-31", charged_on=date(2025, 9, 1)), "charge.advance") == []


@pytest.mark.parametrize(("start", "earliest"), [("2026-03-31", "2026-02-28"), ("2024-03-30", "2024-02-29"), ("2026-03-01", "2026-02-01")])
def test_a_month_before_the_end_of_a_long_month_is_the_end_of_the_short_one(start: str, earliest: str) -> None:
    first = date.fromisoformat(earliest)
    assert verdicts(LONGQUANYI, sale(5, start, charged_on=first), "charge.advance") == [True]
    assert verdicts(LONGQUANYI, sale(5, start, charged_on=first - timedelta(1)), "charge.advance") == [False]


def test_a_charge_across_terms_is_advice_while_nobody_has_verified_the_calendar() -> None:
    across = finding(LONGQUANYI, sale(10, "2026-02-25"), "charge.term", "state")
    assert (across.passed, across.binding, across.grade) == (False, False, "U")
    assert (across.value, across.limit) == ("2026年春季学期", "2025年秋季学期")
    assert refused_by(LONGQUANYI, sale(10, "2026-02-25")) == []
    assert verdicts(LONGQUANYI, sale(10, "2026-03-01"), "charge.term") == [True]
    assert verdicts(NATION, sale(10, "2026-02-25"), "charge.term") == []


def test_with_a_verified_calendar_it_is_refused() -> None:
    chengdu = LONGQUANYI.editions[2].model_copy(update={"school_year": SOURCED})
    pack = LONGQUANYI.under(chengdu)
    across = finding(pack, sale(10, "2026-02-25"), "charge.term", "state")
    assert (across.passed, across.binding, across.grade, across.source) == (False, True, "C", "成都市有关规定（转载）；校历")
    assert verdicts(pack, sale(10, "2025-12-28"), "charge.term") == [True], "over the turn of the year within a term"
    assert verdicts(pack, sale(2, "2025-08-31"), "charge.term") == [False]


@pytest.mark.parametrize(("ends_on", "passed"), [("2025-09-10", True), ("2025-09-09", False)])
def test_in_beijing_science_is_not_sold_beyond_the_lease(ends_on: str, passed: bool) -> None:
    lease = date.fromisoformat(ends_on)
    assert verdicts(BEIJING, sale(10, kind="science", lease_ends_on=lease), "charge.lease") == [passed]
    assert verdicts(BEIJING, sale(10, kind="arts", lease_ends_on=lease), "charge.lease") == []
    assert verdicts(LONGQUANYI, sale(10, kind="science", lease_ends_on=lease), "charge.lease") == []


def test_no_loans_for_minors() -> None:
    assert refused_by(NATION, sale(loan=True)) == [("charge.loan", "state")]
    assert verdicts(NATION, sale(loan=False), "charge.loan") == [True]
    assert verdicts(NATION, sale(), "charge.loan") == []


def test_a_draft_or_an_unverified_rule_only_advises() -> None:
    for grade in ("D", "U"):
        draft = stating(NATION, "charge.cap", grade=grade)
        facts = sale(10, price_fen=50_001)
        assert (finding(draft, facts, "charge.cap", "fen").passed, refused_by(draft, facts)) == (False, [])
        loose = stating(LONGQUANYI, "charge.advance", grade=grade)
        assert refused_by(loose, sale(60, untaught=lessons(20))) == [("charge.split", "lesson")], "it excuses nothing either"


@given(first_on=DAYS, months=st.integers(0, 36))
def test_counting_back_undoes_counting_on_up_to_the_ends_of_months(first_on: date, months: int) -> None:
    back = months_later(first_on, -months)
    assert back.year * 12 + back.month == first_on.year * 12 + first_on.month - months
    assert timedelta(0) <= first_on - months_later(back, months) <= timedelta(3)


@given(first_on=DAYS, early=st.integers(-40, 40), left=st.integers(0, 30))
def test_a_charge_is_in_time_exactly_within_the_month_or_for_a_renewal(first_on: date, early: int, left: int) -> None:
    earliest = months_later(first_on, -1)
    charged_on = earliest + timedelta(early)
    facts = sale(3, str(first_on), untaught=[PricedLesson(first_on, 1)] * left, charged_on=charged_on)
    assert verdicts(LONGQUANYI, facts, "charge.advance") == [early >= 0 or 1 <= left <= 20]
