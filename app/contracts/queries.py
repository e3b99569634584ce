"""What contracts, their lessons and the classes on offer look like to their readers; pages of 100 rows at most."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import rules
from app.contracts.families import children_contracts_of, contracts_of
from app.contracts.models import IN_ESCROW, LIVE, Charge, Contract, Lesson
from app.contracts.rules import OfferedLesson
from app.contracts.views import ChargeView, LessonView, charge_views
from app.errors import NotFound
from app.registry.courses import course_of
from app.registry.institutions import may_sell
from app.registry.models import Campus, ClassSession, Institution, Student, Teacher, TrainingClass
from app.registry.queries import PAGE, Cursor, masked_name


@dataclass(frozen=True, slots=True)
class ClassView:
    """A class in a list: who teaches it, what it costs in all, what is left of it."""

    id: UUID
    institution_id: UUID
    institution_name: str
    teacher_name: str
    teacher_certificate_no: str
    name: str
    subject: str
    mode: str
    campus: str | None
    room: str | None
    materials: list[str]
    price_fen: int
    listed_price_fen: int
    lesson_count: int
    lesson_minutes: int
    lessons_left: int
    most_unpaid: int
    seats: int
    seats_left: int
    starts_on: date
    ends_on: date
    status: str
    created_at: datetime
    decided_at: datetime | None
    decision_reason: str | None


@dataclass(frozen=True, slots=True)
class Offer:
    """A class with what joining it now would buy, and for how much."""

    view: ClassView
    lessons: list[OfferedLesson]
    amount_fen: int


@dataclass(frozen=True, slots=True)
class ContractView:
    """A contract with its lessons; `escrow_fen` is what they still hold in escrow.

    `sells` says whether the institution may take fees in advance now, `paused` whether it may not because its sales are paused.
    """

    id: UUID
    contract_no: str
    status: str
    institution_id: UUID
    institution_name: str
    class_id: UUID
    class_name: str
    student_id: UUID
    student_name_masked: str
    amount_fen: int
    escrow_fen: int
    old_stock: bool
    way: str
    sells: bool
    paused: bool
    charges: list[ChargeView]
    judged_by: str
    findings: list[dict[str, Any]]
    created_at: datetime
    lapses_at: datetime
    paid_at: datetime | None
    ended_at: datetime | None
    lessons: list[LessonView]

    @property
    def due(self) -> ChargeView | None:
        """What is to be paid now."""
        return next((charge for charge in self.charges if charge.is_due), None)

    @property
    def is_payable(self) -> bool:
        """Whether a payment of what is due can be opened as far as the institution's sales go: what was taught is always paid."""
        return self.due is not None and (self.sells or self.way == "later")

    @property
    def paid_fen(self) -> int:
        """What was paid of its charges; nothing of it is subtracted where it was refunded."""
        return sum(charge.amount_fen for charge in self.charges if charge.status == "paid")

    @property
    def cancelled_fen(self) -> int:
        """What of its amount is not to be paid any more."""
        return sum(charge.amount_fen for charge in self.charges if charge.status == "lapsed")


async def open_classes(
    session: AsyncSession, institution_id: UUID | None = None, after: Cursor | None = None, limit: int = PAGE
) -> list[ClassView]:
    """Classes that may be joined now, seats or not, in the order of opening; `after` is (created_at, id) of the last one seen."""
    query = _open_classes(after, limit)
    if institution_id is not None:
        query = query.where(TrainingClass.institution_id == institution_id)
    return [_class_view(row) for row in await session.execute(query)]


async def classes_for_renewal(session: AsyncSession, guardian_id: UUID, after: Cursor | None = None, limit: int = PAGE) -> list[ClassView]:
    """The same, at the institutions that the guardian has paid before."""
    known = select(Contract.institution_id).where(Contract.id.in_(contracts_of(guardian_id)), Contract.paid_at.is_not(None))
    query = _open_classes(after, limit).where(TrainingClass.institution_id.in_(known))
    return [_class_view(row) for row in await session.execute(query)]


async def classes_of_institution(
    session: AsyncSession, institution_id: UUID, after: Cursor | None = None, limit: int = PAGE
) -> list[ClassView]:
    """An institution's classes, past ones too, in the order of opening; `after` is (created_at, id) of the last one seen."""
    query = _classes(after, limit).where(TrainingClass.institution_id == institution_id)
    return [_class_view(row) for row in await session.execute(query)]


