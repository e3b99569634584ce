"""Ending a guardianship, and erasing a child or a guardian so that the books stay: rows keep their ids and lose their person.

Nothing is erased while a contract lives or money is on its way, or may yet come back: the family would lose whom it is owed to.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock, idempotency, security
from app.contracts import accepting
from app.contracts.models import IN_ESCROW, LIVE
from app.errors import Conflict, Refused
from app.lessons.models import CalendarFeed, Trial
from app.registry import consenting, families
from app.registry.models import FormerGuardianship, Guardian, GuardianInvitation, Guardianship, Student
from app.registry.rules import shanghai
from app.security import Parent

COMES_BACK_WITHIN = timedelta(days=30)
"""How long a bank may send back what it has paid (退汇), for an account that was closed or a name that differs.

That takes days; no measure found bounds it, so this is a month. Money that came back to an erased guardian would be nobody's.
"""
_UNSETTLED = text("""
    WITH mine AS (
        SELECT id, status FROM contract WHERE student_id = ANY (CAST(:students AS uuid[]))
        UNION
        SELECT id, status FROM contract WHERE guardian_id = ANY (CAST(:guardians AS uuid[]))
    ), arrived AS (
        SELECT instruction.ended_at AS at FROM refund JOIN mine ON mine.id = refund.contract_id
            JOIN instruction ON instruction.reference = refund.refund_no AND instruction.status = 'settled'
        UNION ALL
        SELECT receipt.returned_at FROM receipt JOIN payment ON payment.id = receipt.meant_for JOIN mine ON mine.id = payment.contract_id
    )
    SELECT (SELECT count(*) FROM mine WHERE status = ANY (CAST(:live AS text[]))) AS contracts,
        (SELECT count(*) FROM lesson JOIN mine ON mine.id = lesson.contract_id
            WHERE lesson.status = ANY (CAST(:held AS text[]))) AS lessons,
        (SELECT count(*) FROM refund JOIN mine ON mine.id = refund.contract_id
            LEFT JOIN instruction ON instruction.reference = refund.refund_no
            WHERE instruction.id IS NULL OR (instruction.status <> 'settled' AND instruction.unreserved_at IS NULL)) AS refunds,
        (SELECT count(*) FROM receipt JOIN payment ON payment.id = receipt.meant_for JOIN mine ON mine.id = payment.contract_id
            WHERE receipt.outcome <> 'matched' AND receipt.returned_at IS NULL) AS receipts,
        (SELECT count(*) FROM arrived WHERE at > :since) AS arrived,
        (SELECT max(at) FROM arrived) AS latest
