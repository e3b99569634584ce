"""Packs are sound or refused, and a district inherits exactly one statement of every rule on a date."""

import re
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import NotFound, Refused
from app.policy import packs
from app.policy.packs import Edition

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
[rules."refund.before"]
title_zh = "开课前"
limits = {{ day = 5 }}
source = "文件"
grade = "A"
[rules."custody.old"]
title_zh = "存量"
limits = {{ first_bps = 3_000, second_bps = 3_000, third_bps = 4_000 }}
source = "文件"
grade = "A"
[rules."price.guide"]
title_zh = "指导价"
limits = {{ small_students = 9, medium_students = 35, onsite_minutes = 45, online_minutes = 30, float_bps = 1_000 }}
choices = {{ rounding = "up", float = "before_rounding" }}
source = "文件"
grade = "A"
[rules."time.end"]
title_zh = "结束时间"
times = {{ onsite = 20:30:00, online = 21:00:00 }}
source = "文件"
grade = "A"
[school_year]
terms = [{{ name_zh = "春季学期", begins = "03-01" }}, {{ name_zh = "秋季学期", begins = "09-01" }}]
source = "文件"
grade = "A"
"""


def pack_text(id: str = "p", locality: str = "", since: str = "2024-01-01", until: str = "2024-12-31") -> str:
    return PACK.format(id=id, locality=locality, since=since, until=until)


def edition(id: str = "p", locality: str = "", since: str = "2024-01-01", until: str = "2024-12-31", **others: Any) -> Edition:
    return packs.parse(pack_text(id, locality, since, until)).model_copy(update=others)


def stating(id: str, locality: str, *rule_ids: str, **others: Any) -> Edition:
    """An edition that changes these rules alone, and names itself in their titles."""
    whole = edition(id, locality)
    rules = {rule_id: whole.rules[rule_id].model_copy(update={"title_zh": id}) for rule_id in rule_ids}
    return whole.model_copy(update={"rules": rules} | others)


def test_longquanyi_inherits_from_the_nation_the_province_and_the_city() -> None:
    here = packs.pack_for(LONGQUANYI, IN_FORCE)
    assert here.edition == "nation/4+sichuan/1+chengdu/1+longquanyi/1"
    assert here.rule("charge.span").limits == {"month": 3, "lesson": 60}
    assert here.rule("charge.cap").limits == {"fen": 500_000}
    assert {rule_id: here.origins[rule_id].name for rule_id in ("charge.cap", "charge.advance", "release.confirm")} == {
        "charge.cap": "nation/4",
        "charge.advance": "chengdu/1",
        "release.confirm": "longquanyi/1",
    }


@pytest.mark.parametrize(
    ("district", "chain"),
    [
        ("510104", "nation/4+sichuan/1+chengdu/1"),
        ("510302", "nation/4+sichuan/1"),
        ("110105", "nation/4+beijing/2"),
        ("120101", "nation/4+tianjin/1"),
        ("120116", "nation/4+tianjin/1+binhai/1"),
        ("330106", "nation/4+zhejiang/1"),
        ("320211", "nation/4+jiangsu/1+wuxi/1"),
        ("320102", "nation/4+jiangsu/1"),
        ("440106", "nation/4"),
    ],
)
def test_every_district_has_the_packs_of_its_prefix(district: str, chain: str) -> None:
    assert packs.pack_for(district, IN_FORCE).edition == chain


def test_shipped_packs_are_read_once() -> None:
    assert packs.shipped() is packs.shipped()
    assert packs.pack_for(LONGQUANYI, IN_FORCE) is packs.pack_for(LONGQUANYI, IN_FORCE)


def test_a_confirmed_lesson_is_final_at_once_and_an_untaught_one_is_refunded_whole() -> None:
    here = packs.pack_for(LONGQUANYI, IN_FORCE)
    assert here.rule("release.final_after_hours").limits == {"hour": 0}
    assert here.rule("refund.untaught").limits == {"bps": 10_000, "hour": 0}


def test_silence_releases_nothing_in_longquanyi() -> None:
    assert packs.pack_for(LONGQUANYI, IN_FORCE).find("release.silence") is None


def test_every_shipped_rule_says_where_it_is_written_and_a_draft_does_not_bind() -> None:
    for shipped in packs.shipped():
        for rule in shipped.rules.values():
            assert rule.source
            assert rule.binding is (rule.grade in ("A", "B", "C", "S"))
    assert not packs.pack_for("330106", IN_FORCE).rule("release.silence").binding


def test_a_superseded_edition_still_explains_what_was_judged_by_it() -> None:
    first = packs.of_edition("nation/1")
    assert (first.edition, len(first.rules), first.find("charge.advance")) == ("nation/1", 4, None)
    for district in (LONGQUANYI, "120116", "320211"):
        judged = packs.pack_for(district, IN_FORCE)
        assert packs.of_edition(judged.edition) == judged


def test_no_rule_is_in_force_before_the_year_that_its_source_is_numbered_with() -> None:
    editions = packs.shipped()
    nation_on = min(edition.effective_from for edition in editions if not edition.locality)
    begins = {max(edition.effective_from, nation_on) for edition in editions}
    ends = {edition.effective_to + timedelta(days=1) for edition in editions if edition.effective_to < date.max}
    for on in begins | ends:
        for district in {edition.locality.ljust(6, "0") for edition in editions}:
            pack = packs.pack_for(district, on)
            cited = [*pack.rules.values(), *([pack.school_year] if pack.school_year else [])]
            numbered = [int(year) for each in cited for year in re.findall(r"〔(\d{4})〕", each.source)]
            assert max(numbered) <= on.year, (pack.edition, on)


@pytest.mark.parametrize(
    ("on", "edition", "stated"),
    [("2022-12-29", "nation/3", False), ("2025-04-30", "nation/3", False), ("2025-05-01", "nation/4", True)],
)
def test_what_the_judicial_interpretation_gives_holds_from_its_own_day(on: str, edition: str, stated: bool) -> None:
    here = packs.pack_for("440106", date.fromisoformat(on))
    assert here.edition == edition
    assert [here.find(rule_id) is not None for rule_id in ("refund.cooling", "refund.transfer")] == [stated, stated]
    assert ("法释" in here.rule("refund.price").source, here.rule("refund.price").choices) == (stated, {"own_reason": "pro_rata"})
    assert "法释" not in packs.pack_for("110105", date.fromisoformat(on)).rule("records").source


@pytest.mark.parametrize("unknown", ["", "nation", "nation/99", "nation/2+nowhere/1"])
def test_an_unknown_edition_is_not_found(unknown: str) -> None:
    with pytest.raises(NotFound) as missing:
        packs.of_edition(unknown)
    assert missing.value.code == "policy.edition_unknown"


def test_of_each_rule_the_nearest_locality_counts() -> None:
    nation = stating("nation", "", "charge.span", "charge.cap")
    province, district = stating("province", "51", "charge.cap", "refund.untaught"), stating("district", LONGQUANYI, "refund.untaught")
    on = date(2024, 6, 1)
    here = packs.choose([district, nation, province], LONGQUANYI, on)
    assert here.edition == "nation/3+province/3+district/3"
    assert {rule_id: rule.title_zh for rule_id, rule in here.rules.items()} == {
        "charge.span": "nation",
        "charge.cap": "province",
        "refund.untaught": "district",
    }
    assert packs.choose([district, nation, province], "510104", on).edition == "nation/3+province/3"
    assert packs.choose([district, nation, province], "440106", on).edition == "nation/3"


@pytest.mark.parametrize(("on", "covered"), [("2023-12-31", False), ("2024-01-01", True), ("2024-12-31", True), ("2025-01-01", False)])
def test_a_pack_governs_from_its_first_to_its_last_day(on: str, covered: bool) -> None:
    assert edition().covers(LONGQUANYI, date.fromisoformat(on)) is covered


def test_an_expired_measure_governs_its_own_days() -> None:
    nation = edition("nation", since="2020-01-01", until="2030-12-31")
    trial = stating("trial", "5101", "charge.cap")
    assert packs.choose([nation, trial], LONGQUANYI, date(2024, 12, 31)).edition == "nation/3+trial/3"
    assert packs.choose([nation, trial], LONGQUANYI, date(2025, 1, 1)).edition == "nation/3"


def test_a_later_pack_of_the_same_locality_follows_the_expired_one() -> None:
    old, new = edition("old"), edition("new", since="2025-01-01", until="2030-12-31")
    packs.check_apart([old, new])
    assert packs.choose([old, new], LONGQUANYI, date(2024, 12, 31)).editions == (old,)
    assert packs.choose([old, new], LONGQUANYI, date(2025, 1, 1)).editions == (new,)


def test_of_several_versions_in_force_the_latest_judges() -> None:
    first, corrected = edition("p", version=1), edition("p", version=2)
    amended = edition("p", since="2024-07-01", version=3)
    packs.check_apart([first, corrected, amended])
    assert packs.choose([corrected, amended, first], LONGQUANYI, date(2024, 6, 30)).edition == "p/2"
    assert packs.choose([corrected, amended, first], LONGQUANYI, date(2024, 7, 1)).edition == "p/3"


def test_before_any_pack_nothing_can_be_judged() -> None:
    for district, on in ((LONGQUANYI, date(2020, 1, 1)), ("440106", date(2022, 12, 28))):
        with pytest.raises(Refused) as refusal:
            packs.pack_for(district, on)
        assert refusal.value.code == "policy.no_pack"


def test_what_would_be_under_another_pack() -> None:
    here = packs.pack_for(LONGQUANYI, IN_FORCE)
    stricter = stating("draft", "5101", "charge.cap")
    assert here.under(stricter).edition == "nation/4+sichuan/1+draft/3+longquanyi/1"
    assert here.under(edition("draft", LONGQUANYI)).rule("charge.cap").title_zh == "上限"


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (edition("one"), edition("two", since="2024-12-31", until="2025-12-31"), "one/3 and two/3 are in force at the same time"),
        (edition("one"), edition("one"), "there are two of one/3"),
        (edition("one"), edition("one", "51", version=4), "one/3 and one/4 are of different localities"),
    ],
)
def test_packs_that_leave_open_which_one_judges_are_refused(one: Edition, other: Edition, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        packs.check_apart([one, other])


@pytest.mark.parametrize(
    ("sound", "unsound", "said"),
    [
        ("month = 3", "month = -1", "limits.month"),
        ("month = 3", "month = 3.0", "limits.month"),
        ("month = 3", 'month = "3"', "limits.month"),
        ("month = 3", "day = 90", "charge.span lacks a value, or has one that it does not know"),
        ("month = 3, ", "", "charge.span lacks a value"),
        ('"charge.cap"', '"charge.cup"', "charge.cup is unknown"),
        ('"charge.cap"', '"charge.split"', "charge.split lacks a value, or has one that it does not know"),
        ("day = 5", "day = 5, workday = 5", "refund.before lacks a value"),
        ("first_bps = 3_000", "first_bps = 3_001", "add up to the whole"),
        ("small_students = 9", "small_students = 35", "must grow"),
        ("online_minutes = 30", "online_minutes = 0", "must last some time"),
        ('rounding = "up"', 'rounding = "bankers"', "price.guide lacks a value"),
        ("onsite = 20:30:00", 'onsite = "20:30"', "times.onsite"),
        ("onsite = 20:30:00", "home = 20:30:00", "time.end lacks a value"),
        ('begins = "09-01"', 'begins = "02-01"', "must begin one after the other"),
        ('begins = "09-01"', 'begins = "13-01"', "begins"),
        ('grade = "A"', 'grade = "Z"', "grade"),
        ('source = "文件"', 'source = ""', "source"),
        ('source = "文件"\n', "", "source"),
        ("version = 3", "version = 0", "version"),
        ("version = 3", "version = 3\nverison = 4", "verison"),
        ("version = 3", "version =", "Invalid value"),
        ('id = "p"', 'id = "p+q"', "id"),
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
    packs.parse(text)
    assert sound in text
    with pytest.raises(ValueError, match=said):
        packs.parse(text.replace(sound, unsound, 1))


def test_the_nations_pack_must_state_what_the_service_cannot_act_without() -> None:
    text = pack_text().partition('[rules."refund.untaught"]')[0]
    with pytest.raises(ValueError, match="the nation's pack must state"):
        packs.parse(text)
    assert "refund.untaught" not in packs.parse(text.replace('locality = ""', 'locality = "51"')).rules


@given(
    locality=st.sampled_from(["", "51", "5101", LONGQUANYI]),
    since=st.dates(date(2023, 1, 1), date(2030, 1, 1)),
    days=st.integers(0, 1000),
    offset=st.integers(-1100, 1100),
)
def test_a_pack_is_in_force_on_exactly_the_days_it_names(locality: str, since: date, days: int, offset: int) -> None:
    until, on = since + timedelta(days), since + timedelta(offset)
    assert edition("p", locality, str(since), str(until)).covers(LONGQUANYI, on) is (0 <= offset <= days)
