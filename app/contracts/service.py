"""Signing a contract under a seat limit, taking its payment, and letting it lapse unpaid."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import charges, rules
from app.contracts.accepting import Signing, accept_all
from app.contracts.families import check_own
from app.contracts.judging import Asked, Judged, judge_all
from app.contracts.models import LIVE, Charge, Contract
from app.contracts.rules import SEAT_HELD, OfferedLesson, SoldCharge
from app.contracts.terms import Terms
from app.db import district_of
from app.errors import Conflict, NotFound, Refused
from app.ids import number, uuid7
from app.registry import families
from app.registry.courses import Course, courses_for_sale
from app.security import Parent

_RESERVE = text("""
    INSERT INTO lesson
        (id, contract_id, institution_id, class_session_id, student_id, guardian_id, number, price_fen, status, changed_at)
    SELECT sold.id, contract.id, contract.institution_id, sold.class_session_id, contract.student_id, contract.guardian_id,
        sold.number, sold.price_fen, CASE contract.way WHEN 'later' THEN 'agreed' ELSE 'reserved' END, contract.created_at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:contracts AS uuid[]), CAST(:sessions AS uuid[]), CAST(:numbers AS int[]),
        CAST(:prices AS bigint[])) AS sold (id, contract_id, class_session_id, number, price_fen)
    JOIN contract ON contract.id = sold.contract_id
""")
_LOCK_LESSONS = text("SELECT FROM lesson WHERE contract_id = ANY (CAST(:contracts AS uuid[])) ORDER BY id FOR NO KEY UPDATE")
_SCHEDULE = text("""
    UPDATE lesson SET payment_id = paid.payment_id, changed_at = :now,
        status = CASE lesson.status WHEN 'owed' THEN 'delivered' WHEN 'contested' THEN 'disputed' ELSE 'scheduled' END
    FROM unnest(CAST(:contracts AS uuid[]), CAST(:payments AS uuid[]), CAST(:first AS int[]), CAST(:last AS int[]))
        AS paid (contract_id, payment_id, first_lesson, last_lesson)
    WHERE lesson.contract_id = paid.contract_id AND lesson.number BETWEEN paid.first_lesson AND paid.last_lesson
""")
# In a later statement than the lock: a delivery locks the lessons of its class session too, so one of the two sees the other.
_MISS = text("""
    UPDATE lesson SET status = 'missed', changed_at = :now FROM class_session
    WHERE lesson.contract_id = ANY (CAST(:contracts AS uuid[])) AND lesson.status = 'scheduled'
        AND class_session.id = lesson.class_session_id AND class_session.status = 'delivered'
""")


@dataclass(frozen=True, slots=True)
class PaidCharge:
    """A contract's charge with the payment that pays it, and when (UTC)."""

    contract: Contract
    charge: Charge
    payment_id: UUID
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class Wish:
    """A guardian's wish to enrol a child in a class; without terms, in the whole of it and paid at once."""

    parent: Parent
    class_id: UUID
    student_id: UUID
    terms: Terms | None = None
    accepted: bytes | None = None
    """The SHA-256 of the text that the guardian read and accepted; None accepts whatever it says now."""


async def sign(
    session: AsyncSession, parent: Parent, class_id: UUID, student_id: UUID, terms: Terms | None = None, accepted: bytes | None = None
) -> Contract:
    """Sell a child the class sessions of a class that have not started, and hold a seat for half an hour until the first charge is paid.

    Without terms all of them, in one charge; with terms the first ones that these buy, at their prices. Where the first charge is only
    legal on a later day, the seat is held until that day is over. Where lessons are paid after they were taught, the contract is in
    force and holds its seat at once.

    Raises NotFound("registry.student_not_found", "registry.class_not_found"), Refused("registry.class_not_open"),
    Refused("contracts.over") when no class session is left, Conflict("contracts.already_signed") while the child has a live contract
    there, what `judging.judge_all` raises, Refused("contracts.full") where the law would allow it,
    Conflict("contracts.document_changed") where the guardian `accepted` (a SHA-256) another text.
    """
    [contract] = await sign_all(session, [Wish(parent, class_id, student_id, terms, accepted)])
    return contract


async def sign_all(session: AsyncSession, wishes: Sequence[Wish]) -> list[Contract]:
    """The same for several wishes in their order, all or none."""
    if not wishes:
        return []
    await families.guard_for_contract(session, [(wish.parent.guardian_id, wish.student_id) for wish in wishes])
    courses = await courses_for_sale(session, {wish.class_id for wish in wishes})
    offers = _offers(courses)
    taken = await _taken(session, wishes)
    asked = [Asked(courses[wish.class_id], offers[wish.class_id], wish.student_id, wish.terms) for wish in wishes]
    sales = await judge_all(session, asked)
    _check_seats(wishes, courses, taken)
    contracts = [_contract(session, wish, sale) for wish, sale in zip(wishes, sales, strict=True)]
    session.add_all(contracts)
    await session.flush()
    await reserve(session, contracts, [sale.charges for sale in sales])
    signings = [
        Signing(contract, courses[wish.class_id], sale, wish.accepted)
        for contract, wish, sale in zip(contracts, wishes, sales, strict=True)
    ]
    await accept_all(session, signings)
    return contracts


