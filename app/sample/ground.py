"""Where a sample stands: its database, with the roles and the tables, and districts that nothing real will ever use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, text

from app import districts
from app.db import Database, schema_of
from app.districts import APP_ROLE, OWNER_ROLE, DistrictEntry
from app.embedded import EmbeddedPostgres
from app.errors import Conflict, NotFound
from app.sample.installation import Installation
from app.settings import settings

CONNECTION = "mock"
_DATABASE = "escrow"
_NEIGHBOURS = {
    "510181": "都江堰市",
    "510182": "彭州市",
    "510183": "邛崃市",
    "510184": "崇州市",
    "510185": "简阳市",
    "510104": "锦江区",
    "510105": "青羊区",
    "510106": "金牛区",
    "510107": "武侯区",
    "510108": "成华区",
    "510113": "青白江区",
    "510114": "新都区",
    "510115": "温江区",
    "510116": "双流区",
    "510117": "郫都区",
    "510118": "新津区",
    "510121": "金堂县",
    "510129": "大邑县",
    "510131": "蒲江县",
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """One database, as the role that owns the tables and as the role that serves."""

    owner: str
    app: str


def refuse_configured_database() -> None:
    """Invented people never go into a configured database unasked. Raises Conflict `sample.database_url`."""
    if os.environ.get("DATABASE_URL"):
        raise Conflict(
            "sample.database_url",
            "已设置 DATABASE_URL，示例数据不会写入其中：请先取消该设置，或在 run-sample 后明确加上 --into-database-url",
        )


def configured() -> Addresses:
    """The configured database. Raises NotFound `sample.no_database_url`."""
    if not settings().database_url or not settings().owner_database_url:
        raise NotFound("sample.no_database_url", "--into-database-url 需要同时设置 DATABASE_URL 与 ESCROW_OWNER_DATABASE_URL")
    return Addresses(settings().owner_database_url, settings().database_url)


@contextmanager
def at_hand(folder: Path) -> Iterator[str]:
    """Where the application's role finds the configured database, or else the sample's own, which runs for the length of the block.

    Raises NotFound `sample.no_database`.
    """
    if settings().database_url:
        yield settings().database_url
        return
    if not (folder / "pg" / "PG_VERSION").exists():
        raise NotFound("sample.no_database", "请先设置 DATABASE_URL，或运行 make run 生成示例")
    installation = Installation(folder)
    installation.adopt()
    with installation.postgres() as server:
        yield server.url(APP_ROLE, _DATABASE)


async def embedded(installation: Installation, server: EmbeddedPostgres) -> Addresses:
    """The installation's own database, made where it does not exist yet."""
    passwords = installation.secrets["owner_password"], installation.secrets["app_password"]
    await districts.bootstrap(server.url("postgres", "postgres"), _DATABASE, *passwords)
    return Addresses(server.url(OWNER_ROLE, _DATABASE), server.url(APP_ROLE, _DATABASE))


async def bring_up_to_date(addresses: Addresses) -> list[str]:
    """Migrate what is above districts and every sample district; the codes of all districts."""
    await districts.migrate_public(addresses.owner)
    entries = await _entries(addresses)
    for entry in entries:
        if entry.mode == "sample":
            await districts.migrate(addresses.owner, entry.code)
    return [entry.code for entry in entries]


async def neighbour(addresses: Addresses, code: str | None) -> tuple[str, str]:
    """Code and name for a district to simulate: the given one, or the first that is not there yet. Raises Conflict `districts.known`."""
    known = [entry.code for entry in await _entries(addresses)]
    if code is None:
        code = next((each for each in _NEIGHBOURS if each not in known), None)
    if code is None or code in known:
        raise Conflict("districts.known", "该区县已存在：请用 --district 另选一个代码")
    return code, name_of(code)


def name_of(code: str) -> str:
    """What a simulated district of this code is called."""
    return _NEIGHBOURS.get(code, f"模拟区县{code}")


async def discard(addresses: Addresses, code: str) -> None:
    """Drop a sample district whose set-up was interrupted, so that it can begin anew. Raises Conflict for any other mode."""
    database = Database(addresses.owner)
    try:
        if await districts.mode_of(database, code) != "sample":
            raise Conflict("districts.mixed_modes", f"{code} 不是示例区县")
        async with database.public() as session:
            await session.execute(text(f"DROP SCHEMA {schema_of(code)} CASCADE"))
            await session.execute(delete(districts.BankConnection).where(districts.BankConnection.district == code))
            await session.execute(delete(DistrictEntry).where(DistrictEntry.code == code))
    finally:
        await database.aclose()


async def _entries(addresses: Addresses) -> list[DistrictEntry]:
    database = Database(addresses.owner)
    try:
        return await districts.entries(database)
    finally:
        await database.aclose()
