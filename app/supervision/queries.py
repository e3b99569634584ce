"""What officers look at: totals and coverage, institutions, alerts, held payouts, disputes, movements. Pages hold 100 rows at most."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.banking.models import Instruction
from app.contracts.models import Contract, Lesson
from app.db import fixed
from app.errors import NotFound
from app.lessons.models import Dispute
from app.registry.models import ClassSession, Institution, TrainingClass
from app.security import Staff
from app.supervision.models import Alert, AlertEvent, Clearance
from app.supervision.rules import Lines, coverage_bps
from app.supervision.service import lines_of

PAGE = 100


@dataclass(frozen=True, slots=True)
class Money:
    """What a book, or all books together, hold (fen), and what the bank says about it.

    `reported_fen` is the bank's last word, `reported_at` its time (the oldest where several are added up); both None where
    the bank has not been asked yet. `unresolved_fen` are instructions whose end is not known. Coverage counts books with a report only.
    """

    cash_fen: int
    incoming_fen: int
    escrow_fen: int
    payable_fen: int
    outgoing_fen: int
    suspense_fen: int
    shortfall_fen: int
    unresolved_fen: int
    reported_fen: int | None
    reported_at: datetime | None
    coverage_bps: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The district on one page."""

    money: Money
    institutions: int
    open_alerts: dict[str, int]
    """By level, alerts not resolved."""
    waiting: "Waiting"


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits for an officer's decision, besides alerts."""

    held_payouts: int
    held_refunds: int
    """To payees that guardians named."""
    open_disputes: int
    applications: int
    changes: int
    classes: int
    """Filed, and neither approved nor refused."""
    scan_reports: int
    receipts: int
    """From unknown payers, while their book has a shortfall."""


@dataclass(frozen=True, slots=True)
class InstitutionView:
    """One institution as supervision sees it."""

    id: UUID
    name: str
    credit_code: str
    status: str
    created_at: datetime
    money: Money
    open_alerts: int


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert with the institution it is about."""

    id: UUID
    institution_id: UUID
    institution_name: str
    rule: str
    level: str
    subject: str
    facts: dict[str, Any]
    status: str
    opened_at: datetime
    changed_at: datetime
    note: str | None


@dataclass(frozen=True, slots=True)
class AlertChange:
    """An alert was raised or changed: `status` and `at` are of the change, `alert` is how it stands when read."""

    seq: int
    status: str
    at: datetime
    alert: AlertView


@dataclass(frozen=True, slots=True)
class HeldPayout:
    """A payout that waits for an officer, and the rule that held it."""

    id: UUID
    payout_no: str
    institution_id: UUID
    institution_name: str
    amount_fen: int
    lines: int
    rule: str
    drafted_at: datetime
    held_at: datetime


@dataclass(frozen=True, slots=True)
class ClearanceView:
    """A decision about one payout: by rule, or by an officer with a reason."""

    decision: str
    rule: str | None
    reason: str | None
    officer: str | None
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class OpenDispute:
    """A disputed lesson that waits for a ruling; `reason` is in the guardian's own words."""

    lesson_id: UUID
    institution_id: UUID
    institution_name: str
    contract_no: str
    class_name: str
    starts_at: datetime
    ends_at: datetime
    price_fen: int
    reason: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class MovementView:
    """One sealed transfer; `seq` is its voucher number 凭证号."""

    seq: int
    transfer_id: UUID
    institution_id: UUID
    institution_name: str
    kind: str
    debit: str
    credit: str
    amount_fen: int
    occurred_at: datetime
    recorded_at: datetime


