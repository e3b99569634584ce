"""What many people of a simulated district do on one day: the services' own verbs, on lists, a few transactions at a time."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Row, select, text

from app import clock
from app.banking.collections import open_collections
from app.contracts import service as contracts
from app.contracts.models import LIVE, Contract
from app.contracts.service import Wish
from app.ids import uuid7
from app.lessons import service as lessons
from app.lessons.delivering import Delivery, deliver_all
from app.lessons.service import Consent
from app.payments import service as payments
from app.payments.models import Payment
from app.registry.models import ClassSession
from app.sample.stage import Family, FamilyDraft, Stage
from app.security import InstitutionStaff
from app.settlement.models import Payout, SettlementRun
from bank_adapters.mock_bank.control import OrderPayment

T = TypeVar("T")
R = TypeVar("R")

PEOPLE, SESSIONS, LESSONS = 50, 40, 400
"""Families, class sessions, and lessons that one transaction takes up."""
TRANSACTIONS = 5
LOOKS_BACK = timedelta(days=3)
"""Class sessions that ended earlier are no longer looked for."""

_DELIVERED = text("""
    SELECT lesson.student_id, lesson.number, lesson.id FROM contract JOIN lesson ON lesson.contract_id = contract.id
    WHERE contract.guardian_id = ANY (CAST(:guardians AS uuid[])) AND contract.status IN ('agreed', 'paid') AND lesson.status = 'delivered'
    ORDER BY lesson.student_id, lesson.number
""")
_ROSTERS = text("""
    SELECT class_session_id, student_id FROM lesson WHERE class_session_id = ANY (CAST(:sessions AS uuid[])) AND status = 'scheduled'
""")
_UNPAID = text("""
    SELECT contract.student_id, payment.id FROM contract JOIN payment ON payment.contract_id = contract.id
    WHERE contract.guardian_id = ANY (CAST(:guardians AS uuid[])) AND contract.status = 'created' AND payment.status = 'created'
