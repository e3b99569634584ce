"""Lessons: those that wait for a confirmation, and those that a parent objects to."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.contracts import queries as contracts
from app.contracts.models import LESSON_STATES, TO_COME
from app.db import District
from app.errors import BadInput, DomainError
from app.lessons import service as lessons
from app.lessons.service import Outcome
from app.money import yuan
from app.portals.edge import Home, ParentCaller, Read, Write, snapshot
from app.portals.fields import PageByTime, PathId, listed
from app.portals.pages import render, see_other
from app.security import Parent

router = APIRouter(include_in_schema=False)

LISTS = (
    ("delivered", "待确认"),
    ("owed", "待付款"),
    ("scheduled", "待上课"),
    ("disputed", "有争议"),
    ("confirmed", "已确认"),
    ("all", "全部"),
)
_ALIKE = {"scheduled": TO_COME, "disputed": ("contested", "disputed")}
"""States that are one to a family, whenever it pays."""


@router.get("/lessons")
async def own_lessons(request: Request, caller: ParentCaller, session: Read, paging: PageByTime, status: str = "delivered") -> Response:
    """The lessons in one state, first those that wait for a confirmation."""
    if status != "all" and status not in LESSON_STATES:
        raise BadInput("request.status", "没有这种课时状态")
    wanted = () if status == "all" else _ALIKE.get(status, (status,))
    rows = await contracts.lessons_of_guardian(session, caller.guardian_id, wanted, paging.after, paging.more)
    page = listed(rows, [(row.starts_at, row.id) for row in rows], paging)
    return render(request, "parent/lessons.html", page=page, status_shown=status, lists=LISTS, is_first=paging.after is None)


@router.post("/lessons/confirm")
async def confirm(caller: ParentCaller, session: Write, lesson_ids: Annotated[list[UUID], Form(max_length=100)] = []) -> Response:  # noqa: B006
    """Confirm the lessons that were ticked; one that is confirmed already stays as it is."""
    if not lesson_ids:
        return see_other("/parent/lessons", "请先勾选要确认的课时", "danger")
    outcomes = await lessons.confirm(session, caller, lesson_ids)
    return see_other("/parent/lessons", *_told(outcomes))


@router.get("/lessons/{lesson_id}/dispute")
async def objection(request: Request, lesson_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """What was wrong with the lesson?"""
    return await _objection_page(request, caller, home, lesson_id)


@router.post("/lessons/{lesson_id}/dispute")
async def dispute(
    request: Request, lesson_id: PathId, caller: ParentCaller, home: Home, reason: Annotated[str, Form(max_length=2000)] = ""
) -> Response:
    """Stop this lesson's fee until supervision rules on it."""
    try:
        async with home.transaction() as session:
            opened = await lessons.dispute(session, caller, lesson_id, reason)
    except DomainError as error:
        return await _objection_page(request, caller, home, lesson_id, error, reason)
    async with snapshot(home) as session:
        lesson = await contracts.lesson_of_guardian(session, caller.guardian_id, opened.lesson_id)
    return see_other(f"/parent/contracts/{lesson.contract_id}", "异议已提交，这节课的学费留在监管账户，等待监管部门裁决")


async def _objection_page(
    request: Request, caller: Parent, home: District, lesson_id: UUID, error: DomainError | None = None, reason: str = ""
) -> Response:
    async with snapshot(home) as session:
        lesson = await contracts.lesson_of_guardian(session, caller.guardian_id, lesson_id)
    return render(request, "parent/dispute.html", error.status if error else 200, lesson=lesson, error=error, reason=reason)


def _told(outcomes: list[Outcome]) -> tuple[str, Literal["success", "danger"]]:
    """What to tell the parent, and its tone."""
    confirmed = [each for each in outcomes if each.outcome == "confirmed"]
    left = [each for each in outcomes if each.outcome not in ("confirmed", "already_confirmed")]
    released_fen = sum(each.released_fen for each in confirmed)
    unchanged = f"{len(left)} 课时未作改动：尚未上课、有争议或已退费"
    if confirmed:
        text = f"已确认 {len(confirmed)} 课时，{yuan(released_fen)} 转为应付机构"
        return (f"{text}；{unchanged}" if left else text), "success"
    return (unchanged, "danger") if left else ("这些课时此前已确认", "success")
