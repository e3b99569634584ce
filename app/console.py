"""What the operator's commands share: where the database is, one sentence for an error, and a status of 1."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, NoReturn, TypeVar

import httpx
import typer
from rich.console import Console
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app import districts
from app.db import Database, District
from app.districts import UnsafeStart
from app.errors import DomainError
from app.sample.ground import at_hand
from app.sample.people import Unexpected
from app.sample.processes import Ended
from app.settings import settings

T = TypeVar("T")

OPERATOR = "operator"
"""The actor of what is done from here."""
DistrictCode = Annotated[str, typer.Option("--district", help="GB/T 2260 code; by default the only or configured one.")]

console = Console(soft_wrap=True)


@asynccontextmanager
async def database_at(url: str) -> AsyncIterator[Database]:
    """The database at an address."""
    database = Database(url, pool_size=4)
    try:
        yield database
    finally:
        await database.aclose()


@asynccontextmanager
async def served() -> AsyncIterator[Database]:
    """The database that the service serves, or the sample's where none is configured."""
    with at_hand(settings().data_dir) as url:
        async with database_at(url) as database:
            yield database


@asynccontextmanager
async def home_of(code: str) -> AsyncIterator[District]:
    """The district of this code, or the only or configured one."""
    async with served() as database:
        known = code or await districts.default_district(database, settings().district)
        await districts.mode_of(database, known)
        yield database.district(known)


def configured(name: str, url: str) -> str:
    """An address that must be configured."""
    if not url:
        fail(f"请先设置 {name}")
    return url


def run(work: Coroutine[Any, Any, T], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Do the work; whatever is refused or out of reach ends the command with one sentence."""
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(work)
    except DomainError as refused:
        fail(f"{refused.message_zh}（{refused.code}）")
    except (UnsafeStart, Ended, Unexpected) as error:
        fail(str(error))
    except DBAPIError as error:
        fail(f"数据库拒绝了操作：{type(error.orig.__cause__ if error.orig else error).__name__}")
    except httpx.HTTPError as error:
        fail(f"服务没有正常应答，请确认 make run 正在运行：{type(error).__name__}")
    except (SQLAlchemyError, OSError) as error:
        fail(f"无法连接数据库：{type(error).__name__}")


def fail(sentence: str) -> NoReturn:
    """End the command with status 1."""
    Console(stderr=True, soft_wrap=True).print(sentence, markup=False, style="red")
    raise typer.Exit(1)