""")


class Crowd:
    """All families and institutions of a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._district = stage.district

    async def families(self, drafts: Sequence[FamilyDraft]) -> list[Family]:
        """Families by their drafts; those who are known stay the same."""
        return [family for part in await _some_at_once(self._stage.families, _parts(drafts, PEOPLE)) for family in part]

    async def order_all(self, wishes: Sequence[tuple[Family, UUID]]) -> list[Payment | None]:
        """Sign for classes and open the payments, up to the bank's cashier pages; None where the contract is paid already."""
        parts = _parts(wishes, PEOPLE)
        ordered = [payment for part in await _some_at_once(self._order_some, parts) for payment in part]
        open_now = [payment.payment_no for payment in ordered if payment is not None]
        await open_collections(self._district, self._stage.banks, open_now)
        return ordered

    async def pay_all(self, paying: Sequence[OrderPayment], *, late: bool = False) -> None:
        """The families pay at the bank, all in one call; where it was made before, not again."""
        if paying and not await self._stage.bank.movements(reference=paying[0].reference):
            await self._stage.bank.pay_all(paying, self._stage.connection, late=late)

    async def unpaid(self, families: Sequence[Family]) -> list[tuple[Family, Payment]]:
        """The payments that these families have open."""
        by_child = {family.student_id: family for family in families}
        async with self._district.reading() as session:
            rows = await session.execute(_UNPAID, {"guardians": [family.parent.guardian_id for family in families]})
            found = {payment_id: by_child[child] for child, payment_id in rows}
            open_payments = await session.scalars(select(Payment).where(Payment.id.in_(found)).order_by(Payment.id))
            return [(found[payment.id], payment) for payment in open_payments]

    async def deliver(self, institution_ids: Sequence[UUID], came: Callable[[UUID, int], bool]) -> None:
        """Mark the class sessions that are over with the children who came, by child and number of the session."""
        over = (
            ClassSession.institution_id.in_(institution_ids),
            ClassSession.status == "scheduled",
            ClassSession.starts_at > clock.now() - LOOKS_BACK,
            ClassSession.ends_at <= clock.now(),
        )
        async with self._district.reading() as session:
            held = (await session.scalars(select(ClassSession).where(*over).order_by(ClassSession.institution_id, ClassSession.id))).all()
            rosters: dict[UUID, list[UUID]] = defaultdict(list)
            for session_id, child in await session.execute(_ROSTERS, {"sessions": [each.id for each in held]}):
                rosters[session_id].append(child)
        deliveries = [
            Delivery(
                InstitutionStaff(self._district.code, uuid7(), uuid7(), each.institution_id),
                each.id,
                [child for child in rosters[each.id] if came(child, each.number)],
            )
            for each in held
        ]
        await _some_at_once(self._deliver_some, _parts(deliveries, SESSIONS))

    async def delivered(self, families: Iterable[Family]) -> dict[UUID, list[Row[tuple[UUID, int, UUID]]]]:
        """Number and id of the lessons that wait for these guardians, by child."""
        found: dict[UUID, list[Row[tuple[UUID, int, UUID]]]] = defaultdict(list)
        async with self._district.reading() as session:
            for row in await session.execute(_DELIVERED, {"guardians": [family.parent.guardian_id for family in families]}):
                found[row.student_id].append(row)
        return found

    async def confirm(self, consents: Sequence[tuple[Family, Sequence[UUID]]]) -> None:
        """Guardians confirm lessons, each all of a child's in one call."""
        parts: list[list[Consent]] = []
        size = LESSONS
        for family, lesson_ids in consents:
            if size + len(lesson_ids) > LESSONS:
                parts.append([])
                size = 0
            parts[-1].append(Consent(family.parent, lesson_ids))
            size += len(lesson_ids)
        await _some_at_once(self._confirm_some, parts)

    async def payouts_of(self, business_on: date) -> list[Payout]:
        """What a day's settlement runs drafted."""
        runs = select(SettlementRun.id).where(SettlementRun.business_on == business_on)
        async with self._district.reading() as session:
            return list(await session.scalars(select(Payout).where(Payout.run_id.in_(runs)).order_by(Payout.id)))

    async def _order_some(self, wishes: Sequence[tuple[Family, UUID]]) -> list[Payment | None]:
        async with self._district.transaction() as session:
            live = Contract.class_id.in_({class_id for _, class_id in wishes}), Contract.status.in_(LIVE)
            rows = await session.execute(select(Contract.student_id, Contract.class_id, Contract.id, Contract.status).where(*live))
            known = {(child, class_id): (contract_id, status) for child, class_id, contract_id, status in rows}
            new = [wish for wish in wishes if (wish[0].student_id, wish[1]) not in known]
            for signed in await contracts.sign_all(session, [Wish(family.parent, class_id, family.student_id) for family, class_id in new]):
                known[signed.student_id, signed.class_id] = signed.id, signed.status
            to_pay = {}
            for family, class_id in wishes:
                contract_id, status = known[family.student_id, class_id]
                if status == "created":
                    to_pay[contract_id] = family.parent
            started = await payments.start_all(session, [(parent, contract_id) for contract_id, parent in to_pay.items()])
            by_contract = {payment.contract_id: payment for payment in started}
            return [by_contract.get(known[family.student_id, class_id][0]) for family, class_id in wishes]

    async def _deliver_some(self, deliveries: Sequence[Delivery]) -> None:
        async with self._district.transaction() as session:
            await deliver_all(session, deliveries)

    async def _confirm_some(self, consents: Sequence[Consent]) -> None:
        async with self._district.transaction() as session:
            await lessons.confirm_all(session, consents)


async def _some_at_once(act: Callable[[Sequence[T]], Awaitable[R]], parts: Sequence[Sequence[T]]) -> list[R]:
    slots = asyncio.Semaphore(TRANSACTIONS)

    async def one(part: Sequence[T]) -> R:
        async with slots:
            return await act(part)

    return await asyncio.gather(*(one(part) for part in parts))


def _parts(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
