"""Nobody teaches twice at once, and no room is used twice at once.

Whoever changes an institution's timetable locks the institution first, so there is one at a time; two constraints see to it as well.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Conflict
from app.registry.rules import shanghai

_CLASHES = text("""
    SELECT DISTINCT ON (planned.position) planned.position - 1 AS position, class_session.starts_at, class_session.number,
        training_class.name AS class_name, teacher.name AS teacher_name, teacher.id = planned.teacher_id AS same_teacher,
        class_session.class_id = :class AS same_class, class_session.room
    FROM unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]), CAST(:teachers AS uuid[]), CAST(:campuses AS uuid[]),
        CAST(:rooms AS text[])) WITH ORDINALITY AS planned (starts_at, ends_at, teacher_id, campus_id, room, position)
    JOIN class_session ON class_session.institution_id = :institution AND class_session.status <> 'cancelled'
        AND class_session.starts_at < planned.ends_at AND class_session.ends_at > planned.starts_at
        AND class_session.starts_at > planned.starts_at - interval '1 day'
    JOIN training_class ON training_class.id = class_session.class_id
    JOIN teacher ON teacher.id = coalesce(class_session.teacher_id, training_class.teacher_id)
    WHERE class_session.id IS DISTINCT FROM :itself
        AND (teacher.id = planned.teacher_id OR class_session.class_id = :class
            OR (class_session.room, coalesce(class_session.campus_id, :institution))
                = (planned.room, coalesce(planned.campus_id, :institution)))
    ORDER BY planned.position, class_session.starts_at
""")


@dataclass(frozen=True, slots=True)
class Meeting:
    """When, by whom and where a class shall meet; instants are UTC."""

    starts_at: datetime
    ends_at: datetime
    teacher_id: UUID
    campus_id: UUID | None = None
    room: str | None = None


async def refuse_clashes(
    session: AsyncSession, institution_id: UUID, planned: Sequence[Meeting], class_id: UUID | None = None, itself: UUID | None = None
) -> None:
    """Look whether a teacher, a room or a known class of a locked institution is taken at one of these times.

    The class session `itself` is not in its own way. Raises Conflict("registry.teacher_taken", "registry.room_taken",
    "registry.class_taken") naming the class session that is.
    """
    found = await clashes(session, institution_id, planned, class_id, itself)
    if found:
        raise found[min(found, key=lambda position: planned[position].starts_at)]


async def clashes(
    session: AsyncSession, institution_id: UUID, planned: Sequence[Meeting], class_id: UUID | None = None, itself: UUID | None = None
) -> dict[int, Conflict]:
    """The same for all of these times: what is in the way of which, by its place in the list."""
    facts = {
        "institution": institution_id,
        "class": class_id,
        "itself": itself,
        "starts": [each.starts_at for each in planned],
        "ends": [each.ends_at for each in planned],
        "teachers": [each.teacher_id for each in planned],
        "campuses": [each.campus_id for each in planned],
        "rooms": [each.room for each in planned],
    }
    return {clash.position: _conflict(clash) for clash in await session.execute(_CLASHES, facts)}


def overlapping(institution_id: UUID, planned: Sequence[Meeting]) -> Iterator[tuple[int, int]]:
    """Pairs of these times, by their places in the list, at which one teacher or one room would be taken twice."""
    taken: dict[tuple[UUID, str | None], list[int]] = defaultdict(list)
    for position, each in enumerate(planned):
        taken[each.teacher_id, None].append(position)
        if each.room is not None:
            taken[each.campus_id or institution_id, each.room].append(position)
    for positions in taken.values():
        positions.sort(key=lambda position: planned[position].starts_at)
        last = positions[0]
        for position in positions[1:]:
            if planned[position].starts_at < planned[last].ends_at:
                yield last, position
            last = max(last, position, key=lambda position: planned[position].ends_at)


def _conflict(clash: Row[Any]) -> Conflict:
    taken = f"{shanghai(clash.starts_at)} 已有“{clash.class_name}”第 {clash.number} 次课"
    if clash.same_class:
        return Conflict("registry.class_taken", f"本班在 {shanghai(clash.starts_at)} 已有第 {clash.number} 次课", field="starts_at")
    if clash.same_teacher:
        return Conflict("registry.teacher_taken", f"教师{clash.teacher_name}在 {taken}", field="teacher_id")
    return Conflict("registry.room_taken", f"教室{clash.room}在 {taken}", field="room")
