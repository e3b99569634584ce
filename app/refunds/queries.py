"""What refunds look like to their readers; pages of 100 rows at most."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.banking.models import Instruction, Payee
from app.banking.payees import masked
from app.contracts import queries as contracts
from app.contracts.families import contracts_of
from app.contracts.models import UNTAUGHT, Contract, Lesson
from app.contracts.queries import ContractView
from app.contracts.views import LessonView
from app.db import district_of, fixed
from app.errors import NotFound
from app.policy.packs import pack_for
from app.refunds import rules
from app.refunds.models import Refund, RefundLine
from app.registry.models import ClassSession, Institution, Student, TrainingClass
from app.registry.queries import PAGE, Cursor, masked_name

WAITING = "waiting"
"""The status of a refund that has no instruction yet, for want of cash."""


@dataclass(frozen=True, slots=True)
class RefundLineView:
    """One lesson given back; `live` is false once the bank did not pay and the fee is back in escrow."""

    lesson_id: UUID
    starts_at: datetime
    amount_fen: int
    live: bool


@dataclass(frozen=True, slots=True)
class RefundOffer:
    """What asking now would give back of a contract, and the rule that says so; no lessons where nothing is untaught.

    `payee_may` says that a payee may be named, since some of it came back from who paid it.
    """

    contract: ContractView
    lessons: list[LessonView]
    amount_fen: int
    finding: dict[str, Any]
    payee_may: bool


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund; `status` and `ended_at` are its instruction's, `finding` the rule that approved it.

    Of old stock the status is `waiting` until the institution has funded it; `payee_known` says whether it can be paid then.
    `payee_masked` is the account that a guardian named, `6217****0001 王*长`; None where the money goes back to who paid.
    """

    id: UUID
    refund_no: str
    contract_id: UUID
    contract_no: str
    institution_id: UUID
    institution_name: str
    class_name: str
    student_name_masked: str
    cause: str
    reason: str
    amount_fen: int
    status: str
    payee_known: bool
    payee_masked: str | None
    finding: dict[str, Any]
    approved_at: datetime
    ended_at: datetime | None
    lines: list[RefundLineView]


async def refunds_of_guardian(session: AsyncSession, guardian_id: UUID, after: Cursor | None = None, limit: int = PAGE) -> list[RefundView]:
    """The guardian's refunds, newest first; `after` is (approved_at, id) of the last one seen."""
    return await _views(session, [Refund.contract_id.in_(contracts_of(guardian_id))], after, limit)


async def refunds_of_contract(session: AsyncSession, contract_id: UUID) -> list[RefundView]:
    """A contract's refunds, newest first, at most 100."""
    return await _views(session, [Refund.contract_id == contract_id], None, PAGE)


async def offer(session: AsyncSession, guardian_id: UUID, contract_id: UUID) -> RefundOffer:
    """What the guardian would get back of their own contract. Raises NotFound("contracts.not_found")."""
    contract = await contracts.contract_of_guardian(session, guardian_id, contract_id)
    lessons = [lesson for lesson in contract.lessons if lesson.status in UNTAUGHT]
    finding = rules.untaught(pack_for(district_of(session), clock.today()), len(lessons))
    payee_may = not contract.old_stock and bool(await came_back(session, contract_id))
    return RefundOffer(contract, lessons, sum(lesson.price_fen for lesson in lessons), finding, payee_may)


async def came_back(session: AsyncSession, contract_id: UUID) -> set[UUID]:
    """A contract's payments with untaught lessons, of which a refund ended unpaid: their payer's account may be closed."""
    query = (
        select(Refund.payment_id)
        .join(Instruction, Instruction.reference == Refund.refund_no)
        .join(Lesson, Lesson.payment_id == Refund.payment_id)
        .where(Refund.contract_id == contract_id, Instruction.status.in_(("rejected", "returned")), Lesson.status.in_(UNTAUGHT))
    )
    return set(await session.scalars(query))


async def refunds_of_institution(
    session: AsyncSession, institution_id: UUID, after: Cursor | None = None, limit: int = PAGE
) -> list[RefundView]:
    """An institution's refunds, newest first; `after` is (approved_at, id) of the last one seen."""
    return await _views(session, [Refund.institution_id == institution_id], after, limit)


async def refunds_of_district(session: AsyncSession, after: Cursor | None = None, limit: int = PAGE) -> list[RefundView]:
    """All refunds, newest first; `after` is (approved_at, id) of the last one seen."""
    return await _views(session, [], after, limit)


