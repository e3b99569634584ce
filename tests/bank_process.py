"""The real mock bank as a process of its own, for tests: start it, play the outside world, kill it, start it again."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from bank_adapters.mock_bank.control import MockBankControl

ROOT = Path(__file__).parent.parent


class BankProcess(MockBankControl):
    """A running mock bank with all of its control calls. Its address and its data file outlive a kill."""

    def __init__(self, process: subprocess.Popen[str], url: str, control_key: str, data: Path) -> None:
        super().__init__(url, control_key)
        self.process = process
        self.data = data

    @classmethod
    async def start(cls, folder: Path) -> Self:
        """Start a bank on a free port with its data file in the folder; it answers when this returns."""
        control_key, data = secrets.token_hex(16), folder / "bank.sqlite"
        process, url = await asyncio.to_thread(_launch, data, control_key, 0)
        return cls(process, url, control_key, data)

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Self]:
        """A bank for the length of a block."""
        bank = await cls.start(folder)
        try:
            yield bank
        finally:
            await bank.stop()

    async def kill(self) -> None:
        """SIGKILL: the bank gets no chance to tidy up."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait)

    async def restart(self) -> None:
        """Start it again on the same data and port, killed before or not."""
        await self.kill()
        self._close_output()
        self.process, _ = await asyncio.to_thread(_launch, self.data, self.control_key, int(self.url.rsplit(":", 1)[1]))

    async def stop(self) -> None:
        """End it in an orderly way, where it still runs, and give the sockets back."""
        await self.aclose()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            status = await asyncio.to_thread(self.process.wait, 15)
            assert status == 0, f"the mock bank ended with status {status}"
        self._close_output()

    def _close_output(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()


def _launch(data: Path, control_key: str, port: int) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bank_adapters.mock_bank", "--port", str(port), "--data", str(data)],
        cwd=ROOT,
        env=os.environ | {"MOCK_BANK_CONTROL_KEY": control_key},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http://"), "the mock bank did not start"
    return process, url
