"""A district's month, played day by day through the real services and a mock bank, with a clock that runs ahead."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app import clock, districts
from app.banking.banks import Banks
from app.clock import SHANGHAI
from app.db import Database
from app.sample import ground
from app.sample.actors import Authorities, School
from app.sample.ground import refuse_configured_database
from app.sample.installation import STAFF, Installation
from app.sample.plan import plan_institution
from app.sample.processes import mock_bank
from app.sample.report import closing_report, show
from app.sample.stage import Stage
from app.security import SupervisionStaff
from bank_adapters.mock_bank.client import MockBank
from bank_adapters.mock_bank.control import MockBankControl

AT_ONCE = 4
"""Institutions whose people act at the same time; more only wait for the same processor."""
FRIDAY = 4

Act = Callable[[School], Awaitable[object]]


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

    def __init__(self, simulation: Simulation, stage: Stage, place: str, officer: SupervisionStaff) -> None:
        self._simulation = simulation
        self._stage = stage
        first_on = simulation.first_on
        plans = (plan_institution(simulation.seed, n, place, first_on, simulation.days) for n in range(simulation.institutions))
        self._schools = [School(stage, simulation.seed, plan) for plan in plans]
        self._authorities = Authorities(stage, simulation.seed, officer)

    @property
    def first_institution_id(self) -> UUID:
        """One of the institutions, once the play runs."""
        return self._schools[0].id

    async def run(self, advance: Callable[[date], None]) -> None:
        """Play every day, saying so after each; real time is back when this ends."""
        first_on = self._simulation.first_on
        try:
            await self._at(first_on, time(7))
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
        await self._authorities.surprise()
        await self._each(lambda school: school.surprise(day))
        await self._at(day, time(9))
        await self._each(lambda school: school.open_classes(day))
        await self._at(day, time(10))
        await self._each(lambda school: school.enrol(day))
        await self._at(day, time(10, 20))
        await self._each(lambda school: school.pay_late())
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


async def simulate(folder: Path, simulation: Simulation, code: str | None, console: Console) -> bool:
    """Play a simulation in a sample district of its own, with a bank of its own, and report; whether everything holds.

    Raises Conflict `sample.database_url`, `districts.known`, BadInput for figures out of range.
    """
    refuse_configured_database()
    installation = Installation(folder)
    installation.adopt()
    with installation.postgres() as server:
        addresses = await ground.embedded(installation, server)
        await ground.bring_up_to_date(addresses)
        code, place = await ground.neighbour(addresses, code)
        await districts.create(addresses.owner, code, place, mode="sample")
        database = Database(addresses.app)
        try:
            async with _own_bank(installation, code) as (bank, banks):
                stage = Stage(database.district(code), banks, bank, ground.CONNECTION)
                console.print(f"在 {place}（{code}）模拟 {simulation.institutions} 家机构 {simulation.days} 天，种子 {simulation.seed}")
                play = Play(simulation, stage, place, await _officer(stage, installation))
                with progress(simulation.days, console) as advance:
                    await play.run(advance)
                await _let_in(stage, installation, play.first_institution_id)
                report = await closing_report(stage)
        finally:
            await database.aclose()
    show(report, console)
    _say_how_to_look(installation, code, console)
    return report.holds


@asynccontextmanager
async def _own_bank(installation: Installation, code: str) -> AsyncIterator[tuple[MockBankControl, Banks]]:
    """A bank with nothing but this district's connection, and no notices: it is asked instead."""
    secrets = installation.secrets
    data = installation.folder / "simulated" / f"{code}.sqlite"
    async with mock_bank(data, installation.log(f"bank-{code}"), secrets["control_key"]) as (_, bank):
        await bank.reset()
        await bank.register_client(ground.CONNECTION, secrets["api_key"], secrets["notice_secret"])
        connection = MockBank(bank.url, secrets["api_key"], secrets["notice_secret"])
        banks = Banks({ground.CONNECTION: (code, connection)})
        try:
            yield bank, banks
        finally:
            await banks.aclose()


async def _officer(stage: Stage, installation: Installation) -> SupervisionStaff:
    """Who decides in the simulation; people can sign in as this officer afterwards."""
    password = installation.secrets["supervision_password"]
    return stage.officer(await stage.staff("supervision", STAFF["supervision"], password, "监管专员"))


async def _let_in(stage: Stage, installation: Installation, institution_id: UUID) -> None:
    """The other people who can look at the district in the web service."""
    await stage.staff("settlement", STAFF["settlement"], installation.secrets["settlement_password"], "结算专员")
    await stage.staff("institution", STAFF["institution"], installation.secrets["institution_password"], "教务老师", institution_id)


def _say_how_to_look(installation: Installation, code: str, console: Console) -> None:
    console.print("在网页中查看：运行 make run，然后打开")
    for role, username in STAFF.items():
        console.print(f"  /{role}/sign-in?district={code}  用户名 {username}  密码 {installation.secrets[f'{role}_password']}")
