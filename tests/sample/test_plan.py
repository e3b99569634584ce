"""Plans of simulations: the same for the same seed, and nothing in them that the rules forbid."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.clock import business_date
from app.crypto import normal_phone
from app.policy.facts import ClassFacts, SaleFacts
from app.policy.findings import broken
from app.policy.packs import pack_for
from app.policy.selling import judge_sale
from app.policy.teaching import judge_sessions
from app.registry.rules import check_schedule
from app.sample import seed
from app.sample.demo import may_meet_at, noon_after
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
    pack, taught = pack_for("510112", first_on), ClassFacts(kind, meetings=sessions)
    return [finding.rule for finding in broken([*judge_sale(pack, facts), *judge_sessions(pack, taught)])]


def nobody_teaches_twice_at_once(taught: Iterable[tuple[object, Iterable[tuple[datetime, datetime]]]]) -> bool:
    """Whether every teacher's meetings are apart."""
    meetings: dict[object, list[tuple[datetime, datetime]]] = defaultdict(list)
    for teacher, sessions in taught:
        meetings[teacher] += sessions
    return all(earlier[1] <= later[0] for own in meetings.values() for earlier, later in pairwise(sorted(own)))


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
        assert planned.teachers[course.teacher] == course.subject
    assert nobody_teaches_twice_at_once((course.teacher, course.sessions) for course in planned.classes)


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
        assert nobody_teaches_twice_at_once((course.teacher, course.sessions) for course in planned.classes)
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


@pytest.mark.parametrize("course", [*seed.COURSES.values(), seed.FILED], ids=lambda course: course.name)
def test_the_samples_classes_are_within_the_rules(course: seed.Course) -> None:
    assert broken_rules(seed.SCHOOLS[course.institution].kind, course.price_fen, course.sessions()) == []
    assert course.sessions()[0][0] > seed.moment(seed.FIRST_DAY, course.starts) + timedelta(hours=12)


def test_the_samples_teachers_are_in_one_place_at_a_time() -> None:
    every = [*seed.COURSES.values(), seed.FILED]
    assert nobody_teaches_twice_at_once((course.institution, course.sessions()) for course in every)
    assert nobody_teaches_twice_at_once(((course.institution, course.room), course.sessions()) for course in every)


@pytest.mark.parametrize(
    ("hour", "allowed"), [("00:00:00", True), ("12:00:00", True), ("20:29:58", True), ("20:29:59", False), ("23:59:59", False)]
)
def test_the_demonstrations_class_meets_at_once_where_the_law_lets_it(hour: str, allowed: bool) -> None:
    assert may_meet_at(datetime.fromisoformat(f"2026-03-09T{hour}+08:00"), timedelta(seconds=2)) == allowed


def test_otherwise_it_meets_at_noon_of_the_next_day() -> None:
    late, early = datetime(2026, 3, 9, 15, 59, tzinfo=UTC), datetime(2026, 3, 9, 16, 1, tzinfo=UTC)
    assert [noon_after(at).isoformat() for at in (late, early)] == ["2026-03-10T12:00:00+08:00", "2026-03-11T12:00:00+08:00"]
