"""Entering institutions, teachers, classes, guardians and students, and who may see which."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock, crypto
from app.banking import service as banking
from app.clock import business_date
from app.errors import Conflict, NotFound, Refused
from app.ids import uuid7
from app.ledger import service as ledger
from app.registry import rules
from app.registry.models import ClassSession, Guardian, Guardianship, Institution, Student, Teacher, TrainingClass
from app.registry.rules import ClassDraft, InstitutionDraft
from app.security import InstitutionStaff

MAX_CHILDREN = 20
"""No family has more; it bounds what one guardian's page must decrypt."""


@dataclass(frozen=True, slots=True)
class Course:
    """A class with its institution and its whole schedule, ordered by number."""

    training_class: TrainingClass
    institution: Institution
    sessions: list[ClassSession]


@dataclass(frozen=True, slots=True)
class ChildDraft:
    """A child as its guardian enters it; the month of birth as `YYYY-MM`."""

    guardian_id: UUID
    name: str
    birth_month: str


async def create_institution(session: AsyncSession, draft: InstitutionDraft) -> Institution:
    """Enter an institution, open its book and its two bank accounts.

    Raises BadInput naming the field, Conflict("registry.institution_known") for a credit code that is already entered.
    """
    draft = rules.check_institution(draft)
    institution_id, now = uuid7(), clock.now()
    await ledger.open_book(session, institution_id)
    entered: Institution | None = await session.scalar(
        insert(Institution)
        .values(
            id=institution_id,
            credit_code=draft.credit_code,
            name=draft.name,
            kind=draft.kind,
            address=draft.address,
            status="approved",
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=[Institution.credit_code])
        .returning(Institution)
    )
    if entered is None:
        raise Conflict("registry.institution_known", "该统一社会信用代码的机构已经登记", field="credit_code")
    await banking.open_accounts(session, institution_id, draft.connection, draft.name, draft.supervised_no, draft.settlement_no)
    return entered


async def create_teacher(session: AsyncSession, institution_id: UUID, name: str, certificate_no: str, subject: str) -> Teacher:
    """Enter a teacher of an institution.

    Raises BadInput naming the field, Conflict("registry.teacher_known") for a certificate that is already entered there.
    """
    entered: Teacher | None = await session.scalar(
        insert(Teacher)
        .values(
            id=uuid7(),
            institution_id=institution_id,
            name=rules.clean_text(name, "name", "教师姓名", 40),
            certificate_no=rules.clean_text(certificate_no, "certificate_no", "资格证书号", 40),
            subject=rules.clean_text(subject, "subject", "任教科目", 40),
            created_at=clock.now(),
        )
        .on_conflict_do_nothing(index_elements=[Teacher.institution_id, Teacher.certificate_no])
        .returning(Teacher)
    )
    if entered is None:
        raise Conflict("registry.teacher_known", "该资格证书号的教师已经登记", field="certificate_no")
    return entered


async def open_class(session: AsyncSession, institution_id: UUID, draft: ClassDraft) -> Course:
    """Open a class of an institution with its schedule.

    Raises BadInput naming the field, NotFound("registry.teacher_not_found") for a teacher who is not the institution's,
    Refused("registry.institution_not_open") for an institution that may not enrol.
    """
    now = clock.now()
    draft = rules.check_class(draft, now)
    institution = await _institution(session, institution_id)
    if institution.status != "approved":
        raise Refused("registry.institution_not_open", "机构已被暂停或注销，不能开班")
    teacher = await session.get(Teacher, draft.teacher_id)
    if teacher is None or teacher.institution_id != institution_id:
        raise NotFound("registry.teacher_not_found", "没有这位教师", field="teacher_id")
    training_class = TrainingClass(
        id=uuid7(),
        institution_id=institution_id,
        teacher_id=draft.teacher_id,
        name=draft.name,
        subject=draft.subject,
        price_fen=draft.price_fen,
        lesson_count=draft.lesson_count,
        seats=draft.seats,
        starts_on=business_date(draft.sessions[0][0]),
        ends_on=business_date(draft.sessions[-1][1]),
        status="opened",
        created_at=now,
    )
    session.add(training_class)
    await session.flush()
    sessions = [
        ClassSession(
            id=uuid7(),
            class_id=training_class.id,
            institution_id=institution_id,
            number=number,
            starts_at=starts_at,
            ends_at=ends_at,
            status="scheduled",
        )
        for number, (starts_at, ends_at) in enumerate(draft.sessions, start=1)
    ]
    session.add_all(sessions)
    await session.flush()
    return Course(training_class, institution, sessions)


