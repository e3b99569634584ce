"""Entering guardians and children, and who answers for whom. Personal columns are sealed; screens show them masked."""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock, crypto, sealing
from app.errors import BadInput, Conflict, DomainError, NotFound, Refused
from app.ids import uuid7
from app.registry import consenting, rules
from app.registry.models import Guardian, Guardianship, Student
from app.security import Parent

MAX_CHILDREN = 20
"""No family has more; it bounds what one guardian's page must decrypt."""
ERASED = "已注销"
"""What stands where the name of an erased child stood."""


@dataclass(frozen=True, slots=True)
class ChildDraft:
    """A child as its guardian enters it: the month of birth as `YYYY-MM`, the stage where they say one, and the version of the text
    about a child's data that they agree to."""

    guardian_id: UUID
    name: str
    birth_month: str
    stage: str | None = None
    consent: str | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A child's data as it should be: an empty name or month stays as it is, an empty stage follows from the month."""

    name: str = ""
    birth_month: str = ""
    stage: str | None = None


async def guardian_for_phone(session: AsyncSession, phone: str) -> Guardian:
    """The guardian of a phone number, entered now if new; two at once end with one. Raises BadInput("phone.invalid")."""
    [guardian] = await guardians_for_phones(session, [phone])
    return guardian


async def guardians_for_phones(session: AsyncSession, phones: Sequence[str]) -> list[Guardian]:
    """The same for several phone numbers in their order."""
    phones = [crypto.normal_phone(phone) for phone in phones]
    indexes = {phone: crypto.phone_indexes(phone) for phone in phones}
    guardians = await _known(session, indexes)
    rows = []
    for phone in sorted(indexes.keys() - guardians.keys()):
        guardian_id = uuid7()
        phone_enc = sealing.seal(phone, "guardian", "phone_enc", guardian_id)
        rows.append({"id": guardian_id, "phone_index": indexes[phone][0], "phone_enc": phone_enc, "created_at": clock.now()})
    if rows:
        await session.execute(insert(Guardian).on_conflict_do_nothing(index_elements=[Guardian.phone_index]), rows)
        guardians = await _known(session, indexes)
    return [guardians[phone] for phone in phones]


async def known_guardians(session: AsyncSession, phones: Collection[str]) -> dict[str, Guardian]:
    """Those of some normalised phones that are entered, by phone."""
    return await _known(session, {phone: crypto.phone_indexes(phone) for phone in phones})


async def add_student(
    session: AsyncSession, guardian_id: UUID, name: str, birth_month: str, stage: str | None = None, *, consent: str | None
) -> Student:
    """Enter a child of a guardian who agrees to the text about a child's data; the same name and month again is the same child.

    Raises BadInput naming the field, Refused("registry.consent_needed") for no or an old version of the text,
    Conflict("registry.student_known") for the same name with another month, Refused("registry.too_many_children").
    """
    [student] = await add_students(session, [ChildDraft(guardian_id, name, birth_month, stage, consent)])
    return student


async def add_students(session: AsyncSession, drafts: Sequence[ChildDraft]) -> list[Student]:
    """The same for several children in their order."""
    for draft in drafts:
        consenting.check_version(draft.consent)
    students = await enter_students(session, drafts)
    agreed = [(draft.guardian_id, student.id) for draft, student in zip(drafts, students, strict=True)]
    await consenting.give(session, agreed)
    return students


async def enter_students(session: AsyncSession, drafts: Sequence[ChildDraft], *, by_name: bool = False) -> list[Student]:
    """The same without anybody's consent, for children who stand on contracts made elsewhere: none can be signed for them here before
    a guardian agrees. With `by_name` the month that stands in the register goes before the draft's."""
    guardian_ids = {draft.guardian_id for draft in drafts}
    await session.execute(select(Guardian.id).where(Guardian.id.in_(guardian_ids)).order_by(Guardian.id).with_for_update(key_share=True))
    students, new = [], dict[Student, UUID]()
    for draft, found in zip(drafts, await recognise(session, drafts, by_name=by_name), strict=True):
        if isinstance(found, DomainError):
            raise found
        students.append(found)
        if found not in session:
            new.setdefault(found, draft.guardian_id)
    session.add_all(new)
    await session.flush()
    now = clock.now()
    session.add_all(Guardianship(guardian_id=guardian_id, student_id=student.id, since=now) for student, guardian_id in new.items())
    await session.flush()
    return students


async def recognise(session: AsyncSession, drafts: Sequence[ChildDraft], *, by_name: bool = False) -> list[Student | DomainError]:
    """For each draft the child that it is: one that is entered, one drawn up anew, or why it cannot be entered. Nothing is stored.

    With `by_name` a guardian's child of that name is the child, whatever month of birth the draft says.
    """
    known = await _children_by_name(session, {draft.guardian_id for draft in drafts})
    return [_recognised(known[draft.guardian_id], draft, by_name) for draft in drafts]