async def reserve(session: AsyncSession, contracts: Sequence[Contract], bought: Sequence[Sequence[SoldCharge]]) -> None:
    """Enter the charges of these contracts and the lessons that they buy."""
    rows = []
    for contract, sold in zip(contracts, bought, strict=True):
        session.add_all([charges.planned(contract, charge) for charge in sold])
        for charge in sold:
            numbered = enumerate(charge.lessons, start=charge.first_lesson)
            rows += [(contract.id, lesson.class_session_id, position, lesson.price_fen) for position, lesson in numbered]
    await session.flush()
    of_contract, sessions, numbers, prices = zip(*rows, strict=True)
    lessons = {"ids": [uuid7() for _ in rows], "contracts": of_contract, "sessions": sessions, "numbers": numbers, "prices": prices}
    await session.execute(_RESERVE, lessons)


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


async def pay_all(session: AsyncSession, paid: Sequence[PaidCharge]) -> None:
    """Turn planned charges of locked contracts and their lessons into paid ones; the caller posts the money in the same transaction.

    A lesson whose class session was delivered in the meantime is missed: the child stood on no roster, so it can be refunded.
    One that was taught unpaid is to be confirmed by its payment, unless it is under dispute.
    """
    for each in paid:
        assert each.charge.status == "planned"
        each.charge.status, each.charge.ended_at = "paid", each.paid_at
        each.charge.to_confirm = each.contract.way == "later"
        each.contract.paid_at = each.contract.paid_at or each.paid_at
        if each.contract.status == "created":
            each.contract.status = "paid"
    await session.flush()
    contract_ids = [each.contract.id for each in paid]
    await session.execute(_LOCK_LESSONS, {"contracts": contract_ids})
    lessons = {"first": [each.charge.first_lesson for each in paid], "last": [each.charge.last_lesson for each in paid]}
    payments = {"contracts": contract_ids, "payments": [each.payment_id for each in paid]}
    await session.execute(_SCHEDULE, {**payments, **lessons, "now": clock.now()})
    await miss_delivered(session, contract_ids)


async def miss_delivered(session: AsyncSession, contract_ids: Sequence[UUID]) -> None:
    """Lessons of these contracts whose class session was delivered before they stood on its roster are missed."""
    await session.execute(_MISS, {"contracts": contract_ids, "now": clock.now()})


async def decline(session: AsyncSession, parent: Parent, contract_id: UUID) -> None:
    """Pay no more of the parent's own contract: planned charges and their lessons lapse, what is paid is taught.

    What was taught unpaid stays due. A seat that is held unpaid is free again; there the caller has made sure, under the lock, that
    no payment is open.

    Raises NotFound("contracts.not_found"), Conflict("contracts.nothing_planned") where nothing is still to be paid.
    """
    await own_contract(session, parent, contract_id)
    contract = await lock(session, contract_id)
    if contract.status == "created":
        await _free(session, [contract])
    elif contract.status not in ("agreed", "paid") or not await charges.give_up(session, [contract_id]):
        raise Conflict("contracts.nothing_planned", "这份合同没有以后要付的费用")


async def lapse(session: AsyncSession, contracts: Sequence[Contract]) -> int:
    """Free the seats of those of these locked contracts that are unpaid and whose time is over; how many.

    The caller has made sure, under the lock, that no payment of them is open.
    """
    lapsed = [contract for contract in contracts if contract.status == "created" and contract.lapses_at <= clock.now()]
    await _free(session, lapsed)
    return len(lapsed)


async def _free(session: AsyncSession, contracts: Sequence[Contract]) -> None:
    for contract in contracts:
        contract.status, contract.ended_at = "lapsed", clock.now()
    await charges.give_up(session, [contract.id for contract in contracts])


def _offers(courses: Mapping[UUID, Course]) -> dict[UUID, list[OfferedLesson]]:
    offers = {class_id: rules.offer(course, clock.now()) for class_id, course in courses.items()}
    if not all(offers.values()):
        raise Refused("contracts.over", "该班级的课次都已开始，不能再报名")
    return offers


def _contract(session: AsyncSession, wish: Wish, sale: Judged) -> Contract:
    now = clock.now()
    return Contract(
        id=uuid7(),
        contract_no=number("C", district_of(session)),
        institution_id=sale.institution_id,
        class_id=wish.class_id,
        student_id=wish.student_id,
        guardian_id=wish.parent.guardian_id,
        amount_fen=sale.terms.amount_fen,
        way=sale.terms.way,
        status="agreed" if sale.terms.way == "later" else "created",
        judged_by=sale.edition,
        findings=sale.findings,
        facts=sale.facts,
        created_at=now,
        lapses_at=rules.pays_by(sale.charges[0], clock.today()) or now + SEAT_HELD,
    )


async def _taken(session: AsyncSession, wishes: Sequence[Wish]) -> dict[UUID, set[UUID]]:
    """Who has a seat, by class, but for those who wish for one. The class rows are locked, so it stays true until the commit."""
    taken: dict[UUID, set[UUID]] = defaultdict(set)
    live = select(Contract.class_id, Contract.student_id).where(
        Contract.class_id.in_({wish.class_id for wish in wishes}), Contract.status.in_(LIVE)
    )
    for class_id, student_id in await session.execute(live):
        taken[class_id].add(student_id)
    wished = [(wish.class_id, wish.student_id) for wish in wishes]
    if len(set(wished)) < len(wished) or any(student_id in taken[class_id] for class_id, student_id in wished):
        raise Conflict("contracts.already_signed", "这名学生在该班级已有有效合同")
    return taken


def _check_seats(wishes: Sequence[Wish], courses: Mapping[UUID, Course], taken: Mapping[UUID, Collection[UUID]]) -> None:
    wished = Counter(wish.class_id for wish in wishes)
    if any(len(taken[class_id]) + count > courses[class_id].training_class.seats for class_id, count in wished.items()):
        raise Refused("contracts.full", "该班级名额已满")
