"""The mock bank as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from bank_adapters.mock_bank import api, cashier, control_api, later
from bank_adapters.mock_bank.knobs import Knobs
from bank_adapters.mock_bank.notices import Notices
from bank_adapters.mock_bank.office import Office
from bank_adapters.mock_bank.store import Refusal, Store


def create_app(data: Path, control_key: str, public_url: str = "", ready: Callable[[], None] = lambda: None) -> FastAPI:
    """A bank on the data file. `public_url` overrides the address in cashier links; `ready` is called once it can serve."""
    store = Store(data)
    knobs = Knobs(store)
    office = Office(store, knobs, Notices(store, knobs), public_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        office.notices.start()
        by_itself = asyncio.create_task(later.keep_running(office))
        ready()
        yield
        by_itself.cancel()
        with suppress(asyncio.CancelledError):
            await by_itself
        await office.notices.stop()
        store.close()

    app = FastAPI(title="Mock bank", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.office = office
    app.state.control_key = control_key

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return api.refusal_response(refusal)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        fields = sorted({".".join(str(part) for part in found["loc"]) for found in error.errors()})
        return JSONResponse({"code": "invalid_request", "fields": fields}, 422)

    @app.exception_handler(HTTPException)
    async def failed(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"code": "invalid_request" if error.status_code == 400 else f"http_{error.status_code}"}, error.status_code)

    @app.get("/health")
    async def health() -> Response:
        return PlainTextResponse("ok")

    app.include_router(api.router)
    app.include_router(control_api.router)
    app.include_router(cashier.router)
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
    return app
