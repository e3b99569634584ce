"""Pages of the institution end."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import queries as contracts
from app.contracts.queries import ClassView
from app.errors import BadInput, Conflict, NotFound, Refused
from app.ledger import codes
from app.ledger import queries as ledger
from app.lessons import queries as lesson_queries
from app.lessons import service as lessons
from app.policy.packs import pack_for
from app.policy.selling import Finding, SaleFacts, judge_sale
from app.portals.edge import Home, InstitutionCaller, Read
from app.portals.fields import PageById, PageByNumber, PageByTime, PathId, PathNo, listed
from app.portals.institution.timetable import ClassForm
from app.portals.pages import render, see_other
from app.portals.staff import bar, carry_out
from app.refunds import queries as refunds
from app.registry import queries as registry
from app.registry import service as register
from app.security import InstitutionStaff
from app.settlement import queries as settlement

router = APIRouter(prefix="/institution", include_in_schema=False)

Shown = Literal["due", "coming", "delivered"]
_FEW = 5


@router.get("")
async def home(request: Request, caller: InstitutionCaller, session: Read) -> Response:
    """Where the money is, and what waits to be done."""
    own = caller.institution_id
    balance = await settlement.balance(session, own)
    shares = [
        ("监管余额", balance.escrow_fen, "blue"),
        ("应付款", balance.payable_fen, "green"),
        ("付款中", balance.outgoing_fen, "yellow"),
    ]
    return render(
        request,
        "institution/home.html",
        institution=await registry.institution(session, own),
        balance=balance,
        bar=bar(shares),
        due=await registry.class_sessions(session, own, status="scheduled", ended=True, limit=_FEW),
        coming=await registry.class_sessions(session, own, status="scheduled", ended=False, limit=_FEW),
        payouts=await settlement.payouts_of_institution(session, own, limit=_FEW),
        disputes=await lesson_queries.disputes(session, "opened", own, limit=_FEW),
    )


@router.get("/class-sessions")
async def class_sessions(
    request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime, show: Annotated[Shown, Query()] = "due"
) -> Response:
    """Those whose attendance is due, those to come, those delivered."""
    delivered = show == "delivered"
    found = await registry.class_sessions(
        session,
        caller.institution_id,
        status="delivered" if delivered else "scheduled",
        after=paging.after,
        limit=paging.more,
        ended=None if delivered else show == "due",
        newest_first=delivered,
    )
    page = listed(found, [(each.starts_at, each.id) for each in found], paging)
    return render(request, "institution/class_sessions.html", page=page, show=show)


@router.get("/class-sessions/{class_session_id}")
async def class_session(request: Request, class_session_id: PathId, caller: InstitutionCaller, session: Read) -> Response:
    """The children who have paid for it, and the attendance form once it is over."""
    found = await registry.class_session(session, caller.institution_id, class_session_id)
    roster = await contracts.roster(session, caller.institution_id, class_session_id)
    over = found.ends_at <= clock.now()
    return render(request, "institution/class_session.html", class_session=found, roster=roster, over=over)


@router.post("/class-sessions/{class_session_id}/delivery")
async def deliver(
    class_session_id: PathId, caller: InstitutionCaller, home: Home, attended: Annotated[list[UUID] | None, Form()] = None
) -> Response:
    """Mark it delivered, with who came."""

    async def act(session: AsyncSession) -> None:
        await lessons.deliver(session, caller, class_session_id, attended or [])

    return await carry_out(home, act, back=f"/institution/class-sessions/{class_session_id}", done="已登记上课，等待家长确认")


@router.get("/classes")
async def classes(request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """All classes."""
    found = await contracts.classes_of_institution(session, caller.institution_id, paging.after, paging.more)
    page = listed(found, [(each.created_at, each.id) for each in found], paging)
    return render(request, "institution/classes.html", page=page)


@router.get("/classes/new")
async def new_class(request: Request, caller: InstitutionCaller, session: Read) -> Response:
    """The form of a new class."""
    return await _class_form(request, session, caller, ClassForm(starts_on=clock.today().isoformat()))


@router.post("/classes")
async def open_class(request: Request, caller: InstitutionCaller, home: Home, form: Annotated[ClassForm, Form()]) -> Response:
    """Open it, or show the form again with what is wrong."""
    try:
        async with home.transaction() as session:
            opened = await register.open_class(session, caller.institution_id, form.draft())
    except (BadInput, Conflict, NotFound, Refused) as refused:
        async with home.reading() as session:
            return await _class_form(request, session, caller, form, refused)
    return see_other(f"/institution/classes/{opened.training_class.id}", "班课已开设，家长可以报名")


@router.get("/classes/{class_id}")
async def training_class(request: Request, class_id: PathId, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """A class with its schedule and its contracts."""
    own = await register.own_class(session, caller, class_id)
    view = (await contracts.offer(session, own.id)).view
    signed = await contracts.contracts_of_institution(session, caller.institution_id, class_id=own.id, limit=100)
    schedule = await registry.class_sessions(session, caller.institution_id, own.id, after=paging.after, limit=paging.more)
    institution = await registry.institution(session, caller.institution_id)
    return render(
        request,
        "institution/class.html",
        training_class=view,
        contracts=signed,
        page=listed(schedule, [(each.starts_at, each.id) for each in schedule], paging),
        forbidden=_forbidden(caller, institution.kind, view),
        now=clock.now(),
    )


@router.get("/teachers")
async def teachers(request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """All teachers, and the form for one more."""
    found = await registry.teachers(session, caller.institution_id, paging.after, paging.more)
    page = listed(found, [(each.created_at, each.id) for each in found], paging)
    return render(request, "institution/teachers.html", page=page)


@router.post("/teachers")
async def enter_teacher(
    caller: InstitutionCaller,
    home: Home,
    name: Annotated[str, Form(max_length=200)] = "",
    certificate_no: Annotated[str, Form(max_length=200)] = "",
    subject: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Enter a teacher."""

    async def act(session: AsyncSession) -> None:
        await register.create_teacher(session, caller.institution_id, name, certificate_no, subject)

    return await carry_out(home, act, back="/institution/teachers", done="教师已登记")


