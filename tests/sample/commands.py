"""Operators' commands: within this process where only their effect matters, as a process of their own where that matters too."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import cli
from app.settings import settings

ROOT = Path(__file__).parent.parent.parent


class Operator:
    """Somebody at a terminal with these settings."""

    def __init__(self, patch: pytest.MonkeyPatch, **environment: str) -> None:
        for name, value in environment.items():
            patch.setenv(name, value)
        settings.cache_clear()

    async def run(self, *arguments: str, typed: str = "") -> tuple[int, str, str]:
        """Status, output and errors of a command."""
        # A thread of its own, as the command runs an event loop of its own.
        done = await asyncio.to_thread(CliRunner().invoke, cli.app, arguments, input=typed)
        return done.exit_code, done.stdout, done.stderr

    async def done(self, *arguments: str, typed: str = "") -> str:
        """What a command that succeeds prints."""
        status, printed, said = await self.run(*arguments, typed=typed)
        assert status == 0, printed + said
        return printed

    async def refused(self, *arguments: str, typed: str = "") -> str:
        """The one sentence of a command that is refused."""
        status, printed, said = await self.run(*arguments, typed=typed)
        assert status == 1, printed + said
        assert said.count("\n") == 1
        return said


def run_cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as a process of its own."""
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False)
