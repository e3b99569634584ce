"""A small HTTP server that answers as told and keeps what it was sent, byte for byte."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came over the wire."""

    path: str
    headers: dict[str, str]
    body: bytes


class ScriptedServer:
    """Answers 200 unless `answers` says otherwise; a status of 0 closes the connection without an answer."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: deque[tuple[int, bytes]] = deque()
        self._received: asyncio.Queue[Received] = asyncio.Queue()

    async def next(self) -> Received:
        """The next request, awaited."""
        async with asyncio.timeout(15):
            return await self._received.get()

    @property
    def unread(self) -> int:
        """How many requests came that nobody has asked for."""
        return self._received.qsize()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["ScriptedServer"]:
        """A server on a free port for the length of a block."""
        made = cls()
        server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield made

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(_header(line) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        status, content = self.answers.popleft() if self.answers else (200, b"{}")
        if status:
            writer.write(f"HTTP/1.1 {status} Scripted\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n".encode() + content)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        self._received.put_nowait(Received(head[0].split(" ")[1], headers, body))


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()
