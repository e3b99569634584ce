"""班课备案: an institution files a class with its schedule, officers decide about it, and only then it enrols."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.clock import business_date
from app.errors import Conflict, NotFound, Refused
from app.ids import uuid7
from app.registry import institutions, judging, rules, teachers
from app.registry.clashes import Meeting, refuse_clashes
from app.registry.courses import Course, course_of
from app.registry.judging import Judgement
from app.registry.models import ClassSession, Institution, TrainingClass
from app.registry.rules import ClassDraft
from app.security import InstitutionStaff, SupervisionStaff

ALREADY_DECIDED = "由登记部门直接录入"
"""What stands as the reason of a class that was entered approved."""

_SCHEDULE = text("""
    INSERT INTO class_session
        (id, class_id, institution_id, number, starts_at, ends_at, teacher_id, campus_id, room, status)
    SELECT planned.id, filed.id, filed.institution_id, planned.number, planned.starts_at, planned.ends_at,
        filed.teacher_id, filed.campus_id, filed.room, 'scheduled'
    FROM unnest(CAST(:ids AS uuid[]), CAST(:classes AS uuid[]), CAST(:numbers AS int[]), CAST(:starts AS timestamptz[]),
        CAST(:ends AS timestamptz[])) AS planned (id, class_id, number, starts_at, ends_at)
    JOIN training_class AS filed ON filed.id = planned.class_id
