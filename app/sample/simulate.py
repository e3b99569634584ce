"""A district's months, played day by day through the real services and a mock bank, with a clock that runs ahead."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app import clock, districts, worker
from app.clock import SHANGHAI
from app.errors import NotFound
from app.money import yuan
from app.sample import ground
from app.sample.actors import Act, Authorities
from app.sample.diary import Diary, Simulation
from app.sample.ground import Addresses, refuse_configured_database
from app.sample.installation import STAFF, Installation
from app.sample.plan import ENROLS_AT
from app.sample.processes import collect_rarely, mock_bank
from app.sample.report import Report, closing_report, show
from app.sample.stage import Stage
from app.sample.troupe import PARTS, Brief, Troupe, distant
from app.security import SupervisionStaff
from bank_adapters.mock_bank.control import MockBankControl

T = TypeVar("T")

FRIDAY = 4


class Play:
    """The running simulation: its institutions in their troupes, its authorities, and the steps of a day."""

    def __init__(self, diary: Diary, stage: Stage, troupes: Sequence[Troupe], authorities: Authorities) -> None:
        self._diary = diary
        self._stage = stage
        self._troupes = troupes
        self._authorities = authorities
        self._paid_fen = diary.paid_fen

    async def run(self, advance: Callable[[date, int], None]) -> None:
        """Play every day that is not played yet, saying so after each with the fen paid so far; real time is back when this ends."""
        diary = self._diary
        try:
            await self._at(self._today, time())
            await self._perform("enter")
            if diary.begun:
                await self._perform("remember")
            while diary.days_done < diary.simulation.days:
                day = self._today
                for number, (hour, act) in enumerate(self._steps()):
                    if number >= diary.steps_done:
                        await self._at(day, hour)
                        await act()
                        diary.step_is_done(self._paid_fen)
                await self._perform("forget")
                diary.day_is_done()
                advance(day, self._paid_fen)
            await self._at(self._today, time())
            await self._stage.begin_day()
        finally:
            await self._stage.set_time(None)
        await self._stage.rest()

    @property
    def _today(self) -> date:
        return self._diary.first_on + timedelta(days=self._diary.days_done)

    def _steps(self) -> list[tuple[time, Callable[[], Awaitable[object]]]]:
        """A day: yesterday's statement tells what came in; classes are over: attendance, confirmations, objections, while officers decide
        and, on Fridays, institutions are paid; families enrol and pay, some of them wrongly. Each step may be repeated."""
        return [
            (time(), lambda: self._work(self._stage.begin_day)),
            (time(8, 5), lambda: self._authorities.surprise(self._today)),
            (time(8, 10), lambda: self._perform("surprise")),
            (time(9), lambda: self._perform("open_classes")),
            (time(20, 10), lambda: self._perform("deliver")),
            (time(20, 30), self._spend_evening),
            (time(21, 20), lambda: self._work(self._stage.sweep)),
            (ENROLS_AT, lambda: self._perform("enrol")),
            (time(23, 56), lambda: self._perform("pay_late")),
        ]

    async def _work(self, work: Callable[[Sequence[worker.Job]], Coroutine[Any, Any, None]]) -> None:
        """Let the worker's jobs run here as far as they move money; what follows from it, at the same time, in another process."""
        await _at_once(work(worker.MOVING), self._troupes[-1].act("follow_up", self._today))

    async def _perform(self, name: Act) -> None:
        """Let every troupe play an act, all at the same time."""
        self._paid_fen = sum(await _at_once(*(troupe.act(name, self._today) for troupe in self._troupes)))

    async def _spend_evening(self) -> None:
        await _at_once(self._perform("respond"), self._rule())

    async def _rule(self) -> None:
        await self._authorities.decide(self._today)
        if self._today.weekday() == FRIDAY:
            await self._authorities.settle(self._today)

    async def _at(self, day: date, hour: time) -> None:
        await self._stage.set_time(datetime.combine(day, hour, SHANGHAI).astimezone(UTC))


async def _at_once(*acts: Coroutine[Any, Any, T]) -> list[T]:
    """What all of them return; where one fails, the others end and its own error is raised."""
    tasks = [asyncio.create_task(act) for act in acts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def progress(diary: Diary, console: Console) -> Iterator[Callable[[date, int], None]]:
    """A bar that moves on with every simulated day, with its date and what the families have paid by then."""
    columns = (TextColumn("模拟 {task.fields[day]}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[paid]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, refresh_per_second=2) as bar:
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
        async with _own_bank(diary) as bank:
            told = "继续" if diary.begun else "在"
            console.print(
                f"{told} {place}（{diary.code}）模拟 {simulation.institutions} 家机构 {simulation.days} 天，种子 {simulation.seed}"
            )
            report = await _play(diary, addresses, place, bank.url, console)
    diary.end()
    show(report, console)
    _say_how_to_look(installation, diary.code, console)
    return report.holds


async def _play(diary: Diary, addresses: Addresses, place: str, bank_url: str, console: Console) -> Report:
    installation, simulation, secrets = diary.installation, diary.simulation, diary.installation.secrets
    keys = secrets["control_key"], secrets["api_key"], secrets["notice_secret"]
    parts = range(len(PARTS))
    briefs = [Brief(addresses.app, diary.code, place, bank_url, *keys, simulation, diary.first_on, part) for part in parts]
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(briefs[0].stage())
        troupes: list[Troupe] = [briefs[0].schools(stage, diary.paid_fen)]
        for brief in briefs[1:]:
            troupes.append(await stack.enter_async_context(distant(brief, installation.log(f"troupe-{diary.code}"))))
        collect_rarely()
        play = Play(diary, stage, troupes, Authorities(stage, simulation.seed, await _officer(stage, installation)))
        with progress(diary, console) as advance:
            await play.run(advance)
        await _let_in(stage, installation)
        return await closing_report(stage)


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
async def _own_bank(diary: Diary) -> AsyncIterator[MockBankControl]:
    """A bank with nothing but this district's connection, and no notices: it is asked instead."""
    installation, secrets = diary.installation, diary.installation.secrets
    async with mock_bank(diary.bank_data, installation.log(f"bank-{diary.code}"), secrets["control_key"]) as (_, bank):
        if not diary.begun:
            await bank.reset()
        await bank.register_client(ground.CONNECTION, secrets["api_key"], secrets["notice_secret"])
        yield bank


async def _officer(stage: Stage, installation: Installation) -> SupervisionStaff:
    """Who decides in the simulation; people can sign in as this officer afterwards."""
    password = installation.secrets["supervision_password"]
    return stage.officer(await stage.staff("supervision", STAFF["supervision"], password, "监管专员"))


async def _let_in(stage: Stage, installation: Installation) -> None:
    """The other people who can look at the district in the web service."""
    institution_id = await stage.known_institution(1)
    await stage.staff("settlement", STAFF["settlement"], installation.secrets["settlement_password"], "结算专员")
    await stage.staff("institution", STAFF["institution"], installation.secrets["institution_password"], "教务老师", institution_id)


def _say_how_to_look(installation: Installation, code: str, console: Console) -> None:
    console.print("在网页中查看：运行 make run，然后打开")
    for role, username in STAFF.items():
        console.print(f"  /{role}/sign-in?district={code}  用户名 {username}  密码 {installation.secrets[f'{role}_password']}")
