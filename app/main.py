"""The web process: `python -m app.main`."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app import districts, sms, telemetry
from app.banking.banks import Banks
from app.contracts.checkout import Checkouts
from app.contracts.search import Searches
from app.db import Database
from app.lessons.confirming import Confirmers
from app.portals import assets, auth, operations, problems, sign_in
from app.portals.edge import Modes
from app.portals.envelope import Envelope
from app.portals.institution import api as institution_api
from app.portals.institution import contracts as institution_contracts
from app.portals.institution import filing as institution_filing
from app.portals.institution import importing as institution_importing
from app.portals.institution import pages as institution_pages
from app.portals.institution import profile as institution_profile
from app.portals.institution import teachers as institution_teachers
from app.portals.institution import trials as institution_trials
from app.portals.parent import api as parent_api
from app.portals.parent import documents as parent_documents
from app.portals.parent import family_api as parent_family_api
from app.portals.parent import notices as parent_notices
from app.portals.parent import pages as parent_pages
from app.portals.parent import rescheduling as parent_rescheduling
from app.portals.parent import timetable as parent_timetable
from app.portals.parent import trials as parent_trials
from app.portals.parent import ways as parent_ways
from app.portals.public import api as public_api
from app.portals.public import applying as public_applying
from app.portals.public import certificates as public_certificates
from app.portals.public import facts as public_facts
from app.portals.public import pages as public_pages
from app.portals.public import qr as public_qr
from app.portals.public import scanning as public_scanning
from app.portals.public import searching as public_search
from app.portals.settlement import api as settlement_api
from app.portals.settlement import pages as settlement_pages
from app.portals.supervision import api as supervision_api
from app.portals.supervision import applications as supervision_applications
from app.portals.supervision import calendar as supervision_calendar
from app.portals.supervision import classes as supervision_classes
from app.portals.supervision import exports as supervision_exports
from app.portals.supervision import feedback as supervision_feedback
from app.portals.supervision import lookups as supervision_lookups
from app.portals.supervision import pages as supervision_pages
from app.portals.supervision import receipts as supervision_receipts
from app.portals.supervision import register_exports as supervision_register_exports
from app.portals.supervision import register_pages as supervision_register_pages
from app.portals.supervision import registers as supervision_registers
from app.portals.supervision import scans as supervision_scans
from app.portals.supervision import students as supervision_students
from app.security import Holders
from app.settings import Settings, settings
from app.supervision.stream import Feeds

# A request tries them in this order: what families call most stands first.
ROUTERS = (
    public_search.api,
    public_search.pages,
    parent_api.router,
    parent_pages.router,
    parent_notices.api,
    parent_family_api.router,
    parent_documents.api,
    parent_ways.api,
    parent_rescheduling.api,
    parent_trials.api,
    parent_timetable.api,
    public_pages.router,
    operations.router,
    assets.router,
    auth.router,
    sign_in.router,
    public_api.router,
    public_applying.api,
    public_certificates.api,
    public_facts.api,
    public_scanning.api,
    public_qr.router,
    institution_api.router,
    institution_profile.api,
    institution_teachers.api,
    institution_trials.api,
    institution_contracts.api,
    institution_importing.api,
    institution_filing.router,
    settlement_api.router,
    supervision_api.router,
    supervision_registers.router,
    supervision_applications.api,
    supervision_classes.api,
    supervision_exports.router,
    supervision_register_exports.api,
    supervision_register_exports.pages,
    supervision_calendar.api,
    supervision_lookups.api,
    supervision_scans.api,
    supervision_receipts.api,
    supervision_students.api,
    supervision_feedback.api,
    public_applying.pages,
    institution_trials.pages,
    institution_pages.router,
    institution_profile.pages,
    institution_teachers.pages,
    institution_contracts.pages,
    institution_importing.pages,
    settlement_pages.router,
    supervision_pages.router,
    supervision_calendar.pages,
    supervision_register_pages.router,
    supervision_applications.pages,
    supervision_lookups.pages,
    supervision_scans.pages,
    supervision_receipts.pages,
    supervision_students.pages,
    supervision_feedback.pages,
    supervision_classes.pages,
)
_GRACE_SECONDS = 10
_GARBAGE_LOOKED_FOR_AFTER = 10_000
"""New objects; Python looks after 700, twice in every request."""
_log = structlog.get_logger()


class Problem(BaseModel):
    """An error (RFC 9457): `code` is stable and for programs, `detail` is Chinese and for people. Facts of the case stand beside them."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str


def create_app(configured: Settings, database: Database | None = None, banks: Banks | None = None) -> FastAPI:
    """The application. Tests hand in a database and banks; a process opens its own when it starts, after start-up's checks."""
    app = FastAPI(
        title="Tuition escrow",
        version="0.1.0",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
        responses={"4XX": {"description": "Refused", "content": {"application/problem+json": {"schema": Problem.model_json_schema()}}}},
    )
    app.state.settings = configured
    if database is not None:
        attach(app, configured, database, banks)
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    app.add_middleware(Envelope, https=configured.base_url.startswith("https:"))
    return app


def attach(app: FastAPI, configured: Settings, database: Database, banks: Banks | None) -> None:
    """Let the application serve from a database and banks, with nothing left of what it served from before."""
    app.state.settings = configured
    app.state.stopping = asyncio.Event()
    app.state.sms = sms.from_settings(configured.sms)
    app.state.database = database
    app.state.banks = banks
    app.state.modes = Modes(database)
    app.state.holders = Holders()
    app.state.feeds = Feeds()
    app.state.confirmers = Confirmers()
    app.state.checkouts = Checkouts()
    app.state.searches = Searches()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    configured: Settings = app.state.settings
    database = Database(configured.database_url, configured.pool_size)
    try:
        await _refuse_unsafe_start(database, configured)
        banks = await Banks.of(database, configured)
        attach(app, configured, database, banks)
        try:
            # What has been loaded by now stays: looking through it again and again would stop every request for a tenth of a second.
            gc.collect()
            gc.freeze()
            gc.set_threshold(_GARBAGE_LOOKED_FOR_AFTER)
            yield
        finally:
            await app.state.feeds.aclose()
            await banks.aclose()
    finally:
        await database.aclose()


async def _refuse_unsafe_start(database: Database, configured: Settings) -> None:
    try:
        await districts.refuse_unsafe_start(database, configured)
    except districts.UnsafeStart as refusal:
        _log.error("start_refused", reasons=refusal.reasons)
        raise


def _operation_id(route: APIRoute) -> str:
    return f"{route.tags[0]}_{route.name}" if route.tags else route.name


class _Server(uvicorn.Server):
    """Tells open event streams to end before it waits for connections to close."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app: Any = self.config.app
        app.state.stopping.set()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until told to stop."""
    telemetry.configure(settings().log_format)
    serve(create_app(settings()), settings())


def serve(app: FastAPI, configured: Settings) -> None:
    """Answer requests until told to stop; exits with status 3 where the application does not start."""
    config = uvicorn.Config(
        app,
        host=configured.host,
        port=configured.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    # uvicorn raises a signal again after its orderly end; an orderly end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    server = _Server(config)
    server.run()
    if not server.started:
        sys.exit(3)


if __name__ == "__main__":
    main()