async def own_class(session: AsyncSession, staff: InstitutionStaff, class_id: UUID) -> TrainingClass:
    """The institution's own class. Raises NotFound("registry.class_not_found") for an absent one and somebody else's alike."""
    training_class = await session.get(TrainingClass, class_id)
    if training_class is None or training_class.institution_id != staff.institution_id:
        raise _no_class()
    return training_class


async def course_of(session: AsyncSession, class_id: UUID) -> Course:
    """A class with its institution and schedule. Raises NotFound("registry.class_not_found")."""
    training_class = await session.get(TrainingClass, class_id)
    if training_class is None:
        raise _no_class()
    return await _course(session, training_class)


async def courses_for_sale(session: AsyncSession, class_ids: Collection[UUID]) -> dict[UUID, Course]:
    """Several of them by class, with the class rows locked in the order of their ids, so that whoever counts their seats counts alone.

    Raises NotFound("registry.class_not_found"), Refused("registry.class_not_open") where a class or its institution may not enrol.
    """
    locked = select(TrainingClass).where(TrainingClass.id.in_(class_ids)).order_by(TrainingClass.id).with_for_update(key_share=True)
    classes = (await session.scalars(locked, execution_options={"populate_existing": True})).all()
    if len(classes) < len(set(class_ids)):
        raise _no_class()
    chosen = Institution.id.in_({each.institution_id for each in classes})
    institutions = {each.id: each for each in await session.scalars(select(Institution).where(chosen))}
    sessions: dict[UUID, list[ClassSession]] = defaultdict(list)
    schedule = select(ClassSession).where(ClassSession.class_id.in_(class_ids)).order_by(ClassSession.class_id, ClassSession.number)
    for row in await session.scalars(schedule):
        sessions[row.class_id].append(row)
    for each in classes:
        if each.status != "opened" or institutions[each.institution_id].status != "approved":
            raise Refused("registry.class_not_open", "该班级目前不招生")
    return {each.id: Course(each, institutions[each.institution_id], sessions[each.id]) for each in classes}


async def guardian_for_phone(session: AsyncSession, phone: str) -> Guardian:
    """The guardian of a phone number, entered now if new; two at once end with one. Raises BadInput("phone.invalid")."""
    [guardian] = await guardians_for_phones(session, [phone])
    return guardian


async def guardians_for_phones(session: AsyncSession, phones: Sequence[str]) -> list[Guardian]:
    """The same for several phone numbers in their order."""
    normal = [crypto.normal_phone(phone) for phone in phones]
    indexes = [crypto.phone_index(phone) for phone in normal]
    known = select(Guardian).where(Guardian.phone_index.in_(indexes))
    guardians = {guardian.phone_index: guardian for guardian in await session.scalars(known)}
    new = {index: phone for index, phone in zip(indexes, normal, strict=True) if index not in guardians}
    if new:
        rows = []
        for index in sorted(new):
            guardian_id = uuid7()
            phone_enc = crypto.seal(new[index], crypto.phone_place(guardian_id))
            rows.append({"id": guardian_id, "phone_index": index, "phone_enc": phone_enc, "created_at": clock.now()})
        await session.execute(insert(Guardian).values(rows).on_conflict_do_nothing(index_elements=[Guardian.phone_index]))
        guardians = {guardian.phone_index: guardian for guardian in await session.scalars(known)}
    return [guardians[index] for index in indexes]


async def add_student(session: AsyncSession, guardian_id: UUID, name: str, birth_month: str) -> Student:
    """Enter a child of a guardian; the same name and month again is the same child.

    Raises BadInput naming the field, Refused("registry.too_many_children").
    """
    [student] = await add_students(session, [ChildDraft(guardian_id, name, birth_month)])
    return student


