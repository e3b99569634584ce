"""课表: a week of a family's lessons, and the address under which a calendar reads a child's. JSON and pages."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app import clock
from app.clock import business_date
from app.errors import BadInput
from app.lessons import timetable
from app.lessons.timetable import Entry
from app.portals.edge import Home, ParentCaller, Read, Write, snapshot
from app.portals.fields import CalendarDate, PathId
from app.portals.pages import render, see_other
from app.registry import families, family_queries
from app.settings import settings

api = APIRouter(prefix="/api/v1/parent", tags=["parent"])
router = APIRouter(include_in_schema=False)

LONGEST = timedelta(days=62)
_EARLIEST, _LATEST = date(2000, 1, 1), date(2199, 12, 1)


class TimetableItem(BaseModel):
    """A child's lesson or trial."""

    model_config = ConfigDict(from_attributes=True)

    kind: str = Field(description="lesson or trial")
    id: UUID
    contract_id: UUID | None
    student_id: UUID
    class_id: UUID
    class_name: str
    institution_name: str
    teacher_name: str
    mode: str
    campus: str | None
    room: str | None
    number: int
    starts_at: datetime
    ends_at: datetime
    status: str = Field(description="Of the lesson or the trial")
    cancelled: bool = Field(description="The class session does not take place")


class Timetable(BaseModel):
    """What takes place in some days, in this order; at most 1,000."""

    items: list[TimetableItem]


class FeedAnswer(BaseModel):
    """The secret address of a child's timetable, told this once."""

    url: str


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the week shown. `clashing` are the ids of entries that overlap another one of the same child."""

    on: date
    entries: list[Entry]
    clashing: frozenset[UUID]


@api.get("/timetable", summary="The children's lessons of some days")
async def own_timetable(
    caller: ParentCaller,
    session: Read,
    since: Annotated[CalendarDate, Query(alias="from")],
    until: Annotated[CalendarDate, Query(alias="to", description="The last day; at most 62 days")],
    student_id: Annotated[UUID | None, Query(description="Of this child only")] = None,
) -> Timetable:
    """Lessons of all institutions and trials; lessons that are not paid or were given back are left out."""
    if not _EARLIEST <= since <= until <= _LATEST or until - since > LONGEST:
        raise BadInput("request.date", "日期范围不对，最多 62 天", field="to")
    chosen = [student_id] if student_id else [child.id for child in await families.children_of(session, caller.guardian_id)]
    await families.guard_all(session, [(caller.guardian_id, each) for each in chosen])
    found = await timetable.entries(session, chosen, clock.day_bounds(since)[0], clock.day_bounds(until)[1])
    return Timetable(items=[TimetableItem.model_validate(each) for each in found])


@api.post("/students/{student_id}/calendar", status_code=201, summary="Make an address for calendars")
async def open_feed(student_id: PathId, caller: ParentCaller, session: Write) -> FeedAnswer:
    """Whoever has it can read when and what the child learns, without a name; an earlier address of the caller ends."""
    return FeedAnswer(url=feed_url(await timetable.open_feed(session, caller, student_id)))


@api.delete("/students/{student_id}/calendar", status_code=204, summary="Take the address back")
async def end_feed(student_id: PathId, caller: ParentCaller, session: Write) -> None:
    """It leads nowhere from now on."""
    await timetable.end_feed(session, caller, student_id)


@router.get("/timetable")
async def week(
    request: Request,
    caller: ParentCaller,
    session: Read,
    on: Annotated[str, Query(max_length=10)] = "",
    child: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """A week, Monday to Sunday, of all children or of one."""
    monday = _monday(on)
    children = await family_queries.students(session, caller.guardian_id)
    chosen = [each for each in children if str(each.id) == child]
    found = await timetable.entries(
        session,
        [each.id for each in chosen or children],
        clock.day_bounds(monday)[0],
        clock.day_bounds(monday + timedelta(days=6))[1],
    )
    return render(
        request,
        "parent/timetable.html",
        days=_days(monday, found),
        children=children,
        chosen=child if chosen else "",
        names={each.id: each.name_masked for each in children},
        feeds=await timetable.feeds_of(session, caller.guardian_id),
        monday=monday,
        before=monday - timedelta(days=7),
        after=monday + timedelta(days=7),
        today=clock.today(),
    )


@router.post("/students/{student_id}/calendar")
async def make_address(request: Request, student_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Show the address this once."""
    async with home.transaction() as session:
        token = await timetable.open_feed(session, caller, student_id)
    async with snapshot(home) as session:
        child = await family_queries.student(session, caller.guardian_id, student_id)
    return render(request, "parent/calendar.html", url=feed_url(token), child=child)


@router.post("/students/{student_id}/calendar/end")
async def take_back(student_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Let it lead nowhere."""
    async with home.transaction() as session:
        await timetable.end_feed(session, caller, student_id)
    return see_other("/parent/timetable", "日历地址已停用")


def feed_url(token: str) -> str:
    """The absolute address of a calendar feed."""
    return f"{settings().base_url}/calendar/{token}.ics"


def _monday(text: str) -> date:
    """The Monday of the week with this day, or of the present one."""
    try:
        day = date.fromisoformat(text) if text else clock.today()
    except ValueError:
        day = clock.today()
    day = min(max(day, _EARLIEST), _LATEST)
    return day - timedelta(days=day.weekday())


def _days(monday: date, entries: list[Entry]) -> list[Day]:
    clashing = _clashing(entries)
    days = [monday + timedelta(days=number) for number in range(7)]
    return [Day(day, [entry for entry in entries if business_date(entry.starts_at) == day], clashing) for day in days]


def _clashing(entries: list[Entry]) -> frozenset[UUID]:
    """Entries are in order of time, so an entry clashes with those after it that start before it ends."""
    found: set[UUID] = set()
    held = [entry for entry in entries if not entry.cancelled]
    for position, entry in enumerate(held):
        for other in held[position + 1 :]:
            if other.starts_at >= entry.ends_at:
                break
            if other.student_id == entry.student_id:
                found |= {entry.id, other.id}
    return frozenset(found)
