"""A real PostgreSQL for every test: a database each that is as a migrated template is."""

import base64
import gc
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app import clock, districts, security
from app import settings as settings_module
from app.banking.banks import Banks
from app.db import Database, District
from app.embedded import EmbeddedPostgres
from app.ledger import jobs as ledger_jobs
from app.ledger.check import check_books
from bank_adapters.mock_bank.client import MockBank
from tests.bank_process import BankProcess
from tests.databases import Copy, Databases, Server
from tests.world import SCHOOL_MORNING, World

DISTRICT = "510112"
TEMPLATE = "escrow_template"
CONNECTION = "mock"
SERVER = """
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off
"""
API_KEY = secrets.token_hex(16)
NOTICE_SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


FULL_HASHER = security._hasher
QUICK_HASHER = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1),))
"""Argon2 as the service has it, but not at its cost."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "broken_books: the test breaks the books on purpose, so they are not checked at its end")
    config.addinivalue_line("markers", "books_of(*slices): the test posts by hand, so only these slices' invariants can hold at its end")
    config.addinivalue_line("markers", "own_database: the test does to the database's connections what no other test may find done")
    os.environ.update(
        ESCROW_SECRET_KEY=secrets.token_urlsafe(32),
        ESCROW_DATA_KEY=base64.b64encode(secrets.token_bytes(32)).decode(),
        ESCROW_INDEX_KEY=base64.b64encode(secrets.token_bytes(32)).decode(),
        ESCROW_PUBLIC_URL="http://escrow.test",
    )
    settings_module.settings.cache_clear()
    security._hasher = lambda: QUICK_HASHER
    # Rich tracebacks print every local variable: half a minute for one expected fault.
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What may take long begins first, so that no process ends long after the others."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_collection_finish() -> None:
    """What has been loaded by now stays, and need not be looked through again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres | None]:
    """The embedded server, or None where ESCROW_TEST_ADMIN_URL names a real one."""
    if "ESCROW_TEST_ADMIN_URL" in os.environ:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="escrow-test-") as folder:
        server = EmbeddedPostgres(Path(folder) / "pg", extra_config=SERVER)
        server.start()
        yield server
        server.stop()


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


@pytest.fixture(scope="session")
async def databases(server: Server, admin: AsyncEngine) -> AsyncIterator[Databases]:
    made = Databases(server, admin, f"{TEMPLATE}_{os.getpid()}", DISTRICT)
    yield made
    await made.aclose()


@pytest.fixture
async def copy(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Copy]:
    """A database as the template is: one of its own for a test that may leave more than rows there."""
    own = request.node.get_closest_marker("own_database") or not {"owner_url", "app_url"}.isdisjoint(request.fixturenames)
    async with databases.fresh() if own else databases.lend() as made:
        yield made


@pytest.fixture
def database_name(copy: Copy) -> str:
    return copy.name


@pytest.fixture
def owner_url(server: Server, database_name: str) -> str:
    return server.url("escrow_owner", database_name)


@pytest.fixture
def app_url(server: Server, database_name: str) -> str:
    return server.url("escrow_app", database_name)


@pytest.fixture
def database(copy: Copy) -> Database:
    """The database as the application's role sees it."""
    return copy.database


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
