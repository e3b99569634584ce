"""The operator's command line: `python -m app.cli --help`. Every command calls a function; an error is one sentence and a status of 1."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from uuid import UUID

import httpx
import typer
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app import districts, security
from app.db import Database, District
from app.districts import APP_ROLE, OWNER_ROLE, UnsafeStart
from app.errors import DomainError, NotFound
from app.ledger import export as books
from app.ledger.check import check_books as broken_rows
from app.ledger.journal import Scope
from app.money import yuan
from app.portals.glossary import glossary
from app.registry import service as registry
from app.registry.models import Institution
from app.registry.rules import InstitutionDraft
from app.sample.demo import play as play_demo
from app.sample.diary import Simulation
from app.sample.ground import at_hand
from app.sample.people import Unexpected
from app.sample.processes import Ended, fast_loop
from app.sample.run import run_sample as serve_sample
from app.sample.simulate import simulate as play_simulation
from app.settings import Settings, settings
from app.supervision import service as supervision
from app.supervision.rules import Lines

T = TypeVar("T")

OPERATOR = "operator"
"""The actor of what is done from here."""
OPENAPI = Path(__file__).parent.parent / "openapi" / "openapi.json"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Operate the tuition escrow service.")
district_commands = typer.Typer(no_args_is_help=True, help="Districts (区县).")
staff_commands = typer.Typer(no_args_is_help=True, help="People who sign in with a password.")
institution_commands = typer.Typer(no_args_is_help=True, help="Institutions (机构).")
app.add_typer(district_commands, name="district")
app.add_typer(staff_commands, name="staff")
app.add_typer(institution_commands, name="institution")
console = Console(soft_wrap=True)


class Mode(StrEnum):
    """What a district may be made as; a sample is made by `run-sample` and `simulate` alone."""

    live = "live"
    drill = "drill"
    restored = "restored"


class StaffRole(StrEnum):
    """The ends that people sign in to with a password."""

    institution = "institution"
    settlement = "settlement"
    supervision = "supervision"


DistrictCode = Annotated[str, typer.Option("--district", help="GB/T 2260 code; by default the only or configured one.")]
AdminUrl = Annotated[str, typer.Option(envvar="ESCROW_ADMIN_DATABASE_URL", show_envvar=True, help="The server, as a superuser.")]


@app.command()
def bootstrap(admin_url: AdminUrl) -> None:
    """Make the two database roles and the database of ESCROW_OWNER_DATABASE_URL and DATABASE_URL, with the passwords given there."""
    owner = make_url(_configured("ESCROW_OWNER_DATABASE_URL", settings().owner_database_url))
    serving = make_url(_configured("DATABASE_URL", settings().database_url))
    if (owner.username, serving.username) != (OWNER_ROLE, APP_ROLE) or owner.database != serving.database or not owner.database:
        _fail(f"两个地址的用户须分别为 {OWNER_ROLE} 与 {APP_ROLE}，并指向同一个数据库")
    if not owner.password or not serving.password:
        _fail("两个地址都须带密码")
    _run(districts.bootstrap(admin_url, owner.database, str(owner.password), str(serving.password)))
    for url in (owner, serving):
        console.print(url.render_as_string(hide_password=True))


@app.command()
def migrate() -> None:
    """Bring the tables above districts, and every district, to this version; one transaction each."""

    async def work(owner_url: str) -> None:
        await districts.migrate_public(owner_url)
        async with _database(owner_url) as database:
            entries = await districts.entries(database)
        for entry in entries:
            await districts.migrate(owner_url, entry.code)
            console.print(f"{entry.code} {entry.name}")

    _run(work(_configured("ESCROW_OWNER_DATABASE_URL", settings().owner_database_url)))


@district_commands.command("create")
def create_district(code: str, name: str, mode: Annotated[Mode, typer.Option()] = Mode.live) -> None:
    """Enter a district and build its schema."""
    _run(districts.create(_configured("ESCROW_OWNER_DATABASE_URL", settings().owner_database_url), code, name, mode.value))
    console.print(f"{code} {name} ({mode.value})")


@district_commands.command("connect-bank")
def connect_bank(slug: str, base_url: str, district: str, adapter: Annotated[str, typer.Option()] = "mock") -> None:
    """Enter a district's connection to a bank, or give a known one a new address. Its keys stand in ESCROW_BANK_KEYS."""
    _run(districts.connect_bank(_configured("ESCROW_OWNER_DATABASE_URL", settings().owner_database_url), slug, district, adapter, base_url))
    console.print(f"{slug} → {district} ({adapter})")