# Balances by book out of ledger_account alone; the bank's last word by index.
_MONEY = """
    SELECT i.id, i.name, i.credit_code, i.status, i.created_at,
        coalesce(b.cash_fen, 0) AS cash_fen, coalesce(b.incoming_fen, 0) AS incoming_fen, coalesce(b.escrow_fen, 0) AS escrow_fen,
        coalesce(b.payable_fen, 0) AS payable_fen, coalesce(b.outgoing_fen, 0) AS outgoing_fen,
        coalesce(b.suspense_fen, 0) AS suspense_fen, coalesce(b.shortfall_fen, 0) AS shortfall_fen,
        coalesce(u.amount_fen, 0) AS unresolved_fen, r.balance_fen AS reported_fen, r.as_of AS reported_at,
        coalesce(n.alerts, 0) AS open_alerts
    FROM (SELECT * FROM institution WHERE {chosen}) AS i
    LEFT JOIN LATERAL (
        SELECT sum(balance_fen) FILTER (WHERE type = 'cash')::bigint AS cash_fen,
            sum(balance_fen) FILTER (WHERE type = 'incoming')::bigint AS incoming_fen,
            sum(balance_fen) FILTER (WHERE type = 'escrow')::bigint AS escrow_fen,
            sum(balance_fen) FILTER (WHERE type = 'payable')::bigint AS payable_fen,
            sum(balance_fen) FILTER (WHERE type = 'outgoing')::bigint AS outgoing_fen,
            sum(balance_fen) FILTER (WHERE type = 'suspense')::bigint AS suspense_fen,
            sum(balance_fen) FILTER (WHERE type = 'shortfall')::bigint AS shortfall_fen
        FROM ledger_account WHERE book_id = i.id
    ) AS b ON true
    LEFT JOIN bank_account a ON a.book_id = i.id AND a.role = 'supervised'
    LEFT JOIN LATERAL (
        SELECT balance_fen, as_of FROM balance_report WHERE bank_account_id = a.id ORDER BY as_of DESC, id DESC LIMIT 1
    ) AS r ON true
    LEFT JOIN (
        SELECT book_id, sum(amount_fen)::bigint AS amount_fen FROM instruction
        WHERE status IN ('drafted', 'held', 'cleared', 'submitted', 'unknown') AND unreserved_at IS NULL
        GROUP BY book_id
    ) AS u ON u.book_id = i.id
    LEFT JOIN (SELECT institution_id, count(*) AS alerts FROM alert WHERE status <> 'resolved' GROUP BY institution_id) AS n
        ON n.institution_id = i.id
    ORDER BY i.created_at, i.id
"""
_ALL = text(_MONEY.format(chosen="true"))
_ONE = text(_MONEY.format(chosen="id = :id"))
_SOME = text(_MONEY.format(chosen="id = ANY (CAST(:ids AS uuid[]))"))
_FIRST = text(_MONEY.format(chosen="true ORDER BY created_at, id LIMIT :limit"))
_NEXT = text(_MONEY.format(chosen="(created_at, id) > (:created_at, :id) ORDER BY created_at, id LIMIT :limit"))

_ALERTS = text("""
    SELECT count(*) FILTER (WHERE level = 'yellow') AS yellow, count(*) FILTER (WHERE level = 'red') AS red
    FROM alert WHERE status <> 'resolved'
""")
_WAITING = text("""
    SELECT (SELECT count(*) FROM instruction WHERE purpose = 'payout' AND status = 'held' AND unreserved_at IS NULL) AS held_payouts,
        (SELECT count(*) FROM instruction WHERE purpose = 'refund' AND status = 'held' AND unreserved_at IS NULL) AS held_refunds,
        (SELECT count(*) FROM dispute WHERE status = 'opened') AS open_disputes,
        (SELECT count(*) FROM institution_application WHERE status = 'applied') AS applications,
        (SELECT count(*) FROM institution_change WHERE status = 'proposed') AS changes,
        (SELECT count(*) FROM training_class WHERE status = 'filed') AS classes,
        (SELECT count(*) FROM scan_report WHERE status = 'opened') AS scan_reports,
        (SELECT count(*) FROM receipt r
            WHERE r.outcome = 'unknown_payer' AND r.meant_for IS NULL AND r.ruling IS NULL AND r.return_no IS NULL
                AND r.returned_at IS NULL AND EXISTS (
                    SELECT FROM ledger_account a WHERE a.book_id = r.institution_id AND a.code = 'shortfall' AND a.balance_fen > 0)
        ) AS receipts
""")
_HELD = text("""
    SELECT p.id, p.payout_no, p.institution_id, n.name AS institution_name, p.amount_fen, p.drafted_at, c.rule, c.decided_at AS held_at,
        (SELECT count(*) FROM payout_line l WHERE l.payout_id = p.id) AS lines
    FROM instruction i
    JOIN payout p ON p.payout_no = i.reference
    JOIN institution n ON n.id = p.institution_id
    JOIN clearance c ON c.instruction_id = i.id AND c.decision = 'held'
    WHERE i.purpose = 'payout' AND i.status = 'held' AND i.unreserved_at IS NULL AND (CAST(:after AS uuid) IS NULL OR p.id > :after)
    ORDER BY p.id LIMIT :limit
""")
_MOVEMENT = """
    SELECT l.seq, t.id AS transfer_id, t.book_id AS institution_id, n.name AS institution_name, t.kind, d.code AS debit, c.code AS credit,
        t.amount_fen, t.occurred_at, t.recorded_at
    FROM {source}
    JOIN ledger_account d ON d.id = t.debit
    JOIN ledger_account c ON c.id = t.credit
    JOIN institution n ON n.id = t.book_id
"""
_SEALED = "ledger_log l JOIN transfer t ON t.id = l.transfer_id"
_NEWEST = text(
    _MOVEMENT.format(source=_SEALED) + "WHERE CAST(:before AS bigint) IS NULL OR l.seq < :before ORDER BY l.seq DESC LIMIT :limit"
)
_AFTER = text(_MOVEMENT.format(source=_SEALED) + "WHERE l.seq > :after ORDER BY l.seq LIMIT :limit")
_NEWEST_OF_BOOK = text(
    _MOVEMENT.format(source="transfer t JOIN ledger_log l ON l.transfer_id = t.id")
    + "WHERE t.book_id = :book AND (CAST(:before AS uuid) IS NULL OR t.id < :before) ORDER BY t.id DESC LIMIT :limit"
)


