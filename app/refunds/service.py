"""Giving lessons back: their fees leave escrow for the payer. Each verb posts to the ledger once at most."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.audit import clean_reason
from app.banking import service as banking
from app.contracts import lifecycle
from app.contracts import service as contracts
from app.contracts.models import UNTAUGHT, Contract, Lesson
from app.db import district_of
from app.errors import Conflict, NotFound, Refused
from app.ids import number, uuid7
from app.ledger import codes
from app.lessons.models import Dispute
from app.payments.models import Payment
from app.policy.packs import pack_for
from app.refunds import rules
from app.refunds.models import Refund, RefundLine
from app.security import Parent, SupervisionStaff


async def request(session: AsyncSession, parent: Parent, contract_id: UUID, reason: str) -> Refund:
    """Give the untaught lessons of the parent's own contract back at their allocated prices (fen), approved by rule at once.

    Raises BadInput "reason.invalid", NotFound "contracts.not_found", Refused "refunds.not_paid" for a contract that was
    never paid and "refunds.nothing_left" where no lesson is untaught, and banking's refusals.
    """
    reason = clean_reason(reason)
    await contracts.own_contract(session, parent, contract_id)
    contract = await contracts.lock(session, contract_id)
    if contract.paid_at is None:
        raise Refused("refunds.not_paid", "这份合同没有付款记录，无款可退")
    lessons = await lifecycle.lock_lessons(session, Lesson.contract_id == contract_id, Lesson.status.in_(UNTAUGHT))
    if not lessons:
        raise Refused("refunds.nothing_left", "没有可退的课时：已上课的课时待确认或裁决，其余已退或已确认")
    finding = rules.untaught(pack_for(district_of(session), clock.today()), len(lessons))
    return await _give_back(session, contract, lessons, "guardian", reason, finding, parent.actor)


async def give_back(session: AsyncSession, officer: SupervisionStaff, lesson_id: UUID, reason: str) -> Refund:
    """Carry out the ruling "return" of `lessons.rule_on`, in the same transaction: that lesson's fee goes back to its payer.

    Raises BadInput "reason.invalid", NotFound "lessons.not_found", Conflict "refunds.not_ruled" for a lesson without such a ruling.
    """
    reason = clean_reason(reason)
    lesson = await session.get(Lesson, lesson_id)
    if lesson is None:
        raise NotFound("lessons.not_found", "没有这个课时")
    contract = await contracts.lock(session, lesson.contract_id)
    disputed = await lifecycle.lock_lessons(session, Lesson.id == lesson_id, Lesson.status == "disputed")
    latest = await session.scalar(select(Dispute).where(Dispute.lesson_id == lesson_id).order_by(Dispute.opened_at.desc()).limit(1))
    if not disputed or latest is None or latest.ruling != "return":
        raise Conflict("refunds.not_ruled", "该课时没有退还裁决")
    return await _give_back(session, contract, disputed, "ruling", reason, rules.ruled(latest.id), officer.actor)


async def _give_back(
    session: AsyncSession,
    contract: Contract,
    lessons: Sequence[Lesson],
    cause: Literal["guardian", "ruling"],
    reason: str,
    finding: dict[str, Any],
    posted_by: str,
) -> Refund:
    """Refund lessons of one contract, all locked, with their fees reserved for the instruction to the bank."""
    payment = await session.get_one(Payment, lessons[0].payment_id)
    assert payment.movement_id is not None
    amount_fen = sum(lesson.price_fen for lesson in lessons)
    refund_id, now = uuid7(), clock.now()
    lines = [
        RefundLine(refund_id=refund_id, lesson_id=lesson.id, amount_fen=lesson.price_fen, status_before=lesson.status, live=True)
        for lesson in lessons
    ]
    for lesson in lessons:
        lesson.status, lesson.changed_at = "refunded", now
    await session.flush()
    await lifecycle.close_if_done(session, [contract.id])
    instruction = await banking.instruct_refund(
        session,
        reference=number("R", district_of(session)),
        book_id=contract.institution_id,
        original=payment.movement_id,
        source=codes.escrow(payment.id),
        amount_fen=amount_fen,
        posted_by=posted_by,
    )
    refund = Refund(
        id=refund_id,
        refund_no=instruction.reference,
        contract_id=contract.id,
        payment_id=payment.id,
        institution_id=contract.institution_id,
        guardian_id=contract.guardian_id,
        cause=cause,
        reason=reason,
        amount_fen=amount_fen,
        finding=finding,
        approved_at=now,
    )
    session.add(refund)
    await session.flush()
    session.add_all(lines)
    await session.flush()
    return refund
