"""A district's month, played day by day through the real services and a mock bank, with a clock that runs ahead."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app import clock
from app.clock import SHANGHAI
from app.db import Database
from app.errors import Refused
from app.sample.actors import Authorities, School
from app.sample.plan import plan_institution
from app.sample.stage import Stage

AT_ONCE = 4
"""Institutions whose people act at the same time; more only wait for the same processor."""
FRIDAY = 4

Act = Callable[[School], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to play: so many institutions and days, of a seed, ending yesterday."""

    institutions: int
    days: int
    seed: int

    @property
    def first_on(self) -> date:
        """The first business date; the day before today is the last one."""
        return clock.business_date(datetime.now(UTC)) - timedelta(days=self.days)


class Play:
    """The running simulation: its schools, its authorities, and the hours of a day."""

    def __init__(self, simulation: Simulation, stage: Stage, place: str) -> None:
        self._simulation = simulation
        self._stage = stage
        first_on = simulation.first_on
        plans = (plan_institution(simulation.seed, n, place, first_on, simulation.days) for n in range(simulation.institutions))
        self._schools = [School(stage, simulation.seed, plan) for plan in plans]
        self._authorities = Authorities(stage, simulation.seed)

    async def run(self, advance: Callable[[date], None]) -> None:
        """Play every day, saying so after each; real time is back when this ends."""
        first_on = self._simulation.first_on
        try:
            await self._at(first_on, time(7))
            await self._authorities.take_office()
            await self._each(lambda school: school.enter())
            for number in range(self._simulation.days):
                day = first_on + timedelta(days=number)
                await self._morning(day)
                await self._evening(day)
                advance(day)
        finally:
            await self._stage.set_time(None)
        await self._stage.rest()

    async def _morning(self, day: date) -> None:
        """What arrived overnight is found in yesterday's statement; families enrol and pay, some of them wrongly."""
        await self._at(day, time(8))
        await self._stage.rest()
        await self._each(lambda school: school.surprise(day))
        await self._at(day, time(9))
        await self._each(lambda school: school.open_classes(day))
        await self._at(day, time(10))
        await self._each(lambda school: school.enrol(day))
        await self._at(day, time(10, 20))
        await self._each(lambda school: school.pay_late())
        await self._stage.rest()
        await self._at(day, time(10, 45))
        await self._stage.rest()

    async def _evening(self, day: date) -> None:
        """Classes are over: attendance, confirmations, objections; officers decide; on Fridays the institutions are paid."""
        await self._at(day, time(20, 10))
        await self._each(lambda school: school.deliver())
        await self._at(day, time(20, 30))
        await self._each(lambda school: school.respond(day))
        await self._at(day, time(21))
        await self._authorities.decide(day)
        if day.weekday() == FRIDAY:
            await self._authorities.settle(day)
        await self._stage.rest()

    async def _at(self, day: date, hour: time) -> None:
        await self._stage.set_time(datetime.combine(day, hour, SHANGHAI).astimezone(UTC))

    async def _each(self, act: Act) -> None:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(school: School) -> None:
            async with slots:
                await act(school)

        async with asyncio.TaskGroup() as group:
            for school in self._schools:
                group.create_task(one(school))


@contextmanager
def progress(days: int, console: Console) -> Iterator[Callable[[date], None]]:
    """A bar that moves on with every simulated day."""
    columns = (TextColumn("模拟 {task.fields[day]}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=days, day="")
        yield lambda day: bar.update(task, advance=1, day=day.isoformat())