async def overview(session: AsyncSession) -> Overview:
    """Totals, coverage and what waits for an officer."""
    books = (await session.execute(_ALL)).all()
    alerts_by_level = dict((await session.execute(_ALERTS)).one()._mapping)
    return Overview(_total(books), len(books), alerts_by_level, await waiting(session))


async def waiting(session: AsyncSession) -> Waiting:
    """What waits for an officer's decision, counted."""
    return Waiting(**(await session.execute(_WAITING)).one()._mapping)


async def institutions(session: AsyncSession, after: tuple[datetime, UUID] | None = None, limit: int = PAGE) -> list[InstitutionView]:
    """Institutions with their money, in the order of entry; `after` is (created_at, id) of the last one seen."""
    page: dict[str, Any] = {"limit": min(limit, PAGE)}
    if after is None:
        rows = await session.execute(_FIRST, page)
    else:
        rows = await session.execute(_NEXT, page | {"created_at": after[0], "id": after[1]})
    return [_institution(row) for row in rows]


async def institutions_of(session: AsyncSession, institution_ids: Sequence[UUID]) -> list[InstitutionView]:
    """These institutions with their money, in the order of entry."""
    return [_institution(row) for row in await session.execute(_SOME, {"ids": list(institution_ids)})]


async def institution(session: AsyncSession, institution_id: UUID) -> tuple[InstitutionView, Lines]:
    """One institution with its money, and its alarm lines. Raises NotFound `supervision.institution_not_found`."""
    row = (await session.execute(_ONE, {"id": institution_id})).one_or_none()
    if row is None:
        raise NotFound("supervision.institution_not_found", "没有这家机构")
    return _institution(row), await lines_of(session, institution_id)


async def alerts(
    session: AsyncSession, *, open_only: bool = False, institution_id: UUID | None = None, before: UUID | None = None, limit: int = PAGE
) -> list[AlertView]:
    """Alerts, newest first; `before` is the id of the last one seen."""
    query = select(Alert, Institution.name).join(Institution, Institution.id == Alert.institution_id)
    if open_only:
        query = query.where(Alert.status != fixed("resolved"))
    if institution_id is not None:
        query = query.where(Alert.institution_id == institution_id)
    if before is not None:
        query = query.where(Alert.id < before)
    rows = await session.execute(query.order_by(Alert.id.desc()).limit(min(limit, PAGE)))
    return [_alert(each, name) for each, name in rows]


