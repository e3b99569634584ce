"""What payouts and an institution's money look like to their readers; pages of 100 rows at most."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.banking.models import Instruction
from app.contracts.models import Lesson
from app.errors import NotFound
from app.ledger import queries as ledger
from app.lessons.models import Release
from app.registry.models import ClassSession, Institution, TrainingClass
from app.registry.queries import PAGE, Cursor
from app.settlement.models import Payout, PayoutLine, SettlementRun


@dataclass(frozen=True, slots=True)
class Balance:
    """Where an institution's money is, in fen: waiting for lessons, owed to it, on its way out of the supervised account, paid to it.

    The shortfall is what its book lacks: what it earns makes that good first.
    """

    escrow_fen: int
    payable_fen: int
    outgoing_fen: int
    paid_fen: int
    shortfall_fen: int


@dataclass(frozen=True, slots=True)
class PayoutLineView:
    """One release that a payout pays; `live` is false once the bank did not pay and the fee is payable again."""

    release_id: UUID
    lesson_id: UUID
    class_name: str
    starts_at: datetime
    released_at: datetime
    amount_fen: int
    live: bool


@dataclass(frozen=True, slots=True)
class PayoutView:
    """A payout; `status`, `reject_code` and `ended_at` are its instruction's. `lines` holds the first ones of `line_count`."""

    id: UUID
    payout_no: str
    institution_id: UUID
    institution_name: str
    business_on: date
    run_no: int
    amount_fen: int
    status: str
    reject_code: str | None
    drafted_at: datetime
    ended_at: datetime | None
    line_count: int
    lines: list[PayoutLineView]


async def balance(session: AsyncSession, institution_id: UUID) -> Balance:
    """Where an institution's money is now."""
    held = await ledger.totals(session, institution_id)
    paid_fen = await session.scalar(
        select(func.coalesce(func.sum(Payout.amount_fen), 0))
        .join(Instruction, Instruction.reference == Payout.payout_no)
        .where(Payout.institution_id == institution_id, Instruction.status == "settled")
    )
    return Balance(held.get("escrow", 0), held.get("payable", 0), held.get("outgoing", 0), int(paid_fen or 0), held.get("shortfall", 0))


async def payouts_of_institution(
    session: AsyncSession, institution_id: UUID, after: Cursor | None = None, limit: int = PAGE
) -> list[PayoutView]:
    """An institution's payouts, newest first; `after` is (drafted_at, id) of the last one seen."""
    return await _views(session, [Payout.institution_id == institution_id], after, limit)


async def payouts_of_district(
    session: AsyncSession,
    status: str | None = None,
    business_on: date | None = None,
    run_no: int | None = None,
    after: Cursor | None = None,
    limit: int = PAGE,
) -> list[PayoutView]:
    """All payouts, newest first, of one status, business date or run where given; `after` is (drafted_at, id) of the last one seen."""
    criteria: list[ColumnElement[bool]] = []
    if run_no is not None:
        criteria.append(SettlementRun.run_no == run_no)
    if status is not None:
        criteria.append(Instruction.status == status)
    if business_on is not None:
        criteria.append(SettlementRun.business_on == business_on)
    return await _views(session, criteria, after, limit)


async def payout(session: AsyncSession, payout_id: UUID, institution_id: UUID | None = None) -> PayoutView:
    """One payout, of the district or of the institution that asks. Raises NotFound("settlement.payout_not_found")."""
    criteria: list[ColumnElement[bool]] = [Payout.id == payout_id]
    if institution_id is not None:
        criteria.append(Payout.institution_id == institution_id)
    views = await _views(session, criteria, None, 1)
    if not views:
        raise NotFound("settlement.payout_not_found", "没有这笔结算款")
    return views[0]


async def payout_by_no(session: AsyncSession, payout_no: str) -> PayoutView | None:
    """A payout of the district by its number, None where it is none's."""
    views = await _views(session, [Payout.payout_no == payout_no], None, 1)
    return views[0] if views else None


