"""The time machine: stored contracts judged anew under another rule pack, to see what it would have refused.

What was judged stands with the contract, charge by charge. For a contract older than that the facts are rebuilt out of its class
and its lessons: what an institution's lists, licence, lease and teachers were on the day is not known then, and not asked again.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.clock import business_date
from app.contracts.models import Contract
from app.db import district_of
from app.errors import Refused
from app.money import allocate
from app.policy import days, records
from app.policy.catalogue import DayKind, Mode, Stage
from app.policy.facts import ClassFacts, PricedLesson, SaleFacts
from app.policy.findings import broken
from app.policy.packs import Edition, pack_for
from app.policy.selling import judge_sale
from app.registry.models import Institution, TrainingClass

BATCH = 500

_Signed = Row[Contract, TrainingClass, Institution]

_LESSONS = text("""
    SELECT lesson.contract_id, class_session.number, class_session.starts_at, class_session.ends_at, lesson.price_fen
    FROM lesson JOIN class_session ON class_session.id = lesson.class_session_id
    WHERE lesson.contract_id = ANY (CAST(:contracts AS uuid[]))
    ORDER BY lesson.contract_id, class_session.starts_at
""")
# Lessons that the child had of that subject there when the contract was signed, and that were still to be taught.
_UNTAUGHT = text("""
    SELECT contract.id AS contract_id, class_session.starts_at, lesson.price_fen
    FROM contract
    JOIN training_class ON training_class.id = contract.class_id
    JOIN contract other ON other.student_id = contract.student_id AND other.institution_id = contract.institution_id
        AND (other.created_at, other.id) < (contract.created_at, contract.id) AND other.status <> 'lapsed'
    JOIN training_class other_class ON other_class.id = other.class_id AND other_class.subject = training_class.subject
    JOIN lesson ON lesson.contract_id = other.id
        AND NOT (lesson.status = 'refunded' AND lesson.changed_at <= contract.created_at)
    JOIN class_session ON class_session.id = lesson.class_session_id AND class_session.starts_at > contract.created_at
    WHERE contract.id = ANY (CAST(:contracts AS uuid[]))
    ORDER BY contract.id, class_session.starts_at
""")


@dataclass(frozen=True, slots=True)
class WouldRefuse:
    """A contract that the other pack forbids, and by which rules."""

    contract_no: str
    amount_fen: int
    rules: tuple[str, ...]


@dataclass(slots=True)
class Replay:
    """How many contracts were judged anew and for how much they stand (fen), and those that would have been refused."""

    contracts: int = 0
    amount_fen: int = 0
    refused: list[WouldRefuse] = field(default_factory=list)

    @property
    def refused_fen(self) -> int:
        """What the refused ones stand for."""
        return sum(each.amount_fen for each in self.refused)

    def by_rule(self) -> list[tuple[str, int, int]]:
        """Rules with the contracts and the fen that each would have refused, most contracts first; one contract may break several."""
        contracts = Counter(rule for each in self.refused for rule in each.rules)
        return [
            (rule, count, sum(each.amount_fen for each in self.refused if rule in each.rules)) for rule, count in contracts.most_common()
        ]


async def replay(session: AsyncSession, from_on: date, to_on: date, other: Edition) -> Replay:
    """Judge the contracts signed from one business date to another, both included, as if `other` had been in force; unpaid ones left out.

    It takes the place of its locality's pack. Raises Refused "policy.other_place" for a pack of another locality, "policy.no_pack".
    """
    if not district_of(session).startswith(other.locality):
        raise Refused("policy.other_place", "该规则包不适用于本区县", locality=other.locality)
    found, after = Replay(), None
    while batch := await _signed(session, from_on, to_on, after):
        for contract, charges in await _facts(session, batch):
            pack = pack_for(district_of(session), business_date(contract.created_at)).under(other)
            rules = dict.fromkeys(finding.rule for facts in charges for finding in broken(judge_sale(pack, facts)))
            found.contracts += 1
            found.amount_fen += contract.amount_fen
            if rules:
                found.refused.append(WouldRefuse(contract.contract_no, contract.amount_fen, tuple(rules)))
        last, _, _ = batch[-1]
        after = (last.created_at, last.id)
    return found


async def _signed(session: AsyncSession, from_on: date, to_on: date, after: tuple[datetime, UUID] | None) -> Sequence[_Signed]:
    place = tuple_(Contract.created_at, Contract.id)
    query = (
        select(Contract, TrainingClass, Institution)
        .join(TrainingClass, TrainingClass.id == Contract.class_id)
        .join(Institution, Institution.id == Contract.institution_id)
        .where(
            Contract.created_at >= clock.day_bounds(from_on)[0],
            Contract.created_at < clock.day_bounds(to_on)[1],
            Contract.paid_at.is_not(None),
            ~Contract.old_stock,
        )
        .order_by(Contract.created_at, Contract.id)
        .limit(BATCH)
    )
    return (await session.execute(query if after is None else query.where(place > after))).all()


async def _facts(session: AsyncSession, batch: Sequence[_Signed]) -> list[tuple[Contract, list[SaleFacts]]]:
    """What each charge was judged by."""
    rebuilt = await _rebuild(session, [each for each in batch if each[0].facts is None])
    return [
        (contract, [rebuilt[contract.id]] if contract.facts is None else [records.read(record) for record in contract.facts])
        for contract, _, _ in batch
    ]


async def _rebuild(session: AsyncSession, batch: Sequence[_Signed]) -> dict[UUID, SaleFacts]:
    """The facts of contracts, each of one charge, by id."""
    if not batch:
        return {}
    contracts = {"contracts": [contract.id for contract, _, _ in batch]}
    lessons: dict[UUID, list[Row[Any]]] = defaultdict(list)
    for lesson in await session.execute(_LESSONS, contracts):
        lessons[lesson.contract_id].append(lesson)
    untaught: dict[UUID, list[PricedLesson]] = defaultdict(list)
    for other in await session.execute(_UNTAUGHT, contracts):
        untaught[other.contract_id].append(PricedLesson(business_date(other.starts_at), other.price_fen))
    kinds = await days.known_kinds(session, {business_date(each.starts_at) for sold in lessons.values() for each in sold})
    return {
        contract.id: _rebuilt(contract, sold_class, institution, lessons[contract.id], untaught[contract.id], kinds)
        for contract, sold_class, institution in batch
    }


def _rebuilt(
    contract: Contract,
    sold_class: TrainingClass,
    institution: Institution,
    lessons: Sequence[Row[Any]],
    untaught: Sequence[PricedLesson],
    kinds: Mapping[date, DayKind],
) -> SaleFacts:
    listed = allocate(sold_class.listed_price_fen, [1] * sold_class.lesson_count)
    dates = [business_date(each.starts_at) for each in lessons]
    course = ClassFacts(
        kind=institution.kind,
        stage=cast(Stage | None, institution.stage),
        mode=cast(Mode, sold_class.mode),
        class_size=sold_class.seats,
        lesson_minutes=sold_class.lesson_minutes,
        meetings=[(each.starts_at, each.ends_at) for each in lessons],
        days=kinds if all(on in kinds for on in dates) else None,
    )
    return SaleFacts.of_lessons(
        institution.kind,
        [PricedLesson(on, each.price_fen, listed[each.number - 1]) for on, each in zip(dates, lessons, strict=True)],
        charged_on=business_date(contract.created_at),
        untaught=tuple(untaught),
        course=course,
    )