""")


@dataclass(frozen=True, slots=True)
class Filing:
    """A clean draft with what the rules say about it."""

    draft: ClassDraft
    judgement: Judgement


async def file_class(session: AsyncSession, staff: InstitutionStaff, draft: ClassDraft) -> Course:
    """File a class of the caller's institution; nobody can join it until an officer has approved it.

    On site it is taught at a campus, whose lease it is judged by, where the institution has any.
    Raises BadInput naming the field, NotFound("registry.teacher_not_found", "registry.campus_not_found"),
    Refused("registry.institution_not_open") for an institution that may not enrol, Refused("registry.rule") with the findings
    that forbid such a class, what `teachers.check_may_teach` raises, Conflict("registry.teacher_taken", "registry.room_taken").
    """
    if needs_campus(draft) and await institutions.campuses(session, staff.institution_id):
        raise rules.refuse("campus_id", "线下班级须选择校区")
    course = await _enter(session, staff.institution_id, draft)
    await audit.record(session, staff.actor, "registry.class_filed", f"class:{course.training_class.id}")
    return course


async def file_classes(session: AsyncSession, actor: str, institution_id: UUID, filings: Sequence[Filing]) -> None:
    """File several classes of a locked institution that all passed what `file_class` asks of one."""
    filed = await _store(session, institution_id, filings)
    await audit.record_all(session, actor, "registry.class_filed", [f"class:{class_id}" for class_id in filed])


def check_draft(draft: ClassDraft) -> ClassDraft:
    """The draft cleaned and complete, all of it still to come. Raises BadInput naming the first field that does not hold."""
    now = clock.now()
    draft = rules.check_class(draft, now)
    rules.check_to_come(draft.sessions, now)
    return draft


def needs_campus(draft: ClassDraft) -> bool:
    """Whether a campus has still to be chosen for a class."""
    return draft.mode == "onsite" and draft.campus_id is None


def meetings_of(draft: ClassDraft) -> list[Meeting]:
    """When, by whom and where the class would meet."""
    return [Meeting(starts_at, ends_at, draft.teacher_id, draft.campus_id, draft.room) for starts_at, ends_at in draft.sessions]


async def open_class(session: AsyncSession, institution_id: UUID, draft: ClassDraft) -> Course:
    """File and approve a class in one step, for callers who stand for both sides; a campus may be left out.

    Raises what `file_class` raises.
    """
    course = await _enter(session, institution_id, draft)
    filed = course.training_class
    filed.status, filed.decided_at, filed.decision_reason = "opened", clock.now(), ALREADY_DECIDED
    await session.flush()
    return course


async def approve_class(session: AsyncSession, officer: SupervisionStaff, class_id: UUID, reason: str) -> TrainingClass:
    """Let a filed class enrol, as it stands now: it is judged again, and what was found is kept with it.

    Raises BadInput("registry.reason_invalid"), NotFound("registry.class_not_found"), Conflict("registry.class_decided"),
    Refused("registry.institution_not_open"), what `judging.judge_again` raises.
    """
    filed = await _decide(session, officer, class_id, "opened", reason)
    course = await course_of(session, class_id)
    refuse_closed(course.institution)
    judgement = await judging.judge_again(session, course)
    filed.judged_by, filed.findings = judgement.edition, judgement.told()
    return filed


async def refuse_class(session: AsyncSession, officer: SupervisionStaff, class_id: UUID, reason: str) -> TrainingClass:
    """Refuse a filed class: its class sessions are cancelled, so their teacher, rooms and times are free again.

    Raises BadInput("registry.reason_invalid"), NotFound("registry.class_not_found"), Conflict("registry.class_decided").
    """
    filed = await _decide(session, officer, class_id, "refused", reason)
    planned = ClassSession.class_id == class_id, ClassSession.status == "scheduled"
    await session.execute(update(ClassSession).where(*planned).values(status="cancelled"))
    return filed


async def close_class(session: AsyncSession, staff: InstitutionStaff, class_id: UUID) -> TrainingClass:
    """Stop enrolling in an opened class (停招); its contracts and class sessions go on.

    Raises NotFound("registry.class_not_found"), Conflict("registry.class_not_opened").
    """
    closed: TrainingClass | None = await session.scalar(
        update(TrainingClass)
        .where(TrainingClass.id == class_id, TrainingClass.institution_id == staff.institution_id, TrainingClass.status == "opened")
        .values(status="closed")
        .returning(TrainingClass)
        .execution_options(populate_existing=True)
    )
    if closed is None:
        own = await session.get(TrainingClass, class_id)
        if own is None or own.institution_id != staff.institution_id:
            raise NotFound("registry.class_not_found", "没有这个班级")
        raise Conflict("registry.class_not_opened", "该班级不在招生中")
    await audit.record(session, staff.actor, "registry.class_closed", f"class:{class_id}")
    return closed


async def _enter(session: AsyncSession, institution_id: UUID, draft: ClassDraft) -> Course:
    draft = check_draft(draft)
    institution = await institutions.lock(session, institution_id)
    refuse_closed(institution)
    teacher = await teachers.own_teacher(session, institution_id, draft.teacher_id)
    if draft.campus_id is not None:
        await institutions.own_campus(session, institution_id, draft.campus_id)
    judgement = await judging.judge_filing(session, institution, teacher, draft)
    await refuse_clashes(session, institution_id, meetings_of(draft))
    [class_id] = await _store(session, institution_id, [Filing(draft, judgement)])
    return await course_of(session, class_id)


async def _store(session: AsyncSession, institution_id: UUID, filings: Sequence[Filing]) -> list[UUID]:
    """Store classes and their class sessions; the ids of the classes."""
    now = clock.now()
    filed = [(uuid7(), filing) for filing in filings]
    await session.execute(insert(TrainingClass), [_values(institution_id, class_id, filing, now) for class_id, filing in filed])
    met = [(class_id, number, *times) for class_id, filing in filed for number, times in enumerate(filing.draft.sessions, start=1)]
    class_ids, numbers, starts, ends = zip(*met, strict=True)
    timetable = {"classes": class_ids, "numbers": numbers, "starts": starts, "ends": ends}
    await session.execute(_SCHEDULE, {"ids": [uuid7() for _ in met], **timetable})
    return [class_id for class_id, _ in filed]


def _values(institution_id: UUID, class_id: UUID, filing: Filing, now: datetime) -> dict[str, Any]:
    """The columns of a filed class."""
    draft = filing.draft
    return {
        "id": class_id,
        "institution_id": institution_id,
        "teacher_id": draft.teacher_id,
        "name": draft.name,
        "subject": draft.subject,
        "mode": draft.mode,
        "price_fen": draft.price_fen,
        "listed_price_fen": draft.listed_price_fen,
        "lesson_count": draft.lesson_count,
        "lesson_minutes": draft.lesson_minutes,
        "seats": draft.seats,
        "materials": list(draft.materials),
        "campus_id": draft.campus_id,
        "room": draft.room,
        "most_unpaid": draft.most_unpaid,
        "starts_on": business_date(draft.sessions[0][0]),
        "ends_on": business_date(draft.sessions[-1][1]),
        "status": "filed",
        "created_at": now,
        "judged_by": filing.judgement.edition,
        "findings": filing.judgement.told(),
    }


async def _decide(session: AsyncSession, officer: SupervisionStaff, class_id: UUID, status: str, reason: str) -> TrainingClass:
    reason = rules.reason(reason)
    decided: TrainingClass | None = await session.scalar(
        update(TrainingClass)
        .where(TrainingClass.id == class_id, TrainingClass.status == "filed")
        .values(status=status, decided_at=clock.now(), decided_by=officer.staff_id, decision_reason=reason)
        .returning(TrainingClass)
        .execution_options(populate_existing=True)
    )
    if decided is None:
        if await session.get(TrainingClass, class_id) is None:
            raise NotFound("registry.class_not_found", "没有这个班级")
        raise Conflict("registry.class_decided", "该班级已有审批结论")
    await audit.record(session, officer.actor, f"registry.class_{status}", f"class:{class_id}", reason)
    return decided


def refuse_closed(institution: Institution) -> None:
    """Raises Refused("registry.institution_not_open") for an institution that may not enrol."""
    if institution.status != "approved":
        raise Refused("registry.institution_not_open", "机构已被暂停或注销，不能开班")