@router.get("/payouts")
async def payouts(request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """All payouts."""
    found = await settlement.payouts_of_institution(session, caller.institution_id, paging.after, paging.more)
    page = listed(found, [(each.drafted_at, each.id) for each in found], paging)
    return render(request, "institution/payouts.html", page=page)


@router.get("/payouts/{payout_id}")
async def payout(request: Request, payout_id: PathId, caller: InstitutionCaller, session: Read, paging: PageById) -> Response:
    """A payout and the lessons that it pays."""
    found = await settlement.payout(session, payout_id, caller.institution_id)
    lines = await settlement.lines_of(session, payout_id, paging.after, paging.more)
    return render(request, "institution/payout.html", payout=found, page=listed(lines, [line.release_id for line in lines], paging))


@router.get("/refunds")
async def refund_list(request: Request, caller: InstitutionCaller, session: Read, paging: PageByTime) -> Response:
    """Refunds out of the institution's escrow."""
    found = await refunds.refunds_of_institution(session, caller.institution_id, paging.after, paging.more)
    page = listed(found, [(each.approved_at, each.id) for each in found], paging)
    return render(request, "institution/refunds.html", page=page)


@router.get("/refunds/{refund_no}")
async def refund(request: Request, refund_no: PathNo, caller: InstitutionCaller, session: Read) -> Response:
    """A refund and the lessons that it gives back."""
    return render(request, "institution/refund.html", refund=await refunds.refund_of_institution(session, caller.institution_id, refund_no))


@router.get("/statement")
async def statement(request: Request, caller: InstitutionCaller, session: Read, paging: PageByNumber) -> Response:
    """What the institution is owed, line by line with its running balance."""
    try:
        lines = await ledger.statement_back(session, caller.institution_id, codes.PAYABLE, paging.after, paging.more)
    except NotFound:
        # The ledger account opens with its first line.
        lines = []
    return render(
        request,
        "institution/statement.html",
        balance=await settlement.balance(session, caller.institution_id),
        page=listed(lines, [line.version for line in lines], paging),
    )


async def _class_form(
    request: Request,
    session: AsyncSession,
    caller: InstitutionStaff,
    form: ClassForm,
    error: BadInput | Conflict | NotFound | Refused | None = None,
) -> Response:
    known = await registry.teachers(session, caller.institution_id)
    return render(
        request,
        "institution/class_form.html",
        status=error.status if error else 200,
        form=form,
        teachers=[(teacher.id, f"{teacher.name}（{teacher.subject}）") for teacher in known],
        error=error,
    )


def _forbidden(caller: InstitutionStaff, kind: str, view: ClassView) -> list[Finding]:
    """What keeps parents from buying the whole class at once, by the rules of today."""
    facts = SaleFacts(kind, view.price_fen, view.lesson_count, view.starts_on, view.ends_on)
    on: date = clock.today()
    return [finding for finding in judge_sale(pack_for(caller.district, on), facts) if not finding.passed]
