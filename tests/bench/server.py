"""The web process as it is, with two more routes to hold it against: `python -m tests.bench.server [SERVER WORKERS]`."""

import sys

import uvicorn
from fastapi import APIRouter, FastAPI
from sqlalchemy import text

from app import clock, telemetry
from app.ids import uuid7
from app.main import create_app, serve
from app.portals.edge import ParentCaller, Write
from app.portals.parent import api as parent_api
from app.settings import settings

TABLE = """
    CREATE TABLE bench_row (id uuid PRIMARY KEY, guardian_id uuid NOT NULL, at timestamptz NOT NULL);
    GRANT INSERT ON bench_row TO escrow_app;
"""

router = APIRouter(prefix="/bench")
_INSERT = text("INSERT INTO bench_row (id, guardian_id, at) VALUES (:id, :guardian_id, :at)")


@router.post("/empty")
async def empty(caller: ParentCaller) -> dict[str, str]:
    """Knows its caller and does nothing."""
    return {"actor": caller.actor}


@router.post("/insert")
async def insert(caller: ParentCaller, session: Write) -> dict[str, str]:
    """Knows its caller, inserts one row and commits it before the answer leaves."""
    await session.execute(_INSERT, {"id": uuid7(), "guardian_id": caller.guardian_id, "at": clock.now()})
    return {"actor": caller.actor}


def application() -> FastAPI:
    """The service; the routes stand beside the one they are measured with, so that all are found in the same number of steps."""
    telemetry.configure(settings().log_format)
    parent_api.router.include_router(router)
    return create_app(settings())


def serve_by(server: str, workers: int) -> None:
    """Serve by this server with so many processes."""
    target, address, port = "tests.bench.server:application", settings().host, settings().port
    if server == "granian":
        # Only the comparison of servers needs it.
        from granian import Granian
        from granian.constants import Interfaces

        Granian(target, address, port, interface=Interfaces.ASGI, factory=True, workers=workers, log_enabled=False).serve()
    else:
        uvicorn.run(target, factory=True, host=address, port=port, workers=workers, log_config=None, access_log=False, server_header=False)


if __name__ == "__main__":
    if sys.argv[1:]:
        serve_by(sys.argv[1], int(sys.argv[2]))
    else:
        serve(application(), settings())