def check_child(draft: ChildDraft) -> ChildDraft:
    """The draft cleaned. Raises BadInput naming the field."""
    return replace(
        draft,
        name=rules.child_name(draft.name),
        birth_month=rules.birth_month(draft.birth_month, clock.today()),
        stage=rules.child_stage(draft.stage),
    )


async def correct_student(session: AsyncSession, parent: Parent, student_id: UUID, draft: Correction) -> Student:
    """Put right what was entered about the parent's own child (个人信息保护法 46).

    Raises NotFound("registry.student_not_found"), BadInput naming the field, Conflict("registry.student_known").
    """
    student = await lock_own_child(session, parent.guardian_id, student_id)
    name = rules.child_name(draft.name) if draft.name else name_of(student)
    birth_month = rules.birth_month(draft.birth_month, clock.today()) if draft.birth_month else birth_month_of(student)
    twin = (await _children_by_name(session, {parent.guardian_id}))[parent.guardian_id].get(name_key(name))
    if twin is not None and twin.id != student.id:
        raise Conflict("registry.student_known", "您已登记同名的孩子", field="name")
    before = {"name": name_of(student), "birth_month": birth_month_of(student), "stage": student.stage}
    after = {"name": name, "birth_month": birth_month, "stage": rules.child_stage(draft.stage)}
    student.name_enc = sealing.seal(name, "student", "name_enc", student.id)
    student.birth_month_enc = sealing.seal(birth_month, "student", "birth_month_enc", student.id)
    student.stage = after["stage"]
    await session.flush()
    changed = [field for field, value in after.items() if value != before[field]]
    await audit.record(session, parent.actor, "registry.student_corrected", f"student:{student_id}", fields=changed)
    return student


async def agree(session: AsyncSession, parent: Parent, student_id: UUID, version: str | None) -> None:
    """Consent to the handling of the parent's own child's data.

    Raises NotFound("registry.student_not_found"), Refused("registry.consent_needed") for no or an old version of the text.
    """
    await lock_own_child(session, parent.guardian_id, student_id)
    consenting.check_version(version)
    await consenting.give(session, [(parent.guardian_id, student_id)])
    await audit.record(session, parent.actor, "registry.consent_given", f"student:{student_id}", version=version)


async def withdraw_consent(session: AsyncSession, parent: Parent, student_id: UUID) -> None:
    """Take it back: nothing new is contracted for the child and its name is shown to its family only. What is contracted stands.

    Raises NotFound("registry.student_not_found").
    """
    await lock_own_child(session, parent.guardian_id, student_id)
    await consenting.take_back(session, parent.guardian_id, student_id)
    await audit.record(session, parent.actor, "registry.consent_withdrawn", f"student:{student_id}")


async def guard_all(session: AsyncSession, pairs: Collection[tuple[UUID, UUID]]) -> None:
    """Guardians and their children. Raises NotFound("registry.student_not_found") for an absent child and somebody else's alike."""
    key = tuple_(Guardianship.guardian_id, Guardianship.student_id)
    known = await session.scalar(select(func.count()).select_from(Guardianship).where(key.in_(pairs)))
    if (known or 0) < len(set(pairs)):
        raise no_student()


async def guard_for_contract(session: AsyncSession, pairs: Collection[tuple[UUID, UUID]]) -> None:
    """The same where children are to be contracted for: every guardian agrees, and the children are locked until the commit.

    So nobody erases them meanwhile, and nobody sells them something else that would have to count with this sale.

    Raises also Refused("registry.consent_needed").
    """
    chosen = Student.id.in_({student_id for _, student_id in pairs})
    locked = select(Student.consent_version).where(chosen).order_by(Student.id).with_for_update(key_share=True)
    versions = (await session.scalars(locked)).all()
    await guard_all(session, pairs)
    if any(version != consenting.CURRENT for version in versions):
        raise consenting.needed()


async def own_child(session: AsyncSession, guardian_id: UUID, student_id: UUID) -> Student:
    """The guardian's own child. Raises NotFound("registry.student_not_found")."""
    await guard_all(session, [(guardian_id, student_id)])
    return await session.get_one(Student, student_id)


async def lock_children(session: AsyncSession, student_ids: Collection[UUID]) -> dict[UUID, Student]:
    """The children as they stand now, locked in the order of their ids: nobody contracts for them, joins or leaves them meanwhile."""
    locked = select(Student).where(Student.id.in_(student_ids)).order_by(Student.id).with_for_update()
    return {student.id: student for student in await session.scalars(locked, execution_options={"populate_existing": True})}


