"""The processes of a running sample: each in a session of its own, so that Ctrl-C reaches only the one that stops them in order."""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from bank_adapters.mock_bank.control import MockBankControl

STOP_SECONDS = 20
START_SECONDS = 60
_TAIL_LINES = 15
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_SET_DEATH_SIGNAL = 1
_ROOT = Path(__file__).parent.parent.parent


class Ended(Exception):
    """A process ended that nobody had told to end."""


@dataclass(frozen=True, slots=True)
class Child:
    """A started process and its log."""

    name: str
    process: Process
    log: Path

    async def ended(self) -> str:
        """Wait until it ends by itself; a sentence about how, with the last lines of its log."""
        status = await self.process.wait()
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"{self.name}进程意外结束（状态 {status}），日志在 {self.log}：", *lines])

    async def answers(self, url: str) -> None:
        """Wait until an address answers with success. Raises Ended, TimeoutError."""
        async with httpx.AsyncClient(trust_env=False, timeout=5) as http, asyncio.timeout(START_SECONDS):
            while True:
                if self.process.returncode is not None:
                    raise Ended(await self.ended())
                with suppress(httpx.HTTPError):
                    if (await http.get(url)).is_success:
                        return
                await asyncio.sleep(0.1)


@asynccontextmanager
async def child(name: str, module: str, environment: dict[str, str], log: Path) -> AsyncIterator[Child]:
    """Run `python -m module` for the length of the block, and end it in an orderly way after it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        process = await _spawn(module, [], environment, output.fileno())
    try:
        yield Child(name, process, log)
    finally:
        await _stop(process)


@asynccontextmanager
async def spoken_to(name: str, module: str, log: Path) -> AsyncIterator[Child]:
    """The same with its standard input and output at hand; only its errors go into the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as errors:
        process = await _spawn(module, [], {}, PIPE, errors.fileno(), PIPE)
    try:
        yield Child(name, process, log)
    finally:
        await _stop(process)


@asynccontextmanager
async def mock_bank(
    data: Path, log: Path, control_key: str, host: str = "127.0.0.1", port: int = 0, public_url: str = ""
) -> AsyncIterator[tuple[Child, MockBankControl]]:
    """Run a mock bank on a data file for the length of the block; it answers when this yields."""
    for path in (data, log):
        path.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["--host", host, "--port", str(port), "--data", str(data), "--public-url", public_url]
    with log.open("w", encoding="utf-8") as errors:
        environment = {"MOCK_BANK_CONTROL_KEY": control_key}
        process = await _spawn("bank_adapters.mock_bank", arguments, environment, PIPE, errors.fileno())
    control = None
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise Ended(f"模拟银行进程未能启动（状态 {await process.wait()}）")
        control = MockBankControl(url, control_key)
        yield Child("模拟银行", process, log), control
    finally:
        if control is not None:
            await control.aclose()
        await _stop(process)


def collect_rarely() -> None:
    """Keep what is loaded out of garbage collection and look for garbage a seventieth as often: long work makes much, and few cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Event loops that need a third less time for the same work, where the platform has them; None is Python's own."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def free_port(host: str, wanted: int) -> int:
    """The wanted port where it is free, else any."""
    for port in (wanted, 0):
        try:
            with socket.create_server((host, port)) as listener:
                return int(listener.getsockname()[1])
        except OSError:
            continue
    raise Ended(f"{host} 上没有可用的端口")


async def _spawn(
    module: str, arguments: Sequence[str], environment: dict[str, str], output: int, errors: int | None = None, told: int = DEVNULL
) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=_ROOT,
        env=os.environ | environment,
        stdin=told,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )


def _end_with_parent() -> None:
    """So that nothing is left over where this process is killed. Only Linux can do it."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
