"""The form of a new class: a weekly timetable as people type it, turned into class sessions."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from app.clock import SHANGHAI
from app.errors import BadInput
from app.portals.fields import NOBODY
from app.portals.staff import typed_fen
from app.registry.rules import MAX_LESSONS, MAX_SEATS, ClassDraft

Typed = Annotated[str, Field(max_length=200)]

WEEKDAYS = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")
_EARLIEST, _LATEST = date(2000, 1, 1), date(2199, 12, 31)


class ClassForm(BaseModel):
    """Everything as it was typed, so that a refused form can be shown again as it was."""

    name: Typed = ""
    subject: Typed = ""
    teacher_id: Typed = ""
    price: Typed = ""
    seats: Typed = "20"
    lesson_count: Typed = "12"
    starts_on: Typed = ""
    starts_at: Typed = "18:30"
    ends_at: Typed = "20:00"
    weekdays: Annotated[list[Typed], Field(max_length=7)] = []

    def draft(self) -> ClassDraft:
        """The class that is meant. Raises BadInput naming the field."""
        lesson_count = _whole(self.lesson_count, "lesson_count", "课时数", MAX_LESSONS)
        return ClassDraft(
            teacher_id=_id(self.teacher_id),
            name=self.name,
            subject=self.subject,
            price_fen=typed_fen(self.price, "price"),
            lesson_count=lesson_count,
            seats=_whole(self.seats, "seats", "招生名额", MAX_SEATS),
            sessions=meetings(
                _date(self.starts_on),
                {int(day) for day in self.weekdays if day in set("0123456")},
                (_time(self.starts_at, "starts_at", "上课时间"), _time(self.ends_at, "ends_at", "下课时间")),
                lesson_count,
            ),
        )


def meetings(first: date, weekdays: set[int], hours: tuple[time, time], count: int) -> list[tuple[datetime, datetime]]:
    """`count` meetings (UTC) from a business date on, on these weekdays (Monday is 0), at these hours of Shanghai.

    Without any weekday the class meets on that of the first date.
    """
    on_days = weekdays or {first.weekday()}
    found: list[tuple[datetime, datetime]] = []
    day = first
    while len(found) < count:
        if day.weekday() in on_days:
            starts_at, ends_at = (datetime.combine(day, hour, SHANGHAI).astimezone(UTC) for hour in hours)
            found.append((starts_at, ends_at))
        day += timedelta(days=1)
    return found


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return NOBODY


def _whole(text: str, field: str, name_zh: str, most: int) -> int:
    plain = text.strip()
    if not (plain.isascii() and plain.isdigit() and len(plain) < 5 and 1 <= int(plain) <= most):
        raise BadInput("request.number", f"{name_zh}须为 1 至 {most} 的整数", field=field)
    return int(plain)


def _date(text: str) -> date:
    try:
        typed = date.fromisoformat(text)
    except ValueError as cause:
        raise BadInput("request.date", "请填写开课日期", field="starts_on") from cause
    if not _EARLIEST <= typed <= _LATEST:
        raise BadInput("request.date", "开课日期不合理", field="starts_on")
    return typed


def _time(text: str, field: str, name_zh: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError as cause:
        raise BadInput("request.time", f"请填写{name_zh}", field=field) from cause
