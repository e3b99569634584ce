"""The nearest legal plan: it passes, whatever was asked for, and it takes no more away than the law does."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy import records
from app.policy.catalogue import KINDS
from app.policy.facts import ClassFacts, PricedLesson, SaleFacts
from app.policy.findings import broken
from app.policy.packs import Pack
from app.policy.selling import Plan, charges_of, judge_sale, nearest_plan
from tests.locality import stating
from tests.policy.sales import BEIJING, LONGQUANYI, NATION, WUXI, lessons, refused_by, sale

PACKS = st.sampled_from([NATION, LONGQUANYI, BEIJING, WUXI])
ON = date(2025, 9, 1)


def planned(pack: Pack, facts: SaleFacts) -> Plan:
    plan = nearest_plan(pack, facts)
    assert plan is not None
    assert_legal(pack, facts, plan)
    return plan


def assert_legal(pack: Pack, facts: SaleFacts, plan: Plan) -> None:
    """Every charge passes, in order, before its lessons begin, and they are the first lessons that were wanted."""
    assert facts.charged_on is not None
    since, sold = facts.charged_on, 0
    for charge in plan.charges:
        assert refused_by(pack, charge) == []
        assert charge.charged_on is not None
        assert since <= charge.charged_on
        assert charge.charged_on in (facts.charged_on,) or charge.charged_on <= charge.first_on
        wanted = facts.schedule[sold : sold + charge.lesson_count]
        assert [each.on for each in charge.schedule] == [each.on for each in wanted]
        assert all(each.price_fen <= other.price_fen for each, other in zip(charge.schedule, wanted, strict=True))
        since, sold = charge.charged_on, sold + charge.lesson_count


def told(plan: Plan) -> list[tuple[str, int, int]]:
    """Day, lessons and fen of every charge."""
    return [(str(charge.charged_on), charge.lesson_count, charge.price_fen) for charge in plan.charges]


def test_a_legal_sale_is_its_own_plan() -> None:
    facts = sale(40, charged_on=ON)
    plan = planned(LONGQUANYI, facts)
    assert (plan.charges, plan.changes) == ((facts,), ())


def test_sixty_one_lessons_become_two_charges_the_second_a_month_before_its_start() -> None:
    plan = planned(LONGQUANYI, sale(61, charged_on=ON))
    assert told(plan) == [("2025-09-01", 60, 300_000), ("2025-09-30", 1, 5_000)]
    assert plan.changes == ("split",)
    assert plan.message_zh == "可以这样收费：2025-09-01起缴第1至60课时，共¥3,000.00；2025-09-30起缴第61课时，共¥50.00"


def test_where_renewals_have_no_time_of_their_own_the_second_charge_waits_for_room() -> None:
    assert told(planned(NATION, sale(80, charged_on=ON))) == [("2025-09-01", 60, 300_000), ("2025-09-21", 20, 100_000)]


def test_what_is_too_dear_is_charged_in_parts() -> None:
    plan = planned(LONGQUANYI, sale(40, price_fen=20_000, charged_on=ON))
    assert told(plan) == [("2025-09-01", 25, 500_000), ("2025-09-06", 15, 300_000)]
    assert refused_by(LONGQUANYI, plan.charges[1]) == []


def test_the_second_part_waits_until_the_first_is_being_taught() -> None:
    plan = planned(LONGQUANYI, sale(40, price_fen=25_000, charged_on=ON))
    assert told(plan) == [("2025-09-01", 20, 500_000), ("2025-09-02", 20, 500_000)]
    dear = planned(LONGQUANYI, sale(15, "2025-09-10", every=7, price_fen=100_000, charged_on=ON))
    assert told(dear) == [("2025-09-01", 5, 500_000), ("2025-09-11", 5, 500_000), ("2025-10-16", 5, 500_000)]


def test_what_comes_too_early_is_charged_later() -> None:
    plan = planned(LONGQUANYI, sale(10, "2025-12-15", charged_on=ON))
    assert (told(plan), plan.changes) == ([("2025-11-15", 10, 50_000)], ("later",))


def test_forty_beside_forty_untaught_wait_for_room() -> None:
    plan = planned(LONGQUANYI, sale(40, "2025-09-10", untaught=lessons(40), charged_on=ON))
    assert told(plan) == [("2025-09-10", 29, 145_000), ("2025-09-16", 11, 55_000)]
    assert told(planned(LONGQUANYI, sale(40, "2025-10-11", untaught=lessons(40), charged_on=ON))) == [("2025-09-21", 40, 200_000)]


def test_what_lies_behind_the_lease_is_left_out() -> None:
    facts = sale(30, kind="science", lease_ends_on=date(2025, 9, 20), charged_on=ON)
    plan = planned(BEIJING, facts)
    assert (told(plan), plan.changes) == ([("2025-09-01", 20, 100_000)], ("fewer",))
    assert plan.message_zh.endswith("；其余10课时暂不能收费")
    assert nearest_plan(BEIJING, replace(facts, lease_ends_on=date(2025, 8, 31))) is None


def test_a_price_over_the_guide_price_comes_down_to_its_cap() -> None:
    course = ClassFacts("subject", "primary", "onsite", 8, 45)
    plan = planned(WUXI, sale(10, kind="subject", price_fen=7_000, course=course, charged_on=ON))
    assert (told(plan), plan.changes) == ([("2025-09-01", 10, 63_000)], ("cheaper",))


def test_a_price_over_the_posted_one_comes_down_to_it() -> None:
    posted = [PricedLesson(each.on, 5_100, 5_000) for each in lessons(10)]
    plan = planned(NATION, SaleFacts.of_lessons("arts", posted, charged_on=ON))
    assert told(plan) == [("2025-09-01", 10, 50_000)]


def test_a_charge_ends_with_the_term_where_the_terms_are_verified() -> None:
    year = LONGQUANYI.school_year
    assert year is not None
    sourced = LONGQUANYI.editions[2].model_copy(update={"school_year": year.model_copy(update={"grade": "A"})})
    plan = planned(LONGQUANYI.under(sourced), sale(20, "2026-02-20", charged_on=date(2026, 2, 20)))
    assert [charge.lesson_count for charge in plan.charges] == [9, 11]
    assert plan.charges[1].first_on == date(2026, 3, 1)


def test_gifts_stay_with_the_first_charge_and_count_there() -> None:
    plan = planned(NATION, sale(60, gift_lessons=10, charged_on=ON))
    assert [(charge.lesson_count, charge.gift_lessons) for charge in plan.charges] == [(50, 10), (10, 0)]
    assert nearest_plan(NATION, sale(5, gift_lessons=60, charged_on=ON)) is None


def test_where_the_licence_begins_later_so_does_the_charge() -> None:
    facts = sale(10, "2025-10-01", licence_from_on=date(2025, 9, 20), charged_on=ON)
    assert told(planned(NATION, facts)) == [("2025-09-20", 10, 50_000)]


def test_no_plan_helps_against_what_no_plan_changes() -> None:
    evening = datetime(2025, 9, 1, 11, tzinfo=UTC)
    late = ClassFacts("arts", meetings=((evening, evening + timedelta(hours=2)),))
    for hindrance in (
        {"listing": "black"},
        {"sales_paused": True},
        {"loan": True},
        {"licence_to_on": date(2025, 8, 31)},
        {"course": late},
    ):
        assert nearest_plan(NATION, sale(10, charged_on=ON, **hindrance)) is None
    assert nearest_plan(NATION, sale(1, price_fen=500_001, charged_on=ON)) is None, "a single lesson over the cap"
    assert nearest_plan(NATION, replace(sale(61), charged_on=ON, schedule=())) is None, "nobody knows when its lessons are"
    assert nearest_plan(NATION, sale(61)) is None, "nobody says when it is charged"


def test_a_stricter_pack_makes_more_charges() -> None:
    strict = stating(NATION, "charge.span", limits={"month": 1, "lesson": 10})
    assert [charge.lesson_count for charge in planned(strict, sale(35, charged_on=ON)).charges] == [10, 10, 10, 5]


LESSONS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 60_000), st.integers(-200, 200)), min_size=1, max_size=140)
MAYBE_DAYS = st.none() | st.integers(-40, 200)


def laid_out(first: date, drawn: list[tuple[int, int, int]]) -> list[PricedLesson]:
    on, laid = first, []
    for gap, price_fen, above in drawn:
        on += timedelta(gap)
        laid.append(PricedLesson(on, price_fen, max(1, price_fen + above)))
    return laid


@st.composite
def sales(draw: st.DrawFn) -> SaleFacts:
    """A sale of almost anything, by almost anybody."""
    first = draw(st.dates(date(2024, 1, 1), date(2030, 1, 1)))
    others: dict[str, Any] = {
        "charged_on": first - timedelta(draw(st.integers(-10, 90))),
        "untaught": laid_out(
            first - timedelta(draw(st.integers(0, 60))),
            draw(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9_000), st.just(0)), max_size=50)),
        ),
        "gift_lessons": draw(st.integers(0, 12)),
        "lease_ends_on": None if (days := draw(MAYBE_DAYS)) is None else first + timedelta(days),
        "licence_to_on": None if (days := draw(MAYBE_DAYS)) is None else first + timedelta(days),
        "licence_from_on": None if (days := draw(MAYBE_DAYS)) is None else first - timedelta(days),
        "listing": draw(st.sampled_from([None, None, None, "white", "black"])),
        "sales_paused": draw(st.sampled_from([None, False, False, True])),
        "loan": draw(st.sampled_from([None, False, False, True])),
        "course": draw(
            st.none()
            | st.builds(
                ClassFacts,
                kind=st.sampled_from(KINDS),
                stage=st.sampled_from([None, "primary", "high"]),
                mode=st.sampled_from(["onsite", "online"]),
                class_size=st.integers(1, 40),
                lesson_minutes=st.integers(20, 120),
            )
        ),
    }
    return SaleFacts.of_lessons(draw(st.sampled_from(KINDS)), laid_out(first, draw(LESSONS)), **others)


@settings(deadline=None)
@given(PACKS, sales())
def test_whatever_is_asked_for_a_plan_passes_or_there_is_none(pack: Pack, facts: SaleFacts) -> None:
    plan = nearest_plan(pack, facts)
    if plan is None:
        assert broken(judge_sale(pack, facts))
    else:
        assert_legal(pack, facts, plan)
        assert plan.changes or not broken(judge_sale(pack, facts))


@settings(deadline=None)
@given(PACKS, sales())
def test_a_plan_taken_at_its_word_is_judged_by_the_same_facts(pack: Pack, facts: SaleFacts) -> None:
    plan = nearest_plan(pack, facts)
    if plan is not None and "cheaper" not in plan.changes:
        parts = [(charge.lesson_count, charge.charged_on) for charge in plan.charges if charge.charged_on]
        assert charges_of(facts, parts) == list(plan.charges)


@settings(deadline=None)
@given(PACKS, sales())
def test_facts_that_were_stored_are_judged_alike(pack: Pack, facts: SaleFacts) -> None:
    stored = json.loads(json.dumps(records.written(facts)))
    assert judge_sale(pack, records.read(stored)) == judge_sale(pack, facts)


@settings(deadline=None)
@given(PACKS, LESSONS, st.integers(0, 90), st.sampled_from(KINDS))
def test_what_is_only_too_much_too_early_or_too_dear_always_has_a_plan(
    pack: Pack, drawn: list[tuple[int, int, int]], early: int, kind: str
) -> None:
    wanted = laid_out(ON, drawn)
    facts = SaleFacts.of_lessons(kind, wanted, charged_on=ON - timedelta(early))
    plan = planned(pack, facts)
    assert sum(charge.lesson_count for charge in plan.charges) == len(wanted), "no lesson is lost"
