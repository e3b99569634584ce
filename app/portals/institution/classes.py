"""Pages of the institution end about classes: filing one with its schedule, and changing its class sessions one by one."""

from datetime import date
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import queries as contracts
from app.contracts.queries import ClassView
from app.errors import BadInput, Conflict, NotFound, Refused
from app.lessons import owing
from app.lessons.trial_queries import trials_of_session
from app.policy.facts import SaleFacts
from app.policy.findings import Finding, broken
from app.policy.packs import pack_for
from app.policy.selling import judge_sale
from app.portals.edge import Home, InstitutionCaller, Read, snapshot
from app.portals.fields import PageByTime, PathId, listed
from app.portals.institution.timetable import ClassForm, SessionForm
from app.portals.pages import render, see_other
from app.portals.staff import carry_out
from app.registry import class_sessions as timetable
from app.registry import classes as register
from app.registry import institutions, planning
from app.registry import queries as registry
from app.registry.courses import own_class
from app.registry.models import TrainingClass
from app.registry.planning import Plan
from app.registry.session_changes import changes_of_class, changes_of_session
from app.security import InstitutionStaff

router = APIRouter()

Step = Literal["change", "cancel", "replacement"]
Wrong = BadInput | Conflict | NotFound | Refused


class Attempted(NamedTuple):
    """A refused form of a class session: which one, what was typed, what is wrong."""

    step: Step
    form: SessionForm
    error: Wrong


