"""The operator's command line: `python -m app.cli --help`. Every command calls a function; an error is one sentence and a status of 1."""

import json
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.progress import Progress
from sqlalchemy.engine import make_url

from app import crypto, districts, security
from app.bulk_commands import import_file
from app.console import OPERATOR, DistrictCode, configured, console, database_at, fail, home_of, run, served
from app.db import District
from app.districts import APP_ROLE, OWNER_ROLE
from app.errors import NotFound
from app.ledger import export as books
from app.ledger.check import check_side_by_side
from app.ledger.journal import Scope
from app.money import yuan
from app.policy_commands import commands as policy_commands
from app.portals.glossary import glossary
from app.registry import institutions
from app.registry.institution_queries import institution_by_code
from app.registry.models import Institution
from app.registry.rules import Contact, InstitutionDraft, Licence
from app.rotation import StillWritten, Unopened, rotate
from app.sample.demo import play as play_demo
from app.sample.diary import Simulation
from app.sample.processes import fast_loop
from app.sample.run import run_sample as serve_sample
from app.sample.simulate import simulate as play_simulation
from app.sealing import SEALED
from app.settings import Settings, settings
from app.supervision import service as supervision
from app.supervision.rules import Lines

OPENAPI = Path(__file__).parent.parent / "openapi" / "openapi.json"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Operate the tuition escrow service.")
district_commands = typer.Typer(no_args_is_help=True, help="Districts (区县).")
staff_commands = typer.Typer(no_args_is_help=True, help="People who sign in with a password.")
institution_commands = typer.Typer(no_args_is_help=True, help="Institutions (机构).")
app.add_typer(district_commands, name="district")
app.add_typer(staff_commands, name="staff")
app.add_typer(institution_commands, name="institution")
app.add_typer(policy_commands, name="policy")
app.command("import")(import_file)


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


AdminUrl = Annotated[str, typer.Option(envvar="ESCROW_ADMIN_DATABASE_URL", show_envvar=True, help="The server, as a superuser.")]


@app.command()
def bootstrap(admin_url: AdminUrl) -> None:
    """Make the two database roles and the database of ESCROW_OWNER_DATABASE_URL and DATABASE_URL, with the passwords given there."""
    owner = make_url(configured("ESCROW_OWNER_DATABASE_URL", settings().owner_database_url))
    serving = make_url(configured("DATABASE_URL", settings().database_url))
    if (owner.username, serving.username) != (OWNER_ROLE, APP_ROLE) or owner.database != serving.database or not owner.database:
        fail(f"两个地址的用户须分别为 {OWNER_ROLE} 与 {APP_ROLE}，并指向同一个数据库")
    if not owner.password or not serving.password:
        fail("两个地址都须带密码")
    run(districts.bootstrap(admin_url, owner.database, str(owner.password), str(serving.password)))
    for url in (owner, serving):
        console.print(url.render_as_string(hide_password=True))


@app.command()
def migrate() -> None:
    """Bring the tables above districts, and every district, to this version; one transaction each."""

    async def work(owner_url: str) -> None:
        await districts.migrate_public(owner_url)
        async with database_at(owner_url) as database:
            entries = await districts.entries(database)
        for entry in entries:
            await districts.migrate(owner_url, entry.code)
            console.print(f"{entry.code} {entry.name}")

    run(work(configured("ESCROW_OWNER_DATABASE_URL", settings().owner_database_url)))


@district_commands.command("create")
def create_district(code: str, name: str, mode: Annotated[Mode, typer.Option()] = Mode.live) -> None:
    """Enter a district and build its schema."""
    run(districts.create(configured("ESCROW_OWNER_DATABASE_URL", settings().owner_database_url), code, name, mode.value))
    console.print(f"{code} {name} ({mode.value})")


