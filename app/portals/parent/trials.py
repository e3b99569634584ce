"""试听: booking a free class session, calling it off, saying how it was. JSON and pages."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.contracts import queries as contracts
from app.db import District
from app.errors import BadInput, DomainError
from app.lessons import trial_queries, trials
from app.portals.edge import Home, ParentCaller, Read, Write, snapshot
from app.portals.fields import NOBODY, Listed, PageByTime, PathId, listed
from app.portals.pages import render, see_other
from app.portals.parent.children import NEW_CHILD, TypedChild, entered
from app.portals.parent.counter import with_choice
from app.registry import consenting, family_queries
from app.security import Parent

api = APIRouter(prefix="/api/v1/parent", tags=["parent"])
router = APIRouter(include_in_schema=False)

STARS = ((5, "很好"), (4, "好"), (3, "一般"), (2, "不太好"), (1, "很不好"))


class TrialInput(BaseModel):
    """Which child tries which class session."""

    class_session_id: UUID
    student_id: UUID


class FeedbackInput(BaseModel):
    """How the trial was; only the institution and officers read it."""

    rating: Annotated[int, Field(strict=True, ge=1, le=5)]
    comment: Annotated[str, StringConstraints(max_length=trials.LONGEST_COMMENT)] = ""


class TrialAnswer(BaseModel):
    """A trial lesson. Where `session_status` is cancelled, another one of the class can be booked."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    id: UUID
    class_id: UUID
    class_name: str
    institution_id: UUID
    institution_name: str
    class_session_id: UUID
    number: int
    starts_at: datetime
    ends_at: datetime
    session_status: str
    student_id: UUID
    student_name: str = Field(validation_alias="student_name_masked")
    status: str = Field(description="booked, attended, absent or cancelled")
    booked_at: datetime
    rating: int | None
    comment: str | None


@api.post("/trials", status_code=201, summary="Book a trial lesson")
async def book(body: TrialInput, caller: ParentCaller, session: Write) -> TrialAnswer:
    """Free, once for each child and class; booking the same class session again answers the same trial."""
    booked = await trials.book(session, caller, body.class_session_id, body.student_id)
    return TrialAnswer.model_validate(await trial_queries.trial_of_guardian(session, caller.guardian_id, booked.id))


@api.get("/trials", summary="The caller's children's trial lessons")
async def own_trials(caller: ParentCaller, session: Read, paging: PageByTime) -> Listed[TrialAnswer]:
    """Those booked last first."""
    found = await trial_queries.trials_of_guardian(session, caller.guardian_id, paging.after, paging.more)
    return listed([TrialAnswer.model_validate(each) for each in found], [(each.booked_at, each.id) for each in found], paging)


@api.post("/trials/{trial_id}/cancellation", summary="Call a trial lesson off")
async def cancel(trial_id: PathId, caller: ParentCaller, session: Write) -> TrialAnswer:
    """Before it starts; again changes nothing."""
    await trials.cancel(session, caller, trial_id)
    return TrialAnswer.model_validate(await trial_queries.trial_of_guardian(session, caller.guardian_id, trial_id))


@api.post("/trials/{trial_id}/feedback", summary="Say how a trial lesson was")
async def rate(trial_id: PathId, body: FeedbackInput, caller: ParentCaller, session: Write) -> TrialAnswer:
    """Once, after the child attended."""
    await trials.rate(session, caller, trial_id, body.rating, body.comment)
    return TrialAnswer.model_validate(await trial_queries.trial_of_guardian(session, caller.guardian_id, trial_id))


