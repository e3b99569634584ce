"""教师 at the institution end: entering them, their certificates, employment and photos, in JSON and as pages."""

from datetime import date
from functools import lru_cache
from typing import Annotated
from uuid import UUID

import anyio
import anyio.to_thread
from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import BadInput, Conflict, DomainError
from app.portals.edge import Home, InstitutionCaller, Read, Write, snapshot
from app.portals.entries import TeacherItem
from app.portals.fields import CalendarDate, Listed, Moment, PageByTime, Paging, PathId, Text, listed
from app.portals.pages import render, see_other
from app.portals.staff import carry_out, typed_date
from app.registry import institution_queries as registry
from app.registry import teachers as register
from app.registry.institution_queries import TeacherView
from app.registry.photos import MAX_UPLOAD_BYTES, Photo, encode
from app.registry.teachers import Employment
from app.security import InstitutionStaff

api = APIRouter(prefix="/api/v1/institution/teachers", tags=["institution"])
pages = APIRouter(prefix="/institution/teachers", include_in_schema=False)

Name = Annotated[Text, Field(max_length=40)]
Typed = Annotated[str, Field(max_length=200)]
_FIRST = 20

_IMAGE = {"schema": {"type": "string", "format": "binary", "maxLength": MAX_UPLOAD_BYTES}}
_PHOTO_BODY = {"requestBody": {"required": True, "content": {"image/jpeg": _IMAGE, "image/png": _IMAGE}}}


class EmploymentInput(BaseModel):
    """What may change about a teacher; the name and the certificate's number stay as they were entered."""

    subject: Name
    certificate_subject: Annotated[
        Name | None, Field(description="Several are divided by 、; by default what is taught, save in subject training, which must say it")
    ] = None
    certificate_to_on: Annotated[CalendarDate | None, Field(description="Last day; null where it does not end")] = None
    employed_from_on: CalendarDate | None = None
    employed_to_on: CalendarDate | None = None

    def employment(self) -> Employment:
        """The registers' form of it."""
        return Employment(
            subject=self.subject,
            certificate_subject=self.certificate_subject,
            certificate_to_on=self.certificate_to_on,
            employed_from_on=self.employed_from_on,
            employed_to_on=self.employed_to_on,
        )


class TeacherInput(EmploymentInput):
    """A new teacher, with the certificate that parents may check."""

    name: Name
    certificate_no: Name


class TeacherForm(BaseModel):
    """A teacher as it was typed, so that a refused form can be shown again as it was."""

    name: Typed = ""
    certificate_no: Typed = ""
    subject: Typed = ""
    certificate_subject: Typed = ""
    certificate_to_on: Typed = ""
    employed_from_on: Typed = ""
    employed_to_on: Typed = ""

    @classmethod
    def of(cls, row: TeacherView) -> "TeacherForm":
        """The form as it stands before anything is changed."""
        return cls(
            subject=row.subject,
            certificate_subject=row.certificate_subject or "",
            certificate_to_on=_typed(row.certificate_to_on),
            employed_from_on=_typed(row.employed_from_on),
            employed_to_on=_typed(row.employed_to_on),
        )

    def employment(self) -> Employment:
        """What is meant. Raises BadInput naming the field."""
        return Employment(
            self.subject,
            self.certificate_subject.strip() or None,
            _day(self.certificate_to_on, "certificate_to_on", "证书有效期"),
            _day(self.employed_from_on, "employed_from_on", "入职日期"),
            _day(self.employed_to_on, "employed_to_on", "离职日期"),
        )


class LeavingInput(BaseModel):
    """The last day at the institution."""

    last_on: CalendarDate


@api.get("", summary="Teachers in the order of entry")
async def teachers(caller: InstitutionCaller, session: Read, paging: PageByTime) -> Listed[TeacherItem]:
    """Also those who have left. Name and certificate are public by rule."""
    found = await registry.teachers(session, caller.institution_id, paging.after, paging.more)
    return listed([TeacherItem.model_validate(each) for each in found], [(each.created_at, each.id) for each in found], paging)


@api.post("", status_code=201, summary="Enter a teacher")
async def enter_teacher(body: TeacherInput, caller: InstitutionCaller, session: Write) -> TeacherItem:
    """A certificate stands once in an institution."""
    entered = await register.create_teacher(session, caller.institution_id, body.name, body.certificate_no, body.subject, body.employment())
    return TeacherItem.model_validate(await registry.teacher(session, caller.institution_id, entered.id))


@api.put("/{teacher_id}", summary="Change a teacher's subject, certificate or employment")
async def edit_teacher(teacher_id: PathId, body: EmploymentInput, caller: InstitutionCaller, session: Write) -> TeacherItem:
    """What is left out is emptied."""
    await register.edit_teacher(session, caller, teacher_id, body.employment())
    return TeacherItem.model_validate(await registry.teacher(session, caller.institution_id, teacher_id))


