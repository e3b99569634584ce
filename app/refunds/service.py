"""Giving lessons back: their fees leave escrow for the payer. Each verb posts to the ledger once at most."""

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.audit import clean_reason
from app.banking import service as banking
from app.banking.payees import PayeeDraft, add_payee
from app.banking.service import RefundOrder, RepaymentOrder
from app.contracts import charges, lifecycle
from app.contracts import service as contracts
from app.contracts.families import contracts_of
from app.contracts.models import UNTAUGHT, Contract, Lesson
from app.db import district_of
from app.errors import BadInput, Conflict, NotFound, Refused
from app.ids import number, uuid7
from app.ledger import codes
from app.lessons.models import Dispute
from app.payments.models import Payment
from app.policy.packs import pack_for
from app.refunds import rules
from app.refunds.models import Refund, RefundLine
from app.refunds.queries import came_back
from app.security import Parent, SupervisionStaff


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """The payee of what cannot go back to its payer, who named it, and the payments that it is about."""

    payee_id: UUID
    named_by: UUID
    payments: Set[UUID]


async def request(session: AsyncSession, parent: Parent, contract_id: UUID, reason: str, payee: PayeeDraft | None = None) -> list[Refund]:
    """Give the untaught lessons of the parent's own contract back at their allocated prices (fen), approved by rule at once.

    One refund for each payment that they were paid by, in the order of the lessons. Nothing more is charged afterwards.

    Old stock (存量) came from nowhere that it could go back to: it goes to the payee, once the institution has funded it (`jobs.fund`).
    What a bank would not take back to its payer goes to the payee too, where one is named, as soon as an officer has released it.
    For these raises BadInput "refunds.payee_needed", "refunds.payee_not_needed" and those of `payees.add_payee`.

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
    elsewhere = await _elsewhere(session, parent, contract, {lesson.payment_id for lesson in lessons if lesson.payment_id}, payee)
    finding = rules.untaught(pack_for(district_of(session), clock.today()), len(lessons))
    await charges.give_up(session, [contract.id])
    refunds = await _give_back(session, contract, lessons, "guardian", reason, finding, parent.actor, elsewhere)
    for refund in refunds:
        if refund.payee_id is not None:
            await audit.record(session, parent.actor, "refunds.payee_named", refund.refund_no)
    return refunds


async def name_payee(session: AsyncSession, parent: Parent, refund_no: str, payee: PayeeDraft) -> Refund:
    """Say where old stock is to be paid that an officer ruled to return; who has said it may say it anew while it waits, nobody else.

    Raises NotFound "refunds.not_found", Conflict "refunds.not_waiting" or "refunds.payee_named", and what `payees.add_payee` raises.
    """
    refund = await session.scalar(
        select(Refund)
        .where(Refund.refund_no == refund_no, Refund.contract_id.in_(contracts_of(parent.guardian_id)))
        .with_for_update(key_share=True)
    )
    if refund is None:
        raise NotFound("refunds.not_found", "没有这笔退费")
    if refund.funded_at is not None:
        raise Conflict("refunds.not_waiting", "这笔退费已不在等待资金，收款账户不能再改")
    if refund.named_by not in (None, parent.guardian_id):
        raise Conflict("refunds.payee_named", "收款账户已由另一位监护人填写，只有填写人可以更改")
    refund.payee_id, refund.named_by = (await add_payee(session, payee)).id, parent.guardian_id
    await audit.record(session, parent.actor, "refunds.payee_named", refund.refund_no)
    return refund


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
    [refund] = await _give_back(session, contract, disputed, "ruling", reason, rules.ruled(latest.id), officer.actor)
    return refund


async def _elsewhere(
    session: AsyncSession, parent: Parent, contract: Contract, payments: Set[UUID], payee: PayeeDraft | None
) -> _Elsewhere | None:
    """What of these payments goes to the payee: old stock, and what came back from its payer before."""
    if payee is None:
        if contract.old_stock:
            raise BadInput("refunds.payee_needed", "存量合同的学费不是经本平台付的，请填写收款账户", field="payee_account_no")
        return None
    if not contract.old_stock:
        payments = payments & await came_back(session, contract.id)
    if not payments:
        raise BadInput("refunds.payee_not_needed", "学费原路退回付款账户；原路退不回去时，才能填写收款账户", field="payee_account_no")
    return _Elsewhere((await add_payee(session, payee)).id, parent.guardian_id, payments)


async def _give_back(
    session: AsyncSession,
    contract: Contract,
    lessons: Sequence[Lesson],
    cause: Literal["guardian", "ruling"],
    reason: str,
    finding: dict[str, Any],
    posted_by: str,
    elsewhere: _Elsewhere | None = None,
) -> list[Refund]:
    """Refund lessons, all locked with their contract, a refund for each payment, with their fees reserved for the instructions to the bank.

    Old stock is not reserved: that would take the cash of others. Its fees wait in escrow.
    """
    by_payment: dict[UUID, list[Lesson]] = defaultdict(list)
    for lesson in sorted(lessons, key=lambda lesson: lesson.number):
        assert lesson.payment_id is not None
        by_payment[lesson.payment_id].append(lesson)
    payments = {payment.id: payment for payment in await session.scalars(select(Payment).where(Payment.id.in_(by_payment)))}
    refunds = [
        _refund(contract, payments[payment_id], sum(lesson.price_fen for lesson in paid), cause, reason, finding, district_of(session))
        for payment_id, paid in by_payment.items()
    ]
    lines = [
        RefundLine(refund_id=refund.id, lesson_id=lesson.id, amount_fen=lesson.price_fen, status_before=lesson.status, live=True)
        for refund in refunds
        for lesson in by_payment[refund.payment_id]
    ]
    for lesson in lessons:
        lesson.status, lesson.changed_at = "refunded", clock.now()
    await session.flush()
    await lifecycle.close_if_done(session, [contract.id])
    for refund in refunds:
        if elsewhere is not None and refund.payment_id in elsewhere.payments:
            refund.payee_id, refund.named_by = elsewhere.payee_id, elsewhere.named_by
    orders = [_order(refund, payments[refund.payment_id]) for refund in refunds if refund.funded_at is not None]
    if orders:
        await banking.instruct_refunds(session, orders, posted_by)
    session.add_all(refunds)
    await session.flush()
    session.add_all(lines)
    await session.flush()
    return refunds


def _order(refund: Refund, payment: Payment) -> RefundOrder | RepaymentOrder:
    source = codes.escrow(payment.id)
    if refund.payee_id is not None:
        return RepaymentOrder(refund.refund_no, refund.institution_id, refund.payee_id, source, refund.amount_fen)
    assert payment.movement_id is not None
    return RefundOrder(refund.refund_no, refund.institution_id, payment.movement_id, source, refund.amount_fen)


def _refund(
    contract: Contract, payment: Payment, amount_fen: int, cause: str, reason: str, finding: dict[str, Any], district: str
) -> Refund:
    now = clock.now()
    return Refund(
        id=uuid7(),
        refund_no=number("R", district),
        contract_id=contract.id,
        payment_id=payment.id,
        institution_id=contract.institution_id,
        guardian_id=contract.guardian_id,
        cause=cause,
        reason=reason,
        amount_fen=amount_fen,
        finding=finding,
        approved_at=now,
        funded_at=None if payment.old_stock else now,
    )
