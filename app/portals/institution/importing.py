"""批量导入 at the institution end: templates, files, what is wrong with their rows, and the import itself, in JSON and as pages."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk import reading, service
from app.bulk.headings import table_of
from app.bulk.kinds import AnyKind, Importer
from app.bulk.models import BulkUpload
from app.bulk.reader import MAX_BYTES, MAX_ROWS
from app.bulk.registry import KINDS, kind_of
from app.bulk.service import Received
from app.bulk.steps import PHASES
from app.bulk.told import CSV, problems_csv
from app.bulk.workbooks import EXCEL, template
from app.db import District
from app.errors import BadInput, DomainError
from app.portals.edge import Home, InstitutionCaller, Read, Write
from app.portals.fields import Listed, Moment, PageByNumber, PageByTime, Paging, PathId, listed
from app.portals.pages import render, see_other
from app.portals.staff import carry_out
from app.security import InstitutionStaff

api = APIRouter(prefix="/api/v1/institution/imports", tags=["institution"])
pages = APIRouter(prefix="/institution/imports", include_in_schema=False)

_FILE = {"schema": {"type": "string", "format": "binary", "maxLength": MAX_BYTES}}
_FILE_BODY = {"requestBody": {"required": True, "content": {EXCEL: _FILE, "text/csv": _FILE}}}
_TEMPLATE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {EXCEL: {"schema": {"type": "string", "format": "binary"}}}}
}
_CSV: dict[int | str, dict[str, Any]] = {200: {"description": "The file", "content": {CSV: {"schema": {"type": "string"}}}}}
_PAGE = "/institution/imports"
_SHOWN = 500
"""Problems of a file that are shown with it; all are told in a list and in a file of their own."""


class ProblemItem(BaseModel):
    """What is wrong with a row; `cell` is like B17, or names the row where it is no single one."""

    row: int | None = Field(None, description="Null for the file as a whole")
    cell: str
    heading: str
    message_zh: str


class ImportItem(BaseModel):
    """A file and how far it is."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str
    status: str = Field(description="uploaded (being checked), checked (waits for confirmation), faulty, confirmed, imported, discarded")
    row_count: int
    percent: int = Field(description="Of the check or the import that is under way")
    known_count: int | None = Field(description="Rows of the institution's own families that stand in the register already")
    problem_count: int | None = Field(description="Bad rows; null before the check")
    uploaded_at: datetime
    checked_at: datetime | None
    ended_at: datetime | None


class ImportDetail(ImportItem):
    """With the first 500 problems of all that were found. Nothing is imported while there is one."""

    problem_total: int = Field(description="Problems of all bad rows; a row may have several")
    problems: list[ProblemItem]


class ReceivedItem(ImportDetail):
    """A file that was taken; `repeated`: the same rows were imported before, and nothing is done."""

    repeated: bool


@api.get("", summary="Files, newest first")
async def imports(caller: InstitutionCaller, session: Read, paging: PageByTime) -> Listed[ImportItem]:
    """Also those that were not imported."""
    return await _listed(session, caller, paging)


@api.get("/templates/{kind}.xlsx", response_class=Response, responses=_TEMPLATE, summary="An empty file of a kind")
async def template_file(kind: str, caller: InstitutionCaller) -> Response:
    """Headings, an example that no import takes, and what each column means."""
    return _template(kind_of(kind))


@api.post("/{kind}", status_code=201, summary="Hand in a file", openapi_extra=_FILE_BODY)
async def hand_in(kind: str, request: Request, caller: InstitutionCaller, home: Home) -> ReceivedItem:
    """An .xlsx or a CSV (UTF-8, UTF-16 or GB18030) of up to 5 MB and 20,000 rows. It is checked next; nothing is imported yet."""
    received = await _receive(home, caller, kind_of(kind), await request.body())
    return ReceivedItem(**_detail(received.upload).model_dump(), repeated=received.repeated)


@api.get("/{upload_id}", summary="How far a file is, and what is wrong with its rows")
async def one_import(upload_id: PathId, caller: InstitutionCaller, session: Read) -> ImportDetail:
    """To be asked again while it is `uploaded` or `confirmed`."""
    return _detail(await service.own_upload(session, caller.institution_id, upload_id))


@api.get("/{upload_id}/problems", summary="All that is wrong with a file's rows")
async def problems(upload_id: PathId, caller: InstitutionCaller, session: Read, paging: PageByNumber) -> Listed[ProblemItem]:
    """In the order of the rows."""
    found = (await service.own_upload(session, caller.institution_id, upload_id)).problems
    first = paging.after or 0
    items = [ProblemItem.model_validate(each) for each in found[first : first + paging.more]]
    return listed(items, range(first + 1, first + 1 + len(items)), paging)


@api.get("/{upload_id}/problems.csv", response_class=Response, responses=_CSV, summary="The same as a spreadsheet")
async def problems_file(upload_id: PathId, caller: InstitutionCaller, session: Read) -> Response:
    """Row, cell, column and problem; UTF-8 with a byte order mark."""
    return _problems_file(await service.own_upload(session, caller.institution_id, upload_id))