async def waiting_refunds(session: AsyncSession, after: Cursor | None = None, limit: int = PAGE) -> list[RefundView]:
    """Refunds of old stock that wait for their institutions' funds, newest first; `after` is (approved_at, id) of the last one seen."""
    return await _views(session, [Refund.funded_at.is_(None)], after, limit)


async def held_refunds(session: AsyncSession, after: Cursor | None = None, limit: int = PAGE) -> list[RefundView]:
    """Refunds to named payees that wait for an officer, newest first; `after` is (approved_at, id) of the last one seen."""
    held = Instruction.purpose == "refund", Instruction.status == fixed("held"), Instruction.unreserved_at.is_(None)
    return await _views(session, list(held), after, limit)


async def refund_of_guardian(session: AsyncSession, guardian_id: UUID, refund_no: str) -> RefundView:
    """The guardian's own refund. Raises NotFound("refunds.not_found") for an absent one and somebody else's alike."""
    return _one(await _views(session, [Refund.contract_id.in_(contracts_of(guardian_id)), Refund.refund_no == refund_no], None, 1))


async def refund_of_institution(session: AsyncSession, institution_id: UUID, refund_no: str) -> RefundView:
    """A refund out of the institution's own book. Raises NotFound("refunds.not_found") for an absent one and another's alike."""
    return _one(await _views(session, [Refund.institution_id == institution_id, Refund.refund_no == refund_no], None, 1))


async def refund(session: AsyncSession, refund_no: str) -> RefundView:
    """Any refund of the district. Raises NotFound("refunds.not_found")."""
    return _one(await _views(session, [Refund.refund_no == refund_no], None, 1))


def _one(views: list[RefundView]) -> RefundView:
    if not views:
        raise NotFound("refunds.not_found", "没有这笔退费")
    return views[0]


async def _views(session: AsyncSession, criteria: list[ColumnElement[bool]], after: Cursor | None, limit: int) -> list[RefundView]:
    if after is not None:
        criteria.append(tuple_(Refund.approved_at, Refund.id) < after)
    rows = (
        await session.execute(
            select(Refund, Contract.contract_no, Institution.name, TrainingClass.name, Student, Instruction, Payee)
            .join(Contract, Contract.id == Refund.contract_id)
            .join(Institution, Institution.id == Refund.institution_id)
            .join(TrainingClass, TrainingClass.id == Contract.class_id)
            .join(Student, Student.id == Contract.student_id)
            .outerjoin(Instruction, Instruction.reference == Refund.refund_no)
            .outerjoin(Payee, Payee.id == Refund.payee_id)
            .where(*criteria)
            .order_by(Refund.approved_at.desc(), Refund.id.desc())
            .limit(min(limit, PAGE))
        )
    ).all()
    lines = await _lines(session, [row[0].id for row in rows])
    return [_view(row, lines[row[0].id]) for row in rows]


async def _lines(session: AsyncSession, refund_ids: list[UUID]) -> dict[UUID, list[RefundLineView]]:
    lines: dict[UUID, list[RefundLineView]] = defaultdict(list)
    rows = await session.execute(
        select(RefundLine, ClassSession.starts_at)
        .join(Lesson, Lesson.id == RefundLine.lesson_id)
        .join(ClassSession, ClassSession.id == Lesson.class_session_id)
        .where(RefundLine.refund_id.in_(refund_ids))
        .order_by(RefundLine.refund_id, Lesson.number)
    )
    for line, starts_at in rows:
        lines[line.refund_id].append(RefundLineView(line.lesson_id, starts_at, line.amount_fen, line.live))
    return lines


def _view(row: Any, lines: list[RefundLineView]) -> RefundView:
    refund, contract_no, institution_name, class_name, student, instruction, payee = row
    return RefundView(
        id=refund.id,
        refund_no=refund.refund_no,
        contract_id=refund.contract_id,
        contract_no=contract_no,
        institution_id=refund.institution_id,
        institution_name=institution_name,
        class_name=class_name,
        student_name_masked=masked_name(student),
        cause=refund.cause,
        reason=refund.reason,
        amount_fen=refund.amount_fen,
        status=instruction.status if instruction else WAITING,
        payee_known=refund.funded_at is not None or refund.payee_id is not None,
        payee_masked=payee and masked(payee),
        finding=refund.finding,
        approved_at=refund.approved_at,
        ended_at=instruction and instruction.ended_at,
        lines=lines,
    )
