"""机构入库申请: an institution without an account applies, in JSON or by a form, and asks later what became of it."""

import hashlib
from datetime import datetime
from typing import Annotated, cast
from uuid import uuid4

from fastapi import APIRouter, Depends, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from stdnum.cn import uscc

from app import clock, idempotency, security
from app.banking.banks import Banks
from app.db import District
from app.errors import BadInput, DomainError
from app.portals.edge import Key, Named, OncePerKey, PublicRead, Replayed, refuse_other_sites
from app.portals.entries import CampusFields, ContactFields, Kind, LicenceFields, Stage
from app.portals.fields import PathNo, Secret, Text
from app.portals.pages import render, see_other
from app.portals.staff import typed_date
from app.registry import applications, rules
from app.registry import institution_queries as registry
from app.registry.applications import ApplicationDraft
from app.registry.models import InstitutionApplication
from app.registry.rules import MAX_CAMPUSES, CampusDraft, Contact, InstitutionDraft, Licence

api = APIRouter(prefix="/api/v1/public/applications", tags=["public"])
pages = APIRouter(prefix="/apply", include_in_schema=False)

OwnForm = Depends(refuse_other_sites)
Typed = Annotated[str, Field(max_length=400)]
Hidden = Annotated[str, Field(max_length=200)]


class ApplicationInput(BaseModel):
    """An institution that asks to be entered, and its first member of staff."""

    credit_code: Annotated[Text, Field(max_length=40, description="统一社会信用代码 (GB 32100)")]
    name: Annotated[Text, Field(max_length=80)]
    kind: Kind
    stage: Annotated[Stage | None, Field(description="学段, for subject training only")] = None
    for_profit: Annotated[bool, Field(strict=True)]
    address: Annotated[Text, Field(max_length=200)]
    legal_representative: Annotated[Text, Field(max_length=40)]
    licence: LicenceFields
    contact: ContactFields
    campuses: Annotated[list[CampusFields], Field(max_length=MAX_CAMPUSES, description="None: it teaches at its address")] = []
    connection: Annotated[Text | None, Field(max_length=64, description="The bank; by default the district's only one")] = None
    supervised_no: Annotated[Text, Field(max_length=60, description="监管账户")]
    settlement_no: Annotated[Text, Field(max_length=60, description="结算账户")]
    username: Annotated[Text, Field(max_length=60)]
    staff_name: Annotated[Text, Field(max_length=40)]
    password: Secret

    def draft(self, connection: str) -> InstitutionDraft:
        """The registers' form of it."""
        return InstitutionDraft(
            credit_code=self.credit_code,
            name=self.name,
            kind=self.kind,
            address=self.address,
            connection=connection,
            supervised_no=self.supervised_no,
            settlement_no=self.settlement_no,
            licence=self.licence.draft(),
            stage=self.stage,
            for_profit=self.for_profit,
            legal_representative=self.legal_representative,
            contact=self.contact.draft(),
            campuses=[campus.draft() for campus in self.campuses],
        )


class ApplicationStatus(BaseModel):
    """How far an application is. Keep its number: who has it may ask."""

    model_config = ConfigDict(from_attributes=True)

    application_no: str
    name: str
    status: str = Field(description="applied, approved or refused")
    username: str | None = Field(description="To sign in with, once approved; a number was added where the wanted one was taken")
    applied_at: datetime
    decided_at: datetime | None
    decision_reason: str | None

    @classmethod
    def of(cls, row: InstitutionApplication) -> "ApplicationStatus":
        """The register's row in this form."""
        return cls(
            application_no=row.application_no,
            name=row.name,
            status=row.status,
            username=row.username if row.status == "approved" else None,
            applied_at=row.applied_at,
            decided_at=row.decided_at,
            decision_reason=row.decision_reason,
        )


class ApplicationForm(BaseModel):
    """Everything as it was typed, so that a refused form can be shown again as it was; a password is typed anew."""

    key: Annotated[str, Field(max_length=40, pattern="^[0-9a-f]*$")] = ""
    """New for each form that is handed out: sent twice as it is, it applies once."""
    credit_code: Typed = ""
    name: Typed = ""
    kind: Typed = ""
    stage: Typed = ""
    for_profit: Typed = "1"
    address: Typed = ""
    legal_representative: Typed = ""
    licence_no: Typed = ""
    licence_issuer: Typed = ""
    licence_scope: Typed = ""
    licence_from_on: Typed = ""
    licence_to_on: Typed = ""
    contact_name: Typed = ""
    contact_phone: Typed = ""
    campus_address: Typed = ""
    lease_ends_on: Typed = ""
    connection: Typed = ""
    supervised_no: Typed = ""
    settlement_no: Typed = ""
    username: Typed = ""
    staff_name: Typed = ""
    password: Hidden = ""

    def draft(self, connection: str) -> InstitutionDraft:
        """The institution that is meant. Raises BadInput naming the field."""
        lease = typed_date(self.lease_ends_on, "lease_ends_on", "租赁到期日") if self.lease_ends_on.strip() else None
        return InstitutionDraft(
            credit_code=self.credit_code,
            name=self.name,
            kind=self.kind,
            address=self.address,
            connection=connection,
            supervised_no=self.supervised_no,
            settlement_no=self.settlement_no,
            licence=Licence(
                self.licence_no,
                self.licence_issuer,
                self.licence_scope,
                typed_date(self.licence_from_on, "licence_from_on", "许可证起始日期"),
                typed_date(self.licence_to_on, "licence_to_on", "许可证截止日期"),
            ),
            stage=self.stage or None,
            for_profit=self.for_profit == "1",
            legal_representative=self.legal_representative,
            contact=Contact(self.contact_name, self.contact_phone),
            campuses=[CampusDraft("主校区", self.campus_address or self.address, lease)],
        )


