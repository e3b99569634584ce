"""What a family's first page shows, by one statement: it is the page that every guardian opens first, and most open only this one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app import clock, crypto
from app.contracts.models import IN_ESCROW, LIVE, TO_COME
from app.contracts.rescheduling import GONE
from app.db import District
from app.registry import consenting, families

NEWS = timedelta(days=14)
"""How long a changed class session counts as news."""
_NEXT_LESSONS = 3

_FAMILY = text("""
    WITH child AS MATERIALIZED (
        SELECT student.id, student.name_enc, student.consent_version, student.hidden_at, student.created_at
        FROM guardianship JOIN student ON student.id = guardianship.student_id WHERE guardianship.guardian_id = :guardian_id
    ), followed AS MATERIALIZED (
        SELECT contract.id, contract.institution_id, contract.status, contract.way, contract.created_at, true AS own
        FROM child JOIN contract ON contract.student_id = child.id
        UNION ALL
        SELECT contract.id, contract.institution_id, contract.status, contract.way, contract.created_at, false FROM contract
        WHERE contract.guardian_id = :guardian_id AND contract.student_id NOT IN (SELECT id FROM child)
    ), held AS MATERIALIZED (
        SELECT lesson.id, lesson.contract_id, lesson.class_session_id, lesson.student_id, lesson.price_fen, lesson.status,
            followed.created_at
        FROM followed JOIN lesson ON lesson.contract_id = followed.id WHERE followed.own
    ), upcoming AS (
        SELECT held.id, held.contract_id, held.student_id, held.status, class_session.class_id, class_session.starts_at,
            class_session.ends_at, class_session.status AS session_status
        FROM held JOIN class_session ON class_session.id = held.class_session_id
        WHERE held.status = ANY (CAST(:to_come AS text[])) AND class_session.ends_at > :now
        ORDER BY class_session.starts_at, held.id LIMIT :next_lessons
    )
    SELECT
        (SELECT coalesce(sum(price_fen), 0) FROM held WHERE status = ANY (CAST(:in_escrow AS text[]))) AS escrow_fen,
        (SELECT count(*) FROM held WHERE status = 'delivered') AS to_confirm,
        EXISTS (
            SELECT FROM followed JOIN charge ON charge.contract_id = followed.id
            WHERE followed.way <> 'later' AND charge.status = 'planned' AND charge.opens_on <= :today
        ) OR EXISTS (
            SELECT FROM followed JOIN lesson ON lesson.contract_id = followed.id WHERE followed.way = 'later' AND lesson.status = 'owed'
        ) AS due,
        EXISTS (
            SELECT FROM followed JOIN institution ON institution.id = followed.institution_id
            WHERE followed.status = ANY (CAST(:live AS text[])) AND institution.sales_paused_at IS NOT NULL
        ) AS paused,
        EXISTS (
            SELECT FROM held JOIN class_session_change change ON change.class_session_id = held.class_session_id
            WHERE held.status <> ALL (CAST(:gone AS text[])) AND change.changed_at > greatest(held.created_at, :news_since)
        ) AS changed,
        EXISTS (
            SELECT FROM guardian_invitation invitation JOIN guardian ON guardian.id = :guardian_id
            WHERE invitation.outcome IS NULL AND invitation.phone_index IS NOT NULL AND invitation.expires_at > :now
                AND (invitation.phone_index = guardian.phone_index OR :former_indexes)
        ) AS invited,
        (
            SELECT json_agg(json_build_object(
                'id', id, 'name_enc', name_enc, 'consent_version', consent_version, 'hidden', hidden_at IS NOT NULL
            ) ORDER BY created_at, id) FROM child
        ) AS children,
        (
            SELECT json_agg(json_build_object(
                'contract_id', upcoming.contract_id, 'student_id', upcoming.student_id, 'class_name', training_class.name,
                'starts_at', upcoming.starts_at, 'ends_at', upcoming.ends_at, 'status', upcoming.status,
                'session_status', upcoming.session_status
            ) ORDER BY upcoming.starts_at, upcoming.id)
            FROM upcoming JOIN training_class ON training_class.id = upcoming.class_id
        ) AS upcoming
""")


@dataclass(frozen=True, slots=True)
class ChildAtHome:
    """One of the guardian's children; `to_consent` while a guardian's consent is missing and none was taken back."""

    id: UUID
    name_masked: str
    to_consent: bool


@dataclass(frozen=True, slots=True)
class NextLesson:
    """A lesson that comes next."""

    contract_id: UUID
    class_name: str
    student_name_masked: str
    starts_at: datetime
    ends_at: datetime
    status: str
    session_status: str


@dataclass(frozen=True, slots=True)
class FamilyHome:
    """What a guardian has with us now: fen in escrow, lessons that wait for a confirmation, children, what comes next.

    The rest says what else there is to look up, for most have none of it: something to be paid (`due`), institutions that sell
    nothing new (`paused`), class sessions changed lately (`changed`), invitations to answer for a child (`invited`).
    """

    escrow_fen: int
    to_confirm: int
    children: list[ChildAtHome]
    upcoming: list[NextLesson]
    due: bool
    paused: bool
    changed: bool
    invited: bool


async def home_of(district: District, guardian_id: UUID) -> FamilyHome:
    """A guardian's children and what is paid for them, at this instant."""
    values = {
        "guardian_id": guardian_id,
        "now": clock.now(),
        "news_since": clock.now() - NEWS,
        "today": clock.today(),
        "next_lessons": _NEXT_LESSONS,
        "to_come": list(TO_COME),
        "in_escrow": list(IN_ESCROW),
        "live": list(LIVE),
        "gone": list(GONE),
        "former_indexes": crypto.has_former_indexes(),
    }
    [row] = await district.at_once(_FAMILY, values)
    children = row.children or []
    names = {child["id"]: _masked(child) for child in children}
    return FamilyHome(
        escrow_fen=int(row.escrow_fen),
        to_confirm=row.to_confirm,
        children=[ChildAtHome(UUID(child["id"]), names[child["id"]], _to_consent(child)) for child in children],
        upcoming=[_lesson(lesson, names[lesson["student_id"]]) for lesson in row.upcoming or []],
        due=row.due,
        paused=row.paused,
        changed=row.changed,
        invited=row.invited,
    )


def _masked(child: dict[str, Any]) -> str:
    sealed = child["name_enc"] and bytes.fromhex(child["name_enc"].removeprefix("\\x"))
    return families.masked(sealed, UUID(child["id"]))


def _to_consent(child: dict[str, Any]) -> bool:
    return child["consent_version"] != consenting.CURRENT and not child["hidden"]


def _lesson(lesson: dict[str, Any], name_masked: str) -> NextLesson:
    return NextLesson(
        contract_id=UUID(lesson["contract_id"]),
        class_name=lesson["class_name"],
        student_name_masked=name_masked,
        starts_at=datetime.fromisoformat(lesson["starts_at"]),
        ends_at=datetime.fromisoformat(lesson["ends_at"]),
        status=lesson["status"],
        session_status=lesson["session_status"],
    )
