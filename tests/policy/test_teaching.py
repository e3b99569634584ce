"""When a class may be taught, and by whom."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock import SHANGHAI
from app.policy.catalogue import DayKind, Mode
from app.policy.facts import ClassFacts
from app.policy.findings import Finding, broken
from app.policy.packs import CitedSchoolYear, Pack, of_edition
from app.policy.teaching import judge_sessions, judge_subject
from tests.policy.sales import NATION, named, refused_by, sale

MONDAY = date(2026, 3, 2)


def course(*times: str, kind: str = "arts", mode: Mode = "onsite", from_on: date = MONDAY, **others: object) -> ClassFacts:
    """A class that meets at these times, 18:00-19:30, on one day after the other."""
    meetings = []
    for i, each in enumerate(times):
        starts, ends = (datetime.combine(from_on + timedelta(i), time.fromisoformat(part), SHANGHAI) for part in each.split("-"))
        meetings.append((starts, ends if ends > starts else ends + timedelta(days=1)))
    return replace(ClassFacts(kind, mode=mode, meetings=tuple(meetings)), **others)  # type: ignore[arg-type]


def of(findings: list[Finding], rule: str) -> list[bool]:
    return [finding.passed for finding in findings if finding.rule == rule]


def days(facts: ClassFacts, **kinds: DayKind) -> Mapping[date, DayKind]:
    """Every day of the class a working day, but for d0, d1, …"""
    known: dict[date, DayKind] = {starts.astimezone(SHANGHAI).date(): "working" for starts, _ in facts.meetings}
    return known | {MONDAY + timedelta(int(name[1:])): kind for name, kind in kinds.items()}


@pytest.mark.parametrize(
    ("mode", "meeting", "passed"),
    [
        ("onsite", "19:00-20:30", True),
        ("onsite", "19:00-20:31", False),
        ("onsite", "22:00-00:10", False),
        ("online", "20:30-21:00", True),
        ("online", "20:35-21:01", False),
    ],
)
def test_teaching_ends_in_time(mode: Mode, meeting: str, passed: bool) -> None:
    assert of(judge_sessions(NATION, course("09:00-09:30", meeting, mode=mode)), "time.end") == [passed]


def test_a_late_meeting_is_named() -> None:
    [late] = broken(judge_sessions(NATION, course("18:00-19:00", "19:30-21:00")))
    assert (late.value, late.limit, late.unit) == ("21:00", "20:30", "time")
    assert late.message_zh == "线下培训结束时间不得晚于20:30，最晚的一次课21:00结束（2026-03-03）"


@pytest.mark.parametrize(("meeting", "passed"), [("10:00-10:30", True), ("10:00-10:31", False)])
def test_an_online_lesson_lasts_half_an_hour(meeting: str, passed: bool) -> None:
    assert of(judge_sessions(NATION, course(meeting, mode="online")), "time.online") == [passed]
    assert of(judge_sessions(NATION, course(meeting)), "time.online") == []
    assert of(judge_sessions(NATION, course("10:00-10:20", mode="online", lesson_minutes=40)), "time.online") == [False]


@pytest.mark.parametrize(("starts", "passed"), [("10:40", True), ("10:39", False)])
def test_between_two_online_lessons_are_ten_minutes(starts: str, passed: bool) -> None:
    first, second = course("10:00-10:30", mode="online"), course(f"{starts}-11:00", mode="online")
    both = replace(first, meetings=(*first.meetings, *second.meetings))
    assert of(judge_sessions(NATION, both), "time.online") == [True, passed]


@pytest.mark.parametrize(("kind", "passed"), [("working", True), ("rest", False), ("holiday", False)])
def test_subjects_are_taught_on_working_days(kind: DayKind, passed: bool) -> None:
    subject = course("18:00-19:00", "18:00-19:00", kind="subject")
    subject = replace(subject, days=days(subject, d1=kind))
    assert of(judge_sessions(NATION, subject), "time.subject")[0] is passed
    assert of(judge_sessions(NATION, replace(subject, kind="arts")), "time.subject") == []
    assert of(judge_sessions(NATION, replace(subject, days=None)), "time.subject") == []


def test_days_that_the_calendar_does_not_know_are_said_and_the_others_judged() -> None:
    subject = course("18:00-19:00", "18:00-19:00", kind="subject")
    known = days(subject)
    for left, kind in (({MONDAY: "rest"}, "rest"), ({MONDAY: "working"}, "working")):
        judged, unknown, _ = [each for each in judge_sessions(NATION, replace(subject, days=left)) if each.rule == "time.subject"]
        assert (judged.passed, judged.binding) == (kind == "working", True)
        assert (unknown.passed, unknown.binding, unknown.value) == (False, False, "2026-03-03")
        assert "工作日历还没有2026年，有1次课没有核对（2026-03-03）" in unknown.message_zh
    assert of(judge_sessions(NATION, replace(subject, days={})), "time.subject") == [False, True]
    assert of(judge_sessions(NATION, replace(subject, days=known)), "time.subject") == [True, True]


def test_school_holidays_are_advice_until_their_dates_are_verified() -> None:
    summer = course("10:00-11:00", kind="subject", from_on=date(2026, 7, 20))
    summer = replace(summer, days={date(2026, 7, 20): "working"})
    assert broken(judge_sessions(NATION, summer)) == []
    assert of(judge_sessions(NATION, summer), "time.subject") == [True, False]
    assert broken(judge_sessions(verified(NATION), summer))[0].value == "暑假"


def test_school_holidays_may_go_over_the_turn_of_the_year() -> None:
    pack = verified(NATION, {"name_zh": "寒假", "begins": "12-20", "ends": "01-10"})
    for on, passed in (("2026-12-19", True), ("2026-12-20", False), ("2027-01-10", False), ("2027-01-11", True)):
        facts = course("10:00-11:00", kind="subject", from_on=date.fromisoformat(on))
        facts = replace(facts, days={date.fromisoformat(on): "working"})
        assert (broken(judge_sessions(pack, facts)) == []) is passed


@pytest.mark.parametrize(
    ("facts", "unit"),
    [
        ({"certificate_covers": False}, "state"),
        ({"serving_school_teacher": True}, "state"),
        ({"foreigner_abroad": True}, "state"),
        ({"certificate_to_on": MONDAY}, "date"),
    ],
)
def test_subject_teachers_are_certified_serve_no_school_and_are_here_where_they_are_foreigners(facts: dict[str, object], unit: str) -> None:
    subject = course("18:00-19:00", "18:00-19:00", kind="subject", **facts)
    assert named(broken(judge_sessions(NATION, subject))) == [("staff.cert", unit)]
    assert broken(judge_sessions(NATION, replace(subject, kind="arts"))) == []


def test_a_certified_teacher_passes_and_what_is_unknown_is_not_judged() -> None:
    known = course("18:00-19:00", kind="subject", certificate_covers=True, certificate_to_on=MONDAY)
    known = replace(known, serving_school_teacher=False, foreigner_abroad=False)
    assert of(judge_sessions(NATION, known), "staff.cert") == [True, True, True, True]
    assert of(judge_sessions(NATION, course("18:00-19:00", kind="subject")), "staff.cert") == []


def test_a_foreigner_abroad_is_named_as_such() -> None:
    [abroad] = broken(judge_sessions(NATION, course("18:00-18:30", kind="subject", mode="online", foreigner_abroad=True)))
    assert (abroad.rule, abroad.value, abroad.limit) == ("staff.cert", "abroad", "not_abroad")
    assert abroad.message_zh == "不得聘请在境外的外籍人员"


@pytest.mark.parametrize(
    ("kind", "subject", "advised"),
    [
        ("arts", "数学", True),
        ("science", "小学数学思维", True),
        ("other", "剑桥英语", True),
        ("sports", "道德与法治", True),
        ("arts", "美术", False),
        ("science", "编程", False),
        ("subject", "数学", False),
    ],
)
def test_a_school_subject_of_another_kind_of_institution_is_advice_to_the_officers(kind: str, subject: str, advised: bool) -> None:
    findings = judge_subject(NATION, kind, subject)
    assert [(each.rule, each.passed, each.value, each.limit) for each in findings] == [("inst.kind", False, subject, kind)] * advised
    assert broken(findings) == []
    assert judge_subject(of_edition("nation/2"), kind, subject) == []


def test_what_forbids_the_class_forbids_its_sale() -> None:
    late = course("19:30-21:00")
    assert refused_by(NATION, sale(10, course=late)) == [("time.end", "time")]


@given(st.integers(0, 23 * 60 + 59), st.integers(1, 720), st.sampled_from(["onsite", "online"]))
def test_a_meeting_ends_in_time_exactly_when_its_last_minute_does(start: int, length: int, mode: Mode) -> None:
    starts = datetime.combine(MONDAY, time(start // 60, start % 60), SHANGHAI)
    facts = ClassFacts("arts", mode=mode, meetings=((starts, starts + timedelta(minutes=length)),))
    latest = 20 * 60 + 30 if mode == "onsite" else 21 * 60
    assert of(judge_sessions(NATION, facts), "time.end") == [start + length <= latest]


def verified(pack: Pack, *holidays: dict[str, str]) -> Pack:
    """The pack with a school year that a good source states."""
    assert pack.school_year is not None
    changes = {"grade": "B", "source": "校历"} | ({"holidays": list(holidays)} if holidays else {})
    year = CitedSchoolYear.model_validate(pack.school_year.model_dump() | changes)
    return pack.under(pack.editions[0].model_copy(update={"school_year": year}))
