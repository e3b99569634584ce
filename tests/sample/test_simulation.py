"""A simulation that is killed goes on where it stopped, and ends with books that check."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from datetime import date
from pathlib import Path

import pytest

from app.errors import Conflict
from app.sample.diary import Diary, Simulation
from app.sample.installation import Installation
from app.sample.processes import Ended
from app.sample.troupe import Brief, distant
from tests.sample.commands import ROOT, run_cli

pytestmark = pytest.mark.timeout(180)
ARGUMENTS = ("simulate", "--institutions", "3", "--yuan", "40000", "--days", "5", "--seed", "7")


async def started(folder: Path) -> Process:
    environment = os.environ | {"ESCROW_DATA_DIR": str(folder), "DATABASE_URL": ""}
    command = (sys.executable, "-m", "app.cli", *ARGUMENTS)
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=DEVNULL)


async def days_done(folder: Path, wanted: int) -> None:
    """Wait until the diary tells of so many days; it is written after every step."""
    while True:
        for path in (folder / "simulated").glob("*.json"):
            if json.loads(path.read_text())["days_done"] >= wanted:
                return
        await asyncio.sleep(0.05)


async def test_a_killed_simulation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    playing = await started(tmp_path)
    await days_done(tmp_path, 2)
    playing.send_signal(signal.SIGKILL)
    await playing.wait()
    [diary] = (tmp_path / "simulated").glob("*.json")
    stopped_after = json.loads(diary.read_text())["days_done"]
    again = await asyncio.to_thread(run_cli, *ARGUMENTS, ESCROW_DATA_DIR=str(tmp_path), DATABASE_URL="", COLUMNS="120")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "继续" in again.stdout
    assert "未平差错 0" in again.stdout
    assert "账簿核对无误，与银行一致。" in again.stdout
    kept = json.loads(diary.read_text())
    assert 2 <= stopped_after < kept["days_done"] == 5
    assert kept["ended"]


async def test_a_troupe_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    nowhere = f"postgresql+asyncpg://escrow_app@/escrow?host={tmp_path}"
    brief = Brief(nowhere, "510181", "都江堰市", "http://127.0.0.1:9", "", "", "", Simulation(10, 5, 7), date(2026, 3, 2), 1)
    assert Brief.heard(brief.told()) == brief
    async with distant(brief, tmp_path / "troupe.log") as troupe:
        with pytest.raises(Ended, match="模拟进程意外结束"):
            await troupe.act("enter", date(2026, 3, 2))
        with pytest.raises(Ended, match="模拟进程意外结束"):
            await troupe.act("enter", date(2026, 3, 2))


def test_only_the_same_unfinished_simulation_is_taken_up(tmp_path: Path) -> None:
    installation, simulation = Installation(tmp_path), Simulation(3, 5, 7)
    diary = Diary(installation, simulation, "510181", date(2026, 3, 2))
    diary.begin()
    assert Diary.unfinished(installation, Simulation(3, 5, 8), None) is None
    assert Diary.unfinished(installation, simulation, "510182") is None
    diary.step_is_done(0)
    found = Diary.unfinished(installation, simulation, None)
    assert found is not None
    assert (found.begun, found.first_on, found.steps_done) == (True, diary.first_on, 1)
    diary.end()
    assert Diary.unfinished(installation, simulation, None) is None


def test_one_simulation_at_a_time(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    with (
        installation.locked("simulation.lock", "模拟"),
        pytest.raises(Conflict, match=r"sample\.running"),
        installation.locked("simulation.lock", "模拟"),
    ):
        pass
