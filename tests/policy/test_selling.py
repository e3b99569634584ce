"""The two best-known brakes on prepaying: 3 months or 60 lessons, and ¥5,000 for what is no school subject."""

import json
from dataclasses import asdict
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.catalogue import KINDS
from app.policy.charging import months_later
from app.policy.facts import SaleFacts
from app.policy.findings import Finding
from app.policy.packs import pack_for
from app.policy.selling import judge_sale

NATION = pack_for("440106", date(2025, 9, 1))
NON_SUBJECT = ("arts", "sports", "science", "other")
DAYS = st.dates(date(2023, 1, 1), date(2090, 1, 1))


def sale(
    kind: str = "arts", price_fen: int = 400_000, lesson_count: int = 40, first_on: str = "2025-09-01", last_on: str = "2025-11-30"
) -> SaleFacts:
    return SaleFacts(kind, price_fen, lesson_count, date.fromisoformat(first_on), date.fromisoformat(last_on))


def finding(facts: SaleFacts, rule: str, unit: str) -> Finding:
    [found] = [finding for finding in judge_sale(NATION, facts) if (finding.rule, finding.unit) == (rule, unit)]
    return found


def broken(facts: SaleFacts) -> list[tuple[str, str]]:
    return [(finding.rule, finding.unit) for finding in judge_sale(NATION, facts) if not finding.passed]


def test_an_ordinary_sale_passes_every_limit() -> None:
    findings = judge_sale(NATION, sale())
    assert [(finding.rule, finding.unit) for finding in findings] == [
        ("charge.span", "lesson"),
        ("charge.span", "month"),
        ("charge.cap", "fen"),
    ]
    assert all(finding.passed for finding in findings)


@pytest.mark.parametrize(("lesson_count", "passed"), [(1, True), (60, True), (61, False), (500, False)])
def test_sixty_lessons_pass_and_sixty_one_fail(lesson_count: int, passed: bool) -> None:
    assert finding(sale(lesson_count=lesson_count), "charge.span", "lesson").passed is passed


@pytest.mark.parametrize("kind", NON_SUBJECT)
@pytest.mark.parametrize(("price_fen", "passed"), [(1, True), (500_000, True), (500_001, False), (10**13, False)])
def test_five_thousand_yuan_pass_and_a_fen_more_fails(kind: str, price_fen: int, passed: bool) -> None:
    assert finding(sale(kind=kind, price_fen=price_fen), "charge.cap", "fen").passed is passed


def test_the_cap_does_not_speak_of_school_subjects() -> None:
    assert broken(sale(kind="subject", price_fen=500_001)) == []
    assert "charge.cap" not in [finding.rule for finding in judge_sale(NATION, sale(kind="subject"))]


@pytest.mark.parametrize(
    ("first_on", "latest_on"),
    [
        ("2025-09-01", "2025-12-01"),
        ("2025-11-30", "2026-02-28"),
        ("2025-11-29", "2026-02-28"),
        ("2025-11-28", "2026-02-28"),
        ("2023-11-30", "2024-02-29"),
        ("2023-11-28", "2024-02-28"),
        ("2024-02-29", "2024-05-29"),
        ("2025-01-31", "2025-04-30"),
        ("2025-10-31", "2026-01-31"),
        ("2025-12-31", "2026-03-31"),
    ],
)
def test_three_months_end_on_the_day_of_the_same_number_or_the_months_last(first_on: str, latest_on: str) -> None:
    day_after = str(date.fromisoformat(latest_on) + timedelta(1))
    assert finding(sale(first_on=first_on, last_on=latest_on), "charge.span", "month").passed
    assert not finding(sale(first_on=first_on, last_on=day_after), "charge.span", "month").passed


def test_three_months_are_not_ninety_days() -> None:
    assert finding(sale(first_on="2025-07-01", last_on="2025-10-01"), "charge.span", "month").passed, "92 days"
    assert not finding(sale(first_on="2026-02-01", last_on="2026-05-02"), "charge.span", "month").passed, "90 days"


def test_by_lesson_and_by_period_at_once_the_shorter_limit_decides() -> None:
    assert broken(sale(lesson_count=20, last_on="2026-03-01")) == [("charge.span", "month")]
    assert broken(sale(lesson_count=61)) == [("charge.span", "lesson")]


def test_every_limit_that_is_passed_over_is_named() -> None:
    assert broken(sale(price_fen=500_001, lesson_count=61, last_on="2026-03-01")) == [
        ("charge.span", "lesson"),
        ("charge.span", "month"),
        ("charge.cap", "fen"),
    ]


def test_a_finding_quotes_the_rule_in_words_and_can_be_stored() -> None:
    found = finding(sale(price_fen=500_001), "charge.cap", "fen")
    assert json.loads(json.dumps(asdict(found))) == {
        "rule": "charge.cap",
        "unit": "fen",
        "passed": False,
        "value": 500_001,
        "limit": 500_000,
        "source": "教育部等十三部门《关于规范面向中小学生的非学科类校外培训的意见》（2022年12月）",
        "grade": "B",
        "message_zh": "非学科类培训一次收费不得超过¥5,000.00，本班¥5,000.01",
        "binding": True,
    }
    span = finding(sale(first_on="2025-11-30", last_on="2026-03-01"), "charge.span", "month")
    assert (span.value, span.limit, span.source, span.grade) == ("2026-03-01", "2026-02-28", "教监管函〔2021〕2号", "B")
    assert span.message_zh == "一次收费的时间跨度不得超过3个月，末次课不得晚于2026-02-28，本班末次课为2026-03-01"
    assert finding(sale(), "charge.span", "lesson").message_zh == "一次收费不得超过60课时，本班40课时"


@pytest.mark.parametrize("nonsense", [sale(kind="music"), sale(price_fen=0), sale(lesson_count=0), sale(last_on="2025-08-31")])
def test_facts_that_are_no_sale_are_a_programming_error(nonsense: SaleFacts) -> None:
    with pytest.raises(AssertionError):
        judge_sale(NATION, nonsense)


@given(
    kind=st.sampled_from(KINDS),
    price_fen=st.integers(499_990, 500_010),
    lesson_count=st.integers(55, 65),
    first_on=DAYS,
    days_over=st.integers(-3, 3),
)
def test_a_sale_passes_exactly_within_all_limits(kind: str, price_fen: int, lesson_count: int, first_on: date, days_over: int) -> None:
    last_on = months_later(first_on, 3) + timedelta(days_over)
    expected = []
    if lesson_count > 60:
        expected.append(("charge.span", "lesson"))
    if days_over > 0:
        expected.append(("charge.span", "month"))
    if price_fen > 500_000 and kind != "subject":
        expected.append(("charge.cap", "fen"))
    assert broken(SaleFacts(kind, price_fen, lesson_count, first_on, last_on)) == expected


@given(first_on=DAYS, months=st.integers(0, 36))
def test_a_period_of_months_ends_in_the_right_month_and_never_early(first_on: date, months: int) -> None:
    end = months_later(first_on, months)
    assert end.year * 12 + end.month == first_on.year * 12 + first_on.month + months
    assert end.day == first_on.day or (end.day < first_on.day and (end + timedelta(1)).day == 1)


@given(first_on=DAYS, later=st.integers(0, 400))
def test_starting_later_never_moves_the_end_forward(first_on: date, later: int) -> None:
    assert months_later(first_on, 3) <= months_later(first_on + timedelta(later), 3)
