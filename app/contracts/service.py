"""Signing a contract under a seat limit, taking its payment, and letting it lapse unpaid."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import rules
from app.contracts.families import check_own
from app.contracts.models import LIVE, Contract, Lesson
from app.contracts.rules import SEAT_HELD, OfferedLesson
from app.db import district_of
from app.errors import Conflict, NotFound, Refused
from app.ids import number, uuid7
from app.policy.findings import Finding, broken
from app.policy.packs import pack_for
from app.policy.selling import judge_sale
from app.registry import families
from app.registry.courses import Course, courses_for_sale
from app.security import Parent

_RESERVE = text("""
    INSERT INTO lesson
        (id, contract_id, institution_id, class_session_id, student_id, guardian_id, number, price_fen, status, changed_at)
    SELECT sold.id, contract.id, contract.institution_id, sold.class_session_id, contract.student_id, contract.guardian_id,
        sold.number, sold.price_fen, 'reserved', contract.created_at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:contracts AS uuid[]), CAST(:sessions AS uuid[]), CAST(:numbers AS int[]),
        CAST(:prices AS bigint[])) AS sold (id, contract_id, class_session_id, number, price_fen)
    JOIN contract ON contract.id = sold.contract_id
""")
_LOCK_LESSONS = text("SELECT FROM lesson WHERE contract_id = ANY (CAST(:contracts AS uuid[])) ORDER BY id FOR NO KEY UPDATE")
_SCHEDULE = text("""
    UPDATE lesson SET payment_id = paid.payment_id, status = 'scheduled', changed_at = :now
    FROM unnest(CAST(:contracts AS uuid[]), CAST(:payments AS uuid[])) AS paid (contract_id, payment_id)
    WHERE lesson.contract_id = paid.contract_id
""")
# In a later statement than the lock: a delivery locks the lessons of its class session too, so one of the two sees the other.
_MISS = text("""
    UPDATE lesson SET status = 'missed', changed_at = :now FROM class_session
    WHERE lesson.contract_id = ANY (CAST(:contracts AS uuid[])) AND lesson.status = 'scheduled'
        AND class_session.id = lesson.class_session_id AND class_session.status = 'delivered'
""")


@dataclass(frozen=True, slots=True)
class PaidContract:
    """A contract with the payment that pays it, and when (UTC)."""

    contract: Contract
    payment_id: UUID
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class Wish:
    """A guardian's wish to enrol a child in a class."""

    parent: Parent
    class_id: UUID
    student_id: UUID


async def sign(session: AsyncSession, parent: Parent, class_id: UUID, student_id: UUID) -> Contract:
    """Sell a child every class session of a class that has not started, and hold a seat for half an hour until it is paid.

    Raises NotFound("registry.student_not_found", "registry.class_not_found"), Refused("registry.class_not_open"),
    Refused("contracts.over") when no class session is left, Refused("contracts.rule") with the findings that forbid the sale,
    Conflict("contracts.already_signed") while the child has a live contract there, Refused("contracts.full").
    """
    [contract] = await sign_all(session, [Wish(parent, class_id, student_id)])
    return contract


async def sign_all(session: AsyncSession, wishes: Sequence[Wish]) -> list[Contract]:
    """The same for several wishes in their order, all or none."""
    if not wishes:
        return []
    now = clock.now()
    await families.guard_for_contract(session, [(wish.parent.guardian_id, wish.student_id) for wish in wishes])
    courses = await courses_for_sale(session, {wish.class_id for wish in wishes})
    offers = {class_id: rules.offer(course, now) for class_id, course in courses.items()}
    judged = {}
    for class_id, course in courses.items():
        if not offers[class_id]:
            raise Refused("contracts.over", "该班级的课次都已开始，不能再报名")
        judged[class_id] = _judge(session, course.institution.kind, offers[class_id])
    await _check_seats(session, wishes, courses)
    contracts = []
    for wish in wishes:
        judged_by, findings = judged[wish.class_id]
        contract = Contract(
            id=uuid7(),
            contract_no=number("C", district_of(session)),
            institution_id=courses[wish.class_id].institution.id,
            class_id=wish.class_id,
            student_id=wish.student_id,
            guardian_id=wish.parent.guardian_id,
            amount_fen=rules.price_of(offers[wish.class_id]),
            status="created",
            judged_by=judged_by,
            findings=[asdict(finding) for finding in findings],
            created_at=now,
            lapses_at=now + SEAT_HELD,
        )
        contracts.append(contract)
    session.add_all(contracts)
    await session.flush()
    await _reserve(session, contracts, offers)
    return contracts


