"""Where measurements stand: a PostgreSQL of their own with its usual durability, and a district that has been at work for a while."""

import base64
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from app import crypto, districts
from app import settings as settings_module
from app.embedded import EmbeddedPostgres

DISTRICT = "510112"
NAMED = 1_000
"""Families whose pages can be shown."""
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Size:
    """How much a district holds. Every family has one contract; `confirmed` of its lessons are confirmed, the others delivered."""

    institutions: int
    families: int
    lessons: int
    confirmed: int
    seats: int = 50
    price: int = 10_000
    began: str = "TIMESTAMPTZ '2026-01-01 00:00:00+00'"

    @property
    def transfers(self) -> int:
        """How many the books hold."""
        return self.institutions * self.families * (2 + self.confirmed)

    @property
    def all_families(self) -> int:
        return self.institutions * self.families

    def fill(self, script: str) -> str:
        """A script of this folder with these numbers in it."""
        numbers = {name: getattr(self, name) for name in self.__dataclass_fields__}
        text = (_HERE / script).read_text("utf-8")
        return text.format(**numbers, district=DISTRICT, classes=-(-self.families // self.seats))


@dataclass(frozen=True)
class Ground:
    """A server and the addresses on it."""

    postgres: EmbeddedPostgres

    def url(self, role: str, database: str) -> str:
        """An address in SQLAlchemy's form; the roles are postgres, escrow_owner, escrow_app."""
        return self.postgres.url(role, database)

    async def connect(self, role: str, database: str) -> asyncpg.Connection:
        """A bare connection in the district's schema."""
        dsn = make_url(self.url(role, database)).set(drivername="postgresql").render_as_string(hide_password=False)
        return await asyncpg.connect(dsn, server_settings={"search_path": f"d{DISTRICT}"})

    async def database(self, name: str, size: Size | None = None) -> str:
        """A new database with the migrated district, loaded where a size is given; its name."""
        await districts.bootstrap(self.url("postgres", "postgres"), name, "bench", "bench")
        await districts.create(self.url("escrow_owner", name), DISTRICT, "龙泉驿区", mode="sample")
        if size is not None:
            await self._load(name, size)
        return name

    async def run(self, database: str, script: str) -> None:
        """Run a script as the owner of the district's tables."""
        connection = await self.connect("escrow_owner", database)
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    async def _load(self, name: str, size: Size) -> None:
        connection = await self.connect("postgres", name)
        try:
            await connection.execute(size.fill("district.sql"))
            with tempfile.TemporaryFile() as transfers:
                await connection.copy_from_query(size.fill("transfers.sql"), output=transfers, format="binary")
                transfers.seek(0)
                await connection.copy_to_table("transfer", source=transfers, format="binary")
            await connection.execute(size.fill("sealed.sql"))
            await _name_people(connection)
            # Else the server would be busy with what was loaded while it is measured.
            await connection.execute("VACUUM")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()


async def _name_people(connection: asyncpg.Connection) -> None:
    """Give the first families phones and names under this installation's keys, so that pages can show them.

    The last row of each table too: start-up tries both ends.
    """
    ends = "(SELECT id FROM {0} ORDER BY id LIMIT $1) UNION (SELECT id FROM {0} ORDER BY id DESC LIMIT 1)"
    guardians = await connection.fetch(ends.format("guardian"), NAMED)
    students = await connection.fetch(ends.format("student"), NAMED)
    movements = await connection.fetch(ends.format("bank_movement"), 1)
    phones = [f"+86138{number:08d}" for number in range(len(guardians))]
    await connection.executemany(
        "UPDATE guardian SET phone_index = $2, phone_enc = $3 WHERE id = $1",
        [
            (row["id"], crypto.phone_index(phone), crypto.seal(phone, f"guardian.phone:{row['id']}"))
            for row, phone in zip(guardians, phones, strict=True)
        ],
    )
    await connection.executemany(
        "UPDATE student SET name_enc = $2, birth_month_enc = $3 WHERE id = $1",
        [
            (row["id"], crypto.seal("王小明", f"student.name:{row['id']}"), crypto.seal("2017-05", f"student.birth_month:{row['id']}"))
            for row in students
        ],
    )
    await connection.executemany(
        "UPDATE bank_movement SET counterparty_enc = $2 WHERE id = $1",
        [(row["id"], crypto.seal("[]", f"bank_movement.counterparty:{row['id']}")) for row in movements],
    )


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """A server for the length of the block, with secrets of its own in the environment."""
    for name in ("SECRET", "DATA", "INDEX"):
        os.environ[f"ESCROW_{name}_KEY"] = base64.b64encode(secrets.token_bytes(32)).decode()
    settings_module.settings.cache_clear()
    with tempfile.TemporaryDirectory(prefix="escrow-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "pg", extra_config="max_wal_size = 8GB\nshared_buffers = 2GB\n")
        server.start()
        try:
            yield Ground(server)
        finally:
            server.stop()
