"""Who plays a simulation's institutions: one part of them here, the other in a process of its own, so that two processors are at work."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

from app import clock
from app.banking.banks import Banks
from app.db import Database
from app.sample import ground
from app.sample.actors import Act, School, Schools
from app.sample.diary import Simulation
from app.sample.plan import plan_institution
from app.sample.processes import Child, Ended, collect_rarely, fast_loop, spoken_to
from app.sample.stage import Stage
from bank_adapters.mock_bank.client import MockBank
from bank_adapters.mock_bank.control import MockBankControl

PARTS = (range(9), range(9, 20))
"""Which of every twenty institutions are played where: the first process also plays the authorities and the worker."""


class Troupe(Protocol):
    """Some institutions with their families."""

    async def act(self, name: Act, day: date) -> int:
        """Play an act of a business date at the present instant; what its families have paid so far, in fen."""


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a troupe must know: where the district and its bank are, what is played, and which of `PARTS` is its own."""

    database_url: str
    code: str
    place: str
    bank_url: str
    control_key: str
    api_key: str
    notice_secret: str
    simulation: Simulation
    first_on: date
    part: int

    def schools(self, stage: Stage, paid_fen: int = 0) -> Schools:
        """The institutions of this part, whose families have paid so much so far."""
        simulation = self.simulation
        plans = (
            plan_institution(simulation.seed, number, self.place, self.first_on, simulation.days, simulation.volume_fen)
            for number in range(simulation.institutions)
            if number % 20 in PARTS[self.part]
        )
        return Schools(stage, simulation.seed, [School(plan) for plan in plans], paid_fen)

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Stage]:
        """The district and its bank, for the length of the block."""
        database = Database(self.database_url)
        banks = Banks({ground.CONNECTION: (self.code, MockBank(self.bank_url, self.api_key, self.notice_secret))})
        bank = MockBankControl(self.bank_url, self.control_key)
        try:
            yield Stage(database.district(self.code), banks, bank, ground.CONNECTION)
        finally:
            await bank.aclose()
            await banks.aclose()
            await database.aclose()

    def told(self) -> str:
        """As text for another process."""
        return json.dumps(asdict(self) | {"first_on": self.first_on.isoformat()})

    @classmethod
    def heard(cls, text: str) -> "Brief":
        """From such text."""
        content: dict[str, Any] = json.loads(text)
        first_on = date.fromisoformat(content.pop("first_on"))
        return cls(simulation=Simulation(**content.pop("simulation")), first_on=first_on, **content)


class Distant:
    """A troupe in a process of its own, which does act after act as it is told on its standard input."""

    def __init__(self, child: Child) -> None:
        self._child = child

    async def act(self, name: Act, day: date) -> int:
        """As every troupe. Raises Ended where the process has ended."""
        with suppress(OSError, RuntimeError):  # uvloop's for a closed pipe; that there is no answer tells it too
            await self.tell(json.dumps({"act": name, "day": day.isoformat(), "at": clock.now().isoformat()}))
        assert self._child.process.stdout is not None
        answer = await self._child.process.stdout.readline()
        if not answer:
            raise Ended(await self._child.ended())
        return int(answer)

    async def tell(self, line: str) -> None:
        """Say one line to the process."""
        assert self._child.process.stdin is not None
        self._child.process.stdin.write(line.encode() + b"\n")
        await self._child.process.stdin.drain()


@asynccontextmanager
async def distant(brief: Brief, log: Path) -> AsyncIterator[Distant]:
    """Let a process play the brief's part for the length of the block."""
    async with spoken_to("模拟", "app.sample.troupe", log) as child:
        troupe = Distant(child)
        await troupe.tell(brief.told())
        yield troupe


async def _serve(brief: Brief) -> None:
    async with brief.stage() as stage:
        schools = brief.schools(stage)
        collect_rarely()
        while line := await asyncio.to_thread(sys.stdin.readline):
            told = json.loads(line)
            clock.set_to(datetime.fromisoformat(told["at"]))
            print(await schools.act(told["act"], date.fromisoformat(told["day"])), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(_serve(Brief.heard(sys.stdin.readline())))