@router.get("/classes/{class_id}/trial")
async def trial_form(request: Request, class_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Which child, and which class session?"""
    return await _form_page(request, caller, home, class_id)


@router.post("/classes/{class_id}/trial")
async def book_here(
    request: Request,
    class_id: PathId,
    caller: ParentCaller,
    home: Home,
    class_session_id: Annotated[str, Form(max_length=40)] = "",
    student_id: Annotated[str, Form(max_length=40)] = "",
    name: Annotated[str, Form(max_length=200)] = "",
    birth_month: Annotated[str, Form(max_length=20)] = "",
    consent: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Book it, or show the form again with what is wrong. A child entered here stays entered, also where no place is left."""
    typed = TypedChild(student_id, name, birth_month, consent)
    try:
        async with home.transaction() as session:
            child_id = await entered(session, caller, typed)
        async with home.transaction() as session:
            booked = await trials.book(session, caller, _session_id(class_session_id), child_id)
    except DomainError as error:
        return await _form_page(request, caller, home, class_id, error, typed, class_session_id)
    return see_other(f"/parent/trials/{booked.id}", "试听已预约，到时请带孩子准时上课")


@router.get("/trials")
async def trials_page(request: Request, caller: ParentCaller, session: Read, paging: PageByTime) -> Response:
    """All trial lessons."""
    found = await trial_queries.trials_of_guardian(session, caller.guardian_id, paging.after, paging.more)
    page = listed(found, [(each.booked_at, each.id) for each in found], paging)
    return render(request, "parent/trials.html", page=page, is_first=paging.after is None)


@router.get("/trials/{trial_id}")
async def trial_page(request: Request, trial_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """One trial lesson, and what can be done about it now."""
    return await _trial_page(request, caller, home, trial_id)


@router.post("/trials/{trial_id}/cancel")
async def cancel_here(request: Request, trial_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Call it off."""
    try:
        async with home.transaction() as session:
            await trials.cancel(session, caller, trial_id)
    except DomainError as error:
        return await _trial_page(request, caller, home, trial_id, error)
    return see_other("/parent/trials", "试听已取消")


@router.post("/trials/{trial_id}/feedback")
async def rate_here(
    request: Request,
    trial_id: PathId,
    caller: ParentCaller,
    home: Home,
    rating: Annotated[str, Form(max_length=4)] = "",
    comment: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Say how it was."""
    try:
        if rating not in {str(stars) for stars, _ in STARS}:
            raise BadInput("lessons.rating_invalid", "请给 1 至 5 星", field="rating")
        async with home.transaction() as session:
            await trials.rate(session, caller, trial_id, int(rating), comment)
    except DomainError as error:
        return await _trial_page(request, caller, home, trial_id, error, comment)
    return see_other(f"/parent/trials/{trial_id}", "谢谢您的评价")


async def _form_page(
    request: Request,
    caller: Parent,
    home: District,
    class_id: UUID,
    error: DomainError | None = None,
    typed: TypedChild | None = None,
    class_session_id: str = "",
) -> Response:
    async with snapshot(home) as session:
        offer = await contracts.public_offer(session, class_id)
        open_sessions = await trial_queries.open_sessions(session, class_id)
        children = await family_queries.students(session, caller.guardian_id)
    context: dict[str, Any] = {
        "view": offer.view,
        "open_sessions": open_sessions,
        "chosen_session": class_session_id or (str(open_sessions[0].id) if len(open_sessions) == 1 else ""),
        "children": children,
        "typed": with_choice(typed or TypedChild(), children),
        "new_child": NEW_CHILD,
        "consent_text": consenting.consent_text(),
        "error": error,
    }
    return render(request, "parent/trial_form.html", error.status if error else 200, **context)


async def _trial_page(
    request: Request, caller: Parent, home: District, trial_id: UUID, error: DomainError | None = None, comment: str = ""
) -> Response:
    async with snapshot(home) as session:
        trial = await trial_queries.trial_of_guardian(session, caller.guardian_id, trial_id)
    context: dict[str, Any] = {"trial": trial, "stars": STARS, "error": error, "comment": comment, "longest": trials.LONGEST_COMMENT}
    return render(request, "parent/trial.html", error.status if error else 200, **context)


def _session_id(text: str) -> UUID:
    if not text:
        raise BadInput("lessons.session_not_chosen", "请选择哪一次课", field="class_session_id")
    try:
        return UUID(text)
    except ValueError:
        return NOBODY
