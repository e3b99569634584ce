"""试听: a free place in one class session of a class with seats left, once for each child and class. No money moves."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts.models import LIVE, Contract
from app.errors import BadInput, Conflict, NotFound, Refused
from app.ids import uuid7
from app.lessons.models import Trial
from app.registry import families
from app.registry.courses import Course, courses_for_sale
from app.registry.institutions import check_may_sell
from app.registry.models import ClassSession, Guardianship
from app.registry.rules import clean_text
from app.security import InstitutionStaff, Parent

AHEAD = timedelta(days=60)
"""A trial is booked for a class session that starts within this time."""
RATED_WITHIN = timedelta(days=60)
MOST_WAITING = 5
"""Trials that a child may have booked at once."""
MOST_CANCELLED = 3
"""How often a child's trial of one class may be called off before it cannot be booked again."""
LONGEST_COMMENT = 200


async def book(session: AsyncSession, parent: Parent, class_session_id: UUID, student_id: UUID) -> Trial:
    """Book a free place for a child in a class session; booking the same one again changes nothing.

    A trial whose class session was cancelled gives way to a new one. A booked place holds no seat of the class: a family that enrols
    comes first, also in this class session.
    Raises NotFound("registry.student_not_found", "registry.class_session_not_found"), Refused("registry.consent_needed"),
    what `courses_for_sale` and `check_may_sell` raise,
    Refused("lessons.trial_time") for a class session that is not to come within 60 days,
    Conflict("lessons.trial_enrolled") for a child of the class, Conflict("lessons.trial_known") for one that had its trial,
    Refused("lessons.trial_often", "lessons.trial_many", "lessons.trial_full").
    """
    await families.guard_for_contract(session, [(parent.guardian_id, student_id)])
    class_id = await session.scalar(select(ClassSession.class_id).where(ClassSession.id == class_session_id))
    if class_id is None:
        raise _no_session()
    course = (await courses_for_sale(session, [class_id]))[class_id]
    check_may_sell(course.institution)
    standing = await _standing(session, course, class_session_id, student_id)
    if standing is not None:
        return standing
    _check_time(course, class_session_id)
    await _check_waiting(session, student_id)
    await _check_seats(session, course, class_session_id, student_id)
    trial = Trial(
        id=uuid7(),
        class_id=class_id,
        class_session_id=class_session_id,
        institution_id=course.institution.id,
        student_id=student_id,
        guardian_id=parent.guardian_id,
        status="booked",
        booked_at=clock.now(),
    )
    session.add(trial)
    await session.flush()
    return trial


async def cancel(session: AsyncSession, parent: Parent, trial_id: UUID) -> Trial:
    """Call a booked trial off before its class session starts; calling it off again changes nothing.

    Raises NotFound("lessons.trial_not_found"), Conflict("lessons.trial_started").
    """
    trial = await _own(session, parent, trial_id)
    row = await session.get_one(ClassSession, trial.class_session_id)
    if trial.status == "booked" and (row.starts_at > clock.now() or row.status == "cancelled"):
        await _call_off(session, trial)
    elif trial.status != "cancelled":
        raise Conflict("lessons.trial_started", "课次已开始，不能再取消")
    return trial


async def mark(session: AsyncSession, staff: InstitutionStaff, class_session_id: UUID, attended: Collection[UUID]) -> Sequence[Trial]:
    """Enter which of the booked trials of a class session took place, once, from its end on; the answer is all that were entered.

    Raises NotFound("registry.class_session_not_found"), Refused("lessons.too_early"), Conflict("lessons.session_cancelled"),
    Refused("lessons.trial_not_booked") for a trial that is not booked there.
    """
    row = await session.get(ClassSession, class_session_id)
    if row is None or row.institution_id != staff.institution_id:
        raise _no_session()
    if row.status == "cancelled":
        raise Conflict("lessons.session_cancelled", "该课次已取消")
    if clock.now() < row.ends_at:
        raise Refused("lessons.too_early", "课次结束后才能登记上课")
    booked = (Trial.class_session_id == class_session_id, Trial.status == "booked")
    trials = (await session.scalars(select(Trial).where(*booked).order_by(Trial.id).with_for_update())).all()
    if not set(attended) <= {trial.id for trial in trials}:
        raise Refused("lessons.trial_not_booked", "名单中有人没有预约这次试听，或已登记过")
    for trial in trials:
        trial.status = "attended" if trial.id in attended else "absent"
        trial.ended_at, trial.marked_by = clock.now(), staff.staff_id
    await session.flush()
    return trials