@api.post("/{upload_id}/confirm", summary="Import a checked file")
async def confirm(upload_id: PathId, caller: InstitutionCaller, session: Write) -> ImportDetail:
    """All of its rows or none."""
    return _detail(await service.confirm(session, _importer(caller), upload_id))


@api.post("/{upload_id}/discard", summary="Give a file up")
async def discard(upload_id: PathId, caller: InstitutionCaller, session: Write) -> ImportDetail:
    """Its rows are deleted; after 24 hours that happens by itself."""
    return _detail(await service.discard(session, _importer(caller), upload_id))


@pages.get("")
async def import_list(
    request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime, kind: Annotated[str, Query(max_length=40)] = ""
) -> Response:
    """All files, and the form for one more of a kind."""
    return await _import_list(request, session, caller, paging, kind=kind)


@pages.get("/templates/{kind}.xlsx")
async def template_page(kind: str, caller: InstitutionCaller) -> Response:
    """The same file, for a browser."""
    return _template(kind_of(kind))


@pages.post("")
async def upload(
    request: Request,
    caller: InstitutionCaller,
    home: Home,
    paging: PageByTime,
    kind: Annotated[str, Form(max_length=40)] = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Take the file that was chosen, or say why it cannot be taken."""
    try:
        received = await _receive(home, caller, kind_of(kind), await file.read(MAX_BYTES + 1) if file else b"")
    except DomainError as refused:
        async with home.reading() as session:
            return await _import_list(request, session, caller, paging, refused, kind)
    told = "同样的内容已经导入过，没有重复导入" if received.repeated else "文件已读取"
    return see_other(f"{_PAGE}/{received.upload.id}", told)


@pages.get("/{upload_id}")
async def import_page(request: Request, upload_id: PathId, caller: InstitutionCaller, session: Read) -> Response:
    """A file's progress, its bad rows, and the way to import it."""
    found = await service.own_upload(session, caller.institution_id, upload_id)
    return render(request, "institution/import.html", upload=_detail(found), kind=KINDS[found.kind], works=found.status in PHASES)


@pages.get("/{upload_id}/problems.csv")
async def problems_page(upload_id: PathId, caller: InstitutionCaller, session: Read) -> Response:
    """The same file, for a browser."""
    return _problems_file(await service.own_upload(session, caller.institution_id, upload_id))


@pages.post("/{upload_id}/confirm")
async def confirm_form(upload_id: PathId, caller: InstitutionCaller, home: Home) -> Response:
    """Import it."""

    async def act(session: AsyncSession) -> None:
        await service.confirm(session, _importer(caller), upload_id)

    return await carry_out(home, act, back=f"{_PAGE}/{upload_id}", done="开始导入")


@pages.post("/{upload_id}/discard")
async def discard_form(upload_id: PathId, caller: InstitutionCaller, home: Home) -> Response:
    """Give it up."""

    async def act(session: AsyncSession) -> None:
        await service.discard(session, _importer(caller), upload_id)

    return await carry_out(home, act, back=_PAGE, done="已放弃，文件内容已删除")


async def _receive(home: District, caller: InstitutionStaff, kind: AnyKind, content: bytes) -> Received:
    if not content:
        raise BadInput("bulk.file_empty", "请选择文件", field="file")
    async with home.transaction() as session:
        await service.admit(session, _importer(caller))
    table = table_of(kind, await reading.read(caller.institution_id, content))
    async with home.transaction() as session:
        return await service.receive(session, _importer(caller), kind, table)


def _importer(caller: InstitutionStaff) -> Importer:
    return Importer(caller.institution_id, caller.actor)


def _item(upload: BulkUpload) -> ImportItem:
    rows = upload.row_count * PHASES.get(upload.status, 1)
    percent = min(100, 100 * upload.done // rows) if upload.status in PHASES else 100
    known = {name: getattr(upload, name) for name in ImportItem.model_fields if name != "percent"}
    return ImportItem.model_validate(known | {"percent": percent})


def _detail(upload: BulkUpload) -> ImportDetail:
    problems = [ProblemItem.model_validate(each) for each in upload.problems[:_SHOWN]]
    return ImportDetail(**_item(upload).model_dump(), problem_total=len(upload.problems), problems=problems)


def _problems_file(upload: BulkUpload) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{upload.kind}-problems.csv"'}
    return Response(problems_csv(upload.problems), headers=headers, media_type=CSV)


def _template(kind: AnyKind) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{kind.slug}.xlsx"'}
    return Response(template(kind), headers=headers, media_type=EXCEL)


async def _listed(session: AsyncSession, caller: InstitutionStaff, paging: Paging[Moment]) -> Listed[ImportItem]:
    found = await service.uploads(session, caller.institution_id, paging.after, paging.more)
    return listed([_item(each) for each in found], [(each.uploaded_at, each.id) for each in found], paging)


async def _import_list(
    request: Request,
    session: AsyncSession,
    caller: InstitutionStaff,
    paging: Paging[Moment],
    wrong: DomainError | None = None,
    kind: str = "",
) -> Response:
    return render(
        request,
        "institution/imports.html",
        status=wrong.status if wrong else 200,
        page=await _listed(session, caller, paging),
        kinds=KINDS,
        choices=[(each.slug, each.name_zh) for each in KINDS.values()],
        kind=kind,
        error=wrong,
        most_rows=MAX_ROWS,
    )
