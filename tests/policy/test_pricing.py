"""Guide prices by class size, their float and their rounding; and posted prices."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.catalogue import Mode, Stage
from app.policy.facts import ClassFacts
from app.policy.packs import Pack, pack_for
from app.policy.pricing import guide_cap_fen, guide_fen
from tests.locality import stating
from tests.policy.sales import LONGQUANYI, NATION, WUXI, finding, refused_by, sale, verdicts

GUIDE = NATION.rule("price.guide")


def guided(small_fen: int = 3_500, medium_fen: int = 2_500, large_fen: int = 1_500, **changes: int | str) -> Pack:
    """The nation's rule with the prices of a locality; by default those of Ziyang."""
    numbers = {name: value for name, value in changes.items() if isinstance(value, int)}
    limits = {**GUIDE.limits, "small_fen": small_fen, "medium_fen": medium_fen, "large_fen": large_fen} | numbers
    words = {name: value for name, value in changes.items() if isinstance(value, str)}
    return stating(NATION, "price.guide", limits=limits, choices={**GUIDE.choices, **words})


def subject(class_size: int = 8, lesson_minutes: int = 45, mode: Mode = "onsite", stage: Stage | None = "primary") -> ClassFacts:
    return ClassFacts("subject", stage, mode, class_size, lesson_minutes)


@pytest.mark.parametrize(("price_fen", "passed"), [(3_850, True), (3_851, False), (1, True)])
def test_thirty_five_yuan_may_float_up_to_38_50_and_not_to_38_51(price_fen: int, passed: bool) -> None:
    facts = sale(10, kind="subject", price_fen=price_fen, course=subject())
    assert verdicts(guided(), facts, "price.guide") == [passed]
    assert refused_by(guided(), facts) == ([] if passed else [("price.guide", "fen")])


@pytest.mark.parametrize(("float_", "cap_fen"), [("before_rounding", 5_133), ("after_rounding", 5_134)])
def test_sixty_minutes_on_a_base_of_forty_five(float_: str, cap_fen: int) -> None:
    pack = guided(float=float_)
    assert guide_fen(pack, "onsite", 60, 8) == 4_667
    assert guide_cap_fen(pack, "onsite", 60, 8) == cap_fen


@pytest.mark.parametrize(("rounding", "base_fen", "cap_fen"), [("half_up", 4_667, 5_133), ("down", 4_666, 5_133), ("up", 4_667, 5_134)])
def test_the_pack_says_how_caps_are_rounded(rounding: str, base_fen: int, cap_fen: int) -> None:
    pack = guided(rounding=rounding)
    assert (guide_fen(pack, "onsite", 60, 8), guide_cap_fen(pack, "onsite", 60, 8)) == (base_fen, cap_fen)


@pytest.mark.parametrize(("class_size", "guide"), [(1, 3_500), (9, 3_500), (10, 2_500), (35, 2_500), (36, 1_500), (500, 1_500)])
def test_classes_of_ten_and_thirty_five_are_medium(class_size: int, guide: int) -> None:
    assert guide_fen(guided(), "onsite", 45, class_size) == guide


@pytest.mark.parametrize(("class_size", "guide"), [(10, 3_500), (11, 2_500), (34, 2_500), (35, 1_500)])
def test_or_they_stand_on_the_other_side_where_a_pack_says_so(class_size: int, guide: int) -> None:
    assert guide_fen(guided(small_students=10, medium_students=34), "onsite", 45, class_size) == guide


def test_wuxi_has_prices_and_half_the_float() -> None:
    assert [guide_fen(WUXI, "onsite", 45, size) for size in (5, 20, 40)] == [6_000, 4_000, 2_500]
    assert [guide_cap_fen(WUXI, "onsite", 45, size) for size in (5, 20, 40)] == [6_300, 4_200, 2_625]
    assert guide_cap_fen(WUXI, "online", 30, 5) == 6_300
    assert guide_cap_fen(WUXI, "online", 20, 5) == 4_200


