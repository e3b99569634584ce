"""The load generator, a process of its own on raw sockets: `python -m tests.bench.load PORT CONNECTIONS SECONDS < requests`.

One request a line on standard input, as JSON `[method, path, token, key, body]`; each is sent once, the last ones over and over
where `*` is their key. Answers as JSON: how many, in how long, the statuses, latencies in milliseconds, bytes of the largest answer.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import cast

import uvloop

STAFF_ENDS = ("institution", "settlement", "supervision")


class Connection(asyncio.Protocol):
    """One keep-alive connection: asks, reads the whole answer, asks again."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._received = b""
        self._asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports stand outside asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower() + b"\r\n"
        start = head.find(b"content-length:")
        length = end + 4 + int(head[start + 15 : head.find(b"\r\n", start)])
        if len(self._received) >= length:
            self._run.answered(self._received[9:12], time.perf_counter() - self._asked_at, length)
            self._received = b""
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.left()

    def _ask(self) -> None:
        request = self._run.next_request()
        if request is None:
            self._transport.close()
            return
        self._asked_at = time.perf_counter()
        self._transport.write(request)


class Run:
    """What all connections share."""

    def __init__(self, requests: Iterator[bytes], connections: int, seconds: float) -> None:
        self._requests = requests
        self._open = connections
        self._until = time.perf_counter() + seconds
        self.statuses: Counter[str] = Counter()
        self.waits: list[float] = []
        self.largest = 0
        self.done = asyncio.Event()

    def next_request(self) -> bytes | None:
        return next(self._requests, None) if time.perf_counter() < self._until else None

    def answered(self, status: bytes, waited: float, length: int) -> None:
        self.statuses[status.decode()] += 1
        self.waits.append(waited)
        self.largest = max(self.largest, length)

    def left(self) -> None:
        self._open -= 1
        if not self._open:
            self.done.set()


def compose(line: str) -> bytes:
    """The bytes of one request."""
    method, path, token, key, body = json.loads(line)
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Accept-Encoding: gzip"]
    end = path.split("/")[1]
    cookie = f"escrow_{end if end in STAFF_ENDS else 'parent'}={token}"
    head += [f"Authorization: Bearer {token}", f"Cookie: {cookie}"] if token else []
    head += [f"Idempotency-Key: {key}"] if key else []
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*head, "", body]).encode()


def in_turn(requests: list[bytes], again: bool) -> Iterator[bytes]:
    yield from requests
    while again:
        yield from requests


async def main(port: int, connections: int, seconds: float) -> None:
    lines = sys.stdin.read().splitlines()
    again = lines[0] == "again"
    run = Run(in_turn([compose(line) for line in lines[1:]], again), connections, seconds)
    began = time.perf_counter()
    for _ in range(connections):
        await asyncio.get_running_loop().create_connection(lambda: Connection(run), "127.0.0.1", port)
    await run.done.wait()
    waits = sorted(run.waits)
    result = {
        "seconds": time.perf_counter() - began,
        "statuses": run.statuses,
        "p50_ms": waits[len(waits) // 2] * 1000,
        "p95_ms": waits[len(waits) * 95 // 100] * 1000,
        "p99_ms": waits[len(waits) * 99 // 100] * 1000,
        "largest_bytes": run.largest,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