async def classes_of_district(
    session: AsyncSession, status: str | None = None, after: Cursor | None = None, limit: int = PAGE
) -> list[ClassView]:
    """All institutions' classes, in one state where given, in the order of filing; `after` is (created_at, id) of the last one seen."""
    query = _classes(after, limit)
    return [_class_view(row) for row in await session.execute(query if status is None else query.where(TrainingClass.status == status))]


async def offer(session: AsyncSession, class_id: UUID) -> Offer:
    """A class and what joining it now would buy. Raises NotFound("registry.class_not_found")."""
    course = await course_of(session, class_id)
    row = (await session.execute(_classes(None, 1).where(TrainingClass.id == class_id))).one()
    lessons = rules.offer(course, clock.now())
    return Offer(_class_view(row), lessons, rules.price_of(lessons))


async def public_offer(session: AsyncSession, class_id: UUID) -> Offer:
    """The same for everybody: one that was not approved is not there. Raises NotFound("registry.class_not_found")."""
    found = await offer(session, class_id)
    if found.view.status in ("filed", "refused"):
        raise NotFound("registry.class_not_found", "没有这个班级")
    return found


async def contracts_of_guardian(
    session: AsyncSession, guardian_id: UUID, after: Cursor | None = None, limit: int = PAGE, status: str | None = None
) -> list[ContractView]:
    """Contracts that the guardian signed or that are their children's, in one state where given, newest first.

    `after` is (created_at, id) of the last one seen.
    """
    query = _contracts(after, limit).where(Contract.id.in_(contracts_of(guardian_id)))
    return await _contract_views(session, query if status is None else query.where(Contract.status == status))


async def contracts_to_pay(session: AsyncSession, guardian_id: UUID, limit: int = PAGE) -> list[ContractView]:
    """The contracts of the guardian's that a payment is due for, newest first."""
    return await _contract_views(session, _contracts(None, limit).where(Contract.id.in_(contracts_of(guardian_id)), _is_due()))


async def contracts_of_institution(
    session: AsyncSession, institution_id: UUID, after: Cursor | None = None, limit: int = PAGE, class_id: UUID | None = None
) -> list[ContractView]:
    """An institution's contracts, of one class where given, newest first; `after` is (created_at, id) of the last one seen."""
    query = _contracts(after, limit).where(Contract.institution_id == institution_id)
    return await _contract_views(session, query if class_id is None else query.where(Contract.class_id == class_id))


async def contract_by_no(session: AsyncSession, contract_no: str) -> ContractView:
    """Any contract of the district, for supervision. Raises NotFound("contracts.not_found")."""
    return await _one(session, _contracts(None, 1).where(Contract.contract_no == contract_no))


async def contract_of_guardian(session: AsyncSession, guardian_id: UUID, contract_id: UUID) -> ContractView:
    """A contract that the guardian signed or that is their child's. Raises NotFound("contracts.not_found"), also for others."""
    return await _one(session, _contracts(None, 1).where(Contract.id.in_(contracts_of(guardian_id)), Contract.id == contract_id))


async def contract_of_institution(session: AsyncSession, institution_id: UUID, contract_id: UUID) -> ContractView:
    """The institution's own contract. Raises NotFound("contracts.not_found") for an absent one and somebody else's alike."""
    return await _one(session, _contracts(None, 1).where(Contract.institution_id == institution_id, Contract.id == contract_id))


async def live_contract_of(session: AsyncSession, guardian_id: UUID, class_id: UUID, student_id: UUID) -> UUID | None:
    """The id of the guardian's contract that holds a child's seat in a class, if there is one."""
    criteria = (Contract.id.in_(contracts_of(guardian_id)), Contract.class_id == class_id, Contract.student_id == student_id)
    found: UUID | None = await session.scalar(select(Contract.id).where(*criteria, Contract.status.in_(LIVE)))
    return found


async def joins_again(session: AsyncSession, guardian_id: UUID, contract: ContractView) -> bool:
    """Whether the child of the guardian's contract that has ended may be enrolled in its class again."""
    if contract.status in LIVE:
        return False
    query = _open_classes(None, 1).where(TrainingClass.id == contract.class_id)
    views = [_class_view(row) for row in await session.execute(query)]
    has_seat = any(view.seats_left for view in views)
    return has_seat and await live_contract_of(session, guardian_id, contract.class_id, contract.student_id) is None


