"""Entering institutions, teachers, classes, guardians and students, and who may see which."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
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


async def course_for_sale(session: AsyncSession, class_id: UUID) -> Course:
    """The same, with the class row locked, so that whoever counts its seats counts alone.

    Raises NotFound("registry.class_not_found"), Refused("registry.class_not_open") where the class or its institution may not enrol.
    """
    locked = (
        select(TrainingClass).where(TrainingClass.id == class_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    )
    training_class = await session.scalar(locked)
    if training_class is None:
        raise _no_class()
    course = await _course(session, training_class)
    if training_class.status != "opened" or course.institution.status != "approved":
        raise Refused("registry.class_not_open", "该班级目前不招生")
    return course


async def guardian_for_phone(session: AsyncSession, phone: str) -> Guardian:
    """The guardian of a phone number, entered now if new; two at once end with one. Raises BadInput("phone.invalid")."""
    normal = crypto.normal_phone(phone)
    index = crypto.phone_index(normal)
    guardian_id = uuid7()
    known = select(Guardian).where(Guardian.phone_index == index)
    guardian = await session.scalar(known)
    if guardian is None:
        await session.execute(
            insert(Guardian)
            .values(
                id=guardian_id,
                phone_index=index,
                phone_enc=crypto.seal(normal, crypto.phone_place(guardian_id)),
                created_at=clock.now(),
            )
            .on_conflict_do_nothing(index_elements=[Guardian.phone_index])
        )
        guardian = (await session.scalars(known)).one()
    return guardian


async def add_student(session: AsyncSession, guardian_id: UUID, name: str, birth_month: str) -> Student:
    """Enter a child of a guardian; the same name and month again is the same child.

    Raises BadInput naming the field, Refused("registry.too_many_children").
    """
    name = rules.clean_text(name, "name", "学生姓名", 40)
    birth_month = rules.birth_month(birth_month, clock.today())
    await session.execute(select(Guardian.id).where(Guardian.id == guardian_id).with_for_update(key_share=True))
    children = await children_of(session, guardian_id)
    for child in children:
        if (name_of(child), birth_month_of(child)) == (name, birth_month):
            return child
    if len(children) >= MAX_CHILDREN:
        raise Refused("registry.too_many_children", f"一位家长最多登记 {MAX_CHILDREN} 名学生")
    student_id, now = uuid7(), clock.now()
    student = Student(
        id=student_id,
        name_enc=crypto.seal(name, _name_place(student_id)),
        birth_month_enc=crypto.seal(birth_month, _birth_month_place(student_id)),
        created_at=now,
    )
    session.add(student)
    await session.flush()
    session.add(Guardianship(guardian_id=guardian_id, student_id=student_id, since=now))
    await session.flush()
    return student


async def guards(session: AsyncSession, guardian_id: UUID, student_id: UUID) -> Student:
    """The guardian's child. Raises NotFound("registry.student_not_found") for an absent one and somebody else's alike."""
    student = await session.scalar(
        select(Student)
        .join(Guardianship, Guardianship.student_id == Student.id)
        .where(Guardianship.guardian_id == guardian_id, Student.id == student_id)
    )
    if student is None:
        raise NotFound("registry.student_not_found", "没有这名学生", field="student_id")
    return student


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
