"""A web process under load: one process serves, one asks, this one only waits."""

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32
_ROOT = Path(__file__).parent.parent.parent

Request = tuple[str, str, str, str, str]
"""Method, path, token, idempotency key, JSON body; what a request does not need is empty."""


@dataclass(frozen=True)
class Load:
    """What a run of the load generator found."""

    seconds: float
    statuses: dict[str, int]
    p50_ms: float
    p95_ms: float
    p99_ms: float
    largest_bytes: int

    @property
    def per_second(self) -> float:
        """Successes."""
        return self.statuses.get("200", 0) / self.seconds


@dataclass(frozen=True)
class Serving:
    """A running web process."""

    port: int

    async def load(self, requests: Sequence[Request], seconds: float, again: bool = False, connections: int = CONNECTIONS) -> Load:
        """Send these requests over keep-alive connections until the time is up or, unless `again`, each was sent."""
        command = [sys.executable, "-m", "tests.bench.load", str(self.port), str(connections), str(seconds)]
        process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdin=PIPE, stdout=PIPE)
        lines = ["again" if again else "once", *(json.dumps(request) for request in requests)]
        output, _ = await process.communicate("\n".join(lines).encode())
        return Load(**json.loads(output))


@asynccontextmanager
async def serving(app_url: str, module: str = "tests.bench.server", **environment: str) -> AsyncIterator[Serving]:
    """A web process on this database for the length of the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"DATABASE_URL": app_url, "PORT": str(port)}
    with Path(os.devnull).open("w") as nowhere:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, cwd=_ROOT, env=os.environ | settings | environment, stdout=nowhere
        )
    try:
        await _until_ready(process, port)
        yield Serving(port)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_ready(process: asyncio.subprocess.Process, port: int) -> None:
    while process.returncode is None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = (await reader.read()).split(b" ", 2)[1]
        writer.close()
        if status == b"200":
            return
    raise SystemExit("the web process did not start")
