"""A real PostgreSQL for every test: a fresh database each, cloned from a migrated one."""

import base64
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app import clock, districts
from app import settings as settings_module
from app.banking.banks import Banks
from app.db import Database, District
from app.embedded import EmbeddedPostgres
from app.ledger import jobs as ledger_jobs
from app.ledger.check import check_books
from bank_adapters.mock_bank.client import MockBank
from tests.bank_process import BankProcess
from tests.world import SCHOOL_MORNING, World

DISTRICT = "510112"
TEMPLATE = "escrow_template"
CONNECTION = "mock"
API_KEY = secrets.token_hex(16)
NOTICE_SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "broken_books: the test breaks the books on purpose, so they are not checked at its end")
    config.addinivalue_line("markers", "books_of(*slices): the test posts by hand, so only these slices' invariants can hold at its end")
    os.environ.update(
        ESCROW_SECRET_KEY=secrets.token_urlsafe(32),
        ESCROW_DATA_KEY=base64.b64encode(secrets.token_bytes(32)).decode(),
        ESCROW_INDEX_KEY=base64.b64encode(secrets.token_bytes(32)).decode(),
        ESCROW_PUBLIC_URL="http://escrow.test",
    )
    settings_module.settings.cache_clear()
    # Rich tracebacks print every local variable: half a minute for one expected fault.
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres | None]:
    """The embedded server, or None where ESCROW_TEST_ADMIN_URL names a real one."""
    if "ESCROW_TEST_ADMIN_URL" in os.environ:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="escrow-test-") as folder:
        server = EmbeddedPostgres(Path(folder) / "pg", extra_config="fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n")
        server.start()
        yield server
        server.stop()


class Server:
    """Addresses on the test server by role and database."""

    def __init__(self, postgres: EmbeddedPostgres | None) -> None:
        self._postgres = postgres
        self.embedded = postgres
        self._password = "test"

    def url(self, role: str, database: str) -> str:
        if self._postgres is not None:
            return self._postgres.url("postgres" if role == "admin" else role, database)
        admin = make_url(os.environ["ESCROW_TEST_ADMIN_URL"]).set(database=database)
        chosen = admin if role == "admin" else admin.set(username=role, password=self._password)
        return chosen.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
async def server(postgres: EmbeddedPostgres | None) -> Server:
    """A server with both roles and a template database that holds the migrated sample district."""
    made = Server(postgres)
    name = f"{TEMPLATE}_{os.getpid()}"
    await districts.bootstrap(made.url("admin", "postgres"), name, "test", "test")
    await districts.create(made.url("escrow_owner", name), DISTRICT, "龙泉驿区", mode="sample")
    return made


@pytest.fixture(scope="session")
async def admin(server: Server) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(server.url("admin", "postgres"), isolation_level="AUTOCOMMIT")
    yield engine
    await engine.dispose()


@pytest.fixture
async def database_name(server: Server, admin: AsyncEngine) -> AsyncIterator[str]:
    """A fresh database, dropped at the end."""
    name = f"escrow_{secrets.token_hex(6)}"
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}_{os.getpid()} OWNER escrow_owner STRATEGY FILE_COPY"))
        # A clone has its template's tables, not its template's database rights.
        await connection.execute(text(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC"))
        yield name
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def owner_url(server: Server, database_name: str) -> str:
    return server.url("escrow_owner", database_name)


@pytest.fixture
def app_url(server: Server, database_name: str) -> str:
    return server.url("escrow_app", database_name)


@pytest.fixture
async def database(app_url: str) -> AsyncIterator[Database]:
    """The database as the application's role sees it."""
    made = Database(app_url, pool_size=20)
    yield made
    await made.aclose()


@pytest.fixture
async def district(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[District]:
    """The sample district 510112; when the test is over, its books must hold."""
    handle = database.district(DISTRICT)
    yield handle
    if request.node.get_closest_marker("broken_books") is None:
        marker = request.node.get_closest_marker("books_of")
        await books_hold(handle, *(marker.args if marker else ()))


@pytest.fixture
async def owner(owner_url: str) -> AsyncIterator[District]:
    """The same district as the role that owns its tables."""
    made = Database(owner_url)
    yield made.district(DISTRICT)
    await made.aclose()


@pytest.fixture(scope="session")
async def bank_process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BankProcess]:
    async with BankProcess.running(tmp_path_factory.mktemp("bank")) as process:
        yield process


@pytest.fixture
async def bank(bank_process: BankProcess) -> BankProcess:
    """The mock bank with nothing in it but our connection, which gets no notices."""
    await bank_process.reset()
    await bank_process.register_client(CONNECTION, API_KEY, NOTICE_SECRET)
    return bank_process


@pytest.fixture
async def banks(bank: BankProcess) -> AsyncIterator[Banks]:
    """Our connection to it."""
    made = Banks({CONNECTION: (DISTRICT, MockBank(bank.url, API_KEY, NOTICE_SECRET, timeout_seconds=5))})
    yield made
    await made.aclose()


@pytest.fixture
async def world(district: District, banks: Banks, bank: BankProcess) -> World:
    """On a school day's morning, so that what may be taught when is the same at every hour and on every day of a test run."""
    made = World(district, banks, bank)
    await made.wait_until(SCHOOL_MORNING)
    return made


@pytest.fixture(autouse=True)
def real_clock() -> Iterator[None]:
    yield
    clock.set_to(None)


async def books_hold(district: District, *slices: str) -> None:
    """Seal the log and hold every invariant against every book, of all slices or the named ones."""
    while await ledger_jobs.seal(district):
        pass
    async with district.reading() as session:
        findings = await check_books(session)
    assert [finding for finding in findings if not slices or finding.name.split(".")[0] in slices] == []
