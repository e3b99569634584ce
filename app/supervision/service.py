"""What supervision decides: alerts raised and dealt with, held payouts and refunds, rulings on disputes, alarm lines."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.audit import clean_reason
from app.banking import service as banking
from app.banking.models import Instruction
from app.contracts.models import Lesson
from app.db import district_of, fixed
from app.errors import BadInput, Conflict, NotFound
from app.ids import uuid7
from app.lessons import service as lessons
from app.lessons.service import Ruling
from app.money import MAX_FEN
from app.refunds import service as refunds
from app.refunds.models import Refund
from app.registry.models import Institution
from app.security import SupervisionStaff
from app.settlement.models import Payout
from app.supervision.models import Alert, AlertEvent, Clearance, Cursor, Threshold
from app.supervision.rules import DEFAULT_LINES, LEVELS, Hold, Lines, Rule

CHANNEL = "escrow_alerts"
"""PostgreSQL notifies listeners here of a new alert; the payload is the district's code."""


@dataclass(frozen=True, slots=True)
class Finding:
    """That a rule fires about a subject; `facts` are JSON and hold no personal data."""

    institution_id: UUID
    rule: Rule
    subject: str
    facts: dict[str, Any]


async def raise_alerts(session: AsyncSession, findings: Sequence[Finding]) -> None:
    """Open an alert for each finding, or bring the facts of the one that stands for this rule and subject up to date, in their order;
    the same facts change nothing. Call it after every other lock of the transaction.
    """
    if not findings:
        return
    await _lock_events(session)
    chosen = tuple_(Alert.rule, Alert.subject).in_([(finding.rule, finding.subject) for finding in findings])
    rows = await session.scalars(select(Alert).where(chosen, Alert.status != fixed("resolved")))
    standing = {(alert.rule, alert.subject): alert for alert in rows}
    changed: dict[UUID, Alert] = {}
    opened = False
    for finding in findings:
        known = standing.get((finding.rule, finding.subject))
        if known is None:
            known = standing[finding.rule, finding.subject] = _opened(finding)
            session.add(known)
            opened = True
        elif known.facts == finding.facts:
            continue
        known.facts, known.changed_at = finding.facts, clock.now()
        changed[known.id] = known
    await _record(session, list(changed.values()))
    if opened:
        await session.execute(select(func.pg_notify(CHANNEL, district_of(session))))


def _opened(finding: Finding) -> Alert:
    return Alert(
        id=uuid7(),
        institution_id=finding.institution_id,
        rule=finding.rule,
        level=LEVELS[finding.rule],
        subject=finding.subject,
        facts=finding.facts,
        status="opened",
        opened_at=clock.now(),
        changed_at=clock.now(),
    )


async def acknowledge(session: AsyncSession, officer: SupervisionStaff, alert_id: UUID, note: str) -> Alert:
    """Opened → acknowledged: an officer is looking into it.

    Raises BadInput `reason.invalid`, NotFound `supervision.alert_not_found`, Conflict `supervision.alert_decided`.
    """
    [alert] = await _decide(session, officer, [alert_id], note, ("opened",), "acknowledged")
    return alert


async def resolve(session: AsyncSession, officer: SupervisionStaff, alert_id: UUID, note: str) -> Alert:
    """Opened or acknowledged → resolved; the same rule may then fire anew about the same subject.

    Raises BadInput `reason.invalid`, NotFound `supervision.alert_not_found`, Conflict `supervision.alert_decided`.
    """
    [alert] = await resolve_all(session, officer, [alert_id], note)
    return alert


async def resolve_all(session: AsyncSession, officer: SupervisionStaff, alert_ids: Sequence[UUID], note: str) -> list[Alert]:
    """The same for several alerts, each named once, all or none."""
    return await _decide(session, officer, alert_ids, note, ("opened", "acknowledged"), "resolved")


async def release_payout(session: AsyncSession, officer: SupervisionStaff, payout_id: UUID, reason: str) -> Clearance:
    """Let a held payout go to the bank.

    Raises BadInput `reason.invalid`, NotFound `supervision.payout_not_found`, Conflict `banking.not_held`.
    """
    reason = clean_reason(reason)
    return await _release(session, officer, await _payout(session, payout_id), reason)