@district_commands.command("connect-bank")
def connect_bank(slug: str, base_url: str, district: str, adapter: Annotated[str, typer.Option()] = "mock") -> None:
    """Enter a district's connection to a bank, or give a known one a new address. Its keys stand in ESCROW_BANK_KEYS."""
    run(districts.connect_bank(configured("ESCROW_OWNER_DATABASE_URL", settings().owner_database_url), slug, district, adapter, base_url))
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
    stage: Annotated[str | None, typer.Option(help="学段, which subject training must have: preschool, primary, middle or high")] = None,
    for_profit: Annotated[bool | None, typer.Option("--for-profit/--non-profit")] = None,
    legal_representative: Annotated[str | None, typer.Option(help="法定代表人")] = None,
    licence_no: Annotated[str, typer.Option(help="办学许可证号; with the other four of the licence, or none of them")] = "",
    licence_issuer: Annotated[str, typer.Option(help="发证机关")] = "",
    licence_scope: Annotated[str, typer.Option(help="办学范围")] = "",
    licence_from: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day")] = None,
    licence_to: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day")] = None,
    contact_name: Annotated[str, typer.Option(help="Whom officers call, with the phone or not at all")] = "",
    contact_phone: Annotated[str, typer.Option(help="A mobile number")] = "",
    district: DistrictCode = "",
) -> None:
    """Enter an approved institution, open its book and bind its two bank accounts; nobody asks the bank whose they are."""
    licence = None
    if licence_from and licence_to:
        licence = Licence(licence_no, licence_issuer, licence_scope, licence_from.date(), licence_to.date())
    elif licence_no or licence_issuer or licence_scope or licence_from or licence_to:
        fail("许可证须填全：许可证号、发证机关、办学范围、起止日期")
    contact = Contact(contact_name, contact_phone) if contact_name or contact_phone else None
    draft = InstitutionDraft(
        credit_code,
        name,
        kind,
        address,
        connection,
        supervised_no,
        settlement_no,
        licence=licence,
        stage=stage,
        for_profit=for_profit,
        legal_representative=legal_representative,
        contact=contact,
    )

    async def work() -> Institution:
        async with home_of(district) as home, home.transaction() as session:
            return await institutions.create_institution(session, draft)

    console.print(str(run(work()).id))


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
        fail("机构人员须用 --institution 指明机构的统一社会信用代码，其他人员不填")
    password = _password()

    async def work() -> None:
        async with home_of(district) as home, home.transaction() as session:
            institution_id = (await institution_by_code(session, institution)).id if institution else None
            await security.create_staff(session, role.value, username, password, name, institution_id)

    run(work())
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
        async with home_of(district) as home, home.transaction() as session:
            institution_id = (await institution_by_code(session, institution)).id
            before = await supervision.lines_of(session, institution_id)
            wanted = Lines(
                before.large_transfer_fen if large_transfer_fen is None else large_transfer_fen,
                before.large_day_fen if large_day_fen is None else large_day_fen,
                before.minimum_balance_fen if minimum_balance_fen is None else minimum_balance_fen,
            )
            if wanted != before:
                await supervision.set_thresholds(session, OPERATOR, institution_id, wanted)
            return wanted

    lines = run(work())
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
        async with served() as database:
            codes = [entry.code for entry in await districts.entries(database)]
            if district and district not in codes:
                raise NotFound("districts.unknown", "没有这个区县")
            for code in [district] if district else codes:
                findings = await check_side_by_side(database.district(code), book)
                for each in findings:
                    console.print(f"{code} {each.name}: {each.sentence} | {each.book_id or ''} {each.row} {each.detail}", markup=False)
                found += len(findings)
        return found

    broken = run(work())
    console.print(f"发现 {broken} 处不符" if broken else "账簿核对无误")
    raise typer.Exit(min(broken, 1))


@app.command("rotate-keys")
def rotate_keys(district: Annotated[str, typer.Option(help="One district; by default all.")] = "") -> None:
    """Seal all personal data with ESCROW_DATA_KEY, and find phones by ESCROW_INDEX_KEY; the service may run meanwhile.

    Beforehand every process was restarted with the new keys, and with the old ones in ESCROW_FORMER_DATA_KEYS and
    ESCROW_FORMER_INDEX_KEYS. An interrupted run goes on where it stopped; afterwards the former keys are needed for old backups only.
    """

    async def work(owner_url: str) -> int:
        resealed = 0
        async with database_at(owner_url) as database:
            known = [entry.code for entry in await districts.entries(database)]
            if district and district not in known:
                raise NotFound("districts.unknown", "没有这个区县")
            for code in [district] if district else known:
                for table in SEALED:
                    resealed += await _rotated(database.district(code), table)
        return resealed

    if unfit := crypto.misfits(settings()):
        fail(f"{'、'.join(unfit)} 须为 base64 编码的 32 字节密钥")
    try:
        resealed = run(work(configured("ESCROW_OWNER_DATABASE_URL", settings().owner_database_url)))
    except Unopened as row:
        fail(f"无法解开：{row}。现有密钥不全，或数据被改动；其余数据未受影响，补齐 ESCROW_FORMER_DATA_KEYS 后可继续")
    except StillWritten as table:
        fail(f"仍有进程在用旧密钥写入 {table}，请用新密钥重启所有进程后再运行")
    console.print(f"已重新加密 {resealed} 行，全部数据现由当前密钥保护")


async def _rotated(home: District, table: str) -> int:
    """Rows of a table that were sealed anew, with a bar that grows on a terminal."""
    resealed = 0
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{home.code} {table}", total=None)
        async for step in rotate(home, table):
            bar.update(task, completed=step.walked, total=step.rows)
            resealed = step.resealed
    return resealed


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
        fail("文件名须以 .beancount、.csv 或 .xlsx 结尾")
    unfinished = file.with_name(f"{file.name}.part")

    async def work() -> None:
        scope = Scope(book, from_on and from_on.date(), to_on and to_on.date())
        async with home_of(district) as home:
            async with home.transaction() as session:
                await books.record(session, OPERATOR, form, scope)
                words = await glossary(session)
            async for part in books.stream(home, form, scope, words):
                out.write(part)

    try:
        with unfinished.open("wb") as out:
            run(work())
        unfinished.replace(file)
    except OSError as error:
        fail(f"无法写入文件：{type(error).__name__}")
    finally:
        unfinished.unlink(missing_ok=True)
    console.print(str(file), markup=False)


@app.command("run-sample")
def run_sample(
    into_database_url: Annotated[bool, typer.Option("--into-database-url", help="Not embedded: in DATABASE_URL.")] = False,
) -> None:
    """Set the sample district up and serve it until Ctrl-C: database, mock bank, worker and web."""
    run(serve_sample(settings().data_dir, into_database_url, console))


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
    holds = run(play_simulation(settings().data_dir, wanted, district, console), fast_loop())
    raise typer.Exit(0 if holds else 1)


@app.command()
def demo(evening: Annotated[bool, typer.Option(help="Tell it as after 20:30, when no class may meet any more")] = False) -> None:
    """Play the story of one contract against the running sample, and show where every yuan went."""
    run(play_demo(settings().data_dir, console, evening=evening))


@app.command()
def openapi() -> None:
    """Write openapi/openapi.json anew from the routes."""
    from app.main import create_app  # importing every route takes longer than most commands

    OPENAPI.write_text(json.dumps(create_app(Settings()).openapi(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("密码", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


if __name__ == "__main__":
    app()
