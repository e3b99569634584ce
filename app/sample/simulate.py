"""A district's months, played day by day through the real services and a mock bank, with a clock that runs ahead."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app import clock, districts
from app.banking.banks import Banks
from app.clock import SHANGHAI
from app.db import Database
from app.errors import NotFound
from app.money import yuan
from app.sample import ground
from app.sample.actors import Authorities, School, Schools
from app.sample.diary import Diary, Simulation
from app.sample.ground import Addresses, refuse_configured_database
from app.sample.installation import STAFF, Installation
from app.sample.plan import ENROLS_AT, plan_institution
from app.sample.processes import mock_bank
from app.sample.report import closing_report, show
from app.sample.stage import Stage
from app.security import SupervisionStaff
from bank_adapters.mock_bank.client import MockBank
from bank_adapters.mock_bank.control import MockBankControl

FRIDAY = 4

Act = Callable[[date], Awaitable[object]]


class Play:
    """The running simulation: its institutions, its authorities, and the steps of a day."""

    def __init__(self, diary: Diary, stage: Stage, place: str, officer: SupervisionStaff) -> None:
        simulation, first_on = diary.simulation, diary.first_on
        self._diary = diary
        self._stage = stage
        plans = (
            plan_institution(simulation.seed, number, place, first_on, simulation.days, simulation.volume_fen)
            for number in range(simulation.institutions)
        )
        self._schools = Schools(stage, simulation.seed, [School(plan) for plan in plans], diary.paid_fen)
        self._authorities = Authorities(stage, simulation.seed, officer)

    @property
    def first_institution_id(self) -> UUID:
        """One of the institutions, once the play runs."""
        return self._schools.first.id

    async def run(self, advance: Callable[[date, int], None]) -> None:
        """Play every day that is not played yet, saying so after each with the fen paid so far; real time is back when this ends."""
        diary = self._diary
        try:
            await self._at(diary.first_on, time(7))
            await self._schools.enter()
            if diary.begun:
                await self._schools.remember(diary.first_on + timedelta(days=diary.days_done))
            while diary.days_done < diary.simulation.days:
                day = diary.first_on + timedelta(days=diary.days_done)
                for number, (hour, act) in enumerate(self._steps()):
                    if number >= diary.steps_done:
                        await self._at(day, hour)
                        await act(day)
                        diary.step_is_done()
                self._schools.forget(day)
                diary.day_is_done(self._schools.paid_fen)
                advance(day, self._schools.paid_fen)
        finally:
            await self._stage.set_time(None)
        await self._stage.rest()

    def _steps(self) -> list[tuple[time, Act]]:
        """A day: what arrived overnight is found in yesterday's statement; families enrol and pay, some of them wrongly; classes are over:
        attendance, confirmations, objections; officers decide; on Fridays the institutions are paid. Each step may be repeated."""
        return [
            (time(8), lambda day: self._stage.sweep()),
            (time(8, 5), self._authorities.surprise),
            (time(8, 10), self._schools.surprise),
            (time(9), self._schools.open_classes),
            (ENROLS_AT, self._schools.enrol),
            (time(10, 20), self._schools.pay_late),
            (time(10, 45), lambda day: self._stage.sweep()),
            (time(20, 10), self._schools.deliver),
            (time(20, 30), self._schools.respond),
            (time(21), self._authorities.decide),
            (time(21, 10), self._settle),
            (time(21, 20), lambda day: self._stage.sweep()),
        ]

    async def _settle(self, day: date) -> None:
        if day.weekday() == FRIDAY:
            await self._authorities.settle(day)

    async def _at(self, day: date, hour: time) -> None:
        await self._stage.set_time(datetime.combine(day, hour, SHANGHAI).astimezone(UTC))


@contextmanager
def progress(diary: Diary, console: Console) -> Iterator[Callable[[date, int], None]]:
    """A bar that moves on with every simulated day, with its date and what the families have paid by then."""
    columns = (TextColumn("模拟 {task.fields[day]}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[paid]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("", total=diary.simulation.days, completed=diary.days_done, day=diary.first_on.isoformat(), paid="")
        yield lambda day, paid_fen: bar.update(task, advance=1, day=day.isoformat(), paid=yuan(paid_fen))


async def simulate(folder: Path, simulation: Simulation, code: str | None, console: Console) -> bool:
    """Play a simulation in a sample district of its own, with a bank of its own, and report; whether everything holds.

    One that was stopped goes on where it stopped when it is asked for again.
    Raises Conflict `sample.database_url`, `districts.known`, `sample.simulating`, BadInput for figures out of range.
    """
    refuse_configured_database()
    installation = Installation(folder)
    installation.adopt()
    with installation.postgres() as server, installation.locked("simulation.lock", "模拟"):
        addresses = await ground.embedded(installation, server)
        await ground.bring_up_to_date(addresses)
        diary, place = await _ground_for(simulation, installation, addresses, code)
        database = Database(addresses.app)
        try:
            async with _own_bank(diary) as (bank, banks):
                stage = Stage(database.district(diary.code), banks, bank, ground.CONNECTION)
                told = "继续" if diary.begun else "在"
                console.print(
                    f"{told} {place}（{diary.code}）模拟 {simulation.institutions} 家机构 {simulation.days} 天，种子 {simulation.seed}"
                )
                play = Play(diary, stage, place, await _officer(stage, installation))
                with progress(diary, console) as advance:
                    await play.run(advance)
                await _let_in(stage, installation, play.first_institution_id)
                report = await closing_report(stage)
        finally:
            await database.aclose()
    diary.end()
    show(report, console)
    _say_how_to_look(installation, diary.code, console)
    return report.holds


async def _ground_for(simulation: Simulation, installation: Installation, addresses: Addresses, code: str | None) -> tuple[Diary, str]:
    """The diary to go on with, and the name of its district, made where it is a new one."""
    diary = Diary.unfinished(installation, simulation, code)
    if diary is not None and diary.begun:
        return diary, ground.name_of(diary.code)
    if diary is not None:
        with suppress(NotFound):
            await ground.discard(addresses, diary.code)
    code, place = await ground.neighbour(addresses, code)
    diary = Diary(installation, simulation, code, clock.business_date(datetime.now(UTC)) - timedelta(days=simulation.days))
    diary.begin()
    await districts.create(addresses.owner, code, place, mode="sample")
    return diary, place


@asynccontextmanager
async def _own_bank(diary: Diary) -> AsyncIterator[tuple[MockBankControl, Banks]]:
    """A bank with nothing but this district's connection, and no notices: it is asked instead."""
    installation, secrets = diary.installation, diary.installation.secrets
    async with mock_bank(diary.bank_data, installation.log(f"bank-{diary.code}"), secrets["control_key"]) as (_, bank):
        if not diary.begun:
            await bank.reset()
        await bank.register_client(ground.CONNECTION, secrets["api_key"], secrets["notice_secret"])
        connection = MockBank(bank.url, secrets["api_key"], secrets["notice_secret"])
        banks = Banks({ground.CONNECTION: (diary.code, connection)})
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
