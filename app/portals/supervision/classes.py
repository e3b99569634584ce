"""班课备案 at the supervision end: filings and the decisions about them, in JSON and as pages."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts import queries as contracts
from app.errors import Refused
from app.policy.packs import BINDING
from app.portals.edge import Home, Once, OncePerKey, Read, SupervisionCaller
from app.portals.fields import Listed, PageByTime, PathId, listed
from app.portals.pages import render
from app.portals.staff import carry_out
from app.portals.supervision.views import ReasonInput
from app.registry import classes as register
from app.registry import judging
from app.registry import queries as registry
from app.registry.courses import course_of
from app.registry.models import TrainingClass
from app.registry.session_changes import changes_of_class
from app.security import SupervisionStaff

api = APIRouter(prefix="/api/v1/supervision/classes", tags=["supervision"])
pages = APIRouter(prefix="/supervision/classes", include_in_schema=False)

Decision = Literal["approve", "refuse"]
ClassState = Literal["filed", "opened", "refused", "closed"]
_DECIDE: dict[Decision, Callable[[AsyncSession, SupervisionStaff, UUID, str], Awaitable[TrainingClass]]] = {
    "approve": register.approve_class,
    "refuse": register.refuse_class,
}


class FiledClass(BaseModel):
    """A class as it was filed."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    institution_id: UUID
    institution_name: str
    name: str
    subject: str
    mode: str = Field(description="onsite or online")
    teacher_name: str
    teacher_certificate_no: str
    campus: str | None
    room: str | None
    materials: list[str]
    price_fen: int
    listed_price_fen: int
    lesson_count: int
    lesson_minutes: int
    most_unpaid: int = Field(description="Lessons that may be taught and not paid yet; 0: only paid in advance")
    seats: int
    starts_on: date
    ends_on: date
    status: str = Field(description="filed, opened (approved), refused or closed")
    created_at: datetime
    decided_at: datetime | None
    decision_reason: str | None


class FiledSession(BaseModel):
    """One meeting of it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    number: int
    starts_at: datetime
    ends_at: datetime
    teacher_name: str
    room: str | None
    status: str


class FiledDetail(FiledClass):
    """With its schedule, and what the rules said when it was filed."""

    judged_by: str | None
    findings: list[dict[str, Any]]
    sessions: list[FiledSession]


class ClassDecision(BaseModel):
    """What became of a filing."""

    id: UUID
    status: str
    decision_reason: str


class Said(NamedTuple):
    """Findings, and the edition of the rule pack that they are by."""

    edition: str | None
    findings: list[dict[str, Any]]


@api.get("", summary="Filed classes in the order of filing")
async def filed_classes(
    caller: SupervisionCaller, session: Read, paging: PageByTime, status: Annotated[ClassState | None, Query()] = None
) -> Listed[FiledClass]:
    """Of all institutions; those that wait for a decision are `status=filed`."""
    found = await contracts.classes_of_district(session, status, paging.after, paging.more)
    return listed([FiledClass.model_validate(each) for each in found], [(each.created_at, each.id) for each in found], paging)


@api.get("/{class_id}", summary="One class as it was filed")
async def filed_class(class_id: PathId, caller: SupervisionCaller, session: Read) -> FiledDetail:
    """With its schedule as it stands now."""
    view = (await contracts.offer(session, class_id)).view
    filed = await session.get_one(TrainingClass, class_id)
    sessions = await _schedule(session, view.institution_id, class_id)
    told = FiledClass.model_validate(view).model_dump() | {"judged_by": filed.judged_by, "findings": filed.findings}
    return FiledDetail(**told, sessions=[FiledSession.model_validate(each) for each in sessions])


@api.post("/{class_id}/approve", summary="Let a filed class enrol")
async def approve(class_id: PathId, body: ReasonInput, caller: SupervisionCaller, once: Once) -> ClassDecision:
    """Filed → opened."""
    return await _decided("approve", class_id, body, caller, once)


@api.post("/{class_id}/refuse", summary="Refuse a filed class")
async def refuse(class_id: PathId, body: ReasonInput, caller: SupervisionCaller, once: Once) -> ClassDecision:
    """Filed → refused; its teacher, rooms and times are free again."""
    return await _decided("refuse", class_id, body, caller, once)


@pages.get("")
async def class_list(
    request: Request,
    caller: SupervisionCaller,
    session: Read,
    paging: PageByTime,
    show: Annotated[ClassState | Literal["all"], Query()] = "filed",
) -> Response:
    """Those that wait for a decision first."""
    found = await contracts.classes_of_district(session, None if show == "all" else show, paging.after, paging.more)
    page = listed(found, [(each.created_at, each.id) for each in found], paging)
    return render(request, "supervision/classes.html", page=page, show=show)


@pages.get("/{class_id}")
async def class_page(request: Request, class_id: PathId, caller: SupervisionCaller, session: Read) -> Response:
    """What was filed, what the rules say about it, its schedule, and the decision that it waits for."""
    view = (await contracts.offer(session, class_id)).view
    filed = await session.get_one(TrainingClass, class_id)
    said, refusal = await _judged(session, filed)
    return render(
        request,
        "supervision/class.html",
        view=view,
        judged_by=said.edition,
        findings=said.findings,
        refusal=refusal,
        advice=_advice(said.findings),
        schedule=await _schedule(session, view.institution_id, class_id),
        changes=await changes_of_class(session, class_id),
    )


@pages.post("/{class_id}/{decision}")
async def decide(
    class_id: PathId,
    decision: Decision,
    caller: SupervisionCaller,
    home: Home,
    reason: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Approve or refuse it, with the reason that its institution reads."""

    async def act(session: AsyncSession) -> None:
        await _DECIDE[decision](session, caller, class_id, reason)

    done = "已批准，家长可以报名" if decision == "approve" else "已决定不予批准"
    return await carry_out(home, act, back=f"/supervision/classes/{class_id}", done=done)


async def _decided(decision: Decision, class_id: UUID, body: ReasonInput, caller: SupervisionStaff, once: OncePerKey) -> ClassDecision:
    async with once.transaction() as session:
        decided = await _DECIDE[decision](session, caller, class_id, body.reason)
        return await once.answer(ClassDecision(id=class_id, status=decided.status, decision_reason=decided.decision_reason or ""))


async def _judged(session: AsyncSession, filed: TrainingClass) -> tuple[Said, Refused | None]:
    """What the rules said when it was decided; while it waits, what they say now, and why it cannot be approved if it cannot."""
    if filed.status == "filed":
        try:
            judgement = await judging.judge_again(session, await course_of(session, filed.id))
        except Refused as refusal:
            return Said(refusal.facts.get("judged_by"), refusal.facts.get("findings", [])), refusal
        return Said(judgement.edition, judgement.told()), None
    return Said(filed.judged_by, filed.findings), None


def _advice(findings: list[dict[str, Any]]) -> list[str]:
    """What a good source lets an officer look into, though it forbids nothing by itself."""
    return [each["message_zh"] for each in findings if not each["passed"] and not each.get("binding", True) and each["grade"] in BINDING]


async def _schedule(session: AsyncSession, institution_id: UUID, class_id: UUID) -> list[registry.ClassSessionView]:
    """All of it: a class has at most five pages of class sessions."""
    found: list[registry.ClassSessionView] = []
    while more := await registry.class_sessions(
        session, institution_id, class_id, after=(found[-1].starts_at, found[-1].id) if found else None
    ):
        found += more
    return found
