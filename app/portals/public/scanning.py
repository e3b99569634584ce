"""扫码核验: show or upload a QR code and learn whether it is this district's; report one that is not. JSON and pages."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response, UploadFile
from pydantic import BaseModel, Field, StringConstraints

from app.db import District
from app.errors import DomainError
from app.payments import codes
from app.portals.edge import Named, district_called, refuse_other_sites, snapshot
from app.portals.pages import render
from app.portals.public.decoding import codes_in
from app.supervision import scanning
from app.supervision.scanning import LONGEST_CODE, LONGEST_NOTE, LONGEST_PLACE, Verdict

api = APIRouter(prefix="/api/v1/public/scan", tags=["public"])
pages = APIRouter(include_in_schema=False)

_CAMERA = {"Permissions-Policy": "camera=(self), geolocation=(), microphone=()"}

Content = Annotated[str, StringConstraints(max_length=4 * LONGEST_CODE)]
Line = Annotated[str, StringConstraints(max_length=4 * LONGEST_NOTE)]


class CodeInput(BaseModel):
    """What a QR code says."""

    content: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_CODE)]


class ReportInput(CodeInput):
    """A code that is not this district's, where it was met and what happened; do not name children."""

    place: Annotated[str, StringConstraints(max_length=LONGEST_PLACE)] = ""
    note: Annotated[str, StringConstraints(max_length=LONGEST_NOTE)] = ""


class VerdictAnswer(BaseModel):
    """What a code is."""

    content: str
    ours: bool = Field(description="It belongs to this district's custody; where it does not: do not pay, report it")
    payable: bool = Field(description="Tuition paid through it goes into custody")
    kind: str = Field(
        description="payment_code, cashier, custody_account, district_code, own_page; settlement_account, personal_code, unknown"
    )
    institution_name: str | None
    ended: str | None = Field(description="Why a code of ours opens nothing more")

    @classmethod
    def of(cls, verdict: Verdict) -> "VerdictAnswer":
        """The answer about a verdict."""
        return cls(
            content=verdict.content,
            ours=verdict.ours,
            payable=verdict.payable,
            kind=verdict.kind,
            institution_name=verdict.institution_name,
            ended=verdict.ended,
        )


class VerdictsAnswer(BaseModel):
    """Of each code in a picture."""

    items: list[VerdictAnswer]


class ReportAnswer(BaseModel):
    """A report that officers will read."""

    id: UUID
    reported_at: datetime


@api.post("", summary="Check what a QR code says")
async def check(request: Request, body: CodeInput, district: Named) -> VerdictAnswer:
    """Whether it is this district's. The address in a code is looked at, never opened."""
    return VerdictAnswer.of(await _judged(request, district, body.content))


@api.post("/picture", summary="Check the QR codes in a picture")
async def check_picture(request: Request, picture: UploadFile, district: Named) -> VerdictsAnswer:
    """A JPEG, PNG or WebP of at most 8 MB; up to five codes are checked. The picture is not kept."""
    found = await codes_in(await picture.read())
    return VerdictsAnswer(items=[VerdictAnswer.of(await _judged(request, district, each)) for each in found])


@api.post("/reports", status_code=201, summary="Report a QR code")
async def report(body: ReportInput, district: Named) -> ReportAnswer:
    """For the officers of the district; the same code again within ten minutes is the same report."""
    async with district.transaction() as session:
        made = await scanning.report(session, body.content, body.place, body.note)
    return ReportAnswer(id=made.id, reported_at=made.reported_at)


@pages.get("/scan")
async def scan_page(request: Request, district: Named) -> Response:
    """Camera, picture or text."""
    return _page(request, district)


@pages.post("/scan")
async def scan(request: Request, district: Named, content: Annotated[Content, Form()] = "", picture: UploadFile | None = None) -> Response:
    """What the code is; the text counts where both are given."""
    refuse_other_sites(request)
    try:
        found = [content] if content.strip() else await codes_in(await picture.read() if picture else b"")
        verdicts = [await _judged(request, district, each) for each in found]
    except DomainError as error:
        return _page(request, district, error=error, content=content)
    return _page(request, district, verdicts=verdicts)


@pages.post("/scan/report")
async def report_here(
    request: Request,
    district: Named,
    content: Annotated[Content, Form()] = "",
    place: Annotated[Line, Form()] = "",
    note: Annotated[Line, Form()] = "",
) -> Response:
    """Tell the officers."""
    refuse_other_sites(request)
    try:
        async with district.transaction() as session:
            await scanning.report(session, content, place, note)
    except DomainError as error:
        return _page(request, district, error=error, content=content)
    return _page(request, district, reported=True)


async def _judged(request: Request, district: District, content: str) -> Verdict:
    """By the named district; a genuine payment code says its own district."""
    async with snapshot(await _home_of(request, content) or district) as session:
        return await scanning.judge(session, content)


async def _home_of(request: Request, content: str) -> District | None:
    try:
        return await district_called(request, codes.read_code(scanning.clean_code(content).rpartition("/")[2]).district)
    except DomainError:
        return None


def _page(request: Request, district: District, error: DomainError | None = None, **context: Any) -> Response:
    shown = {"verdicts": [], "content": "", "reported": False, "error": error, "longest_note": LONGEST_NOTE, "longest_place": LONGEST_PLACE}
    status = error.status if error else 200
    return render(request, "public/scan.html", status, _CAMERA, here=f"?district={district.code}", **shown | context)