async def alert(session: AsyncSession, alert_id: UUID) -> AlertView:
    """One alert. Raises NotFound `supervision.alert_not_found`."""
    query = select(Alert, Institution.name).join(Institution, Institution.id == Alert.institution_id).where(Alert.id == alert_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("supervision.alert_not_found", "没有这条预警")
    return _alert(*row)


async def alert_changes(session: AsyncSession, after: int, limit: int = PAGE) -> list[AlertChange]:
    """What happened to alerts after a sequence number, in its order."""
    query = (
        select(AlertEvent, Alert, Institution.name)
        .join(Alert, Alert.id == AlertEvent.alert_id)
        .join(Institution, Institution.id == Alert.institution_id)
        .where(AlertEvent.seq > after)
        .order_by(AlertEvent.seq)
        .limit(min(limit, PAGE))
    )
    rows = await session.execute(query)
    return [AlertChange(event.seq, event.status, event.at, _alert(each, name)) for event, each, name in rows]


async def held_payouts(session: AsyncSession, after: UUID | None = None, limit: int = PAGE) -> list[HeldPayout]:
    """Payouts that wait for an officer, oldest first; `after` is the id of the last one seen."""
    rows = await session.execute(_HELD, {"after": after, "limit": min(limit, PAGE)})
    return [HeldPayout(**row._mapping) for row in rows]


async def clearances(session: AsyncSession, payout_no: str) -> list[ClearanceView]:
    """What was decided about a payout, in the order of the decisions."""
    rows = await session.execute(
        select(Clearance, Staff.display_name)
        .join(Instruction, Instruction.id == Clearance.instruction_id)
        .outerjoin(Staff, Staff.id == Clearance.decided_by)
        .where(Instruction.reference == payout_no)
        .order_by(Clearance.decided_at, Clearance.id)
    )
    return [ClearanceView(each.decision, each.rule, each.reason, officer, each.decided_at) for each, officer in rows]


async def open_disputes(session: AsyncSession, after: tuple[datetime, UUID] | None = None, limit: int = PAGE) -> list[OpenDispute]:
    """Disputes that wait for a ruling, oldest first; `after` is (opened_at, lesson_id) of the last one seen."""
    query = (
        select(Dispute, Institution.name, Contract.contract_no, TrainingClass.name, ClassSession, Lesson.price_fen)
        .join(Lesson, Lesson.id == Dispute.lesson_id)
        .join(Contract, Contract.id == Lesson.contract_id)
        .join(ClassSession, ClassSession.id == Lesson.class_session_id)
        .join(TrainingClass, TrainingClass.id == ClassSession.class_id)
        .join(Institution, Institution.id == Dispute.institution_id)
        .where(Dispute.status == fixed("opened"))
        .order_by(Dispute.opened_at, Dispute.lesson_id)
        .limit(min(limit, PAGE))
    )
    if after is not None:
        opened_at, lesson_id = after
        query = query.where((Dispute.opened_at > opened_at) | ((Dispute.opened_at == opened_at) & (Dispute.lesson_id > lesson_id)))
    return [
        OpenDispute(
            lesson_id=dispute.lesson_id,
            institution_id=dispute.institution_id,
            institution_name=institution_name,
            contract_no=contract_no,
            class_name=class_name,
            starts_at=class_session.starts_at,
            ends_at=class_session.ends_at,
            price_fen=price_fen,
            reason=dispute.reason,
            opened_at=dispute.opened_at,
        )
        for dispute, institution_name, contract_no, class_name, class_session, price_fen in (await session.execute(query))
    ]


async def movements(session: AsyncSession, before: int | None = None, limit: int = PAGE) -> list[MovementView]:
    """Sealed transfers of all books, newest first; `before` is the voucher number of the last one seen."""
    rows = await session.execute(_NEWEST, {"before": before, "limit": min(limit, PAGE)})
    return [MovementView(**row._mapping) for row in rows]


async def movements_of(session: AsyncSession, institution_id: UUID, before: UUID | None = None, limit: int = PAGE) -> list[MovementView]:
    """Sealed transfers of one book, newest first; `before` is the transfer id of the last one seen."""
    rows = await session.execute(_NEWEST_OF_BOOK, {"book": institution_id, "before": before, "limit": min(limit, PAGE)})
    return [MovementView(**row._mapping) for row in rows]


async def movements_after(session: AsyncSession, seq: int, limit: int = PAGE) -> list[MovementView]:
    """Sealed transfers of all books after a voucher number, in its order."""
    rows = await session.execute(_AFTER, {"after": seq, "limit": min(limit, PAGE)})
    return [MovementView(**row._mapping) for row in rows]


def _institution(row: Row[Any]) -> InstitutionView:
    return InstitutionView(row.id, row.name, row.credit_code, row.status, row.created_at, _total([row]), row.open_alerts)


def _total(books: Sequence[Row[Any]]) -> Money:
    reported = [row for row in books if row.reported_fen is not None]
    covered = coverage_bps(
        reported_fen=sum(row.reported_fen for row in reported),
        incoming_fen=sum(row.incoming_fen for row in reported),
        unresolved_fen=sum(row.unresolved_fen for row in reported),
        escrow_fen=sum(row.escrow_fen for row in reported),
    )
    return Money(
        cash_fen=sum(row.cash_fen for row in books),
        incoming_fen=sum(row.incoming_fen for row in books),
        escrow_fen=sum(row.escrow_fen for row in books),
        payable_fen=sum(row.payable_fen for row in books),
        outgoing_fen=sum(row.outgoing_fen for row in books),
        suspense_fen=sum(row.suspense_fen for row in books),
        shortfall_fen=sum(row.shortfall_fen for row in books),
        unresolved_fen=sum(row.unresolved_fen for row in books),
        reported_fen=sum(row.reported_fen for row in reported) if reported else None,
        reported_at=min((row.reported_at for row in reported), default=None),
        coverage_bps=covered,
    )


def _alert(row: Alert, institution_name: str) -> AlertView:
    return AlertView(
        id=row.id,
        institution_id=row.institution_id,
        institution_name=institution_name,
        rule=row.rule,
        level=row.level,
        subject=row.subject,
        facts=row.facts,
        status=row.status,
        opened_at=row.opened_at,
        changed_at=row.changed_at,
        note=row.note,
    )