async def lock_own_child(session: AsyncSession, guardian_id: UUID, student_id: UUID) -> Student:
    """The guardian's own child, locked the same way. Raises NotFound("registry.student_not_found")."""
    locked = await lock_children(session, [student_id])
    await guard_all(session, [(guardian_id, student_id)])
    return locked[student_id]


async def children_of(session: AsyncSession, guardian_id: UUID) -> list[Student]:
    """The guardian's children in the order of entry, at most 20."""
    rows = await session.scalars(
        select(Student)
        .join(Guardianship, Guardianship.student_id == Student.id)
        .where(Guardianship.guardian_id == guardian_id)
        .order_by(Student.created_at, Student.id)
    )
    return list(rows)


def name_key(name: str) -> str:
    """Names that differ in spaces, width or case only have the same key."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def name_of(student: Student) -> str:
    """The child's name in clear; screens show it masked."""
    return ERASED if student.name_enc is None else sealing.unseal(student.name_enc, "student", "name_enc", student.id)


def masked_name(student: Student) -> str:
    """The child's name as its own family's screens show it: 王*明."""
    return masked(student.name_enc, student.id)


def masked(name_enc: bytes | None, student_id: UUID) -> str:
    """The same from a child's sealed name, empty once it is erased."""
    return ERASED if name_enc is None else crypto.mask_name(sealing.unseal(name_enc, "student", "name_enc", student_id))


def birth_month_of(student: Student) -> str:
    """The child's month of birth in clear, `YYYY-MM`; empty once it is erased."""
    return birth_month(student.birth_month_enc, student.id)


def birth_month(birth_month_enc: bytes | None, student_id: UUID) -> str:
    """The same from a child's sealed month of birth."""
    return "" if birth_month_enc is None else sealing.unseal(birth_month_enc, "student", "birth_month_enc", student_id)


def stage_of(student: Student, on: date) -> str | None:
    """The child's stage on a business date: as their guardian said, or else by age; None once it is erased."""
    return student.stage or (None if student.birth_month_enc is None else rules.stage_at(birth_month_of(student), on))


def phone_of(guardian: Guardian) -> str:
    """The guardian's phone in clear (E.164); screens show it masked. Empty once it is erased."""
    return "" if guardian.phone_enc is None else sealing.unseal(guardian.phone_enc, "guardian", "phone_enc", guardian.id)


def no_student() -> NotFound:
    """Absent, or somebody else's; to be raised."""
    return NotFound("registry.student_not_found", "没有这名学生", field="student_id")


def _recognised(children: dict[str, Student], draft: ChildDraft, by_name: bool) -> Student | DomainError:
    """The child among its guardian's, whom a new one joins."""
    try:
        draft = check_child(draft)
    except BadInput as refused:
        return refused
    same = children.get(name_key(draft.name))
    if same is not None:
        return same if by_name or birth_month_of(same) == draft.birth_month else _known_otherwise()
    if len(children) >= MAX_CHILDREN:
        return Refused("registry.too_many_children", f"一位家长最多登记 {MAX_CHILDREN} 名学生")
    student_id = uuid7()
    new = children[name_key(draft.name)] = Student(
        id=student_id,
        name_enc=sealing.seal(draft.name, "student", "name_enc", student_id),
        birth_month_enc=sealing.seal(draft.birth_month, "student", "birth_month_enc", student_id),
        stage=draft.stage,
        created_at=clock.now(),
    )
    return new


async def _known(session: AsyncSession, indexes: dict[str, list[bytes]]) -> dict[str, Guardian]:
    """Guardians by normalised phone, whichever key indexed them."""
    phones = {index: phone for phone, candidates in indexes.items() for index in candidates}
    found = await session.scalars(select(Guardian).where(Guardian.phone_index.in_(phones)))
    return {phones[guardian.phone_index]: guardian for guardian in found if guardian.phone_index is not None}


async def _children_by_name(session: AsyncSession, guardian_ids: Collection[UUID]) -> defaultdict[UUID, dict[str, Student]]:
    known: defaultdict[UUID, dict[str, Student]] = defaultdict(dict)
    guarded = select(Guardianship.guardian_id, Student).join(Student, Guardianship.student_id == Student.id)
    for guardian_id, child in await session.execute(guarded.where(Guardianship.guardian_id.in_(guardian_ids))):
        known[guardian_id][name_key(name_of(child))] = child
    return known


def _known_otherwise() -> Conflict:
    return Conflict("registry.student_known", "您已登记同名的孩子，出生年月不同；如登记有误，请到“我的孩子”更正", field="birth_month")
