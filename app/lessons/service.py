"""What happens to a paid lesson: delivered, confirmed or disputed, ruled on. Each verb posts to the ledger once at most."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, Row, select, text, update
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
from app.lessons import rules
from app.lessons.models import Dispute, Release
from app.policy.packs import pack_for
from app.registry.models import ClassSession, Guardianship
from app.security import InstitutionStaff, Parent, SupervisionStaff

Ruling = Literal["release", "return"]

_GUARDED = """
    FROM unnest(CAST(:guardians AS uuid[]), CAST(:lessons AS uuid[])) AS asked (guardian_id, lesson_id)
    JOIN lesson ON lesson.id = asked.lesson_id
    JOIN guardianship ON guardianship.student_id = lesson.student_id AND guardianship.guardian_id = asked.guardian_id
"""
_LOCK_CONTRACTS_OF_GUARDED = text(
    "SELECT FROM contract WHERE id IN (SELECT lesson.contract_id" + _GUARDED + ") ORDER BY id FOR NO KEY UPDATE"
)
_LOCK_GUARDED = text(
    "SELECT asked.guardian_id, lesson.id, lesson.contract_id, lesson.payment_id, lesson.institution_id, lesson.price_fen, lesson.status"
    + _GUARDED
    + "ORDER BY lesson.id FOR NO KEY UPDATE OF lesson"
)
_RELEASE = text("""
    WITH released AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:lessons AS uuid[]), CAST(:guardians AS uuid[]), CAST(:disputes AS uuid[]))
            AS cause (id, lesson_id, confirmed_by, dispute_id)
    ), moved AS (
        UPDATE lesson SET status = 'confirmed', changed_at = :now FROM released WHERE lesson.id = released.lesson_id
        RETURNING lesson.id, lesson.institution_id, lesson.payment_id, lesson.price_fen
    )
    INSERT INTO release (id, lesson_id, institution_id, payment_id, amount_fen, confirmed_by, dispute_id, released_at, final_at)
    SELECT released.id, moved.id, moved.institution_id, moved.payment_id, moved.price_fen, released.confirmed_by, released.dispute_id,
        :now, :final_at
    FROM moved JOIN released ON released.lesson_id = moved.id
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