@api.post("", status_code=201, summary="Apply to be entered as an institution")
async def apply(request: Request, body: ApplicationInput, district: Named, key: Key = None) -> ApplicationStatus:
    """Officers decide; the number in the answer tells how far it is. Only a hash of the password is kept."""
    once = _once(district, key, body)
    draft = body.draft(_connection(request, district, body.connection or ""))
    return await _apply(once, draft, body.username, body.staff_name, body.password)


@api.get("/{application_no}", summary="How far an application is")
async def application_status(session: PublicRead, application_no: PathNo) -> ApplicationStatus:
    """For whoever has its number."""
    return ApplicationStatus.of(await registry.application_by_no(session, application_no))


@pages.get("")
async def application_form(request: Request, district: Named) -> Response:
    """The form."""
    return _form_page(request, district, ApplicationForm(key=uuid4().hex))


@pages.post("", dependencies=[OwnForm])
async def send_form(request: Request, district: Named, form: Annotated[ApplicationForm, Form()]) -> Response:
    """Apply, or see the form again with what is wrong."""
    try:
        draft = form.draft(_connection(request, district, form.connection))
        # A form that was sent, changed and sent again is another application.
        once = _once(district, f"{form.key or uuid4().hex}-{hashlib.sha256(_content(form)).hexdigest()}", form)
        applied = await _apply(once, draft, form.username, form.staff_name, form.password)
    except Replayed as replay:
        applied = ApplicationStatus.model_validate_json(replay.answer.body)
    except DomainError as refused:
        return _form_page(request, district, form, refused)
    return see_other(f"/apply/{applied.application_no}?district={district.code}", "申请已提交，请保存本页地址以便查询")


@pages.get("/{application_no}")
async def status_page(request: Request, district: Named, session: PublicRead, application_no: PathNo) -> Response:
    """How far it is."""
    row = await registry.application_by_no(session, application_no)
    return render(request, "public/application.html", application=ApplicationStatus.of(row), here=f"?district={district.code}")


async def _apply(once: OncePerKey, draft: InstitutionDraft, username: str, staff_name: str, password: str) -> ApplicationStatus:
    # Hashing is the dearest step, so what is wrong is refused before it.
    rules.check_application(draft, clock.today())
    name = security.staff_username(username)
    password_hash = await security.hash_password(password)
    async with once.transaction() as session:
        row = await applications.apply(session, ApplicationDraft(draft, name, staff_name, password_hash))
        return await once.answer(ApplicationStatus.of(row))


def _once(district: District, key: str | None, sent: BaseModel) -> OncePerKey:
    return OncePerKey(district, idempotency.attempt("applicant", key, "POST /api/v1/public/applications", _content(sent)), 201)


def _content(sent: BaseModel) -> bytes:
    """What is sent, but for the password: beside all the rest, a hash of it would be easily guessed from."""
    return sent.model_dump_json(exclude={"password"}).encode()


def _unused_code(district: District) -> str:
    """A sound credit code that nobody has: whoever tries the sample cannot compute a check digit."""
    body = f"52{district.code}MA{uuid4().int % 10**7:07d}"
    return f"{body}{uscc.calc_check_digit(body)}"


def _connection(request: Request, district: District, wanted: str) -> str:
    known = _slugs(request, district)
    if not wanted and len(known) == 1:
        return known[0]
    if wanted not in known:
        raise BadInput("registry.connection_invalid", "请选择本区的监管银行", field="connection")
    return wanted


def _slugs(request: Request, district: District) -> list[str]:
    return cast(Banks, request.app.state.banks).slugs(district.code)


def _form_page(request: Request, district: District, form: ApplicationForm, error: DomainError | None = None) -> Response:
    return render(
        request,
        "public/apply.html",
        status=error.status if error else 200,
        form=form,
        error=error,
        connections=[(slug, slug) for slug in _slugs(request, district)],
        unused_code=_unused_code(district),
        here=f"?district={district.code}",
    )