@institution_commands.command("create")
def create_institution(
    credit_code: Annotated[str, typer.Option(prompt=True, help="统一社会信用代码")],
    name: Annotated[str, typer.Option(prompt=True)],
    kind: Annotated[str, typer.Option(prompt=True, help="subject, arts, sports, science or other")],
    address: Annotated[str, typer.Option(prompt=True)],
    connection: Annotated[str, typer.Option(prompt=True, help="Slug of the connection to the bank of both accounts.")],
    supervised_no: Annotated[str, typer.Option(prompt=True, help="监管账户")],
    settlement_no: Annotated[str, typer.Option(prompt=True, help="结算账户")],
    district: DistrictCode = "",
) -> None:
    """Enter an institution, open its book and bind its two bank accounts."""

    async def work() -> Institution:
        draft = InstitutionDraft(credit_code, name, kind, address, connection, supervised_no, settlement_no)
        async with _district(district) as home, home.transaction() as session:
            return await registry.create_institution(session, draft)

    console.print(str(_run(work()).id))


@staff_commands.command("create")
def create_staff(
    role: StaffRole,
    username: str,
    name: Annotated[str, typer.Option(prompt=True, help="The name that others see.")],
    institution: Annotated[str, typer.Option(help="The credit code of an institution's staff's institution.")] = "",
    district: DistrictCode = "",
) -> None:
    """Enter a member of staff. The password is asked for, or read as a line from standard input."""
    if (role is StaffRole.institution) != bool(institution):
        _fail("机构人员须用 --institution 指明机构的统一社会信用代码，其他人员不填")
    password = _password()

    async def work() -> None:
        async with _district(district) as home, home.transaction() as session:
            institution_id = (await _institution(session, institution)).id if institution else None
            await security.create_staff(session, role.value, username, password, name, institution_id)

    _run(work())
    console.print(f"{username} ({role.value})")


@app.command()
def thresholds(
    institution: Annotated[str, typer.Argument(help="The institution's credit code.")],
    large_transfer_fen: int | None = None,
    large_day_fen: int | None = None,
    minimum_balance_fen: int | None = None,
    district: DistrictCode = "",
) -> None:
    """Show an institution's alarm lines, or set those that are given. Fen."""

    async def work() -> Lines:
        async with _district(district) as home, home.transaction() as session:
            institution_id = (await _institution(session, institution)).id
            before = await supervision.lines_of(session, institution_id)
            wanted = Lines(
                before.large_transfer_fen if large_transfer_fen is None else large_transfer_fen,
                before.large_day_fen if large_day_fen is None else large_day_fen,
                before.minimum_balance_fen if minimum_balance_fen is None else minimum_balance_fen,
            )
            if wanted != before:
                await supervision.set_thresholds(session, OPERATOR, institution_id, wanted)
            return wanted

    lines = _run(work())
    console.print(
        f"单笔大额 {yuan(lines.large_transfer_fen)}　当日大额 {yuan(lines.large_day_fen)}　最低余额 {yuan(lines.minimum_balance_fen)}"
    )