class Paid(Protocol):
    """What a release needs to know of a lesson, as a row of its table has it."""

    id: UUID
    contract_id: UUID
    payment_id: UUID | None
    institution_id: UUID
    price_fen: int


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a lesson's fee is released, and by whom: a guardian's confirmation or the ruling on a dispute."""

    lesson: Paid
    actor: str
    confirmed_by: UUID | None = None
    dispute_id: UUID | None = None


async def deliver(
    session: AsyncSession, staff: InstitutionStaff, class_session_id: UUID, attended_student_ids: Collection[UUID]
) -> Sequence[Lesson]:
    """Mark a class session of the institution delivered; return its paid lessons, now delivered, or missed by who did not attend.

    Raises NotFound "lessons.session_not_found", Conflict "lessons.already_delivered" or "lessons.session_cancelled", Refused
    "lessons.too_early" before the session's end and "lessons.not_paid" where somebody attended who holds no paid lesson in it.
    """
    class_session = await session.get(ClassSession, class_session_id, populate_existing=True)
    if class_session is None or class_session.institution_id != staff.institution_id:
        raise NotFound("lessons.session_not_found", "没有这个课次")
    now = clock.now()
    if now < class_session.ends_at:
        raise Refused("lessons.too_early", "课次结束后才能登记上课")
    moved = await session.scalar(
        update(ClassSession)
        .where(ClassSession.id == class_session_id, ClassSession.status == "scheduled", ClassSession.ends_at <= now)
        .values(status="delivered", delivered_at=now)
        .returning(ClassSession.id)
    )
    if moved is None:
        raise rules.not_deliverable(class_session.status)
    lessons = await lifecycle.lock_lessons(session, Lesson.class_session_id == class_session_id)
    paid = [lesson for lesson in lessons if lesson.status == "scheduled"]
    attended = set(attended_student_ids)
    strangers = attended - {lesson.student_id for lesson in paid}
    if strangers:
        raise Refused("lessons.not_paid", "到课名单中有人在本课次没有已缴费的课时", count=len(strangers))
    for lesson in paid:
        lesson.status = "delivered" if lesson.student_id in attended else "missed"
        lesson.changed_at = now
    await session.flush()
    return paid


async def confirm(session: AsyncSession, parent: Parent, lesson_ids: Sequence[UUID]) -> list[Outcome]:
    """A guardian's consent that these lessons took place: their fees (fen) leave escrow for what the institution is owed.

    The same lesson twice counts once; somebody else's lesson and an absent one are the same "not_found".
    Raises BadInput "lessons.how_many" for none or more than 100.
    """
    [outcomes] = await confirm_all(session, [Consent(parent, rules.how_many(lesson_ids))])
    return outcomes


async def confirm_all(session: AsyncSession, consents: Sequence[Consent]) -> list[list[Outcome]]:
    """The same for several guardians in one set of statements, in the order given: of two consents to one lesson the first counts."""
    wanted = [(consent.parent.guardian_id, lesson_id) for consent in consents for lesson_id in consent.lesson_ids]
    pairs = {"guardians": [pair[0] for pair in wanted], "lessons": [pair[1] for pair in wanted]}
    await session.execute(_LOCK_CONTRACTS_OF_GUARDED, pairs)
    guarded: dict[tuple[UUID, UUID], Row[Any]] = {(row.guardian_id, row.id): row for row in await session.execute(_LOCK_GUARDED, pairs)}
    states = {row.id: row.status for row in guarded.values()}
    causes: list[Cause] = []
    answers = []
    for consent in consents:
        answer = []
        for lesson_id in consent.lesson_ids:
            lesson = guarded.get((consent.parent.guardian_id, lesson_id))
            if lesson is None:
                answer.append(Outcome(lesson_id, "not_found", 0))
                continue
            outcome = rules.confirmation_outcome(states[lesson_id])
            if outcome == "confirmed":
                states[lesson_id] = "confirmed"
                causes.append(Cause(lesson, consent.parent.actor, confirmed_by=consent.parent.guardian_id))
            answer.append(Outcome(lesson_id, outcome, lesson.price_fen if outcome == "confirmed" else 0))
        answers.append(answer)
    await _release(session, causes)
    return answers


async def dispute(session: AsyncSession, parent: Parent, lesson_id: UUID, reason: str) -> Dispute:
    """A guardian's objection to a delivered lesson, or to a confirmed one whose release is not final: it stays in escrow until ruled on.

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
    lesson.status, lesson.changed_at = "disputed", now
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
    in the same transaction, for `refunds.give_back`.

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
    if ruling == "release":
        await _release(session, [Cause(lesson, officer.actor, dispute_id=ruled.id)])
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


async def _release(session: AsyncSession, causes: Sequence[Cause]) -> None:
    """Move locked lessons' fees from escrow to payable, each with its cause row."""
    if not causes:
        return
    now = clock.now()
    final_at = rules.final_at(pack_for(district_of(session), clock.business_date(now)), now)
    release_ids = [uuid7() for _ in causes]
    postings = []
    for release_id, cause in zip(release_ids, causes, strict=True):
        lesson = cause.lesson
        assert lesson.payment_id is not None
        postings.append(
            Posting(
                kind="lesson_released",
                reference=release_id,
                book_id=lesson.institution_id,
                debit=codes.escrow(lesson.payment_id),
                credit=codes.PAYABLE,
                amount_fen=lesson.price_fen,
                posted_by=cause.actor,
            )
        )
    await session.execute(
        _RELEASE,
        {
            "ids": release_ids,
            "lessons": [cause.lesson.id for cause in causes],
            "guardians": [cause.confirmed_by for cause in causes],
            "disputes": [cause.dispute_id for cause in causes],
            "now": now,
            "final_at": final_at,
        },
    )
    await lifecycle.close_if_done(session, {cause.lesson.contract_id for cause in causes})
    await ledger.post(session, postings, posted_by=causes[0].actor)


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
