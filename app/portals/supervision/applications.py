"""入库申请 at the supervision end: applications and the decisions about them, in JSON and as pages."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import mask_account
from app.errors import DomainError
from app.portals.bank_desk import check_applicant
from app.portals.edge import Home, Once, Read, SupervisionCaller
from app.portals.entries import CampusFields, ContactFields, LicenceFields
from app.portals.fields import Listed, PageByTime, PathId, listed
from app.portals.pages import render, see_other
from app.portals.staff import carry_out
from app.portals.supervision.views import ReasonInput
from app.registry import applications as register
from app.registry import institution_queries as registry
from app.registry.models import InstitutionApplication

api = APIRouter(prefix="/api/v1/supervision/applications", tags=["supervision"])
pages = APIRouter(prefix="/supervision/applications", include_in_schema=False)

ApplicationState = Literal["applied", "approved", "refused"]
Words = Annotated[str, Form(max_length=2000)]


class ApplicationItem(BaseModel):
    """An application in a list."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    application_no: str
    name: str
    credit_code: str
    status: str = Field(description="applied, approved or refused")
    applied_at: datetime
    decided_at: datetime | None
    decision_reason: str | None


class ApplicationDetail(ApplicationItem):
    """With everything that was filled in; contact and account numbers are masked."""

    kind: str
    stage: str | None
    for_profit: bool | None
    address: str
    legal_representative: str | None
    licence: LicenceFields | None
    contact: ContactFields | None = Field(description="Null once decided")
    campuses: list[CampusFields]
    connection: str
    supervised_no: str
    settlement_no: str
    username: str
    staff_name: str

    @classmethod
    def full(cls, row: InstitutionApplication) -> "ApplicationDetail":
        """The register's row in this form."""
        draft = register.draft_of(row)
        contact = registry.masked(draft.contact)
        return cls(
            **ApplicationItem.model_validate(row).model_dump(),
            kind=draft.kind,
            stage=draft.stage,
            for_profit=draft.for_profit,
            address=draft.address,
            legal_representative=draft.legal_representative,
            licence=draft.licence and LicenceFields.model_validate(draft.licence),
            contact=contact and ContactFields.model_validate(contact),
            campuses=[CampusFields.model_validate(each) for each in draft.campuses],
            connection=draft.connection,
            supervised_no=mask_account(draft.supervised_no),
            settlement_no=mask_account(draft.settlement_no),
            username=row.username,
            staff_name=row.staff_name,
        )


class Decided(BaseModel):
    """What became of an application; an approved one has the institution's id."""

    id: UUID
    status: str
    institution_id: UUID | None


@api.get("", summary="Applications, newest first")
async def applications(
    caller: SupervisionCaller, session: Read, paging: PageByTime, status: Annotated[ApplicationState | None, Query()] = None
) -> Listed[ApplicationItem]:
    """Those that wait for a decision are `status=applied`."""
    found = await registry.applications(session, status, paging.after, paging.more)
    return listed([ApplicationItem.model_validate(each) for each in found], [(each.applied_at, each.id) for each in found], paging)


@api.get("/{application_id}", summary="One application")
async def application(application_id: PathId, caller: SupervisionCaller, session: Read) -> ApplicationDetail:
    """Everything that was filled in."""
    return ApplicationDetail.full(await registry.application(session, application_id))


@api.post("/{application_id}/approve", summary="Enter the institution")
async def approve_application(
    application_id: PathId, body: ReasonInput, request: Request, caller: SupervisionCaller, home: Home, once: Once
) -> Decided:
    """Its book, its bank accounts and its first member of staff come into being. The bank is asked whose the accounts are first."""
    await check_applicant(request, home, application_id)
    async with once.transaction() as session:
        entered = await register.approve(session, caller, application_id, body.reason)
        return await once.answer(Decided(id=application_id, status="approved", institution_id=entered.id))


@api.post("/{application_id}/refuse", summary="Refuse an application")
async def refuse_application(application_id: PathId, body: ReasonInput, caller: SupervisionCaller, once: Once) -> Decided:
    """The applicant reads the reason."""
    async with once.transaction() as session:
        await register.refuse(session, caller, application_id, body.reason)
        return await once.answer(Decided(id=application_id, status="refused", institution_id=None))


@pages.get("")
async def application_list(
    request: Request,
    caller: SupervisionCaller,
    session: Read,
    paging: PageByTime,
    show: Annotated[ApplicationState | Literal["all"], Query()] = "applied",
) -> Response:
    """Those that wait for a decision first."""
    found = await registry.applications(session, None if show == "all" else show, paging.after, paging.more)
    page = listed(found, [(each.applied_at, each.id) for each in found], paging)
    return render(request, "supervision/applications.html", page=page, show=show)


@pages.get("/{application_id}")
async def application_page(request: Request, application_id: PathId, caller: SupervisionCaller, session: Read) -> Response:
    """What was filled in, and the decision that it waits for."""
    found = await registry.application(session, application_id)
    return render(request, "supervision/application.html", application=ApplicationDetail.full(found))


@pages.post("/{application_id}/{decision}")
async def decide(
    request: Request,
    application_id: PathId,
    decision: Literal["approve", "refuse"],
    caller: SupervisionCaller,
    home: Home,
    reason: Words = "",
) -> Response:
    """Enter the institution, or refuse it."""
    back = f"/supervision/applications/{application_id}"
    if decision == "approve":
        try:
            await check_applicant(request, home, application_id)
        except DomainError as refused:
            return see_other(back, refused.message_zh, "danger")

    async def act(session: AsyncSession) -> None:
        await (register.approve if decision == "approve" else register.refuse)(session, caller, application_id, reason)

    return await carry_out(home, act, back=back, done="已批准入库，账簿与账户已开立" if decision == "approve" else "已不予批准")
