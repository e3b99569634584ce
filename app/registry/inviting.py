"""Several guardians of a child: one invites by a code that is handed over, or by phone; the other accepts, signed in."""

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock, crypto
from app.errors import Conflict, NotFound, Refused
from app.ids import uuid7
from app.registry import consenting, families
from app.registry.models import Guardian, GuardianInvitation, Guardianship, Student
from app.registry.rules import refuse
from app.security import Parent

INVITATION_LASTS = timedelta(hours=48)
MOST_INVITATIONS = 5
"""Open at a time for one child."""
MOST_GUARDIANS = 6
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LETTERS = 12
_LOOKALIKES = str.maketrans("OIL", "011")


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation just made, and its code, which is stored nowhere; None where it was made out to a phone."""

    invitation: GuardianInvitation
    code: str | None


async def invite(session: AsyncSession, parent: Parent, student_id: UUID, phone: str | None = None) -> Invited:
    """Ask somebody to answer for the caller's child too, within two days: who has the code, or only who has that phone.

    It tells nothing about the phone. Raises NotFound("registry.student_not_found"), BadInput("phone.invalid", "registry.phone_invalid")
    for what is no phone or the caller's own, Refused("registry.too_many_invitations", "registry.too_many_guardians").
    """
    await families.lock_own_child(session, parent.guardian_id, student_id)
    invited = await _of_another(session, parent, phone) if phone else None
    await _check_room(session, student_id)
    standing = select(func.count()).select_from(GuardianInvitation)
    standing = standing.where(
        GuardianInvitation.student_id == student_id, GuardianInvitation.outcome.is_(None), GuardianInvitation.expires_at > clock.now()
    )
    if (await session.scalar(standing) or 0) >= MOST_INVITATIONS:
        raise Refused("registry.too_many_invitations", f"最多同时有 {MOST_INVITATIONS} 个未使用的邀请，请先撤销")
    code = None if invited else "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LETTERS))
    made = GuardianInvitation(
        id=uuid7(),
        student_id=student_id,
        invited_by=parent.guardian_id,
        code_hash=_code_hash(code) if code else None,
        phone_index=crypto.phone_index(invited) if invited else None,
        created_at=clock.now(),
        expires_at=clock.now() + INVITATION_LASTS,
    )
    session.add(made)
    await audit.record(session, parent.actor, "registry.guardian_invited", f"student:{student_id}", by_phone=bool(invited))
    return Invited(made, code and "-".join(re.findall("....", code)))


async def _of_another(session: AsyncSession, parent: Parent, phone: str) -> str:
    invited = crypto.normal_phone(phone)
    if invited == families.phone_of(await session.get_one(Guardian, parent.guardian_id)):
        raise refuse("phone", "这是您自己的手机号，请填写孩子另一位监护人的手机号")
    return invited


async def found_by_code(session: AsyncSession, code: str) -> GuardianInvitation:
    """The invitation of a code that may be taken. Raises NotFound("registry.invitation_not_found") for a wrong, used or expired one."""
    return await _found(session, GuardianInvitation.code_hash == _code_hash(code))


async def found_by_phone(session: AsyncSession, parent: Parent, invitation_id: UUID | None) -> GuardianInvitation:
    """An invitation that was made out to the caller's phone. Raises NotFound("registry.invitation_not_found")."""
    phone = families.phone_of(await session.get_one(Guardian, parent.guardian_id))
    own = GuardianInvitation.phone_index.in_(crypto.phone_indexes(phone))
    return await _found(session, GuardianInvitation.id == invitation_id, own)


