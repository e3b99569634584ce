"""存量: what was left of contracts when custody began becomes contracts, charges and lessons like any others.

They are taught in the coming class sessions of a class of the register, each lesson at its part of exactly what is left of the old yuan.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import charges, rules
from app.contracts.models import LIVE, Charge, Contract
from app.contracts.rules import OfferedLesson, SoldCharge
from app.contracts.terms import ChargeTerms, Terms
from app.db import district_of
from app.errors import BadInput, Conflict, DomainError, NotFound, Refused
from app.ids import number, uuid7
from app.money import MAX_FEN
from app.policy.packs import pack_for
from app.registry.courses import Course, courses_taught
from app.registry.models import Student

_SCHEDULE = text("""
    INSERT INTO lesson
        (id, contract_id, payment_id, institution_id, class_session_id, student_id, guardian_id, number, price_fen, status, changed_at)
    SELECT sold.id, contract.id, sold.payment_id, contract.institution_id, sold.class_session_id, contract.student_id, contract.guardian_id,
        sold.number, sold.price_fen, 'scheduled', contract.created_at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:contracts AS uuid[]), CAST(:payments AS uuid[]), CAST(:sessions AS uuid[]),
        CAST(:numbers AS int[]), CAST(:prices AS bigint[])) AS sold (id, contract_id, payment_id, class_session_id, number, price_fen)
    JOIN contract ON contract.id = sold.contract_id
""")


@dataclass(frozen=True, slots=True)
class OldContract:
    """What is left of a contract made before custody: untaught lessons of a class, and the fen that were paid for them.

    `ends_on` is the last day of the contract, where it has one.
    """

    class_id: UUID
    guardian_id: UUID
    student_id: UUID
    lesson_count: int
    amount_fen: int
    ends_on: date | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A class with its coming lessons, and who holds a seat in it; `holders` grows as seats are given."""

    course: Course
    coming: Sequence[OfferedLesson]
    holders: set[Hashable]


@dataclass(frozen=True, slots=True)
class Entered:
    """An old contract with its one charge, and the id that its payment is to have: its lessons name it already."""

    contract: Contract
    charge: Charge
    payment_id: UUID


async def places(session: AsyncSession, institution_id: UUID) -> dict[UUID, Place]:
    """The institution's classes that are taught, locked, so that whoever gives their seats gives them alone."""
    courses = await courses_taught(session, institution_id)
    holders: dict[UUID, set[Hashable]] = defaultdict(set)
    live = select(Contract.class_id, Contract.student_id).where(Contract.class_id.in_(courses), Contract.status.in_(LIVE))
    for class_id, student_id in await session.execute(live):
        holders[class_id].add(student_id)
    return {class_id: Place(course, rules.offer(course, clock.now()), holders[class_id]) for class_id, course in courses.items()}


def take(place: Place, child: Hashable, lesson_count: int, amount_fen: int, ends_on: date | None) -> DomainError | None:
    """Give a child a seat for its old lessons, or say why not, naming the field."""
    if not 1 <= lesson_count <= len(place.coming):
        left = len(place.coming)
        return Refused("contracts.old_lessons", f"剩余课时须为 1 至 {left}：该班级还有 {left} 个课次没有开始", field="lesson_count")
    if not lesson_count <= amount_fen <= MAX_FEN:
        return BadInput("contracts.old_amount", "剩余金额不正确：每个课时至少 0.01 元", field="amount_fen")
    if ends_on is not None and clock.business_date(place.coming[lesson_count - 1].starts_at) > ends_on:
        return Refused("contracts.old_ends", "到期日前排不完剩余课时，请先与家长延长合同，或调整班级课表", field="ends_on")
    if child in place.holders:
        return Conflict("contracts.already_signed", "这名学生在该班级已有有效合同", field="class_id")
    if len(place.holders) >= place.course.training_class.seats:
        return Refused("contracts.full", "该班级名额已满", field="class_id")
    place.holders.add(child)
    return None


async def enter(session: AsyncSession, known: Mapping[UUID, Place], rows: Sequence[OldContract]) -> list[Entered]:
    """A paid contract for each row with its one charge and its lessons, in these locked places; who pays enters the payments. All or none.

    Raises for the row that `item` counts from 0: NotFound("registry.class_not_found"), BadInput("contracts.old_amount"),
    Refused("contracts.old_lessons", "contracts.old_ends", "contracts.full"), Conflict("contracts.already_signed").
    """
    # Against their erasure meanwhile.
    students = select(Student.id).where(Student.id.in_({row.student_id for row in rows})).order_by(Student.id)
    await session.execute(students.with_for_update(read=True, key_share=True))
    for item, row in enumerate(rows):
        problem = _problem(known, row)
        if problem is not None:
            problem.facts["item"] = item
            raise problem
    today = clock.today()
    contracts = [_contract(session, known[row.class_id].course, row) for row in rows]
    session.add_all(contracts)
    await session.flush()
    sold = [_sold(known[row.class_id], row, today) for row in rows]
    entered = [Entered(contract, _paid(contract, charge), uuid7()) for contract, charge in zip(contracts, sold, strict=True)]
    session.add_all([each.charge for each in entered])
    await session.flush()
    lessons = [
        (each.contract.id, each.payment_id, lesson.class_session_id, position, lesson.price_fen)
        for each, charge in zip(entered, sold, strict=True)
        for position, lesson in enumerate(charge.lessons, start=1)
    ]
    of_contract, payments, sessions, numbers, prices = zip(*lessons, strict=True)
    values = {"contracts": of_contract, "payments": payments, "sessions": sessions, "numbers": numbers, "prices": prices}
    await session.execute(_SCHEDULE, {"ids": [uuid7() for _ in lessons], **values})
    return entered


def _contract(session: AsyncSession, course: Course, row: OldContract) -> Contract:
    now, district = clock.now(), district_of(session)
    return Contract(
        id=uuid7(),
        contract_no=number("C", district),
        institution_id=course.institution.id,
        class_id=row.class_id,
        student_id=row.student_id,
        guardian_id=row.guardian_id,
        amount_fen=row.amount_fen,
        old_stock=True,
        status="paid",
        judged_by=pack_for(district, clock.business_date(now)).edition,
        findings=[],
        created_at=now,
        lapses_at=now,
        paid_at=now,
    )


def _sold(place: Place, row: OldContract, today: date) -> SoldCharge:
    [charge] = rules.sold(place.coming, Terms("once", (ChargeTerms(row.lesson_count, row.amount_fen, today),)), today)
    return charge


def _paid(contract: Contract, charge: SoldCharge) -> Charge:
    paid = charges.planned(contract, charge)
    paid.status, paid.ended_at = "paid", contract.paid_at
    return paid


def _problem(known: Mapping[UUID, Place], row: OldContract) -> DomainError | None:
    place = known.get(row.class_id)
    if place is None:
        return NotFound("registry.class_not_found", "没有这个班级，或该班级尚未批准", field="class_id")
    return take(place, row.student_id, row.lesson_count, row.amount_fen, row.ends_on)
