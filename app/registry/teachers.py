"""教师库: entering teachers, their certificates and employment, and who may teach what."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.errors import BadInput, Conflict, NotFound, Refused
from app.ids import uuid7
from app.registry import rules
from app.registry.models import Institution, Teacher, TeacherPhoto
from app.registry.photos import Photo
from app.security import InstitutionStaff, SupervisionStaff

_EARLIEST = date(1950, 1, 1)
_FURTHEST = timedelta(days=366)
_LONGEST_CERTIFICATE = timedelta(days=50 * 366)
_ALL_SUBJECTS = "全科"
_BETWEEN_SUBJECTS = re.compile(r"[\s、,，;；/|]+")


@dataclass(frozen=True, slots=True)
class Employment:
    """What may be changed in a teacher's entry. Days are business dates, both included; None: the certificate, the employment does not end.

    `subject` is what is taught, `certificate_subject` what the certificate covers, several divided by 、; None: what is taught, which
    subject training must say itself.
    """

    subject: str
    certificate_subject: str | None
    certificate_to_on: date | None = None
    employed_from_on: date | None = None
    employed_to_on: date | None = None


@dataclass(frozen=True, slots=True)
class TeacherDraft:
    """A teacher who is to be entered."""

    name: str
    certificate_no: str
    employment: Employment


async def create_teacher(
    session: AsyncSession, institution_id: UUID, name: str, certificate_no: str, subject: str, employment: Employment | None = None
) -> Teacher:
    """Enter a teacher of an institution; without more, the certificate covers what is taught and does not end.

    Raises BadInput naming the field, Conflict("registry.teacher_known") for a certificate that is already entered there.
    """
    employed = await _covered(session, institution_id, employment or Employment(subject, subject))
    draft = check_teacher(TeacherDraft(name, certificate_no, employed))
    entered: Teacher | None = await session.scalar(
        insert(Teacher)
        .values(_columns(institution_id, draft))
        .on_conflict_do_nothing(index_elements=[Teacher.institution_id, Teacher.certificate_no])
        .returning(Teacher)
    )
    if entered is None:
        raise known_already()
    return entered


async def create_teachers(session: AsyncSession, institution_id: UUID, drafts: Sequence[TeacherDraft]) -> None:
    """Enter several checked drafts, none of which is known at the institution."""
    await session.execute(insert(Teacher), [_columns(institution_id, draft) for draft in drafts])


async def known_certificates(session: AsyncSession, institution_id: UUID) -> set[str]:
    """The numbers of all certificates that are entered at an institution."""
    return set(await session.scalars(select(Teacher.certificate_no).where(Teacher.institution_id == institution_id)))


def check_teacher(draft: TeacherDraft) -> TeacherDraft:
    """The draft cleaned. Raises BadInput naming the field, also for a certificate that has ended."""
    employed = _checked(draft.employment)
    if employed.certificate_to_on is not None and employed.certificate_to_on < clock.today():
        raise rules.refuse("certificate_to_on", "教师资格证书已过期")
    return TeacherDraft(
        name=rules.clean_text(draft.name, "name", "教师姓名", 40),
        certificate_no=rules.clean_text(draft.certificate_no, "certificate_no", "资格证书号", 40),
        employment=employed,
    )


def known_already() -> Conflict:
    """The refusal of a certificate that is entered already, to be raised."""
    return Conflict("registry.teacher_known", "该资格证书号的教师已经登记", field="certificate_no")


def cover_unsaid() -> BadInput:
    """The refusal of a certificate at subject training that does not say what it covers (`staff.cert`), to be raised."""
    return rules.refuse("certificate_subject", "学科类机构须填写证书任教学科")


async def own_teacher(session: AsyncSession, institution_id: UUID, teacher_id: UUID) -> Teacher:
    """The institution's own teacher. Raises NotFound("registry.teacher_not_found") for an absent one and somebody else's alike."""
    teacher = await session.get(Teacher, teacher_id)
    if teacher is None or teacher.institution_id != institution_id:
        raise NotFound("registry.teacher_not_found", "没有这位教师", field="teacher_id")
    return teacher


async def edit_teacher(session: AsyncSession, staff: InstitutionStaff, teacher_id: UUID, employment: Employment) -> Teacher:
    """Change what may change in a teacher's entry; who it is, and the certificate's number, stay.

    Raises BadInput naming the field, NotFound("registry.teacher_not_found").
    """
    teacher = await own_teacher(session, staff.institution_id, teacher_id)
    employed = _checked(await _covered(session, staff.institution_id, employment))
    changed = [name for name in Employment.__slots__ if getattr(teacher, name) != getattr(employed, name)]
    for name in changed:
        setattr(teacher, name, getattr(employed, name))
    if changed:
        await audit.record(session, staff.actor, "registry.teacher_edited", f"teacher:{teacher_id}", changed=changed)
    return teacher


async def leave(session: AsyncSession, staff: InstitutionStaff, teacher_id: UUID, last_on: date) -> Teacher:
    """Say on which day a teacher is at the institution for the last time. Raises BadInput, NotFound("registry.teacher_not_found")."""
    teacher = await own_teacher(session, staff.institution_id, teacher_id)
    _check_period(teacher.employed_from_on, last_on)
    teacher.employed_to_on = last_on
    await audit.record(session, staff.actor, "registry.teacher_left", f"teacher:{teacher_id}", last_on=last_on.isoformat())
    return teacher


async def mark_serving(session: AsyncSession, officer: SupervisionStaff, teacher_id: UUID, serving: bool, reason: str) -> Teacher:
    """Mark a teacher as serving at a school (在职中小学教师), or take the mark back: who has it files no class.

    Raises BadInput, NotFound("registry.teacher_not_found"), Conflict("registry.mark_unchanged").
    """
    reason, teacher = rules.reason(reason), await _locked(session, teacher_id)
    if teacher.serving_school_teacher == serving:
        raise _mark_unchanged()
    teacher.serving_school_teacher = serving
    await audit.record(session, officer.actor, "registry.serving_teacher_marked", f"teacher:{teacher_id}", reason, serving=serving)
    return teacher


async def mark_abroad(session: AsyncSession, officer: SupervisionStaff, teacher_id: UUID, abroad: bool, reason: str) -> Teacher:
    """Mark a teacher as a foreigner who is abroad (在境外的外籍人员), or take the mark back: no school subject is filed or sold with them
    (`staff.cert`). Raises BadInput, NotFound("registry.teacher_not_found"), Conflict("registry.mark_unchanged").
    """
    reason, teacher = rules.reason(reason), await _locked(session, teacher_id)
    if teacher.foreigner_abroad == abroad:
        raise _mark_unchanged()
    teacher.foreigner_abroad = abroad
    await audit.record(session, officer.actor, "registry.foreigner_abroad_marked", f"teacher:{teacher_id}", reason, abroad=abroad)
    return teacher


async def set_photo(session: AsyncSession, staff: InstitutionStaff, teacher_id: UUID, photo: Photo) -> None:
    """Show a photo with the teacher's certificate, in place of the one before. Raises NotFound("registry.teacher_not_found")."""
    await own_teacher(session, staff.institution_id, teacher_id)
    values = {"content": photo.content, "sha256": photo.sha256, "uploaded_at": clock.now()}
    kept = insert(TeacherPhoto).values(teacher_id=teacher_id, **values)
    await session.execute(kept.on_conflict_do_update(index_elements=[TeacherPhoto.teacher_id], set_=values))
    await audit.record(session, staff.actor, "registry.photo_set", f"teacher:{teacher_id}")