@router.get("/classes")
async def classes(request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """All classes."""
    found = await contracts.classes_of_institution(session, caller.institution_id, paging.after, paging.more)
    page = listed(found, [(each.created_at, each.id) for each in found], paging)
    institution = await registry.institution(session, caller.institution_id)
    return render(request, "institution/classes.html", institution=institution, page=page)


@router.get("/classes/new")
async def new_class(request: Request, caller: InstitutionCaller, session: Read) -> Response:
    """The form of a new class."""
    return await _class_form(request, session, caller, ClassForm(starts_on=clock.today().isoformat(), skip_holidays=True))


@router.post("/classes")
async def file_class(request: Request, caller: InstitutionCaller, home: Home, form: Annotated[ClassForm, Form()]) -> Response:
    """File it, or show the form again: with the schedule it comes to and what the rules say, or with what is wrong."""
    plan: Plan | None = None
    filed: TrainingClass | None = None
    wrong: Wrong | None = None
    try:
        # A session that is not committed keeps nothing: what was filed for a preview is gone when it ends.
        async with home.reading() if form.step == "preview" else home.transaction() as session:
            plan = await planning.plan(session, form.pattern(), skip_holidays=form.skip_holidays)
            filed = (await register.file_class(session, caller, form.draft(list(plan.sessions)))).training_class
    except (BadInput, Conflict, NotFound, Refused) as refused:
        wrong = refused
    if form.step == "file" and filed is not None:
        return see_other(f"/institution/classes/{filed.id}", "班课已提交备案，批准后家长可以报名")
    async with home.reading() as session:
        return await _class_form(request, session, caller, form, wrong, plan, filed)


@router.get("/classes/{class_id}")
async def training_class(request: Request, class_id: PathId, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """A class with its schedule, what was changed about it, and its contracts."""
    own = await own_class(session, caller, class_id)
    view = (await contracts.offer(session, own.id)).view
    signed = await contracts.contracts_of_institution(session, caller.institution_id, class_id=own.id, limit=100)
    schedule = await registry.class_sessions(session, caller.institution_id, own.id, after=paging.after, limit=paging.more)
    institution = await registry.institution(session, caller.institution_id)
    return render(
        request,
        "institution/class.html",
        institution=institution,
        training_class=view,
        findings=own.findings,
        contracts=signed,
        page=listed(schedule, [(each.starts_at, each.id) for each in schedule], paging),
        changes=await changes_of_class(session, own.id),
        forbidden=_forbidden(caller, institution.kind, view),
        now=clock.now(),
    )


@router.post("/classes/{class_id}/close")
async def close(class_id: PathId, caller: InstitutionCaller, home: Home) -> Response:
    """Stop enrolling."""

    async def act(session: AsyncSession) -> None:
        await register.close_class(session, caller, class_id)

    return await carry_out(home, act, back=f"/institution/classes/{class_id}", done="已停止招生，已签合同照常上课")


@router.get("/class-sessions/{class_session_id}")
async def class_session(request: Request, class_session_id: PathId, caller: InstitutionCaller, session: Read) -> Response:
    """The children who have paid for it, the attendance form once it is over, and the forms that change it before."""
    return await _session_page(request, session, caller, class_session_id)


@router.post("/class-sessions/{class_session_id}/{step}")
async def change(
    request: Request,
    class_session_id: PathId,
    step: Step,
    caller: InstitutionCaller,
    home: Home,
    form: Annotated[SessionForm, Form()],
) -> Response:
    """Move it, give it another teacher or place, cancel it, or set its replacement; or show the form again with what is wrong."""
    try:
        async with home.transaction() as session:
            if step == "cancel":
                await timetable.cancel_session(session, caller, class_session_id, form.reason)
            elif step == "change":
                await timetable.change_session(session, caller, class_session_id, form.meeting(), form.reason)
            else:
                await timetable.replace_session(session, caller, class_session_id, form.meeting(), form.reason)
    except (BadInput, Conflict, Refused) as refused:
        async with snapshot(home) as session:
            return await _session_page(request, session, caller, class_session_id, Attempted(step, form, refused))
    done = {"change": "已调课", "cancel": "已取消本次课，请安排补课", "replacement": "补课已安排"}[step]
    return see_other(f"/institution/class-sessions/{class_session_id}", f"{done}，家长已可看到")


async def _session_page(
    request: Request, session: AsyncSession, caller: InstitutionStaff, class_session_id: UUID, attempted: Attempted | None = None
) -> Response:
    found = await registry.class_session(session, caller.institution_id, class_session_id)
    return render(
        request,
        "institution/class_session.html",
        status=attempted.error.status if attempted else 200,
        class_session=found,
        roster=await contracts.roster(session, caller.institution_id, class_session_id),
        behind=await owing.behind(session, class_session_id),
        trials=await trials_of_session(session, caller.institution_id, class_session_id),
        over=found.ends_at <= clock.now(),
        changes=await changes_of_session(session, class_session_id),
        attempted=attempted,
        form=attempted.form if attempted and attempted.step != "cancel" else SessionForm.of(found),
        **await _choices(session, caller),
    )


async def _class_form(
    request: Request,
    session: AsyncSession,
    caller: InstitutionStaff,
    form: ClassForm,
    wrong: Wrong | None = None,
    plan: Plan | None = None,
    judged: TrainingClass | None = None,
) -> Response:
    return render(
        request,
        "institution/class_form.html",
        status=wrong.status if wrong else 200,
        institution=await registry.institution(session, caller.institution_id),
        form=form,
        error=wrong,
        plan=plan,
        judged=judged,
        **await _choices(session, caller),
    )


async def _choices(session: AsyncSession, caller: InstitutionStaff) -> dict[str, Any]:
    """Whom and what places a form offers."""
    known = await registry.teachers(session, caller.institution_id)
    places = await institutions.campuses(session, caller.institution_id)
    return {
        "teachers": [(teacher.id, f"{teacher.name}（{teacher.subject}）") for teacher in known],
        "campuses": [("", "不指定"), *((campus.id, campus.name) for campus in places)],
    }


def _forbidden(caller: InstitutionStaff, kind: str, view: ClassView) -> list[Finding]:
    """What keeps parents from buying the whole class at once, by the rules of today."""
    facts = SaleFacts(kind, view.price_fen, view.lesson_count, view.starts_on, view.ends_on)
    on: date = clock.today()
    return broken(judge_sale(pack_for(caller.district, on), facts))
