"""What happens to a paid lesson: delivered, confirmed or disputed, ruled on. Each verb posts to the ledger once at most."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.audit import clean_reason
from app.contracts import lifecycle
from app.contracts.models import Contract, Lesson
from app.db import district_of, fixed
from app.errors import Conflict, NotFound, Refused
from app.ids import uuid7
from app.ledger import codes
from app.ledger import service as ledger
from app.ledger.models import Transfer
from app.ledger.service import Posting
from app.lessons import owing, rules
from app.lessons.models import Dispute, Release
from app.policy.packs import pack_for
from app.registry.models import ClassSession, Guardianship
from app.security import InstitutionStaff, Parent, SupervisionStaff

Ruling = Literal["release", "return"]

_CONFIRM = text("""
    SELECT outcome, released_fen FROM lessons_confirm(
        CAST(:guardians AS uuid[]), CAST(:lessons AS uuid[]), CAST(:actors AS text[]), CAST(:releases AS uuid[]),
        CAST(:transfers AS uuid[]), :now, :final_at, :business_on, :clock)
""")
_RELEASE = text("""
    SELECT lessons_release(
        CAST(:lessons AS uuid[]), CAST(:releases AS uuid[]), CAST(:transfers AS uuid[]), CAST(:guardians AS uuid[]),
        CAST(:disputes AS uuid[]), CAST(:actors AS text[]), :now, :final_at, :business_on, :clock)
""")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a confirmation did to one lesson: confirmed | already_confirmed | not_delivered | disputed | refunded | not_found."""

    lesson_id: UUID
    outcome: str
    released_fen: int


@dataclass(frozen=True, slots=True)
class Consent:
    """A guardian's confirmation of some lessons, each named once."""

    parent: Parent
    lesson_ids: Sequence[UUID]


async def deliver(
    session: AsyncSession, staff: InstitutionStaff, class_session_id: UUID, attended_student_ids: Collection[UUID]
) -> Sequence[Lesson]:
    """Mark a class session of the institution delivered; return its lessons, now delivered, or missed by who did not attend.

    Of those that are paid afterwards (先学后付), an attended one is owed from now on, and for one that was missed nothing is.
    Raises NotFound "lessons.session_not_found", Conflict "lessons.already_delivered" or "lessons.session_cancelled", Refused
    "lessons.too_early" before the session's end, "lessons.not_paid" where somebody attended who holds no lesson in it, and
    "lessons.unpaid" where somebody attended who has not paid earlier ones.
    """
    class_session = await session.get(ClassSession, class_session_id, populate_existing=True)
    if class_session is None or class_session.institution_id != staff.institution_id:
        raise NotFound("lessons.session_not_found", "没有这个课次")
    now, attended = clock.now(), set(attended_student_ids)
    if now < class_session.ends_at:
        raise Refused("lessons.too_early", "课次结束后才能登记上课")
    await owing.lock_contracts(session, [class_session_id])
    moved = await session.scalar(
        update(ClassSession)
        .where(ClassSession.id == class_session_id, ClassSession.status == "scheduled", ClassSession.ends_at <= now)
        .values(status="delivered", delivered_at=now, attended=len(attended))
        .returning(ClassSession.id)
    )
    if moved is None:
        raise rules.not_deliverable(class_session.status)
    lessons = await lifecycle.lock_lessons(session, Lesson.class_session_id == class_session_id)
    paid = [lesson for lesson in lessons if lesson.status == "scheduled"]
    agreed = [lesson for lesson in lessons if lesson.status == "agreed"]
    strangers = attended - {lesson.student_id for lesson in (*paid, *agreed)}
    if strangers:
        raise Refused("lessons.not_paid", "到课名单中有人在本课次没有已缴费的课时", count=len(strangers))
    for lesson in paid:
        lesson.status = "delivered" if lesson.student_id in attended else "missed"
        lesson.changed_at = now
    await session.flush()
    await owing.mark(session, agreed, [lesson.id for lesson in agreed if lesson.student_id in attended])
    return [*paid, *agreed]


async def confirm(session: AsyncSession, parent: Parent, lesson_ids: Sequence[UUID]) -> list[Outcome]:
    """A guardian's consent that these lessons took place: their fees (fen) leave escrow for what the institution is owed.

    The same lesson twice counts once; somebody else's lesson and an absent one are the same "not_found".
    Raises BadInput "lessons.how_many" for none or more than 100.
    """
    [outcomes] = await confirm_all(session, [Consent(parent, rules.how_many(lesson_ids))])
    return outcomes


async def confirm_all(session: AsyncSession, consents: Sequence[Consent]) -> list[list[Outcome]]:
    """The same for several guardians in one statement, in the order given: of two consents to one lesson the first counts."""
    with ledger.posting_once(session):
        rows = (await session.execute(_CONFIRM, asked(district_of(session), consents) | {"actors": _actors(consents)})).all()
    outcomes = iter(rows)
    return [[Outcome(lesson_id, *next(outcomes)) for lesson_id in consent.lesson_ids] for consent in consents]


def asked(district: str, consents: Sequence[Consent]) -> dict[str, Any]:
    """Consents as the SQL functions take them, lesson by lesson, with ids for what they cause and the time of it."""
    wanted = [(consent.parent.guardian_id, lesson_id) for consent in consents for lesson_id in consent.lesson_ids]
    return {
        "guardians": [guardian_id for guardian_id, _ in wanted],
        "lessons": [lesson_id for _, lesson_id in wanted],
        "releases": [uuid7() for _ in wanted],
        "transfers": [uuid7() for _ in wanted],
        **_times(district),
    }


