"""What a family sees of itself: its children, who answers for them, invitations, consents. Names and phones come masked."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock, crypto
from app.registry import consenting, families
from app.registry.models import Consent, Guardian, GuardianInvitation, Guardianship, Student


@dataclass(frozen=True, slots=True)
class StudentView:
    """A child as its family sees it. `consented`: nothing stands in the way of contracts; `hidden_at`: since when a withdrawal stands."""

    id: UUID
    name_masked: str
    birth_month: str
    stage: str | None
    consented: bool
    hidden_at: datetime | None
    guardians: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class GuardianView:
    """Somebody who answers for a child."""

    guardian_id: UUID
    phone_masked: str
    since: datetime


@dataclass(frozen=True, slots=True)
class InvitationView:
    """An invitation that may still be taken; `by_phone` ones are for one phone, the others for whoever has the code."""

    id: UUID
    student_id: UUID
    student_name_masked: str
    inviter_phone_masked: str
    by_phone: bool
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ConsentView:
    """What a guardian said about the text on a child's data: given or withdrawn, and by whom."""

    act: str
    version: str
    at: datetime
    phone_masked: str


async def students(session: AsyncSession, guardian_id: UUID) -> list[StudentView]:
    """The guardian's children in the order of entry, at most 20."""
    children = await families.children_of(session, guardian_id)
    chosen = Guardianship.student_id.in_([child.id for child in children])
    answering = Counter(await session.scalars(select(Guardianship.student_id).where(chosen)))
    return [_student_view(child, answering[child.id]) for child in children]


async def student(session: AsyncSession, guardian_id: UUID, student_id: UUID) -> StudentView:
    """One of the guardian's own children. Raises NotFound("registry.student_not_found")."""
    child = await families.own_child(session, guardian_id, student_id)
    answering = select(func.count()).select_from(Guardianship).where(Guardianship.student_id == student_id)
    return _student_view(child, await session.scalar(answering) or 0)


async def guardians_of_child(session: AsyncSession, student_id: UUID) -> list[GuardianView]:
    """Who answers for a child, in the order in which they came."""
    rows = await session.execute(
        select(Guardian, Guardianship.since)
        .join(Guardianship, Guardianship.guardian_id == Guardian.id)
        .where(Guardianship.student_id == student_id)
        .order_by(Guardianship.since, Guardian.id)
    )
    return [GuardianView(guardian.id, masked_phone(guardian), since) for guardian, since in rows]


async def open_invitations_of_child(session: AsyncSession, student_id: UUID) -> list[InvitationView]:
    """Invitations to answer for a child that may still be taken, the newest first."""
    return await _invitations(session, GuardianInvitation.student_id == student_id)


async def invitations_to(session: AsyncSession, guardian_id: UUID) -> list[InvitationView]:
    """Invitations that were made out to the guardian's own phone, the newest first."""
    guardian = await session.get_one(Guardian, guardian_id)
    indexes = crypto.phone_indexes(families.phone_of(guardian))
    return await _invitations(session, GuardianInvitation.phone_index.in_(indexes))


async def invitation(session: AsyncSession, invitation_id: UUID) -> InvitationView | None:
    """One invitation, while it may be taken."""
    found = await _invitations(session, GuardianInvitation.id == invitation_id)
    return found[0] if found else None


async def consents_of_child(session: AsyncSession, student_id: UUID) -> list[ConsentView]:
    """What was said about a child's data, the newest first, at most 100."""
    rows = await session.execute(
        select(Consent, Guardian)
        .join(Guardian, Guardian.id == Consent.guardian_id)
        .where(Consent.student_id == student_id)
        .order_by(Consent.at.desc(), Consent.id.desc())
        .limit(100)
    )
    return [ConsentView(consent.act, consent.version, consent.at, masked_phone(guardian)) for consent, guardian in rows]


def masked_phone(guardian: Guardian) -> str:
    """The guardian's phone as screens show it: 138****1234."""
    phone = families.phone_of(guardian)
    return crypto.mask_phone(phone) if phone else families.ERASED


def _student_view(child: Student, guardians: int) -> StudentView:
    return StudentView(
        id=child.id,
        name_masked=families.masked_name(child),
        birth_month=families.birth_month_of(child),
        stage=families.stage_of(child, clock.today()),
        consented=child.consent_version == consenting.CURRENT,
        hidden_at=child.hidden_at,
        guardians=guardians,
        created_at=child.created_at,
    )


def _open_invitations() -> Select[GuardianInvitation, Student, Guardian]:
    return (
        select(GuardianInvitation, Student, Guardian)
        .join(Student, Student.id == GuardianInvitation.student_id)
        .join(Guardian, Guardian.id == GuardianInvitation.invited_by)
        .where(GuardianInvitation.outcome.is_(None), GuardianInvitation.expires_at > clock.now())
        .order_by(GuardianInvitation.created_at.desc(), GuardianInvitation.id.desc())
        .limit(20)
    )


async def _invitations(session: AsyncSession, criterion: ColumnElement[bool]) -> list[InvitationView]:
    return [
        InvitationView(
            id=row.id,
            student_id=child.id,
            student_name_masked=families.masked_name(child),
            inviter_phone_masked=masked_phone(inviter),
            by_phone=row.phone_index is not None,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )
        for row, child, inviter in await session.execute(_open_invitations().where(criterion))
    ]