def test_without_prices_there_is_nothing_to_hold_against_a_sale() -> None:
    assert guide_cap_fen(LONGQUANYI, "onsite", 45, 8) is None
    assert verdicts(LONGQUANYI, sale(10, kind="subject", price_fen=1_000_000, course=subject()), "price.guide") == []


@pytest.mark.parametrize("stage", ["preschool", "high", None])
def test_guide_prices_are_for_subjects_of_compulsory_education(stage: Stage | None) -> None:
    dear = sale(10, kind="subject", price_fen=99_999, course=subject(stage=stage))
    assert verdicts(WUXI, dear, "price.guide") == []
    assert (
        verdicts(WUXI, sale(10, kind="arts", price_fen=99_999, course=ClassFacts("arts", "primary", "onsite", 8, 45)), "price.guide") == []
    )
    assert verdicts(WUXI, sale(10, kind="subject", price_fen=99_999, course=subject(stage="middle")), "price.guide") == [False]


def test_a_gift_does_not_make_paid_lessons_cheaper() -> None:
    assert verdicts(guided(), sale(10, kind="subject", price_fen=3_851, gift_lessons=10, course=subject()), "price.guide") == [False]


def test_only_the_posted_price_may_be_asked() -> None:
    facts = sale(10, price_fen=5_000)
    assert verdicts(NATION, facts, "price.listed") == [True]
    assert finding(NATION, facts, "price.listed", "fen").limit == 50_000
    dearer = sale(10, price_fen=5_000, charged_on=date(2025, 9, 1))
    posted = [lesson.__class__(lesson.on, 5_001, 5_000) for lesson in dearer.schedule]
    assert refused_by(NATION, type(dearer).of_lessons("arts", posted)) == [("price.listed", "fen")]


SIZES = st.integers(1, 60)


@given(
    guide=st.integers(1, 20_000),
    minutes=st.integers(1, 240),
    float_bps=st.integers(0, 2_000),
    rounding=st.sampled_from(["half_up", "down", "up"]),
    mode=st.sampled_from(["onsite", "online"]),
)
def test_a_cap_is_the_exact_one_rounded_once_as_the_pack_says(guide: int, minutes: int, float_bps: int, rounding: str, mode: Mode) -> None:
    pack = guided(small_fen=guide, float_bps=float_bps, rounding=rounding)
    exact = Fraction(guide * minutes, 45 if mode == "onsite" else 30) * Fraction(10_000 + float_bps, 10_000)
    cap_fen = guide_cap_fen(pack, mode, minutes, 1)
    assert cap_fen is not None
    if rounding == "half_up":
        assert Fraction(-1, 2) < exact - cap_fen <= Fraction(1, 2) or exact - cap_fen == Fraction(-1, 2)
    else:
        assert 0 <= (exact - cap_fen if rounding == "down" else cap_fen - exact) < 1


@given(small=st.integers(1, 20), more=st.integers(1, 40), size=SIZES)
def test_every_class_size_is_in_exactly_one_band(small: int, more: int, size: int) -> None:
    pack = guided(small_students=small, medium_students=small + more)
    expected = 3_500 if size <= small else 2_500 if size <= small + more else 1_500
    assert guide_fen(pack, "onsite", 45, size) == expected


@given(over=st.integers(-3, 3), count=st.integers(1, 60), size=SIZES, minutes=st.integers(20, 120))
def test_a_sale_passes_up_to_the_cap_of_each_lesson_and_no_fen_further(over: int, count: int, size: int, minutes: int) -> None:
    cap_fen = guide_cap_fen(WUXI, "onsite", minutes, size)
    assert cap_fen is not None
    facts = sale(count, kind="subject", price_fen=cap_fen + over, course=subject(size, minutes))
    assert verdicts(WUXI, facts, "price.guide") == [over <= 0]


def test_other_localities_have_no_prices() -> None:
    for district in ("110105", "120116", "330106", "510112", "320102"):
        assert guide_cap_fen(pack_for(district, date(2025, 9, 1)), "onsite", 45, 8) is None