async def next_run_no(session: AsyncSession, business_on: date) -> int:
    """The number that no run of this business date has had."""
    last: int | None = await session.scalar(select(func.max(SettlementRun.run_no)).where(SettlementRun.business_on == business_on))
    return (last or 0) + 1


async def lines_of(session: AsyncSession, payout_id: UUID, after: UUID | None = None, limit: int = PAGE) -> list[PayoutLineView]:
    """A payout's lines in the order of confirmation; `after` is the release id of the last one seen."""
    criteria = [PayoutLine.payout_id == payout_id]
    if after is not None:
        criteria.append(PayoutLine.release_id > after)
    rows = await session.execute(_lines().where(*criteria).order_by(PayoutLine.release_id).limit(min(limit, PAGE)))
    return [_line_view(row) for row in rows]


async def _views(session: AsyncSession, criteria: list[ColumnElement[bool]], after: Cursor | None, limit: int) -> list[PayoutView]:
    if after is not None:
        criteria.append(tuple_(Payout.drafted_at, Payout.id) < after)
    line_count = select(func.count()).select_from(PayoutLine).where(PayoutLine.payout_id == Payout.id).correlate(Payout).scalar_subquery()
    rows = (
        await session.execute(
            select(Payout, SettlementRun, Institution.name, Instruction, line_count)
            .join(SettlementRun, SettlementRun.id == Payout.run_id)
            .join(Institution, Institution.id == Payout.institution_id)
            .join(Instruction, Instruction.reference == Payout.payout_no)
            .where(*criteria)
            .order_by(Payout.drafted_at.desc(), Payout.id.desc())
            .limit(min(limit, PAGE))
        )
    ).all()
    lines = await _first_lines(session, [row[0].id for row in rows])
    return [_view(row, lines[row[0].id]) for row in rows]


async def _first_lines(session: AsyncSession, payout_ids: list[UUID]) -> dict[UUID, list[PayoutLineView]]:
    """Up to a page of lines of each payout."""
    place = func.row_number().over(partition_by=PayoutLine.payout_id, order_by=PayoutLine.release_id).label("place")
    numbered = select(PayoutLine.payout_id, PayoutLine.release_id, place).where(PayoutLine.payout_id.in_(payout_ids)).subquery()
    rows = await session.execute(
        _lines()
        .join(numbered, (numbered.c.payout_id == PayoutLine.payout_id) & (numbered.c.release_id == PayoutLine.release_id))
        .where(numbered.c.place <= PAGE)
        .order_by(PayoutLine.payout_id, PayoutLine.release_id)
    )
    lines: dict[UUID, list[PayoutLineView]] = defaultdict(list)
    for row in rows:
        lines[row[0].payout_id].append(_line_view(row))
    return lines


def _lines() -> Any:
    return (
        select(PayoutLine, Release, TrainingClass.name, ClassSession.starts_at)
        .join(Release, Release.id == PayoutLine.release_id)
        .join(Lesson, Lesson.id == Release.lesson_id)
        .join(ClassSession, ClassSession.id == Lesson.class_session_id)
        .join(TrainingClass, TrainingClass.id == ClassSession.class_id)
    )


def _line_view(row: Any) -> PayoutLineView:
    line, release, class_name, starts_at = row
    return PayoutLineView(release.id, release.lesson_id, class_name, starts_at, release.released_at, line.amount_fen, line.live)


def _view(row: Any, lines: list[PayoutLineView]) -> PayoutView:
    payout, run, institution_name, instruction, line_count = row
    return PayoutView(
        id=payout.id,
        payout_no=payout.payout_no,
        institution_id=payout.institution_id,
        institution_name=institution_name,
        business_on=run.business_on,
        run_no=run.run_no,
        amount_fen=payout.amount_fen,
        status=instruction.status,
        reject_code=instruction.reject_code,
        drafted_at=payout.drafted_at,
        ended_at=instruction.ended_at,
        line_count=line_count,
        lines=lines,
    )