async def add_students(session: AsyncSession, drafts: Sequence[ChildDraft]) -> list[Student]:
    """The same for several children in their order."""
    guardian_ids = {draft.guardian_id for draft in drafts}
    await session.execute(select(Guardian.id).where(Guardian.id.in_(guardian_ids)).order_by(Guardian.id).with_for_update(key_share=True))
    known: dict[UUID, dict[tuple[str, str], Student]] = defaultdict(dict)
    guarded = select(Guardianship.guardian_id, Student).join(Student, Guardianship.student_id == Student.id)
    for guardian_id, child in await session.execute(guarded.where(Guardianship.guardian_id.in_(guardian_ids))):
        known[guardian_id][name_of(child), birth_month_of(child)] = child
    new, students, now = [], [], clock.now()
    for draft in drafts:
        name = rules.clean_text(draft.name, "name", "学生姓名", 40)
        birth_month = rules.birth_month(draft.birth_month, clock.today())
        children = known[draft.guardian_id]
        if (name, birth_month) not in children:
            if len(children) >= MAX_CHILDREN:
                raise Refused("registry.too_many_children", f"一位家长最多登记 {MAX_CHILDREN} 名学生")
            student_id = uuid7()
            children[name, birth_month] = student = Student(
                id=student_id,
                name_enc=crypto.seal(name, _name_place(student_id)),
                birth_month_enc=crypto.seal(birth_month, _birth_month_place(student_id)),
                created_at=now,
            )
            new.append((draft.guardian_id, student))
        students.append(children[name, birth_month])
    session.add_all(student for _, student in new)
    await session.flush()
    session.add_all(Guardianship(guardian_id=guardian_id, student_id=student.id, since=now) for guardian_id, student in new)
    await session.flush()
    return students


async def guard_all(session: AsyncSession, pairs: Collection[tuple[UUID, UUID]]) -> None:
    """Guardians and their children. Raises NotFound("registry.student_not_found") for an absent child and somebody else's alike."""
    key = tuple_(Guardianship.guardian_id, Guardianship.student_id)
    known = await session.scalar(select(func.count()).select_from(Guardianship).where(key.in_(pairs)))
    if (known or 0) < len(set(pairs)):
        raise NotFound("registry.student_not_found", "没有这名学生", field="student_id")


async def children_of(session: AsyncSession, guardian_id: UUID) -> list[Student]:
    """The guardian's children in the order of entry, at most 20."""
    rows = await session.scalars(
        select(Student)
        .join(Guardianship, Guardianship.student_id == Student.id)
        .where(Guardianship.guardian_id == guardian_id)
        .order_by(Student.created_at, Student.id)
    )
    return list(rows)


def name_of(student: Student) -> str:
    """The child's name in clear; screens show it masked."""
    return crypto.unseal(student.name_enc, _name_place(student.id))


def birth_month_of(student: Student) -> str:
    """The child's month of birth in clear, `YYYY-MM`."""
    return crypto.unseal(student.birth_month_enc, _birth_month_place(student.id))


def phone_of(guardian: Guardian) -> str:
    """The guardian's phone in clear (E.164); screens show it masked."""
    return crypto.unseal(guardian.phone_enc, crypto.phone_place(guardian.id))


def _name_place(student_id: UUID) -> str:
    return f"student.name:{student_id}"


def _birth_month_place(student_id: UUID) -> str:
    return f"student.birth_month:{student_id}"


async def _institution(session: AsyncSession, institution_id: UUID) -> Institution:
    institution = await session.get(Institution, institution_id)
    if institution is None:
        raise NotFound("registry.institution_not_found", "没有这家机构")
    return institution


async def _course(session: AsyncSession, training_class: TrainingClass) -> Course:
    institution = await _institution(session, training_class.institution_id)
    rows = await session.scalars(select(ClassSession).where(ClassSession.class_id == training_class.id).order_by(ClassSession.number))
    return Course(training_class, institution, list(rows))


def _no_class() -> NotFound:
    return NotFound("registry.class_not_found", "没有这个班级")