""")
_LEFT_ZH = ("份未结束的合同", "个仍在监管账户里的课时", "笔在途的退费", "笔待退回的款项")


async def leave_child(session: AsyncSession, parent: Parent, student_id: UUID) -> bool:
    """Stop answering for a child; when nobody else does, the child is erased, and the answer is True.

    Raises NotFound("registry.student_not_found"), and Refused("privacy.not_settled") for the last guardian while the child has a live
    contract or money with us, or had money paid back less than 30 days ago.
    """
    child = await families.lock_own_child(session, parent.guardian_id, student_id)
    return await _leave(session, parent, child)


async def erase_account(session: AsyncSession, parent: Parent) -> None:
    """Erase a guardian, and every child that nobody else answers for; their sessions end, and the phone may enter anew as a stranger.

    Raises Refused("privacy.not_settled") while a contract that they signed, or one of such a child, is live or has money with us, or
    had money paid back less than 30 days ago.
    """
    children = await families.lock_children(session, await _children(session, parent.guardian_id))
    guardian = await session.get_one(Guardian, parent.guardian_id, with_for_update=True, populate_existing=True)
    if set(await _children(session, parent.guardian_id)) != set(children):
        raise Conflict("privacy.try_again", "孩子的登记刚刚有变动，请重试")
    await _check_settled(session, [], [parent.guardian_id])
    for child in children.values():
        await _leave(session, parent, child)
    guardian.phone_index, guardian.phone_enc, guardian.erased_at = None, None, clock.now()
    await session.flush()
    await accepting.forget(session, guardians=[guardian.id])
    await session.execute(
        update(Trial).where(Trial.guardian_id == guardian.id, Trial.rating.is_not(None)).values(rating=None, comment=None, rated_at=None)
    )
    await security.end_sessions_of_guardian(session, guardian.id)
    await idempotency.forget_answers_to(session, parent.actor)
    await audit.record(session, parent.actor, "privacy.account_erased", f"guardian:{guardian.id}")


async def _children(session: AsyncSession, guardian_id: UUID) -> Sequence[UUID]:
    return (await session.scalars(select(Guardianship.student_id).where(Guardianship.guardian_id == guardian_id))).all()


async def _leave(session: AsyncSession, parent: Parent, child: Student) -> bool:
    """To be called with the child locked, so that two guardians who leave at once do not both think the other stays."""
    answering = select(func.count()).select_from(Guardianship).where(Guardianship.student_id == child.id)
    is_last = (await session.scalar(answering) or 0) == 1
    if is_last:
        await _check_settled(session, [child.id], [])
    await _end_guardianship(session, parent.guardian_id, child.id)
    if is_last:
        await _erase_child(session, child)
    else:
        await consenting.weigh(session, [child.id])
    act = "privacy.child_erased" if is_last else "privacy.guardianship_ended"
    await audit.record(session, parent.actor, act, f"student:{child.id}")
    return is_last


async def _check_settled(session: AsyncSession, student_ids: Sequence[UUID], guardian_ids: Sequence[UUID]) -> None:
    of_whom = {"students": list(student_ids), "guardians": list(guardian_ids)}
    states = {"live": list(LIVE), "held": list(IN_ESCROW), "since": clock.now() - COMES_BACK_WITHIN}
    left = dict((await session.execute(_UNSETTLED, of_whom | states)).one()._mapping)
    arrived, latest = left.pop("arrived"), left.pop("latest")
    if any(left.values()):
        said = [f"{count} {words}" for count, words in zip(left.values(), _LEFT_ZH, strict=True) if count]
        raise Refused("privacy.not_settled", f"还有{'、'.join(said)}，全部了结后才能删除", **left)
    if arrived:
        until = latest + COMES_BACK_WITHIN
        said_zh = f"有 {arrived} 笔退款到账不满 {COMES_BACK_WITHIN.days} 天，银行仍可能退汇，{shanghai(until)} 以后才能删除"
        raise Refused("privacy.not_settled", said_zh, arrived=arrived, until=until.isoformat())


async def _end_guardianship(session: AsyncSession, guardian_id: UUID, student_id: UUID) -> None:
    now = clock.now()
    ended = delete(Guardianship).where(Guardianship.guardian_id == guardian_id, Guardianship.student_id == student_id)
    since = await session.scalar(ended.returning(Guardianship.since))
    session.add(FormerGuardianship(guardian_id=guardian_id, student_id=student_id, since=since, ended_at=now))
    await session.flush()
    feeds = (CalendarFeed.guardian_id == guardian_id, CalendarFeed.student_id == student_id, CalendarFeed.ended_at.is_(None))
    await session.execute(update(CalendarFeed).where(*feeds).values(ended_at=now))
    invited = (GuardianInvitation.invited_by == guardian_id, GuardianInvitation.student_id == student_id)
    unanswered = (*invited, GuardianInvitation.outcome.is_(None))
    await session.execute(update(GuardianInvitation).where(*unanswered).values(outcome="revoked", ended_at=now))


async def _erase_child(session: AsyncSession, child: Student) -> None:
    now = clock.now()
    booked = (Trial.student_id == child.id, Trial.status == "booked")
    await session.execute(update(Trial).where(*booked).values(status="cancelled", ended_at=now))
    child.name_enc, child.birth_month_enc, child.stage = None, None, None
    child.consent_version, child.hidden_at, child.erased_at = None, None, now
    await session.flush()
    await accepting.forget(session, students=[child.id])