@app.command("check-books")
def check_books(
    book: Annotated[UUID | None, typer.Option(help="The id of one institution.")] = None,
    district: Annotated[str, typer.Option(help="One district; by default all.")] = "",
) -> None:
    """Hold every invariant against the books; names each broken row, and ends with status 1 where there is one."""

    async def work() -> int:
        found = 0
        async with _serving() as database:
            codes = [entry.code for entry in await districts.entries(database)]
            if district and district not in codes:
                raise NotFound("districts.unknown", "没有这个区县")
            for code in [district] if district else codes:
                async with database.district(code).reading() as session:
                    findings = await broken_rows(session, book)
                for each in findings:
                    console.print(f"{code} {each.name}: {each.sentence} | {each.book_id or ''} {each.row} {each.detail}", markup=False)
                found += len(findings)
        return found

    broken = _run(work())
    console.print(f"发现 {broken} 处不符" if broken else "账簿核对无误")
    raise typer.Exit(min(broken, 1))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to; its ending says what: .beancount, .csv or .xlsx.")],
    book: Annotated[UUID | None, typer.Option(help="The id of one institution; by default all.")] = None,
    from_on: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day; by default from the start.")] = None,
    to_on: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day; by default up to now.")] = None,
    district: DistrictCode = "",
) -> None:
    """Write the books, or a part of them, to a file for auditors."""
    form = next((form for form in books.FORMS if file.name.endswith(f".{form.suffix}")), None)
    if form is None:
        _fail("文件名须以 .beancount、.csv 或 .xlsx 结尾")
    unfinished = file.with_name(f"{file.name}.part")

    async def work() -> None:
        scope = Scope(book, from_on and from_on.date(), to_on and to_on.date())
        async with _district(district) as home:
            async with home.transaction() as session:
                await books.record(session, OPERATOR, form, scope)
                words = await glossary(session)
            async for part in books.stream(home, form, scope, words):
                out.write(part)

    try:
        with unfinished.open("wb") as out:
            _run(work())
        unfinished.replace(file)
    except OSError as error:
        _fail(f"无法写入文件：{type(error).__name__}")
    finally:
        unfinished.unlink(missing_ok=True)
    console.print(str(file), markup=False)


@app.command("run-sample")
def run_sample(
    into_database_url: Annotated[bool, typer.Option("--into-database-url", help="Not embedded: in DATABASE_URL.")] = False,
) -> None:
    """Set the sample district up and serve it until Ctrl-C: database, mock bank, worker and web."""
    _run(serve_sample(settings().data_dir, into_database_url, console))


@app.command()
def simulate(
    institutions: Annotated[int, typer.Option(min=1, max=500)] = 10,
    days: Annotated[int, typer.Option(min=1, max=366)] = 30,
    seed: int = 1,
    volume_yuan: Annotated[int | None, typer.Option("--yuan", min=1_000, help="What families shall pay in all.")] = None,
    district: Annotated[str | None, typer.Option(help="A code that is not in use; by default a neighbour's.")] = None,
) -> None:
    """Play some time of an invented district against a mock bank, ending today, and check its books; a killed one goes on."""
    wanted = Simulation(institutions, days, seed, volume_yuan)
    holds = _run(play_simulation(settings().data_dir, wanted, district, console), fast_loop())
    raise typer.Exit(0 if holds else 1)


@app.command()
def demo() -> None:
    """Play the story of one contract against the running sample, and show where every yuan went."""
    _run(play_demo(settings().data_dir, console))


@app.command()
def openapi() -> None:
    """Write openapi/openapi.json anew from the routes."""
    from app.main import create_app  # importing every route takes longer than most commands

    OPENAPI.write_text(json.dumps(create_app(Settings()).openapi(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=4)
    try:
        yield database
    finally:
        await database.aclose()


@asynccontextmanager
async def _serving() -> AsyncIterator[Database]:
    with at_hand(settings().data_dir) as url:
        async with _database(url) as database:
            yield database


@asynccontextmanager
async def _district(code: str) -> AsyncIterator[District]:
    async with _serving() as database:
        known = code or await districts.default_district(database, settings().district)
        await districts.mode_of(database, known)
        yield database.district(known)


async def _institution(session: AsyncSession, credit_code: str) -> Institution:
    found = await session.scalar(select(Institution).where(Institution.credit_code == credit_code))
    if found is None:
        raise NotFound("registry.institution_not_found", "没有这家机构")
    return found


def _configured(name: str, url: str) -> str:
    if not url:
        _fail(f"请先设置 {name}")
    return url


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("密码", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _run(work: Coroutine[Any, Any, T], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(work)
    except DomainError as refused:
        _fail(f"{refused.message_zh}（{refused.code}）")
    except (UnsafeStart, Ended, Unexpected) as error:
        _fail(str(error))
    except DBAPIError as error:
        _fail(f"数据库拒绝了操作：{type(error.orig.__cause__ if error.orig else error).__name__}")
    except httpx.HTTPError as error:
        _fail(f"服务没有正常应答，请确认 make run 正在运行：{type(error).__name__}")
    except (SQLAlchemyError, OSError) as error:
        _fail(f"无法连接数据库：{type(error).__name__}")


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(sentence, markup=False, style="red")
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