@api.post("/{teacher_id}/leave", summary="Say when a teacher leaves")
async def leave(teacher_id: PathId, body: LeavingInput, caller: InstitutionCaller, session: Write) -> TeacherItem:
    """After that day no class can be filed with them."""
    await register.leave(session, caller, teacher_id, body.last_on)
    return TeacherItem.model_validate(await registry.teacher(session, caller.institution_id, teacher_id))


@api.put("/{teacher_id}/photo", status_code=204, summary="Show a photo of a teacher", openapi_extra=_PHOTO_BODY)
async def set_photo(teacher_id: PathId, request: Request, caller: InstitutionCaller, home: Home) -> None:
    """A JPEG or PNG of up to 3 MB; what is kept and shown is a small JPEG made from it."""
    photo = await _encoded(await request.body())
    async with home.transaction() as session:
        await register.set_photo(session, caller, teacher_id, photo)


@api.delete("/{teacher_id}/photo", status_code=204, summary="Show no photo of a teacher any more")
async def remove_photo(teacher_id: PathId, caller: InstitutionCaller, session: Write) -> None:
    """It is gone for good."""
    await register.remove_photo(session, caller, teacher_id)


@pages.get("")
async def teacher_list(request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """All teachers, and the form for one more."""
    return await _list_page(request, session, caller, paging, TeacherForm())


@pages.post("")
async def enter(request: Request, caller: InstitutionCaller, home: Home, form: Annotated[TeacherForm, Form()]) -> Response:
    """Enter a teacher, or show the form again with what is wrong."""
    try:
        async with home.transaction() as session:
            employment = form.employment()
            await register.create_teacher(session, caller.institution_id, form.name, form.certificate_no, form.subject, employment)
    except (BadInput, Conflict) as refused:
        first: Paging[Moment] = Paging(None, _FIRST)
        async with snapshot(home) as session:
            return await _list_page(request, session, caller, first, form, refused)
    return see_other("/institution/teachers", "教师已登记")


@pages.get("/{teacher_id}")
async def teacher_page(request: Request, teacher_id: PathId, caller: InstitutionCaller, session: Read) -> Response:
    """One teacher, with the forms for employment and photo."""
    return await _teacher_page(request, session, caller, teacher_id)


@pages.post("/{teacher_id}")
async def edit(
    request: Request, teacher_id: PathId, caller: InstitutionCaller, home: Home, form: Annotated[TeacherForm, Form()]
) -> Response:
    """Change what may change, or show the form again with what is wrong."""
    try:
        async with home.transaction() as session:
            await register.edit_teacher(session, caller, teacher_id, form.employment())
    except (BadInput, Conflict) as refused:
        async with snapshot(home) as session:
            return await _teacher_page(request, session, caller, teacher_id, form, refused)
    return see_other(f"/institution/teachers/{teacher_id}", "教师信息已更新")


@pages.post("/{teacher_id}/photo")
async def upload_photo(
    teacher_id: PathId, caller: InstitutionCaller, home: Home, photo: Annotated[UploadFile | None, File()] = None
) -> Response:
    """Show the photo that was chosen."""
    back = f"/institution/teachers/{teacher_id}"
    try:
        encoded = await _encoded(await photo.read() if photo else b"")
    except BadInput as refused:
        return see_other(back, refused.message_zh, "danger")

    async def act(session: AsyncSession) -> None:
        await register.set_photo(session, caller, teacher_id, encoded)

    return await carry_out(home, act, back=back, done="照片已更新")


@pages.post("/{teacher_id}/photo/removal")
async def take_photo_down(teacher_id: PathId, caller: InstitutionCaller, home: Home) -> Response:
    """Show no photo."""

    async def act(session: AsyncSession) -> None:
        await register.remove_photo(session, caller, teacher_id)

    return await carry_out(home, act, back=f"/institution/teachers/{teacher_id}", done="照片已删除")


async def _list_page(
    request: Request,
    session: AsyncSession,
    caller: InstitutionStaff,
    paging: Paging[Moment],
    form: TeacherForm,
    error: DomainError | None = None,
) -> Response:
    found = await registry.teachers(session, caller.institution_id, paging.after, paging.more)
    page = listed(found, [(each.created_at, each.id) for each in found], paging)
    return render(request, "institution/teachers.html", error.status if error else 200, page=page, form=form, error=error)


async def _teacher_page(
    request: Request,
    session: AsyncSession,
    caller: InstitutionStaff,
    teacher_id: UUID,
    form: TeacherForm | None = None,
    error: DomainError | None = None,
) -> Response:
    found = await registry.teacher(session, caller.institution_id, teacher_id)
    shown = form or TeacherForm.of(found)
    return render(request, "institution/teacher.html", error.status if error else 200, teacher=found, form=shown, error=error)


@lru_cache(maxsize=1)
def _encoding() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(1)


async def _encoded(uploaded: bytes) -> Photo:
    """Decoding takes long enough to stop the loop; one at a time."""
    return await anyio.to_thread.run_sync(encode, uploaded, limiter=_encoding())


def _day(text: str, field: str, name_zh: str) -> date | None:
    return typed_date(text, field, name_zh) if text.strip() else None


def _typed(on: date | None) -> str:
    return on.isoformat() if on else ""
