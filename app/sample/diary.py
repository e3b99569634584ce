"""How far a simulation has come, on disk after every step of every day, so that a killed one goes on where it stopped."""

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from app.sample.installation import Installation

_FOLDER = "simulated"


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to play: so many institutions and days, of a seed; `yuan` is what families shall pay in all, by default a few classes each."""

    institutions: int
    days: int
    seed: int
    yuan: int | None = None

    @property
    def volume_fen(self) -> int | None:
        """What the families of one institution shall pay."""
        return None if self.yuan is None else self.yuan * 100 // self.institutions


@dataclass(slots=True)
class Diary:
    """One simulation's district, its first business date, and how many steps of how many days are done.

    `paid_fen` is what families had paid by then.
    """

    installation: Installation
    simulation: Simulation
    code: str
    first_on: date
    days_done: int = 0
    steps_done: int = 0
    paid_fen: int = 0
    ended: bool = False

    @classmethod
    def unfinished(cls, installation: Installation, simulation: Simulation, code: str | None) -> "Diary | None":
        """The diary of the same simulation where it was stopped, in the district asked for where one is."""
        for path in sorted((installation.folder / _FOLDER).glob("*.json")):
            kept = json.loads(path.read_text(encoding="utf-8"))
            if not kept["ended"] and kept["simulation"] == asdict(simulation) and code in (None, kept["code"]):
                first_on = date.fromisoformat(kept["first_on"])
                done = {name: kept[name] for name in ("days_done", "steps_done", "paid_fen")}
                return cls(installation, simulation, kept["code"], first_on, **done)
        return None

    @property
    def bank_data(self) -> Path:
        """Where the bank of the simulation keeps its books."""
        return self.installation.folder / _FOLDER / f"{self.code}.sqlite"

    @property
    def begun(self) -> bool:
        """Whether there is anything to go on from."""
        return (self.days_done, self.steps_done) > (0, 0)

    def begin(self) -> None:
        """Write down that there is such a simulation."""
        self._write()

    def step_is_done(self, paid_fen: int) -> None:
        """One more step of the present day, and what families have paid in all."""
        self.steps_done, self.paid_fen = self.steps_done + 1, paid_fen
        self._write()

    def day_is_done(self) -> None:
        """The present day is over; the next one begins."""
        self.days_done, self.steps_done = self.days_done + 1, 0
        self._write()

    def end(self) -> None:
        """The simulation has ended: the same again is another one."""
        self.ended = True
        self._write()

    def _write(self) -> None:
        content: dict[str, object] = {"simulation": asdict(self.simulation), "code": self.code, "first_on": self.first_on.isoformat()}
        content |= {"days_done": self.days_done, "steps_done": self.steps_done, "paid_fen": self.paid_fen, "ended": self.ended}
        self.bank_data.parent.mkdir(exist_ok=True)
        self.installation.write_private(f"{_FOLDER}/{self.code}.json", content)
