"""The application behind a real port, as uvicorn serves it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from tests.portals.desks import Desks


class _Server(uvicorn.Server):
    """Says when it listens, and keeps its hands off the process's signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(desks: Desks) -> AsyncIterator[str]:
    """Serve on a free port for the length of a block; it ends as the service itself does, streams first."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(desks.app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5)
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    try:
        await server.listening.wait()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        desks.app.state.stopping.set()
        server.should_exit = True
        await serving
        listening.close()
