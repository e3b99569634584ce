"""The real worker as a process that can be killed, beside the mock bank and the database of the test."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app import districts
from tests.bank_process import BankProcess
from tests.conftest import API_KEY, CONNECTION, DISTRICT, NOTICE_SECRET

ROOT = Path(__file__).parent.parent.parent
PATIENCE_SECONDS = 60


@dataclass
class Workers:
    """Workers on one database. Each is killed, not ended: nothing of it survives but what it has committed."""

    app_url: str
    running: list[Process] = field(default_factory=list)

    async def start(self) -> Process:
        """Start one; it has begun to work when this returns."""
        keys = {CONNECTION: {"api_key": API_KEY, "notice_secret": NOTICE_SECRET}}
        environment = {"DATABASE_URL": self.app_url, "ESCROW_BANK_KEYS": json.dumps(keys)}
        command = (sys.executable, "-m", "app.worker")
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=os.environ | environment, stdout=PIPE)
        self.running.append(process)
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert b"worker.started" in line, line
        return process

    async def kill(self) -> None:
        """SIGKILL to all of them."""
        while self.running:
            process = self.running.pop()
            if process.returncode is None:
                process.kill()
            await process.communicate()


@pytest.fixture
async def workers(app_url: str, owner_url: str, bank: BankProcess) -> AsyncIterator[Workers]:
    await districts.connect_bank(owner_url, CONNECTION, DISTRICT, "mock", bank.url)
    made = Workers(app_url)
    yield made
    await made.kill()


async def until(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something that only another process can bring about is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110  # nobody there could set an event here
            await asyncio.sleep(0.05)