async def remove_photo(session: AsyncSession, staff: InstitutionStaff, teacher_id: UUID) -> None:
    """Show no photo of a teacher any more. Raises NotFound("registry.teacher_not_found")."""
    await own_teacher(session, staff.institution_id, teacher_id)
    await session.execute(delete(TeacherPhoto).where(TeacherPhoto.teacher_id == teacher_id))
    await audit.record(session, staff.actor, "registry.photo_removed", f"teacher:{teacher_id}")


def check_may_teach(teacher: Teacher, subject: str, kind: str, on: date) -> None:
    """Let a teacher teach a subject at an institution of this kind on a business date.

    Raises Refused: "registry.teacher_serving" (教监管函 and 中小学教师违反职业道德行为处理办法: no serving school teachers),
    "registry.teacher_left", "registry.certificate_expired", and for subject training "registry.certificate_uncovering".
    """
    if teacher.serving_school_teacher:
        raise Refused("registry.teacher_serving", "在职中小学教师不得在培训机构任教", field="teacher_id")
    if (teacher.employed_from_on or on) > on or (teacher.employed_to_on or on) < on:
        raise Refused("registry.teacher_left", "该教师届时不在职", field="teacher_id", on=on.isoformat())
    if teacher.certificate_to_on is not None and teacher.certificate_to_on < on:
        raise Refused("registry.certificate_expired", "该教师的资格证书届时已过期", field="teacher_id", on=on.isoformat())
    if kind == "subject" and not covers(teacher.certificate_subject, subject):
        raise Refused("registry.certificate_uncovering", "该教师的资格证书不覆盖这门学科", field="teacher_id")


