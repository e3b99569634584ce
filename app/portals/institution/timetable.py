"""The forms of a class and of a class session: everything as it was typed, so that a refused form can be shown again as it was."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.clock import SHANGHAI
from app.errors import BadInput
from app.portals.fields import NOBODY
from app.portals.staff import typed_fen, typed_whole
from app.registry.clashes import Meeting
from app.registry.queries import ClassSessionView
from app.registry.rules import MAX_LESSONS, MAX_SEATS, MOST_UNPAID, ClassDraft
from app.registry.schedules import MOST_A_DAY, Pattern

Typed = Annotated[str, Field(max_length=200)]
Lines = Annotated[str, Field(max_length=6000)]

_EARLIEST, _LATEST = date(2000, 1, 1), date(2199, 12, 31)
_MOST_SKIPPED = 200
_LONGEST_PAUSE, _LONGEST_LESSON = 120, 720


class ClassForm(BaseModel):
    """A class and its weekly timetable."""

    step: Literal["preview", "file"] = "file"
    name: Typed = ""
    subject: Typed = ""
    teacher_id: Typed = ""
    mode: Typed = "onsite"
    campus_id: Typed = ""
    room: Typed = ""
    price: Typed = ""
    listed_price: Typed = ""
    seats: Typed = "20"
    lesson_count: Typed = "12"
    lesson_minutes: Typed = ""
    most_unpaid: Typed = "2"
    materials: Lines = ""
    starts_on: Typed = ""
    starts_at: Typed = "18:30"
    ends_at: Typed = "20:00"
    weekdays: Annotated[list[Typed], Field(max_length=7)] = []
    a_day: Typed = "1"
    pause_minutes: Typed = "10"
    skipped: Lines = ""
    skip_holidays: bool = False

    def pattern(self) -> Pattern:
        """The timetable that is meant. Raises BadInput naming the field."""
        return Pattern(
            first_on=_date(self.starts_on, "starts_on", "开课日期"),
            starts=_time(self.starts_at, "starts_at", "上课时间"),
            ends=_time(self.ends_at, "ends_at", "下课时间"),
            count=typed_whole(self.lesson_count, "lesson_count", "课时数", 1, MAX_LESSONS),
            weekdays={int(day) for day in self.weekdays if day in set("0123456")},
            a_day=typed_whole(self.a_day, "a_day", "每天节数", 1, MOST_A_DAY),
            pause=timedelta(minutes=typed_whole(self.pause_minutes, "pause_minutes", "课间休息", 0, _LONGEST_PAUSE)),
            skipped=[_date(word, "skipped", "不上课的日期") for word in _words(self.skipped)[:_MOST_SKIPPED]],
        )

    def draft(self, sessions: list[tuple[datetime, datetime]]) -> ClassDraft:
        """The class that is meant, with these sessions. Raises BadInput naming the field."""
        minutes, listed = self.lesson_minutes.strip(), self.listed_price.strip()
        return ClassDraft(
            teacher_id=_id(self.teacher_id),
            name=self.name,
            subject=self.subject,
            price_fen=typed_fen(self.price, "price"),
            lesson_count=len(sessions),
            seats=typed_whole(self.seats, "seats", "招生名额", 1, MAX_SEATS),
            sessions=sessions,
            mode=self.mode,
            lesson_minutes=typed_whole(minutes, "lesson_minutes", "每课时分钟数", 1, _LONGEST_LESSON) if minutes else None,
            listed_price_fen=typed_fen(listed, "listed_price") if listed else None,
            materials=[line for line in self.materials.splitlines() if line.strip()],
            campus_id=_id(self.campus_id) if self.campus_id else None,
            room=self.room,
            most_unpaid=typed_whole(self.most_unpaid, "most_unpaid", "先学后付最多可欠的课时数", 0, MOST_UNPAID),
        )


class SessionForm(BaseModel):
    """How a class session is to be held, and why."""

    on: Typed = ""
    starts_at: Typed = ""
    ends_at: Typed = ""
    teacher_id: Typed = ""
    campus_id: Typed = ""
    room: Typed = ""
    reason: Annotated[str, Field(max_length=2000)] = ""

    @classmethod
    def of(cls, row: ClassSessionView) -> "SessionForm":
        """The form as it stands before anything is changed."""
        starts_at, ends_at = row.starts_at.astimezone(SHANGHAI), row.ends_at.astimezone(SHANGHAI)
        return cls(
            on=starts_at.date().isoformat(),
            starts_at=f"{starts_at:%H:%M}",
            ends_at=f"{ends_at:%H:%M}",
            teacher_id=str(row.teacher_id),
            campus_id=str(row.campus_id or ""),
            room=row.room or "",
        )

    def meeting(self) -> Meeting:
        """What is meant. Raises BadInput naming the field."""
        on = _date(self.on, "on", "上课日期")
        hours = _time(self.starts_at, "starts_at", "上课时间"), _time(self.ends_at, "ends_at", "下课时间")
        starts_at, ends_at = (datetime.combine(on, hour, SHANGHAI).astimezone(UTC) for hour in hours)
        return Meeting(starts_at, ends_at, _id(self.teacher_id), _id(self.campus_id) if self.campus_id else None, self.room)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return NOBODY


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,，、;；]+", text) if word]


def _date(text: str, field: str, name_zh: str) -> date:
    """A date as people type it; the registers say whether it is a sensible one."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text.strip()):
        raise BadInput("request.date", f"请填写{name_zh}，如 2026-09-01", field=field)
    try:
        typed = date.fromisoformat(text.strip())
    except ValueError as cause:
        raise BadInput("request.date", f"{name_zh}中没有 {text.strip()} 这一天", field=field) from cause
    if not _EARLIEST <= typed <= _LATEST:
        raise BadInput("request.date", f"{name_zh}不合理", field=field)
    return typed


def _time(text: str, field: str, name_zh: str) -> time:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text.strip()):
        raise BadInput("request.time", f"请填写{name_zh}", field=field)
    return time.fromisoformat(text.strip())