async def reject_payout(session: AsyncSession, officer: SupervisionStaff, payout_id: UUID, reason: str) -> Clearance:
    """End a held payout unpaid: its money returns to what the institution is owed, its releases to the next run.

    Raises BadInput `reason.invalid`, NotFound `supervision.payout_not_found`, Conflict `banking.not_held`.
    """
    reason = clean_reason(reason)
    return await _reject(session, officer, await _payout(session, payout_id), reason)


async def release_refund(session: AsyncSession, officer: SupervisionStaff, refund_no: str, reason: str) -> Clearance:
    """Let a held refund to a named payee go to the bank.

    Raises BadInput `reason.invalid`, NotFound `supervision.refund_not_found`, Conflict `banking.not_held`.
    """
    reason = clean_reason(reason)
    return await _release(session, officer, await _refund(session, refund_no), reason)


async def reject_refund(session: AsyncSession, officer: SupervisionStaff, refund_no: str, reason: str) -> Clearance:
    """End a held refund to a named payee unpaid: its money and its lessons return to the contract, as where a bank refuses it.

    Raises BadInput `reason.invalid`, NotFound `supervision.refund_not_found`, Conflict `banking.not_held`.
    """
    reason = clean_reason(reason)
    return await _reject(session, officer, await _refund(session, refund_no), reason)


async def rule_on_dispute(session: AsyncSession, officer: SupervisionStaff, lesson_id: UUID, ruling: Ruling, reason: str) -> None:
    """Decide about a disputed lesson: `release` its fee to the institution, or `return` it to the payer; unpaid, it is due or not.

    Raises BadInput `reason.invalid`, NotFound `lessons.not_found`, Conflict `lessons.not_disputed`, and banking's refusals.
    """
    ruled = await lessons.rule_on(session, officer, lesson_id, ruling, reason)
    if ruling == "return" and (await session.get_one(Lesson, lesson_id)).payment_id is not None:
        await refunds.give_back(session, officer, lesson_id, reason)
    await audit.record(session, officer.actor, "supervision.dispute_ruled", f"lesson:{lesson_id}", ruled.ruling_reason, ruling=ruling)


async def set_thresholds(session: AsyncSession, actor: str, institution_id: UUID, lines: Lines) -> None:
    """Set an institution's alarm lines (fen). Raises BadInput `supervision.bad_lines`, NotFound `supervision.institution_not_found`."""
    if not (0 < lines.large_transfer_fen <= MAX_FEN and 0 < lines.large_day_fen <= MAX_FEN and 0 <= lines.minimum_balance_fen <= MAX_FEN):
        raise BadInput("supervision.bad_lines", "大额线须大于零，最低余额不得为负")
    if await session.get(Institution, institution_id) is None:
        raise NotFound("supervision.institution_not_found", "没有这家机构")
    before = (await lock_lines(session, [institution_id]))[institution_id]
    await session.execute(
        update(Threshold).where(Threshold.institution_id == institution_id).values(**_columns(lines), changed_at=clock.now())
    )
    facts = {"before": _columns(before), "after": _columns(lines)}
    await audit.record(session, actor, "supervision.thresholds_set", f"institution:{institution_id}", None, **facts)


async def lines_of(session: AsyncSession, institution_id: UUID) -> Lines:
    """An institution's alarm lines, or the default ones."""
    return lines_in(await session.get(Threshold, institution_id, populate_existing=True))


def lines_in(row: Threshold | None) -> Lines:
    """The alarm lines that a row sets, or the default ones."""
    return Lines(row.large_transfer_fen, row.large_day_fen, row.minimum_balance_fen) if row else DEFAULT_LINES


async def lock_lines(session: AsyncSession, institution_ids: Collection[UUID]) -> dict[UUID, Lines]:
    """The same of several institutions, locked: decisions that add up an institution's day go one after the other."""
    rows = [{"institution_id": each, **_columns(DEFAULT_LINES), "changed_at": clock.now()} for each in sorted(set(institution_ids))]
    await session.execute(insert(Threshold).on_conflict_do_nothing(index_elements=[Threshold.institution_id]), rows)
    chosen = select(Threshold).where(Threshold.institution_id.in_(institution_ids)).order_by(Threshold.institution_id).with_for_update()
    locked = await session.scalars(chosen, execution_options={"populate_existing": True})
    return {row.institution_id: lines_in(row) for row in locked}


