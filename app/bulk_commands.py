"""A file of rows entered from the command line: `python -m app.cli import --help`."""

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.progress import Progress
from rich.table import Table

from app.bulk import reading, service, steps
from app.bulk.headings import table_of
from app.bulk.kinds import Importer
from app.bulk.models import BulkUpload
from app.bulk.reader import MAX_BYTES
from app.bulk.registry import KINDS, kind_of
from app.console import OPERATOR, DistrictCode, console, fail, home_of, run
from app.db import District
from app.registry.institution_queries import institution_by_code

_ASKED_EVERY_SECONDS = 0.2


def import_file(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(KINDS)}.")],
    file: Annotated[Path, typer.Argument(help="An .xlsx or a CSV with the headings of the template.")],
    institution: Annotated[str, typer.Option(help="统一社会信用代码 of the institution that the rows are for.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which rows are wrong.")] = False,
    district: DistrictCode = "",
) -> None:
    """Check every row of a file and import all of them, or none where one is wrong."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        fail(f"无法读取文件：{type(error).__name__}")
    ended = run(_import(kind, content, institution, dry_run, district))
    if ended is None:
        console.print("同样的内容已经导入过，没有重复导入")
    elif ended.status == "faulty":
        _show(ended)
        fail(f"{ended.problem_count} 行不能导入，一行也没有导入")
    else:
        done = "可以导入" if dry_run else "已导入"
        console.print(f"{ended.row_count} 行{done}，其中 {ended.known_count} 行已在库")


async def _import(slug: str, content: bytes, credit_code: str, dry_run: bool, code: str) -> BulkUpload | None:
    kind = kind_of(slug)
    async with home_of(code) as home:
        async with home.reading() as session:
            importer = Importer((await institution_by_code(session, credit_code)).id, OPERATOR)
        async with home.transaction() as session:
            await service.admit(session, importer)
        table = table_of(kind, await reading.read(importer.institution_id, content))
        async with home.transaction() as session:
            received = await service.receive(session, importer, kind, table)
        if received.repeated:
            return None
        upload = await _done(home, received.upload.id, "核对")
        if upload.status == "checked":
            settle = service.discard if dry_run else service.confirm
            async with home.transaction() as session:
                await settle(session, importer, upload.id)
            return upload if dry_run else await _done(home, upload.id, "导入")
        return upload


async def _done(home: District, upload_id: UUID, name_zh: str) -> BulkUpload:
    """The upload after its present step, which the worker may have taken."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name_zh, total=None)
        while True:
            await steps.take(home, upload_id, lambda done, rows: bar.update(task, completed=done, total=rows))
            async with home.reading() as session:
                upload = await session.get_one(BulkUpload, upload_id)
            if upload.status not in steps.PHASES:
                return upload
            bar.update(task, completed=upload.done, total=upload.row_count * steps.PHASES[upload.status])
            await asyncio.sleep(_ASKED_EVERY_SECONDS)


def _show(upload: BulkUpload) -> None:
    table = Table("单元格", "列", "原因")
    for problem in upload.problems:
        table.add_row(problem["cell"], problem["heading"], problem["message_zh"])
    console.print(table)
