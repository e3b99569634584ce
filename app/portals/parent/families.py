"""The parent's children: entering and correcting them, consent, and the other guardians who answer for them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import District
from app.errors import DomainError, NotFound
from app.portals.edge import Home, ParentCaller, Read, snapshot
from app.portals.fields import PathId
from app.portals.pages import render, see_other
from app.privacy import leaving
from app.registry import consenting, families, family_queries, inviting
from app.registry.families import Correction
from app.security import Parent

router = APIRouter(include_in_schema=False)

Typed = Annotated[str, Form(max_length=200)]


@router.get("/students")
async def students(request: Request, caller: ParentCaller, home: Home) -> Response:
    """The parent's children, invitations to answer for others, and a form for a new one."""
    return await _students_page(request, caller, home)


@router.post("/students")
async def add_student(
    request: Request, caller: ParentCaller, home: Home, name: Typed = "", birth_month: Typed = "", stage: Typed = "", consent: Typed = ""
) -> Response:
    """Enter a child; the same one again changes nothing."""
    try:
        async with home.transaction() as session:
            known = await families.children_of(session, caller.guardian_id)
            child = await families.add_student(session, caller.guardian_id, name, birth_month, stage, consent=consent)
    except DomainError as error:
        return await _students_page(request, caller, home, error, name=name, birth_month=birth_month, stage=stage)
    return see_other("/parent/students", "这个孩子以前已登记，没有重复登记" if child in known else "孩子已登记")


