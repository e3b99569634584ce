"""Districts above their schemas: the list, its migrations, the two roles, and what start-up insists on."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, ForeignKey, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.orm import Mapped, mapped_column

from app import clock, crypto, sealing
from app.db import Database, District, PublicBase, one_of, schema_of
from app.errors import BadInput, Conflict, NotFound
from app.settings import Settings

OWNER_ROLE = "escrow_owner"
APP_ROLE = "escrow_app"
_MIGRATIONS = Path(__file__).parent.parent / "migrations"
_SECRET_CHARACTERS = 32


class DistrictEntry(PublicBase):
    """A district: its GB/T 2260 code, and whether it is live, a sample, a drill or a restored copy. Only live ones move real money."""

    __tablename__ = "district"
    __table_args__ = (one_of("mode", "live", "sample", "drill", "restored"),)

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    mode: Mapped[str]
    created_at: Mapped[datetime]


class BankConnection(PublicBase):
    """Which adapter reaches which bank for which district. Its secrets stand in the settings, under the slug."""

    __tablename__ = "bank_connection"
    __table_args__ = (one_of("adapter", "mock"),)

    slug: Mapped[str] = mapped_column(primary_key=True)
    district: Mapped[str] = mapped_column(ForeignKey("public.district.code"))
    adapter: Mapped[str]
    base_url: Mapped[str]


@dataclass(frozen=True, slots=True)
class UnsafeStart(Exception):
    """Why the service will not start, one sentence each."""

    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "refusing to start: " + "; ".join(self.reasons)


async def bootstrap(admin_url: str, database: str, owner_password: str, app_password: str) -> None:
    """Make the two login roles and the database, as a superuser of the server. Running it again changes passwords only."""
    async with _autocommit(admin_url) as server:
        for role, password in ((OWNER_ROLE, owner_password), (APP_ROLE, app_password)):
            if not await server.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}):
                await server.exec_driver_sql(f"CREATE ROLE {role}")
            await server.exec_driver_sql(f"ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{_plain(password)}'")
        if not await server.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": database}):
            await server.exec_driver_sql(f'CREATE DATABASE "{_plain(database)}" OWNER {OWNER_ROLE}')
    async with _autocommit(make_url(admin_url).set(database=database).render_as_string(hide_password=False)) as inside:
        await inside.exec_driver_sql(f'REVOKE TEMPORARY ON DATABASE "{_plain(database)}" FROM PUBLIC')
        await inside.exec_driver_sql("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        await inside.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {APP_ROLE}")
        await inside.exec_driver_sql(f"GRANT ALL ON SCHEMA public TO {OWNER_ROLE}")


async def migrate_public(owner_url: str) -> None:
    """Bring the tables above districts to this version."""
    await _upgrade(owner_url, "public", "public")


async def migrate(owner_url: str, code: str) -> None:
    """Bring one district's schema to this version, in one transaction."""
    await _upgrade(owner_url, schema_of(code), "district")


async def create(owner_url: str, code: str, name: str, mode: str = "live") -> None:
    """Enter a district and build its schema.

    Raises BadInput `districts.code`, Conflict where the code is known, or live and sample would share a database.
    """
    if not re.fullmatch(r"[0-9]{6}", code):
        raise BadInput("districts.code", "区县代码须为六位数字")
    await migrate_public(owner_url)
    database = Database(owner_url)
    try:
        async with database.public() as session:
            known = (await session.scalars(select(DistrictEntry))).all()
            if any(entry.code == code for entry in known):
                raise Conflict("districts.known", "该区县已存在")
            if any((entry.mode == "sample") != (mode == "sample") for entry in known):
                raise Conflict("districts.mixed_modes", "示例区县与正式区县不能共用一个数据库")
            session.add(DistrictEntry(code=code, name=name, mode=mode, created_at=clock.now()))
    finally:
        await database.aclose()
    await migrate(owner_url, code)


async def connect_bank(owner_url: str, slug: str, district: str, adapter: str, base_url: str) -> None:
    """Enter a connection to a bank, or give a known one a new address."""
    database = Database(owner_url)
    try:
        async with database.public() as session:
            await session.merge(BankConnection(slug=slug, district=district, adapter=adapter, base_url=base_url))
    finally:
        await database.aclose()


async def entries(database: Database) -> list[DistrictEntry]:
    """All districts of this database, by code."""
    async with database.public() as session:
        return list(await session.scalars(select(DistrictEntry).order_by(DistrictEntry.code)))


async def connections(database: Database) -> list[BankConnection]:
    """All connections to banks."""
    async with database.public() as session:
        return list(await session.scalars(select(BankConnection).order_by(BankConnection.slug)))


