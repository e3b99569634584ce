"""课表: a child's lessons of all institutions and its trials in one list, and the secret address under which a calendar reads it."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.db import district_of
from app.errors import NotFound
from app.ids import uuid7
from app.lessons.models import CalendarFeed
from app.registry import families
from app.registry.models import Guardianship, Student
from app.security import Parent

MOST_ENTRIES = 1000
FEED_BACK = timedelta(days=60)
FEED_AHEAD = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Entry:
    """A child's place in a class session. `changes` counts how often that was rearranged, `changed_at` is when anything last was.

    `address` is where an onsite class meets. `status` is the lesson's or the trial's, `cancelled` says that the class session does not take
    place as planned.
    """

    kind: str
    id: UUID
    contract_id: UUID | None
    student_id: UUID
    class_id: UUID
    class_name: str
    institution_name: str
    teacher_name: str
    mode: str
    campus: str | None
    address: str
    room: str | None
    number: int
    starts_at: datetime
    ends_at: datetime
    status: str
    cancelled: bool
    changes: int
    changed_at: datetime


# A child's contracts are few; their lessons are found by contract, so the largest table needs no index of its own for this.
_ENTRIES = text("""
    SELECT place.kind, place.id, place.contract_id, place.student_id, c.id AS class_id, c.name AS class_name, i.name AS institution_name,
        t.name AS teacher_name, c.mode, m.name AS campus, coalesce(m.address, i.address) AS address, coalesce(s.room, c.room) AS room,
        s.number, s.starts_at, s.ends_at, place.status, s.status = 'cancelled' AS cancelled, v.changes,
        greatest(place.changed_at, v.changed_at) AS changed_at
    FROM (
        SELECT 'lesson' AS kind, l.id, l.contract_id, l.student_id, l.class_session_id, l.status, l.changed_at
        FROM contract k JOIN lesson l ON l.contract_id = k.id
        WHERE k.student_id = ANY (CAST(:students AS uuid[])) AND k.status IN ('agreed', 'paid', 'closed')
            AND l.status NOT IN ('reserved', 'lapsed', 'refunded')
        UNION ALL
        SELECT 'trial', b.id, NULL, b.student_id, b.class_session_id, b.status, coalesce(b.ended_at, b.booked_at)
        FROM trial b WHERE b.student_id = ANY (CAST(:students AS uuid[])) AND b.status <> 'cancelled'
    ) AS place
    JOIN class_session s ON s.id = place.class_session_id
    JOIN training_class c ON c.id = s.class_id
    JOIN institution i ON i.id = c.institution_id
    JOIN teacher t ON t.id = coalesce(s.teacher_id, c.teacher_id)
    LEFT JOIN campus m ON m.id = coalesce(s.campus_id, c.campus_id)
    CROSS JOIN LATERAL (
        SELECT count(*) AS changes, max(changed_at) AS changed_at FROM class_session_change WHERE class_session_id = s.id
    ) AS v
    WHERE s.starts_at >= :since AND s.starts_at < :until
    ORDER BY s.starts_at, place.id LIMIT :limit
""")


async def entries(session: AsyncSession, student_ids: Collection[UUID], since: datetime, until: datetime) -> list[Entry]:
    """What these children have between two instants, in the order in which it takes place, at most 1,000; unpaid lessons are left out."""
    asked = {"students": list(student_ids), "since": since, "until": until, "limit": MOST_ENTRIES}
    return [Entry(**row._mapping) for row in await session.execute(_ENTRIES, asked)]


async def open_feed(session: AsyncSession, parent: Parent, student_id: UUID) -> str:
    """A new secret for reading a child's timetable, told this once; an earlier one of the same guardian ends.

    Raises NotFound("registry.student_not_found").
    """
    await families.lock_own_child(session, parent.guardian_id, student_id)
    await _end(session, parent, student_id)
    token = f"{district_of(session)}.{secrets.token_urlsafe(32)}"
    session.add(
        CalendarFeed(id=uuid7(), guardian_id=parent.guardian_id, student_id=student_id, token_sha256=_sha256(token), created_at=clock.now())
    )
    await session.flush()
    return token


async def end_feed(session: AsyncSession, parent: Parent, student_id: UUID) -> None:
    """Let the address of a child's timetable lead nowhere; without one this changes nothing.

    Raises NotFound("registry.student_not_found").
    """
    await families.lock_own_child(session, parent.guardian_id, student_id)
    await _end(session, parent, student_id)


async def feeds_of(session: AsyncSession, guardian_id: UUID) -> dict[UUID, datetime]:
    """Since when the guardian has an address for which child."""
    standing = (CalendarFeed.guardian_id == guardian_id, CalendarFeed.ended_at.is_(None))
    rows = await session.execute(select(CalendarFeed.student_id, CalendarFeed.created_at).where(*standing))
    return {student_id: created_at for student_id, created_at in rows}


async def feed(session: AsyncSession, token: str) -> list[Entry]:
    """What the child behind a secret has, from 60 days ago on.

    Raises NotFound("lessons.feed_not_found"), also where the guardian answers for the child no more, or the child was erased.
    """
    student_id = await session.scalar(
        select(CalendarFeed.student_id)
        .join(Guardianship, (Guardianship.guardian_id == CalendarFeed.guardian_id) & (Guardianship.student_id == CalendarFeed.student_id))
        .join(Student, Student.id == CalendarFeed.student_id)
        .where(CalendarFeed.token_sha256 == _sha256(token), CalendarFeed.ended_at.is_(None), Student.erased_at.is_(None))
    )
    if student_id is None:
        raise NotFound("lessons.feed_not_found", "这个日历地址已失效")
    today, _ = clock.day_bounds(clock.today())
    return await entries(session, [student_id], today - FEED_BACK, today + FEED_AHEAD)


async def _end(session: AsyncSession, parent: Parent, student_id: UUID) -> None:
    standing = (CalendarFeed.guardian_id == parent.guardian_id, CalendarFeed.student_id == student_id, CalendarFeed.ended_at.is_(None))
    await session.execute(update(CalendarFeed).where(*standing).values(ended_at=clock.now()))


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