async def lesson_of_guardian(session: AsyncSession, guardian_id: UUID, lesson_id: UUID) -> LessonView:
    """A lesson of one of the guardian's children. Raises NotFound("lessons.not_found")."""
    row = (
        await session.execute(_lessons().where(Lesson.contract_id.in_(children_contracts_of(guardian_id)), Lesson.id == lesson_id))
    ).one_or_none()
    if row is None:
        raise NotFound("lessons.not_found", "没有这个课时")
    return _lesson_view(row)


async def lessons_of_guardian(
    session: AsyncSession, guardian_id: UUID, statuses: Collection[str] = (), after: Cursor | None = None, limit: int = PAGE
) -> list[LessonView]:
    """The guardian's children's lessons, in some states where given, in the order they take place.

    `after` is (starts_at, id) of the last one seen.
    """
    query = _lessons().where(Lesson.contract_id.in_(children_contracts_of(guardian_id)))
    query = query.order_by(ClassSession.starts_at, Lesson.id).limit(min(limit, PAGE))
    if statuses:
        query = query.where(Lesson.status.in_(statuses))
    if after is not None:
        query = query.where(tuple_(ClassSession.starts_at, Lesson.id) > after)
    return [_lesson_view(row) for row in await session.execute(query)]


async def roster(session: AsyncSession, institution_id: UUID, class_session_id: UUID) -> list[LessonView]:
    """The lessons of one of the institution's class sessions that are paid, or are paid afterwards, at most 500 (the seats).

    In the order they were paid for.
    """
    query = (
        _lessons()
        .where(
            Lesson.institution_id == institution_id,
            Lesson.class_session_id == class_session_id,
            Lesson.status.not_in(("reserved", "lapsed")),
        )
        .order_by(Contract.paid_at, Lesson.id)
    )
    return [_lesson_view(row) for row in await session.execute(query)]


def _lessons_left() -> Any:
    """Class sessions of the class that will take place and have not started."""
    return (
        select(func.count())
        .select_from(ClassSession)
        .where(ClassSession.class_id == TrainingClass.id, ClassSession.starts_at > clock.now(), ClassSession.status != "cancelled")
        .correlate(TrainingClass)
        .scalar_subquery()
    )


def _classes(after: Cursor | None, limit: int) -> Select[*tuple[Any, ...]]:
    taken = (
        select(func.count())
        .select_from(Contract)
        .where(Contract.class_id == TrainingClass.id, Contract.status.in_(LIVE))
        .correlate(TrainingClass)
        .scalar_subquery()
    )
    query = (
        select(TrainingClass, Institution.name, Teacher.name, Teacher.certificate_no, Campus.name, _lessons_left(), taken)
        .join(Institution, Institution.id == TrainingClass.institution_id)
        .join(Teacher, Teacher.id == TrainingClass.teacher_id)
        .outerjoin(Campus, Campus.id == TrainingClass.campus_id)
        .order_by(TrainingClass.created_at, TrainingClass.id)
        .limit(min(limit, PAGE))
    )
    return query if after is None else query.where(tuple_(TrainingClass.created_at, TrainingClass.id) > after)


def _open_classes(after: Cursor | None, limit: int) -> Select[*tuple[Any, ...]]:
    return _classes(after, limit).where(TrainingClass.status == "opened", may_sell(), _lessons_left() > 0)


def _class_view(row: Any) -> ClassView:
    training_class, institution_name, teacher_name, certificate_no, campus, lessons_left, taken = row
    return ClassView(
        id=training_class.id,
        institution_id=training_class.institution_id,
        institution_name=institution_name,
        teacher_name=teacher_name,
        teacher_certificate_no=certificate_no,
        name=training_class.name,
        subject=training_class.subject,
        mode=training_class.mode,
        campus=campus,
        room=training_class.room,
        materials=training_class.materials,
        price_fen=training_class.price_fen,
        listed_price_fen=training_class.listed_price_fen,
        lesson_count=training_class.lesson_count,
        lesson_minutes=training_class.lesson_minutes,
        lessons_left=lessons_left,
        most_unpaid=training_class.most_unpaid,
        seats=training_class.seats,
        seats_left=max(training_class.seats - taken, 0),
        starts_on=training_class.starts_on,
        ends_on=training_class.ends_on,
        status=training_class.status,
        created_at=training_class.created_at,
        decided_at=training_class.decided_at,
        decision_reason=training_class.decision_reason,
    )


def _lessons() -> Select[*tuple[Any, ...]]:
    return (
        select(Lesson, Contract.contract_no, TrainingClass.name, ClassSession.starts_at, ClassSession.ends_at, ClassSession.status, Student)
        .join(ClassSession, ClassSession.id == Lesson.class_session_id)
        .join(TrainingClass, TrainingClass.id == ClassSession.class_id)
        .join(Contract, Contract.id == Lesson.contract_id)
        .join(Student, Student.id == Lesson.student_id)
    )


