"""Class sessions of a whole day marked delivered together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts.models import Lesson
from app.errors import NotFound, Refused
from app.lessons import owing, rules
from app.registry.models import ClassSession
from app.security import InstitutionStaff

_CLOSE = text("""
    UPDATE class_session SET status = 'delivered', delivered_at = :now, attended = held.attended
    FROM unnest(CAST(:sessions AS uuid[]), CAST(:attended AS int[])) AS held (id, attended)
    WHERE class_session.id = held.id AND class_session.status = 'scheduled' AND class_session.ends_at <= :now
    RETURNING class_session.id
""")
_MARK = text("""
    UPDATE lesson SET status = CASE WHEN came.lesson_id IS NULL THEN 'missed' ELSE 'delivered' END, changed_at = :now
    FROM unnest(CAST(:paid AS uuid[])) AS paid (lesson_id)
    LEFT JOIN unnest(CAST(:came AS uuid[])) AS came (lesson_id) ON came.lesson_id = paid.lesson_id
    WHERE lesson.id = paid.lesson_id
""")


@dataclass(frozen=True, slots=True)
class Delivery:
    """Staff marks a class session, with the children who attended."""

    staff: InstitutionStaff
    class_session_id: UUID
    attended: Collection[UUID]


async def deliver_all(session: AsyncSession, deliveries: Sequence[Delivery]) -> int:
    """Mark several class sessions, each named once, as `service.deliver` marks one; return how many lessons that concerns.

    All of them, or none: raises what `service.deliver` raises for the first that is refused.
    """
    now = clock.now()
    ids = [delivery.class_session_id for delivery in deliveries]
    known = {row.id: row for row in await session.scalars(select(ClassSession).where(ClassSession.id.in_(ids)))}
    for delivery in deliveries:
        class_session = known.get(delivery.class_session_id)
        if class_session is None or class_session.institution_id != delivery.staff.institution_id:
            raise NotFound("lessons.session_not_found", "没有这个课次")
        if now < class_session.ends_at:
            raise Refused("lessons.too_early", "课次结束后才能登记上课")
    await owing.lock_contracts(session, ids)
    came = {delivery.class_session_id: set(delivery.attended) for delivery in deliveries}
    counts = {"sessions": list(came), "attended": [len(children) for children in came.values()], "now": now}
    done = set(await session.scalars(_CLOSE, counts))
    for class_session_id in ids:
        if class_session_id not in done:
            raise rules.not_deliverable(known[class_session_id].status)
    places = (
        await session.execute(
            select(Lesson.id, Lesson.class_session_id, Lesson.student_id, Lesson.status)
            .where(Lesson.class_session_id.in_(ids))
            .order_by(Lesson.id)
            .with_for_update(key_share=True)
        )
    ).all()
    paid = {(row.class_session_id, row.student_id): row.id for row in places if row.status == "scheduled"}
    agreed = {(row.class_session_id, row.student_id): row.id for row in places if row.status == "agreed"}
    attended = [(class_session_id, student_id) for class_session_id, children in came.items() for student_id in children]
    strangers = [place for place in attended if place not in paid and place not in agreed]
    if strangers:
        raise Refused("lessons.not_paid", "到课名单中有人在本课次没有已缴费的课时", count=len(strangers))
    await session.execute(_MARK, {"paid": list(paid.values()), "came": [paid[place] for place in attended if place in paid], "now": now})
    if agreed:
        lessons = (await session.scalars(select(Lesson).where(Lesson.id.in_(agreed.values())).order_by(Lesson.id))).all()
        await owing.mark(session, lessons, {agreed[place] for place in attended if place in agreed})
    return len(paid) + len(agreed)