async def mode_of(database: Database, code: str) -> str:
    """A district's mode. Raises NotFound."""
    for entry in await entries(database):
        if entry.code == code:
            return entry.mode
    raise NotFound("districts.unknown", "没有这个区县")


async def default_district(database: Database, configured: str = "") -> str:
    """The district that is meant where none is named: the configured one, or the only one. Raises NotFound."""
    codes = [entry.code for entry in await entries(database)]
    if configured in codes:
        return configured
    if len(codes) == 1:
        return codes[0]
    raise NotFound("districts.unnamed", "请指明区县")


@lru_cache
def head_of(kind: str) -> str | None:
    """The newest revision of `public` or `district` migrations."""
    return ScriptDirectory.from_config(_config(kind)).get_current_head()


async def behind(database: Database) -> list[str]:
    """Codes of districts whose schema is not at this version."""
    late = []
    for entry in await entries(database):
        async with database.district(entry.code).reading() as session:
            revision = await session.scalar(text("SELECT version_num FROM alembic_version"))
        if revision != head_of("district"):
            late.append(entry.code)
    return late


def unsafe_reasons(settings: Settings, found: Iterable[DistrictEntry], banks: Iterable[BankConnection], sample_users: int) -> list[str]:
    """Why these settings must not serve these districts; empty when they may.

    `sample_users` counts sign-ins that the sample line made in live districts.
    """
    listed, reasons = list(found), _unfit_secrets(settings)
    live = {entry.code for entry in listed if entry.mode == "live"}
    if live and len(live) < sum(entry.mode in ("live", "sample") for entry in listed):
        reasons.append("live and sample districts share this database")
    if not live:
        return reasons
    for bank in banks:
        if bank.district in live and bank.adapter == "mock":
            reasons.append(f"the live district {bank.district} is connected to the mock bank")
        if bank.district in live and bank.slug not in settings.bank_keys:
            reasons.append(f"ESCROW_BANK_KEYS lacks the connection {bank.slug}")
    if settings.sms == "console":
        reasons.append("a live district would print its sign-in codes on the console (ESCROW_SMS)")
    if settings.sample_sign_in or sample_users:
        reasons.append("a live district has sample users")
    return reasons


async def refuse_unsafe_start(database: Database, settings: Settings) -> None:
    """Raises UnsafeStart with every reason why these settings must not serve this database."""
    listed, sample_users = await entries(database), 0
    for entry in listed:
        if entry.mode == "live":
            async with database.district(entry.code).reading() as session:
                sample_users += await session.scalar(text("SELECT count(*) FROM staff WHERE username LIKE 'sample-%'")) or 0
    reasons = unsafe_reasons(settings, listed, await connections(database), sample_users)
    if not crypto.misfits(settings):
        unread = [entry.code for entry in listed if not await _opened(database.district(entry.code), settings)]
        reasons += [f"ESCROW_DATA_KEY and ESCROW_INDEX_KEY are not those of the district {code}" for code in unread]
    if reasons:
        raise UnsafeStart(tuple(reasons))


def _unfit_secrets(settings: Settings) -> list[str]:
    missing = [
        f"ESCROW_{name.upper()}" for name in ("secret_key", "data_key", "index_key") if not getattr(settings, name).get_secret_value()
    ]
    reasons = [f"{name} is missing" for name in missing]
    reasons += [f"{name} is not 32 bytes in base64" for name in crypto.misfits(settings) if name not in missing]
    if 0 < len(settings.secret_key.get_secret_value()) < _SECRET_CHARACTERS:
        reasons.append(f"ESCROW_SECRET_KEY is shorter than {_SECRET_CHARACTERS} characters")
    return reasons


async def _opened(district: District, settings: Settings) -> bool:
    async with district.reading() as session:
        return await sealing.keys_fit(session, settings)


def _plain(word: str) -> str:
    """A name or password that needs no quoting. Raises ValueError for anything else."""
    if not re.fullmatch(r"[A-Za-z0-9_.~-]+", word):
        raise ValueError("letters, digits and _ . ~ - only")
    return word


@asynccontextmanager
async def _autocommit(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


def _config(kind: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("version_locations", str(_MIGRATIONS / kind))
    config.set_main_option("path_separator", "os")
    return config


async def _upgrade(owner_url: str, schema: str, kind: str) -> None:
    engine = create_async_engine(owner_url)

    def upgrade(connection: Connection) -> None:
        config = _config(kind)
        config.attributes.update(connection=connection, schema=schema)
        command.upgrade(config, "head")

    try:
        async with engine.begin() as connection:
            if schema != "public":
                await connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()
