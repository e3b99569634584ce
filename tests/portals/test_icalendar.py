"""The calendar as calendars read it: line by line, as RFC 5545 wants it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.ids import uuid7
from app.lessons.timetable import Entry
from app.portals.icalendar import calendar

NOON = datetime(2026, 3, 3, 12, tzinfo=ZoneInfo("Asia/Shanghai"))


def entry(class_name: str = "创意美术", kind: str = "lesson", *, mode: str = "onsite", cancelled: bool = False) -> Entry:
    one = uuid7()
    return Entry(
        kind=kind,
        id=one,
        contract_id=one,
        student_id=one,
        class_id=one,
        class_name=class_name,
        institution_name="晨光，艺术; 培训",
        teacher_name="李老师",
        mode=mode,
        campus="主校区",
        address="驿都大道 1 号, 2 楼",
        room="201",
        number=1,
        starts_at=NOON,
        ends_at=NOON + timedelta(hours=1),
        status="scheduled",
        cancelled=cancelled,
        changes=2,
        changed_at=datetime(2026, 3, 1, tzinfo=UTC),
    )


def properties(written: bytes) -> list[tuple[str, str]]:
    """Names and values, unfolded as a reader unfolds them."""
    unfolded = written.replace(b"\r\n ", b"").decode()
    assert unfolded.endswith("\r\n")
    return [(name, value) for name, _, value in (line.partition(":") for line in unfolded[:-2].split("\r\n"))]


def test_an_event_says_when_and_what_and_nothing_of_the_child() -> None:
    said = entry()
    found = dict(properties(calendar([said], "escrow.test")))
    assert (found["DTSTART"], found["DTEND"]) == ("20260303T040000Z", "20260303T050000Z")
    assert (found["UID"], found["SEQUENCE"], found["STATUS"]) == (f"{said.id}@escrow.test", "2", "CONFIRMED")
    assert (found["SUMMARY"], found["DTSTAMP"], found["CLASS"]) == ("创意美术", "20260301T000000Z", "PRIVATE")
    assert (found["LOCATION"], found["DESCRIPTION"]) == (r"主校区 驿都大道 1 号\, 2 楼 201", r"晨光，艺术\; 培训")
    assert not {"ATTENDEE", "ORGANIZER"} & set(found)


def test_a_class_that_meets_online_is_nowhere_else() -> None:
    assert dict(properties(calendar([entry(mode="online")], "escrow.test")))["LOCATION"] == "线上"


def test_without_a_campus_of_its_own_a_class_meets_at_the_institution() -> None:
    said = replace(entry(), campus=None, room=None)
    assert dict(properties(calendar([said], "escrow.test")))["LOCATION"] == r"驿都大道 1 号\, 2 楼"


def test_trials_and_cancelled_class_sessions_are_told_apart() -> None:
    found = properties(calendar([entry(kind="trial"), entry(cancelled=True)], "escrow.test"))
    assert [value for name, value in found if name == "SUMMARY"] == ["创意美术（试听）", "创意美术"]
    assert [value for name, value in found if name == "STATUS"] == ["CONFIRMED", "CANCELLED"]
    assert [value for name, value in found if name in ("BEGIN", "END")] == ["VCALENDAR", *["VEVENT"] * 4, "VCALENDAR"]


def test_an_empty_timetable_is_a_calendar_too() -> None:
    assert properties(calendar([], "escrow.test"))[:2] == [("BEGIN", "VCALENDAR"), ("VERSION", "2.0")]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\r,;\\"), max_size=200))
def test_any_name_comes_back_as_it_was_and_no_line_is_too_long(name: str) -> None:
    written = calendar([entry(name)], "escrow.test")
    assert all(len(line) <= 75 for line in written.split(b"\r\n"))
    assert all(line.decode() is not None for line in written.split(b"\r\n")), "no character is cut"
    (summary,) = [value for title, value in properties(written) if title == "SUMMARY"]
    read, rest = "", iter(summary)
    for char in rest:
        escaped = next(rest) if char == "\\" else char
        read += "\n" if char == "\\" and escaped == "n" else escaped
    assert read == name.replace("\r\n", "\n").replace("\r", "\n")


def test_the_same_timetable_is_the_same_bytes() -> None:
    said = [entry(), entry(kind="trial")]
    assert calendar(said, "escrow.test") == calendar(said, "escrow.test")