def record_clearance(
    session: AsyncSession,
    instruction_id: UUID,
    decision: str,
    *,
    rule: Hold | None = None,
    reason: str | None = None,
    decided_by: UUID | None = None,
) -> Clearance:
    """Keep a decision about a drafted instruction, in the transaction that carries it out: by rule, or by an officer with a reason."""
    clearance = Clearance(
        id=uuid7(),
        instruction_id=instruction_id,
        decision=decision,
        rule=rule,
        reason=reason,
        decided_by=decided_by,
        decided_at=clock.now(),
    )
    session.add(clearance)
    return clearance


def _columns(lines: Lines) -> dict[str, int]:
    return {
        "large_transfer_fen": lines.large_transfer_fen,
        "large_day_fen": lines.large_day_fen,
        "minimum_balance_fen": lines.minimum_balance_fen,
    }


async def _payout(session: AsyncSession, payout_id: UUID) -> Instruction:
    of_payout = select(Instruction).join(Payout, Payout.payout_no == Instruction.reference).where(Payout.id == payout_id)
    found: Instruction | None = await session.scalar(of_payout)
    if found is None:
        raise NotFound("supervision.payout_not_found", "没有这笔结算款")
    return found


async def _refund(session: AsyncSession, refund_no: str) -> Instruction:
    of_refund = select(Instruction).join(Refund, Refund.refund_no == Instruction.reference).where(Refund.refund_no == refund_no)
    found: Instruction | None = await session.scalar(of_refund)
    if found is None:
        raise NotFound("supervision.refund_not_found", "没有这笔已安排付款的退费")
    return found


async def _release(session: AsyncSession, officer: SupervisionStaff, held: Instruction, reason: str) -> Clearance:
    await lock_lines(session, [held.book_id])
    await banking.release_held(session, held.id)
    action = f"supervision.{held.purpose}_released"
    await audit.record(session, officer.actor, action, held.reference, reason, amount_fen=held.amount_fen)
    return record_clearance(session, held.id, "released", reason=reason, decided_by=officer.staff_id)


async def _reject(session: AsyncSession, officer: SupervisionStaff, held: Instruction, reason: str) -> Clearance:
    await banking.reject_held(session, held.id)
    action = f"supervision.{held.purpose}_rejected"
    await audit.record(session, officer.actor, action, held.reference, reason, amount_fen=held.amount_fen)
    return record_clearance(session, held.id, "rejected", reason=reason, decided_by=officer.staff_id)


async def _decide(
    session: AsyncSession, officer: SupervisionStaff, alert_ids: Sequence[UUID], note: str, before: tuple[str, ...], after: str
) -> list[Alert]:
    note = clean_reason(note)
    await _lock_events(session)
    decided = await session.scalars(
        update(Alert)
        .where(Alert.id.in_(alert_ids), Alert.status.in_(before))
        .values(status=after, note=note, changed_by=officer.staff_id, changed_at=clock.now())
        .returning(Alert)
        .execution_options(populate_existing=True)
    )
    alerts = {alert.id: alert for alert in decided}
    for alert_id in alert_ids:
        if alert_id not in alerts:
            if await session.get(Alert, alert_id) is None:
                raise NotFound("supervision.alert_not_found", "没有这条预警")
            raise Conflict("supervision.alert_decided", "该预警的状态已改变")
    await _record(session, [alerts[alert_id] for alert_id in alert_ids])
    for alert_id in alert_ids:
        await audit.record(session, officer.actor, f"supervision.alert_{after}", f"alert:{alert_id}", note)
    return [alerts[alert_id] for alert_id in alert_ids]


async def _lock_events(session: AsyncSession) -> None:
    """Taken before any alert is touched and held to the commit: sequence numbers become visible in order, without a gap."""
    await session.execute(select(Cursor.seq).where(Cursor.name == "alerts").with_for_update())


async def _record(session: AsyncSession, alerts: Sequence[Alert]) -> None:
    if not alerts:
        return
    await session.flush()
    last = await session.scalar(update(Cursor).where(Cursor.name == "alerts").values(seq=Cursor.seq + len(alerts)).returning(Cursor.seq))
    assert last is not None
    for seq, alert in enumerate(alerts, start=last - len(alerts) + 1):
        session.add(AlertEvent(seq=seq, alert_id=alert.id, status=alert.status, at=alert.changed_at))
    await session.flush()
