"""The whole sample as `make run` starts it, on a folder of its own and free ports."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
START_SECONDS = 120


@dataclass
class RunningSample:
    """A started sample: where it keeps its data, what it wrote for the demonstration, what it printed."""

    process: Process
    folder: Path
    printed: str

    @property
    def demo(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "demo.json").read_text())
        return content

    @classmethod
    async def start(cls, folder: Path, **environment: str) -> "RunningSample":
        """Start it and wait until it says how to stop it."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "run-sample"),
            cwd=ROOT,
            env=_bare_environment() | {"ESCROW_DATA_DIR": str(folder), "PORT": "0", "COLUMNS": "200"} | environment,
            stdout=PIPE,
            stderr=STDOUT,
        )
        assert process.stdout is not None
        printed = ""
        async with asyncio.timeout(START_SECONDS):
            while "Ctrl-C" not in printed:
                line = (await process.stdout.readline()).decode()
                assert line, f"the sample did not start:\n{printed}"
                printed += line
        return cls(process, folder, printed)

    async def stop(self, by: signal.Signals = signal.SIGINT) -> int:
        """End it as Ctrl-C does; its status."""
        self.process.send_signal(by)
        rest, _ = await asyncio.wait_for(self.process.communicate(), 60)
        self.printed += rest.decode()
        return await self.process.wait()


def _bare_environment() -> dict[str, str]:
    """What a fresh terminal has: nothing that the tests have set for themselves."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ESCROW_") and name != "DATABASE_URL"}


@asynccontextmanager
async def running_sample(folder: Path) -> AsyncIterator[RunningSample]:
    """A sample for the length of a block, ended in order."""
    sample = await RunningSample.start(folder)
    try:
        yield sample
    finally:
        if sample.process.returncode is None:
            assert await sample.stop() == 0, sample.printed
