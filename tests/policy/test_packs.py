"""Packs are sound or refused, and exactly one of them governs a district on a date."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Refused
from app.policy import packs

LONGQUANYI = "510112"
IN_FORCE = date(2025, 9, 1)
PACK = """
id = "{id}"
version = 3
name_zh = "规则"
locality = "{locality}"
effective_from = {since}
effective_to = {until}
[rules."charge.span"]
title_zh = "跨度"
limits = {{ month = 3, lesson = 60 }}
source = "文件"
grade = "A"
[rules."charge.cap"]
title_zh = "上限"
limits = {{ fen = 500_000 }}
source = "文件"
grade = "A"
[rules."release.final_after_hours"]
title_zh = "等待期"
limits = {{ hour = 0 }}
source = "文件"
grade = "A"
[rules."refund.untaught"]
title_zh = "退费"
limits = {{ bps = 10_000, hour = 0 }}
source = "文件"
grade = "A"
"""


def pack_text(id: str = "p", locality: str = "", since: str = "2024-01-01", until: str = "2024-12-31") -> str:
    return PACK.format(id=id, locality=locality, since=since, until=until)


def pack(id: str = "p", locality: str = "", since: str = "2024-01-01", until: str = "2024-12-31") -> packs.Pack:
    return packs.parse(pack_text(id, locality, since, until))


def test_the_nation_governs_longquanyi() -> None:
    nation = packs.pack_for(LONGQUANYI, IN_FORCE)
    assert nation.edition == "nation/1"
    assert nation.rule("charge.span").limits == {"month": 3, "lesson": 60}
    assert nation.rule("charge.cap").limits == {"fen": 500_000}


def test_shipped_packs_are_read_once() -> None:
    assert packs.shipped() is packs.shipped()


def test_a_confirmed_lesson_is_final_at_once_and_an_untaught_one_is_refunded_whole() -> None:
    nation = packs.pack_for(LONGQUANYI, IN_FORCE)
    assert nation.rule("release.final_after_hours").limits == {"hour": 0}
    assert nation.rule("refund.untaught").limits == {"bps": 10_000, "hour": 0}


def test_every_shipped_rule_says_where_it_is_written_and_none_is_unverified_or_a_draft() -> None:
    for shipped in packs.shipped():
        for rule in shipped.rules.values():
            assert rule.source
            assert rule.grade in ("A", "B", "C", "S")


def test_the_nearest_locality_governs() -> None:
    nation, province, district = pack("nation"), pack("sichuan", "51"), pack("longquanyi", LONGQUANYI)
    on = date(2024, 6, 1)
    assert packs.choose([district, nation, province], LONGQUANYI, on) is district
    assert packs.choose([district, nation, province], "510104", on) is province
    assert packs.choose([district, nation, province], "440106", on) is nation


@pytest.mark.parametrize(("on", "covered"), [("2023-12-31", False), ("2024-01-01", True), ("2024-12-31", True), ("2025-01-01", False)])
def test_a_pack_governs_from_its_first_to_its_last_day(on: str, covered: bool) -> None:
    assert pack().covers(LONGQUANYI, date.fromisoformat(on)) is covered


def test_a_later_pack_of_the_same_locality_follows_the_expired_one() -> None:
    old, new = pack("old"), pack("new", since="2025-01-01", until="2030-12-31")
    packs.check_apart([old, new])
    assert packs.choose([old, new], LONGQUANYI, date(2024, 12, 31)) is old
    assert packs.choose([old, new], LONGQUANYI, date(2025, 1, 1)) is new


def test_before_any_pack_nothing_can_be_judged() -> None:
    with pytest.raises(Refused) as refusal:
        packs.pack_for(LONGQUANYI, date(2020, 1, 1))
    assert refusal.value.code == "policy.no_pack"


def test_two_packs_of_one_locality_on_one_day_are_refused() -> None:
    with pytest.raises(ValueError, match="one/3 and two/3 are in force at the same time"):
        packs.check_apart([pack("one"), pack("two", since="2024-12-31", until="2025-12-31")])


@pytest.mark.parametrize(
    ("sound", "unsound", "said"),
    [
        ("month = 3", "month = -1", "limits.month"),
        ("month = 3", "month = 3.0", "limits.month"),
        ("month = 3", 'month = "3"', "limits.month"),
        ("month = 3", "day = 90", "limits.day"),
        ("month = 3, ", "", "charge.span is missing, unknown, or has other units"),
        ('"charge.cap"', '"charge.cup"', "charge.cap is missing"),
        ('grade = "A"', 'grade = "Z"', "grade"),
        ('source = "文件"', 'source = ""', "source"),
        ('source = "文件"\n', "", "source"),
        ("version = 3", "version = 0", "version"),
        ("version = 3", "version = 3\nverison = 4", "verison"),
        ("version = 3", "version =", "Invalid value"),
        ('locality = ""', 'locality = "5101122"', "locality"),
        ('locality = ""', 'locality = "5"', "locality"),
        ("effective_to = 2024-12-31", "effective_to = 2023-12-31", "cannot end before it begins"),
        ("effective_from = 2024-01-01", 'effective_from = "2024-01-01"', "effective_from"),
        ('title_zh = "上限"', 'title_zh = "上限"\nkinds = ["music"]', "kinds"),
        ('title_zh = "上限"', 'title_zh = "上限"\nkinds = []', "kinds"),
    ],
)
def test_an_unsound_pack_is_refused_with_the_reason(sound: str, unsound: str, said: str) -> None:
    text = pack_text()
    assert sound in text
    with pytest.raises(ValueError, match=said):
        packs.parse(text.replace(sound, unsound, 1))


@given(
    locality=st.sampled_from(["", "51", "5101", LONGQUANYI]),
    since=st.dates(date(2023, 1, 1), date(2030, 1, 1)),
    days=st.integers(0, 1000),
    offset=st.integers(-1100, 1100),
)
def test_a_pack_is_in_force_on_exactly_the_days_it_names(locality: str, since: date, days: int, offset: int) -> None:
    until, on = since + timedelta(days), since + timedelta(offset)
    assert pack("p", locality, str(since), str(until)).covers(LONGQUANYI, on) is (0 <= offset <= days)