def _lesson_view(row: Any) -> LessonView:
    lesson, contract_no, class_name, starts_at, ends_at, session_status, student = row
    return LessonView(
        id=lesson.id,
        contract_id=lesson.contract_id,
        contract_no=contract_no,
        class_session_id=lesson.class_session_id,
        class_name=class_name,
        student_id=student.id,
        student_name_masked=masked_name(student),
        number=lesson.number,
        price_fen=lesson.price_fen,
        status=lesson.status,
        starts_at=starts_at,
        ends_at=ends_at,
        session_status=session_status,
    )


def _contracts(after: Cursor | None, limit: int) -> Select[*tuple[Any, ...]]:
    query = (
        select(Contract, Institution.name, TrainingClass.name, Student, may_sell(), Institution.sales_paused_at, Institution.sells_again_at)
        .join(Institution, Institution.id == Contract.institution_id)
        .join(TrainingClass, TrainingClass.id == Contract.class_id)
        .join(Student, Student.id == Contract.student_id)
        .order_by(Contract.created_at.desc(), Contract.id.desc())
        .limit(min(limit, PAGE))
    )
    return query if after is None else query.where(tuple_(Contract.created_at, Contract.id) < after)


async def _contract_views(session: AsyncSession, query: Select[*tuple[Any, ...]]) -> list[ContractView]:
    rows = (await session.execute(query)).all()
    if not rows:
        return []
    contract_ids = [row[0].id for row in rows]
    lessons: dict[UUID, list[LessonView]] = defaultdict(list)
    listed = _lessons().where(Lesson.contract_id.in_(contract_ids)).order_by(Lesson.contract_id, Lesson.number)
    for row in await session.execute(listed):
        lessons[row[0].contract_id].append(_lesson_view(row))
    charges: dict[UUID, list[Charge]] = defaultdict(list)
    for charge in await session.scalars(select(Charge).where(Charge.contract_id.in_(contract_ids)).order_by(Charge.number)):
        charges[charge.contract_id].append(charge)
    return [_contract_view(row, charges[row[0].id], lessons[row[0].id]) for row in rows]


def _is_due() -> ColumnElement[bool]:
    """Contracts with a charge that has opened, has a day and is not paid, or with a lesson that was taught unpaid."""
    dated = exists().where(
        Lesson.contract_id == Charge.contract_id,
        Lesson.number.between(Charge.first_lesson, Charge.last_lesson),
        ClassSession.id == Lesson.class_session_id,
        ClassSession.status != "cancelled",
    )
    opened = (Charge.contract_id == Contract.id) & (Charge.status == "planned") & (Charge.opens_on <= clock.today())
    payable = opened & ((Charge.number == 1) | dated)
    owed = (Lesson.contract_id == Contract.id) & (Lesson.status == "owed")
    return case((Contract.way == "later", exists().where(owed)), else_=exists().where(payable))


def _contract_view(row: Any, charges: Sequence[Charge], lessons: list[LessonView]) -> ContractView:
    contract, institution_name, class_name, student, sells, sales_paused_at, sells_again_at = row
    return ContractView(
        id=contract.id,
        contract_no=contract.contract_no,
        status=contract.status,
        institution_id=contract.institution_id,
        institution_name=institution_name,
        class_id=contract.class_id,
        class_name=class_name,
        student_id=student.id,
        student_name_masked=masked_name(student),
        amount_fen=contract.amount_fen,
        escrow_fen=_escrow(lessons),
        old_stock=contract.old_stock,
        way=contract.way,
        sells=sells,
        paused=sales_paused_at is not None,
        charges=charge_views(contract, charges, lessons, sells=sells, sells_again_at=sells_again_at),
        judged_by=contract.judged_by,
        findings=contract.findings,
        created_at=contract.created_at,
        lapses_at=contract.lapses_at,
        paid_at=contract.paid_at,
        ended_at=contract.ended_at,
        lessons=lessons,
    )


def _escrow(lessons: Iterable[LessonView]) -> int:
    return sum(lesson.price_fen for lesson in lessons if lesson.status in IN_ESCROW)


async def _one(session: AsyncSession, query: Select[*tuple[Any, ...]]) -> ContractView:
    views = await _contract_views(session, query)
    if not views:
        raise NotFound("contracts.not_found", "没有这份合同")
    return views[0]