@router.get("/students/{student_id}")
async def student(request: Request, student_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """One child: its data, who answers for it, what was agreed to."""
    return await _student_page(request, caller, home, student_id)


@router.post("/students/{student_id}")
async def correct(
    request: Request, student_id: PathId, caller: ParentCaller, home: Home, name: Typed = "", birth_month: Typed = "", stage: Typed = ""
) -> Response:
    """Put a child's data right."""
    try:
        async with home.transaction() as session:
            await families.correct_student(session, caller, student_id, Correction(name, birth_month, stage))
    except NotFound:
        raise
    except DomainError as error:
        return await _student_page(request, caller, home, student_id, error, name=name, birth_month=birth_month, stage=stage)
    return see_other(f"/parent/students/{student_id}", "已更正")


@router.post("/students/{student_id}/consent")
async def agree(student_id: PathId, caller: ParentCaller, home: Home, consent: Typed = "") -> Response:
    """Agree to the handling of the child's data."""

    async def act(session: AsyncSession) -> None:
        await families.agree(session, caller, student_id, consent)

    return await _done(home, act, f"/parent/students/{student_id}", "已记录您的同意")


@router.post("/students/{student_id}/withdrawal")
async def withdraw(student_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Withdraw it."""

    async def act(session: AsyncSession) -> None:
        await families.withdraw_consent(session, caller, student_id)

    return await _done(home, act, f"/parent/students/{student_id}", "已撤回同意；已签合同和已付学费不受影响")


@router.post("/students/{student_id}/leave")
async def leave(student_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Stop answering for the child; the last one's leaving erases its data."""
    try:
        async with home.transaction() as session:
            erased = await leaving.leave_child(session, caller, student_id)
    except NotFound:
        raise
    except DomainError as refused:
        return see_other(f"/parent/students/{student_id}", refused.message_zh, "danger")
    return see_other("/parent/students", "孩子的信息已删除" if erased else "您已不再是这个孩子的监护人")


@router.post("/students/{student_id}/invitations")
async def invite(request: Request, student_id: PathId, caller: ParentCaller, home: Home, phone: Typed = "") -> Response:
    """Invite another guardian. The code is on this page only: it is stored nowhere, and stands in no address."""
    try:
        async with home.transaction() as session:
            made = await inviting.invite(session, caller, student_id, phone.strip() or None)
    except NotFound:
        raise
    except DomainError as error:
        return await _student_page(request, caller, home, student_id, error, phone=phone)
    if made.code is None:
        return see_other(f"/parent/students/{student_id}", "邀请已发出：对方用该手机号登录后，在“我的孩子”中接受")
    return await _student_page(request, caller, home, student_id, code=made.code)


@router.post("/invitations/{invitation_id}/end")
async def end_invitation(invitation_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """Take an invitation back, or turn one down."""

    async def act(session: AsyncSession) -> None:
        await inviting.end(session, caller, invitation_id)

    return await _done(home, act, "/parent/students", "邀请已取消")


@router.post("/invitations/look")
async def look(request: Request, caller: ParentCaller, home: Home, code: Typed = "") -> Response:
    """What the invitation of a code is about, before it is taken."""
    try:
        async with snapshot(home) as session:
            found = await inviting.found_by_code(session, code)
            return await _invitation_page(request, session, found.id, code)
    except NotFound as error:
        return await _students_page(request, caller, home, error, code=code)


@router.get("/invitations/{invitation_id}")
async def invitation(request: Request, invitation_id: PathId, caller: ParentCaller, session: Read) -> Response:
    """An invitation that was made out to the parent's phone."""
    found = await inviting.found_by_phone(session, caller, invitation_id)
    return await _invitation_page(request, session, found.id)


@router.post("/invitations")
async def accept(
    request: Request, caller: ParentCaller, home: Home, code: Typed = "", invitation_id: Typed = "", consent: Typed = ""
) -> Response:
    """Answer for the child too."""
    by_phone = None if code else _id(invitation_id)
    try:
        async with home.transaction() as session:
            child = await inviting.accept(session, caller, consent, code=code or None, invitation_id=by_phone)
    except NotFound as error:
        return await _students_page(request, caller, home, error)
    except DomainError as error:
        async with snapshot(home) as session:
            found = await (inviting.found_by_code(session, code) if code else inviting.found_by_phone(session, caller, by_phone))
            return await _invitation_page(request, session, found.id, code, error)
    return see_other(f"/parent/students/{child.id}", "您已成为这个孩子的监护人")


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


async def _done(home: District, act: Callable[[AsyncSession], Awaitable[None]], back: str, done: str) -> Response:
    try:
        async with home.transaction() as session:
            await act(session)
    except NotFound:
        raise
    except DomainError as refused:
        return see_other(back, refused.message_zh, "danger")
    return see_other(back, done)


async def _students_page(request: Request, caller: Parent, home: District, error: DomainError | None = None, **filled: str) -> Response:
    async with snapshot(home) as session:
        children = await family_queries.students(session, caller.guardian_id)
        invitations = await family_queries.invitations_to(session, caller.guardian_id)
    shown = {"name": "", "birth_month": "", "stage": "", "code": ""} | filled
    context: dict[str, Any] = {"children": children, "invitations": invitations, "consent_text": consenting.consent_text()}
    return render(request, "parent/students.html", error.status if error else 200, error=error, filled=shown, **context)


async def _student_page(
    request: Request, caller: Parent, home: District, student_id: UUID, error: DomainError | None = None, code: str = "", **filled: str
) -> Response:
    async with snapshot(home) as session:
        child = await families.own_child(session, caller.guardian_id, student_id)
        entered = {"name": "", "phone": "", "birth_month": families.birth_month_of(child), "stage": child.stage or ""}
        context: dict[str, Any] = {
            "child": await family_queries.student(session, caller.guardian_id, student_id),
            "guardians": await family_queries.guardians_of_child(session, student_id),
            "invitations": await family_queries.open_invitations_of_child(session, student_id),
            "consents": await family_queries.consents_of_child(session, student_id),
            "consent_text": consenting.consent_text(),
        }
    return render(
        request,
        "parent/student.html",
        error.status if error else 200,
        error=error,
        filled=entered | filled,
        code=code,
        own_id=caller.guardian_id,
        **context,
    )


async def _invitation_page(
    request: Request, session: AsyncSession, invitation_id: UUID, code: str = "", error: DomainError | None = None
) -> Response:
    view = await family_queries.invitation(session, invitation_id)
    status = error.status if error else 200
    context: dict[str, Any] = {"invitation": view, "code": code, "consent_text": consenting.consent_text()}
    return render(request, "parent/invitation.html", status, error=error, **context)
