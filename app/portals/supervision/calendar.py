"""The district's working days: a month at a time, corrected day by day, a new year entered whole. Pages and JSON."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.errors import BadInput, Conflict, DomainError, Refused
from app.policy import days
from app.policy.catalogue import DayKind
from app.portals.edge import Home, Once, Read, SupervisionCaller, Write, snapshot
from app.portals.fields import CalendarDate
from app.portals.pages import render, see_other
from app.portals.staff import carry_out
from app.portals.supervision.views import ReasonInput

api = APIRouter(prefix="/api/v1/supervision/days", tags=["supervision"])
pages = APIRouter(prefix="/supervision/days", include_in_schema=False)

_MOST = 100

Typed = Annotated[str, Form(max_length=4000)]
Year = Annotated[int, Field(strict=True, ge=days.FIRST_YEAR, le=days.LAST_YEAR)]
Month = Annotated[str | None, Query(pattern="^(20|21)[0-9]{2}-(0[1-9]|1[0-2])$", description="YYYY-MM; by default the present one")]


def _first_day(month: Month = None) -> date:
    return date.fromisoformat(f"{month}-01") if month else clock.today().replace(day=1)


FirstDay = Annotated[date, Depends(_first_day)]


class DayItem(BaseModel):
    """One date. `changed_at` and `reason` are null where the published arrangement stands."""

    model_config = ConfigDict(from_attributes=True)

    on: date = Field(validation_alias="on_date")
    kind: DayKind = Field(description="working (make-up workdays too), rest (weekends, days off in lieu) or holiday")
    name_zh: str | None
    changed_at: datetime | None
    reason: str | None


class MonthView(BaseModel):
    """A month's days, none where its year is missing; and the years that are known."""

    month: str
    days: list[DayItem]
    years: list[int]


class DayInput(ReasonInput):
    """What sort of day it is, and why."""

    kind: DayKind


class YearInput(ReasonInput):
    """A year as it was published: every day off that is a holiday, and the weekend days that are worked."""

    year: Year
    holidays: Annotated[list[CalendarDate], Field(max_length=_MOST)]
    make_up: Annotated[list[CalendarDate], Field(max_length=_MOST)]


class YearEntered(BaseModel):
    """That a year is known now."""

    year: int
    days: int


@api.get("", summary="A month of the district's calendar")
async def month(caller: SupervisionCaller, session: Read, first_on: FirstDay) -> MonthView:
    """Working days by it are what deadlines count."""
    return await _month(session, first_on)


@api.put("/{on}", summary="Say what sort of day a date is")
async def set_day(on: CalendarDate, body: DayInput, caller: SupervisionCaller, session: Write) -> DayItem:
    """Its year must be known."""
    return DayItem.model_validate(await days.set_day(session, caller.actor, on, body.kind, body.reason))


@api.post("/years", status_code=201, summary="Enter a year whose holidays have been published")
async def enter_year(body: YearInput, caller: SupervisionCaller, once: Once) -> YearEntered:
    """Once; its days can be corrected one by one."""
    async with once.transaction() as session:
        entered = await days.enter_year(session, caller.actor, body.year, body.holidays, body.make_up, body.reason)
        return await once.answer(YearEntered(year=body.year, days=entered))


@pages.get("")
async def month_page(request: Request, caller: SupervisionCaller, session: Read, first_on: FirstDay) -> Response:
    """The month, and the forms that change it."""
    return await _month_page(request, session, first_on)


@pages.post("")
async def set_day_by_form(
    caller: SupervisionCaller, home: Home, on: Typed = "", kind: Annotated[DayKind, Form()] = "working", reason: Typed = ""
) -> Response:
    """Correct one day."""
    try:
        day = _typed_days(on, "on")[0]
    except (BadInput, IndexError):
        return see_other("/supervision/days", "请选择日期", "danger")

    async def act(session: AsyncSession) -> None:
        await days.set_day(session, caller.actor, day, kind, reason)

    return await carry_out(home, act, back=_page_of(day.year, day.month), done=f"{day} 已更新")


@pages.post("/years")
async def enter_year_by_form(
    request: Request,
    caller: SupervisionCaller,
    home: Home,
    year: Annotated[int, Form()],
    holidays: Typed = "",
    make_up: Typed = "",
    reason: Typed = "",
) -> Response:
    """Enter a year, its days typed as they stand in the notice, one after the other or as spans; or see what is wrong with them."""
    try:
        off, worked = _typed_days(holidays, "holidays"), _typed_days(make_up, "make_up")
        async with home.transaction() as session:
            await days.enter_year(session, caller.actor, year, off, worked, reason)
    except (BadInput, Conflict, Refused) as refused:
        kept = days.FIRST_YEAR <= year <= days.LAST_YEAR
        typed = {"holidays": holidays, "make_up": make_up, "reason": reason}
        async with snapshot(home) as session:
            return await _month_page(request, session, date(year, 1, 1) if kept else _first_day(), refused, typed)
    return see_other(_page_of(year, 1), f"{year} 年已录入")


async def _month_page(
    request: Request,
    session: AsyncSession,
    first_on: date,
    error: DomainError | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    return render(
        request,
        "supervision/days.html",
        error.status if error else 200,
        view=await _month(session, first_on),
        first_on=first_on,
        before=_month_of(first_on, -1),
        after=_month_of(first_on, 1),
        today=clock.today(),
        error=error,
        typed=typed or {},
    )


async def _month(session: AsyncSession, first_on: date) -> MonthView:
    found = [DayItem.model_validate(day) for day in await days.month(session, first_on)]
    return MonthView(month=f"{first_on:%Y-%m}", days=found, years=await days.years(session))


def _page_of(year: int, month: int) -> str:
    """The page of a month; the present one's where nobody keeps a calendar of that year."""
    kept = days.FIRST_YEAR <= year <= days.LAST_YEAR
    return f"/supervision/days?month={year}-{month:02d}" if kept else "/supervision/days"


def _month_of(first_on: date, later: int) -> str:
    year, number = divmod(first_on.year * 12 + first_on.month - 1 + later, 12)
    return f"{year}-{number + 1:02d}"


def _typed_days(text: str, field: str) -> list[date]:
    """Dates out of `2027-01-01, 2027-02-05~2027-02-11`. Raises BadInput "policy.days"."""
    found: list[date] = []
    try:
        for part in re.split(r"[\s,，、;；]+", text.strip()):
            first, _, last = re.sub(r"[~～—–至]", "~", part).partition("~")
            if part:
                start, end = date.fromisoformat(first), date.fromisoformat(last or first)
                found += [date.fromordinal(day) for day in range(start.toordinal(), end.toordinal() + 1)][: _MOST + 1]
    except ValueError as cause:
        raise BadInput("policy.days", "日期须写成 2027-01-01，多日用逗号分开，连续的写成 2027-02-05~2027-02-11", field=field) from cause
    if len(found) > _MOST:
        raise BadInput("policy.days", f"一次最多录入 {_MOST} 天", field=field)
    return found