async def dispute(session: AsyncSession, parent: Parent, lesson_id: UUID, reason: str) -> Dispute:
    """A guardian's objection to a delivered lesson, or to a confirmed one whose release is not final: it stays in escrow until ruled on.

    One that was taught unpaid is not due until then.
    Raises BadInput "reason.invalid", NotFound "lessons.not_found", Conflict "lessons.already_disputed", "lessons.final" or
    "lessons.not_delivered".
    """
    reason = clean_reason(reason)
    lesson = _one(await _lock(session, Lesson.id == lesson_id, _guarded_by(parent)))
    release = await session.scalar(
        select(Release).where(Release.lesson_id == lesson_id, Release.reversed_at.is_(None)).with_for_update(key_share=True)
    )
    now = clock.now()
    rules.check_disputable(lesson.status, release.final_at if release else None, now)
    lesson.status, lesson.changed_at = "contested" if lesson.status == "owed" else "disputed", now
    opened = Dispute(
        id=uuid7(),
        lesson_id=lesson_id,
        institution_id=lesson.institution_id,
        guardian_id=parent.guardian_id,
        reason=reason,
        status="opened",
        opened_at=now,
    )
    session.add(opened)
    if release is not None:
        await _reverse(session, release, lesson.contract_id, parent.actor)
    await session.flush()
    return opened


async def rule_on(session: AsyncSession, officer: SupervisionStaff, lesson_id: UUID, ruling: Ruling, reason: str) -> Dispute:
    """Decide a dispute. "release" pays the fee to the institution's account in the book; after "return" the lesson waits,
    in the same transaction, for `refunds.give_back`. Of a lesson that is not paid, the fee is due after "release" and nothing
    after "return".

    Raises BadInput "reason.invalid", NotFound "lessons.not_found", Conflict "lessons.not_disputed".
    """
    reason = clean_reason(reason)
    lesson = _one(await _lock(session, Lesson.id == lesson_id))
    ruled: Dispute | None = await session.scalar(
        update(Dispute)
        .where(Dispute.lesson_id == lesson_id, Dispute.status == fixed("opened"))
        .values(status="ruled", ruling=ruling, ruling_reason=reason, ruled_by=officer.staff_id, ruled_at=clock.now())
        .returning(Dispute)
    )
    if ruled is None:
        raise Conflict("lessons.not_disputed", "该课时没有待处理的异议")
    if lesson.payment_id is None:
        await owing.decide(session, lesson, is_due=ruling == "release")
    elif ruling == "release":
        await _release(session, ruled, officer.actor)
        await session.refresh(lesson)
    return ruled


async def _lock(session: AsyncSession, *criteria: ColumnElement[bool]) -> Sequence[Lesson]:
    await lifecycle.lock_contracts(session, Contract.id.in_(select(Lesson.contract_id).where(*criteria)))
    return await lifecycle.lock_lessons(session, *criteria)


def _guarded_by(parent: Parent) -> ColumnElement[bool]:
    return Lesson.student_id.in_(select(Guardianship.student_id).where(Guardianship.guardian_id == parent.guardian_id))


def _one(lessons: Sequence[Lesson]) -> Lesson:
    if not lessons:
        raise NotFound("lessons.not_found", "没有这个课时")
    return lessons[0]


def _actors(consents: Sequence[Consent]) -> list[str]:
    return [consent.parent.actor for consent in consents for _ in consent.lesson_ids]


async def _release(session: AsyncSession, ruled: Dispute, actor: str) -> None:
    """Move a locked lesson's fee from escrow to payable, as its dispute was ruled."""
    values = {"lessons": [ruled.lesson_id], "guardians": [None], "disputes": [ruled.id], "actors": [actor]}
    await session.flush()
    with ledger.posting_once(session):
        await session.execute(_RELEASE, {**values, "releases": [uuid7()], "transfers": [uuid7()], **_times(district_of(session))})


def _times(district: str) -> dict[str, Any]:
    """When a release happens, by which clock, and when it is final."""
    now = clock.now()
    business_on = clock.business_date(now)
    final_at = rules.final_at(pack_for(district, business_on), now)
    return {"now": now, "final_at": final_at, "business_on": business_on, "clock": clock.simulated()}


async def _reverse(session: AsyncSession, release: Release, contract_id: UUID, posted_by: str) -> None:
    """Bring a release's fee back from payable to escrow; to be called with its contract and lesson locked."""
    if release.payout_id is not None:
        raise Conflict("lessons.final", "该课时的款项已进入结算，不能再提异议")
    release.reversed_at = clock.now()
    await session.flush()
    await lifecycle.reopen(session, await session.get_one(Contract, contract_id))
    transfer_id = await session.scalar(select(Transfer.id).where(Transfer.kind == "lesson_released", Transfer.reference == str(release.id)))
    assert transfer_id is not None
    reversal = Posting(
        kind="release_reversed",
        reference=transfer_id,
        book_id=release.institution_id,
        debit=codes.PAYABLE,
        credit=codes.escrow(release.payment_id),
        amount_fen=release.amount_fen,
        reverses=transfer_id,
    )
    await ledger.post(session, [reversal], posted_by=posted_by)