async def own_contract(session: AsyncSession, parent: Parent, contract_id: UUID) -> Contract:
    """A contract that the parent signed or that is their child's. Raises NotFound("contracts.not_found"), also for others."""
    contract = await session.get(Contract, contract_id)
    await check_own(session, [(parent.guardian_id, contract)])
    assert contract is not None
    return contract


async def lock(session: AsyncSession, contract_id: UUID) -> Contract:
    """The contract as it stands now, locked: the first lock of everything that moves its money. Raises NotFound("contracts.not_found")."""
    contract = await session.scalar(
        select(Contract).where(Contract.id == contract_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    )
    if contract is None:
        raise NotFound("contracts.not_found", "没有这份合同")
    return contract


async def pay_all(session: AsyncSession, paid: Sequence[PaidContract]) -> None:
    """Turn locked, unpaid contracts and their lessons into paid ones; the caller posts the money in the same transaction.

    A lesson whose class session was delivered in the meantime is missed: the child stood on no roster, so it can be refunded.
    """
    for each in paid:
        assert each.contract.status == "created"
        each.contract.status, each.contract.paid_at = "paid", each.paid_at
    await session.flush()
    contract_ids = [each.contract.id for each in paid]
    await session.execute(_LOCK_LESSONS, {"contracts": contract_ids})
    payments = {"contracts": contract_ids, "payments": [each.payment_id for each in paid]}
    await session.execute(_SCHEDULE, {**payments, "now": clock.now()})
    await session.execute(_MISS, {"contracts": contract_ids, "now": clock.now()})


async def lapse(session: AsyncSession, contracts: Sequence[Contract]) -> int:
    """Free the seats of those of these locked contracts that are unpaid and whose time is over; how many.

    The caller has made sure, under the lock, that no payment of them is open.
    """
    now = clock.now()
    lapsed = [contract for contract in contracts if contract.status == "created" and contract.lapses_at <= now]
    for contract in lapsed:
        contract.status, contract.ended_at = "lapsed", now
    await session.flush()
    contract_ids = [contract.id for contract in lapsed]
    await session.execute(_LOCK_LESSONS, {"contracts": contract_ids})
    await session.execute(update(Lesson).where(Lesson.contract_id.in_(contract_ids)).values(status="lapsed", changed_at=now))
    return len(lapsed)


def _judge(session: AsyncSession, kind: str, lessons: list[OfferedLesson]) -> tuple[str, list[Finding]]:
    pack = pack_for(district_of(session), clock.today())
    findings = judge_sale(pack, rules.facts_of(kind, lessons))
    forbidding = broken(findings)
    if forbidding:
        message_zh = "；".join(finding.message_zh for finding in forbidding)
        raise Refused("contracts.rule", f"按规定不能这样收费：{message_zh}", findings=[asdict(finding) for finding in forbidding])
    return pack.edition, findings


async def _check_seats(session: AsyncSession, wishes: Sequence[Wish], courses: Mapping[UUID, Course]) -> None:
    """The class rows are locked, so what is counted here stays true until the commit."""
    taken: dict[UUID, set[UUID]] = defaultdict(set)
    live = select(Contract.class_id, Contract.student_id).where(Contract.class_id.in_(courses), Contract.status.in_(LIVE))
    for class_id, student_id in await session.execute(live):
        taken[class_id].add(student_id)
    for wish in wishes:
        if wish.student_id in taken[wish.class_id]:
            raise Conflict("contracts.already_signed", "这名学生在该班级已有有效合同")
        if len(taken[wish.class_id]) >= courses[wish.class_id].training_class.seats:
            raise Refused("contracts.full", "该班级名额已满")
        taken[wish.class_id].add(wish.student_id)


async def _reserve(session: AsyncSession, contracts: Sequence[Contract], offers: Mapping[UUID, Sequence[OfferedLesson]]) -> None:
    rows = [
        (contract.id, lesson.class_session_id, position, lesson.price_fen)
        for contract in contracts
        for position, lesson in enumerate(offers[contract.class_id], start=1)
    ]
    of_contract, sessions, numbers, prices = zip(*rows, strict=True)
    lessons = {"ids": [uuid7() for _ in rows], "contracts": of_contract, "sessions": sessions, "numbers": numbers, "prices": prices}
    await session.execute(_RESERVE, lessons)
