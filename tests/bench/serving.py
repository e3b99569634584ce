"""A web process under load: one process serves, one asks, this one only waits."""

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
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

    @property
    def refused(self) -> int:
        """Answers that were none."""
        return sum(self.statuses.values()) - self.statuses.get("200", 0)


@dataclass(frozen=True)
class Serving:
    """A running web process."""

    port: int
    pid: int

    async def load(self, requests: Sequence[Request], seconds: float, again: bool = False, connections: int = CONNECTIONS) -> Load:
        """Send these requests over keep-alive connections until the time is up or, unless `again`, each was sent."""
        command = [sys.executable, "-m", "tests.bench.load", str(self.port), str(connections), str(seconds)]
        process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdin=PIPE, stdout=PIPE)
        lines = ["again" if again else "once", *(json.dumps(request) for request in requests)]
        output, _ = await process.communicate("\n".join(lines).encode())
        return Load(**json.loads(output))

    async def get(self, path: str, token: str) -> bytes:
        """One answer as it comes over the wire, to a browser that understands gzip."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = (f"GET {path} HTTP/1.1", "Host: localhost", "Accept-Encoding: gzip", f"Cookie: escrow_parent={token}", "Connection: close")
        writer.write("\r\n".join([*head, "", ""]).encode())
        answer = await reader.read()
        writer.close()
        return answer


@asynccontextmanager
async def serving(app_url: str, module: str = "tests.bench.server", *arguments: str, **environment: str) -> AsyncIterator[Serving]:
    """A web process on this database for the length of the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"DATABASE_URL": app_url, "PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, cwd=_ROOT, env=os.environ | settings | environment, stdout=DEVNULL
    )
    try:
        await _until_ready(process, port)
        yield Serving(port, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_ready(process: asyncio.subprocess.Process, port: int) -> None:
    while process.returncode is None:
        try:
            answer = await Serving(port, process.pid).get("/readyz", "")
        except OSError:
            await asyncio.sleep(0.05)
            continue
        if answer.split(b" ", 2)[1] == b"200":
            return
    raise SystemExit("the web process did not start")
