"""A timetable as iCalendar (RFC 5545): instants in UTC, lines of at most 75 octets. It names classes and places, never a child."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from app.lessons.timetable import Entry

MEDIA_TYPE = "text/calendar; charset=utf-8"
_LONGEST_LINE = 75
_HEAD = (
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    "PRODID:-//tuition-escrow//timetable//ZH",
    "CALSCALE:GREGORIAN",
    "METHOD:PUBLISH",
    "X-WR-CALNAME:课程表",
    "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
    "X-PUBLISHED-TTL:PT1H",
)


def calendar(entries: Iterable[Entry], host: str) -> bytes:
    """The whole calendar. The same entries make the same bytes; `host` makes the identifiers of events unique in the world."""
    lines = [*_HEAD, *(line for entry in entries for line in _event(entry, host)), "END:VCALENDAR"]
    return b"".join(folded for line in lines for folded in _folded(line))


def _event(entry: Entry, host: str) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{entry.id}@{host}"
    yield f"DTSTAMP:{_instant(entry.changed_at)}"
    yield f"SEQUENCE:{entry.changes}"
    yield f"DTSTART:{_instant(entry.starts_at)}"
    yield f"DTEND:{_instant(entry.ends_at)}"
    yield f"SUMMARY:{_escaped(entry.class_name + ('（试听）' if entry.kind == 'trial' else ''))}"
    yield f"LOCATION:{_escaped(_place(entry))}"
    yield f"DESCRIPTION:{_escaped(entry.institution_name)}"
    yield f"STATUS:{'CANCELLED' if entry.cancelled else 'CONFIRMED'}"
    yield "CLASS:PRIVATE"
    yield "END:VEVENT"


def _place(entry: Entry) -> str:
    if entry.mode == "online":
        return "线上"
    return " ".join(part for part in (entry.campus, entry.address, entry.room) if part)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _escaped(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace(";", r"\;").replace(",", r"\,")
    return plain.replace("\r\n", r"\n").replace("\n", r"\n").replace("\r", r"\n")


def _folded(line: str) -> Iterator[bytes]:
    """The line with its CRLF, broken between characters; a continuation begins with a space, which counts."""
    part = b""
    for char in line:
        encoded = char.encode()
        if len(part) + len(encoded) > _LONGEST_LINE:
            yield part + b"\r\n"
            part = b" "
        part += encoded
    yield part + b"\r\n"