async def accept(
    session: AsyncSession, parent: Parent, consent: str | None, *, code: str | None = None, invitation_id: UUID | None = None
) -> Student:
    """Answer for a child too, by the code of an invitation or by one that was made out to the caller's phone, agreeing to the text
    about its data. Whoever answers for the child already just uses the invitation up.

    Raises Refused("registry.consent_needed"), NotFound("registry.invitation_not_found"), Conflict("registry.student_known") where the
    caller entered this child by themselves, Refused("registry.too_many_children", "registry.too_many_guardians").
    """
    consenting.check_version(consent)
    found = await (found_by_code(session, code) if code else found_by_phone(session, parent, invitation_id))
    await session.execute(select(Guardian.id).where(Guardian.id == parent.guardian_id).with_for_update(key_share=True))
    child = (await families.lock_children(session, [found.student_id]))[found.student_id]
    await _end(session, found.id, "accepted", parent.guardian_id)
    own = await families.children_of(session, parent.guardian_id)
    if child.id not in {each.id for each in own}:
        _check_new(own, child)
        await _check_room(session, child.id)
        session.add(Guardianship(guardian_id=parent.guardian_id, student_id=child.id, since=clock.now()))
        await session.flush()
    await consenting.give(session, [(parent.guardian_id, child.id)])
    await audit.record(session, parent.actor, "registry.guardian_joined", f"student:{child.id}")
    return child


async def end(session: AsyncSession, parent: Parent, invitation_id: UUID) -> None:
    """Take an open invitation for one of the caller's children back, or turn down one that was made out to the caller's phone.

    Raises NotFound("registry.invitation_not_found").
    """
    guarded = select(Guardianship.student_id).where(Guardianship.guardian_id == parent.guardian_id)
    own = (GuardianInvitation.id == invitation_id, GuardianInvitation.student_id.in_(guarded))
    student_id = await session.scalar(select(GuardianInvitation.student_id).where(*own))
    if student_id is None:
        student_id = (await found_by_phone(session, parent, invitation_id)).student_id
        await _end(session, invitation_id, "declined")
        await audit.record(session, parent.actor, "registry.invitation_declined", f"student:{student_id}")
    else:
        await _end(session, invitation_id, "revoked")
        await audit.record(session, parent.actor, "registry.invitation_revoked", f"student:{student_id}")


async def _end(session: AsyncSession, invitation_id: UUID, outcome: str, accepted_by: UUID | None = None) -> None:
    """By compare-and-set: of two who take it at once one comes too late."""
    ended = (
        update(GuardianInvitation)
        .where(GuardianInvitation.id == invitation_id, *_still_open())
        .values(outcome=outcome, ended_at=clock.now(), accepted_by=accepted_by)
        .returning(GuardianInvitation.id)
    )
    if await session.scalar(ended) is None:
        raise _no_invitation()


async def _found(session: AsyncSession, *criteria: ColumnElement[bool]) -> GuardianInvitation:
    found = await session.scalar(select(GuardianInvitation).where(*criteria, *_still_open()))
    if found is None:
        raise _no_invitation()
    return found


def _still_open() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return GuardianInvitation.outcome.is_(None), GuardianInvitation.expires_at > clock.now()


def _check_new(own: list[Student], child: Student) -> None:
    key = families.name_key(families.name_of(child))
    if any(families.name_key(families.name_of(each)) == key for each in own):
        raise Conflict(
            "registry.student_known",
            "您已自己登记了同名的孩子：请先在“我的孩子”中移除自己登记的这一个，或由您邀请对方",
            field="code",
        )
    if len(own) >= families.MAX_CHILDREN:
        raise Refused("registry.too_many_children", f"一位家长最多登记 {families.MAX_CHILDREN} 名学生")


async def _check_room(session: AsyncSession, student_id: UUID) -> None:
    answering = select(func.count()).select_from(Guardianship).where(Guardianship.student_id == student_id)
    if (await session.scalar(answering) or 0) >= MOST_GUARDIANS:
        raise Refused("registry.too_many_guardians", f"一名学生最多有 {MOST_GUARDIANS} 位监护人")


def _code_hash(code: str) -> bytes:
    plain = re.sub(r"[\s-]", "", code.upper()).translate(_LOOKALIKES)
    return crypto.keyed_hash("invitation", plain)


def _no_invitation() -> NotFound:
    return NotFound("registry.invitation_not_found", "邀请不存在、已使用或已过期", field="code")