async def rate(session: AsyncSession, parent: Parent, trial_id: UUID, rating: int, comment: str) -> Trial:
    """Say how an attended trial was, once: 1 to 5 stars and up to 200 characters, which only the institution and officers read.

    Raises BadInput naming the field, NotFound("lessons.trial_not_found"), Conflict("lessons.trial_not_attended", "lessons.trial_rated").
    """
    if not 1 <= rating <= 5:
        raise BadInput("lessons.rating_invalid", "请给 1 至 5 星", field="rating")
    said = clean_text(" ".join(comment.split()), "comment", "评价", LONGEST_COMMENT) if comment.strip() else ""
    trial = await _own(session, parent, trial_id)
    if trial.rated_at is not None:
        raise Conflict("lessons.trial_rated", "已经评价过这次试听")
    if trial.status != "attended" or trial.ended_at is None or trial.ended_at + RATED_WITHIN < clock.now():
        raise Conflict("lessons.trial_not_attended", "试听后 60 天内可以评价")
    trial.rating, trial.comment, trial.rated_at = rating, said, clock.now()
    await session.flush()
    return trial


async def _standing(session: AsyncSession, course: Course, class_session_id: UUID, student_id: UUID) -> Trial | None:
    """The child's trial where it is booked for this class session already. With the class locked nobody books beside."""
    of_child = (Trial.class_id == course.training_class.id, Trial.student_id == student_id)
    trials = (await session.scalars(select(Trial).where(*of_child))).all()
    if sum(trial.status == "cancelled" for trial in trials) >= MOST_CANCELLED:
        raise Refused("lessons.trial_often", "这个班的试听已取消过多次，不能再预约")
    cancelled = {row.id for row in course.sessions if row.status == "cancelled"}
    for trial in trials:
        if trial.status == "booked" and trial.class_session_id in cancelled:
            await _call_off(session, trial)
        elif trial.status == "booked" and trial.class_session_id == class_session_id:
            return trial
        elif trial.status != "cancelled":
            raise Conflict("lessons.trial_known", "每个孩子在一个班级可以试听一次，已有预约或已试听过")
    return None


def _check_time(course: Course, class_session_id: UUID) -> None:
    now = clock.now()
    row = next(row for row in course.sessions if row.id == class_session_id)
    if row.status != "scheduled" or not now < row.starts_at <= now + AHEAD:
        raise Refused("lessons.trial_time", f"可以试听的是今后 {AHEAD.days} 天内还没有开始的课次")


async def _check_waiting(session: AsyncSession, student_id: UUID) -> None:
    waiting = await session.scalar(
        select(func.count())
        .select_from(Trial)
        .join(ClassSession, ClassSession.id == Trial.class_session_id)
        .where(Trial.student_id == student_id, Trial.status == "booked", ClassSession.starts_at > clock.now())
    )
    if (waiting or 0) >= MOST_WAITING:
        raise Refused("lessons.trial_many", f"一个孩子最多同时预约 {MOST_WAITING} 次试听")


async def _check_seats(session: AsyncSession, course: Course, class_session_id: UUID, student_id: UUID) -> None:
    """The class row is locked, so what is counted here stays true until the commit."""
    live = (Contract.class_id == course.training_class.id, Contract.status.in_(LIVE))
    pupils = set(await session.scalars(select(Contract.student_id).where(*live)))
    if student_id in pupils:
        raise Conflict("lessons.trial_enrolled", "孩子已在这个班级报名，不需要试听")
    booked = (Trial.class_session_id == class_session_id, Trial.status == "booked")
    guests = await session.scalar(select(func.count()).select_from(Trial).where(*booked))
    if len(pupils) + (guests or 0) >= course.training_class.seats:
        raise Refused("lessons.trial_full", "这次课没有空位了，请换一次课")


async def _own(session: AsyncSession, parent: Parent, trial_id: UUID) -> Trial:
    """The trial of a child that the parent answers for, locked."""
    trial: Trial | None = await session.scalar(
        select(Trial)
        .join(Guardianship, Guardianship.student_id == Trial.student_id)
        .where(Trial.id == trial_id, Guardianship.guardian_id == parent.guardian_id)
        .with_for_update(of=Trial)
        .execution_options(populate_existing=True)
    )
    if trial is None:
        raise NotFound("lessons.trial_not_found", "没有这次试听")
    return trial


async def _call_off(session: AsyncSession, trial: Trial) -> None:
    trial.status, trial.ended_at = "cancelled", clock.now()
    await session.flush()


def _no_session() -> NotFound:
    return NotFound("registry.class_session_not_found", "没有这次课")