def covers(certificate_subject: str | None, subject: str) -> bool:
    """Whether a certificate covers a subject: 数学 covers 初中数学, 语文、数学 covers both, 小学全科 covers all, none covers nothing."""
    parts = [part for part in _BETWEEN_SUBJECTS.split(_folded(certificate_subject or "")) if len(part) > 1]
    return any(part in _folded(subject) or part.endswith(_ALL_SUBJECTS) for part in parts)


async def _covered(session: AsyncSession, institution_id: UUID, employment: Employment) -> Employment:
    if employment.certificate_subject is not None:
        return employment
    if (await session.get_one(Institution, institution_id)).kind == "subject":
        raise cover_unsaid()
    return replace(employment, certificate_subject=employment.subject)


async def _locked(session: AsyncSession, teacher_id: UUID) -> Teacher:
    teacher = await session.get(Teacher, teacher_id, with_for_update={"key_share": True}, populate_existing=True)
    if teacher is None:
        raise NotFound("registry.teacher_not_found", "没有这位教师")
    return teacher


def _mark_unchanged() -> Conflict:
    return Conflict("registry.mark_unchanged", "标记没有变化")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _columns(institution_id: UUID, draft: TeacherDraft) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "institution_id": institution_id,
        "name": draft.name,
        "certificate_no": draft.certificate_no,
        "certificate_subject": draft.employment.certificate_subject,
        "certificate_to_on": draft.employment.certificate_to_on,
        "subject": draft.employment.subject,
        "employed_from_on": draft.employment.employed_from_on,
        "employed_to_on": draft.employment.employed_to_on,
        "created_at": clock.now(),
    }


def _checked(employment: Employment) -> Employment:
    _check_period(employment.employed_from_on, employment.employed_to_on)
    if employment.certificate_to_on is not None and not _EARLIEST <= employment.certificate_to_on <= clock.today() + _LONGEST_CERTIFICATE:
        raise rules.refuse("certificate_to_on", "证书有效期不合理")
    return Employment(
        subject=rules.clean_text(employment.subject, "subject", "任教科目", 40),
        certificate_subject=rules.clean_text(employment.certificate_subject or "", "certificate_subject", "证书任教学科", 40),
        certificate_to_on=employment.certificate_to_on,
        employed_from_on=employment.employed_from_on,
        employed_to_on=employment.employed_to_on,
    )


def _check_period(from_on: date | None, to_on: date | None) -> None:
    latest = clock.today() + _FURTHEST
    for day, field, name_zh in ((from_on, "employed_from_on", "入职日期"), (to_on, "employed_to_on", "离职日期")):
        if day is not None and not _EARLIEST <= day <= latest:
            raise rules.refuse(field, f"{name_zh}不合理")
    if from_on is not None and to_on is not None and to_on < from_on:
        raise rules.refuse("employed_to_on", "离职日期不能早于入职日期")
