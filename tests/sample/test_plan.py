"""Plans of simulations: the same for the same seed, and nothing in them that the rules forbid."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.clock import business_date
from app.crypto import normal_phone
from app.policy.packs import pack_for
from app.policy.selling import SaleFacts, judge_sale
from app.registry.rules import check_schedule
from app.sample import seed
from app.sample.invented import phone
from app.sample.plan import MOST_FAMILIES, InstitutionPlan, plan_institution

FIRST_ON = date(2026, 3, 2)
SEEDS = some.integers(0, 10_000)
NUMBERS = some.integers(0, 400)


def plan(seed_: int, number: int, days: int = 30) -> InstitutionPlan:
    return plan_institution(seed_, number, "龙泉驿区", FIRST_ON, days)


def broken_rules(kind: str, price_fen: int, sessions: list[tuple[datetime, datetime]]) -> list[str]:
    """What the rule packs forbid about the sale of a whole class."""
    first_on, last_on = business_date(sessions[0][0]), business_date(sessions[-1][0])
    facts = SaleFacts(kind, price_fen, len(sessions), first_on, last_on)
    return [finding.rule for finding in judge_sale(pack_for("510112", first_on), facts) if not finding.passed]


@given(SEEDS, NUMBERS)
def test_a_plan_falls_the_same_way_for_the_same_seed(seed_: int, number: int) -> None:
    assert plan(seed_, number) == plan(seed_, number)


def test_seeds_and_institutions_differ() -> None:
    assert len({plan(seed_, number).families for seed_ in range(3) for number in range(10)}) == 30


@given(SEEDS, NUMBERS)
def test_what_is_sold_is_within_the_rules_and_has_a_seat_for_everybody(seed_: int, number: int) -> None:
    planned = plan(seed_, number)
    noon = datetime(2026, 3, 2, 4, tzinfo=UTC)
    for position, course in enumerate(planned.classes):
        assert broken_rules(planned.trade.kind, course.price_fen, list(course.sessions)) == []
        assert check_schedule(course.sessions, len(course.sessions), noon) == list(course.sessions)
        enrolled = [family for family in planned.families if family.class_number == position]
        assert len(enrolled) <= MOST_FAMILIES
        assert all(course.opens_on <= family.enrols_on < business_date(course.sessions[-1][0]) for family in enrolled)


def test_a_year_of_a_whole_district_has_a_phone_for_every_family() -> None:
    numbers = [family.number for number in range(170) for family in plan(1, number, days=365).families]
    assert len(set(numbers)) == len(numbers) > 30_000


def test_a_volume_is_what_families_pay_within_the_period_and_the_rules() -> None:
    volume_fen, ends_on = 42_000_000, FIRST_ON + timedelta(days=365)
    paid_fen = contracts = lessons = 0
    for number in range(20):
        planned = plan_institution(1, number, "龙泉驿区", FIRST_ON, 365, volume_fen)
        for course in planned.classes:
            assert broken_rules(planned.trade.kind, course.price_fen, list(course.sessions)) == []
        for family in planned.families:
            course = planned.classes[family.class_number]
            if family.pays != "never" and family.enrols_on < ends_on:
                fee_fen = course.fee_fen(family.enrols_on)
                paid_fen, contracts, lessons = (
                    paid_fen + fee_fen,
                    contracts + 1,
                    lessons + fee_fen * len(course.sessions) // course.price_fen,
                )
    assert 20 * volume_fen <= paid_fen < 21 * volume_fen
    assert 90_00 < paid_fen // lessons < 110_00
    assert 160 < contracts // 20 < 200


@given(some.integers(1, 99_999_999))
def test_sample_phones_are_mobile_numbers(number: int) -> None:
    assert normal_phone(phone(number)) == f"+86{phone(number)}"


@pytest.mark.parametrize("course", seed.COURSES.values(), ids=seed.COURSES)
def test_the_samples_classes_are_within_the_rules(course: seed.Course) -> None:
    assert broken_rules(seed.SCHOOLS[course.institution].kind, course.price_fen, course.sessions()) == []
    assert course.sessions()[0][0] > seed.moment(seed.FIRST_DAY, course.starts) + timedelta(hours=12)
