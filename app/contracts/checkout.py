"""What a guardian reads before signing. Whoever asks at the same time shares one statement, and what is the same for all is made once."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import accepting, judging, queries
from app.contracts.document import Wording
from app.contracts.judging import LegalPlan
from app.contracts.queries import Offer
from app.db import District
from app.errors import NotFound, Refused
from app.gathering import Gathering
from app.registry import consenting, families
from app.registry.courses import course_of

AT_ONCE = 2
"""Statements under way per process and district."""
MOST = 64
KEPT = 512
"""Classes whose offers a process keeps."""

# A row's xmin names its version: what was made of the same versions needs no new look. Sessions that have begun fall out by themselves,
# and where money goes (bank_account) never changes within a row.
_LOOK = text("""
    SELECT asked.class_id, asked.guardian_id,
        concat_ws(' ', c.xmin, i.xmin, t.xmin, p.xmin, b.id, coming.versions, days.versions) AS version,
        taken.seats, family.ids, family.names, family.months, family.agreed
    FROM unnest(CAST(:classes AS uuid[]), CAST(:guardians AS uuid[])) AS asked (class_id, guardian_id)
    JOIN training_class c ON c.id = asked.class_id AND c.status NOT IN ('filed', 'refused')
    JOIN institution i ON i.id = c.institution_id
    JOIN bank_account b ON b.book_id = c.institution_id AND b.role = 'supervised'
    JOIN teacher t ON t.id = c.teacher_id
    LEFT JOIN campus p ON p.id = c.campus_id
    CROSS JOIN LATERAL (
        SELECT string_agg(s.xmin::text, ' ' ORDER BY s.number) AS versions FROM class_session s
        WHERE s.class_id = c.id AND s.starts_at > :now AND s.status <> 'cancelled'
    ) AS coming
    CROSS JOIN LATERAL (
        SELECT string_agg(d.xmin::text, ' ' ORDER BY d.on_date) AS versions FROM business_day d
        WHERE i.kind = 'subject' AND d.on_date BETWEEN c.starts_on AND c.ends_on
    ) AS days
    CROSS JOIN LATERAL (
        SELECT count(*) AS seats FROM contract k WHERE k.class_id = c.id AND k.status IN ('created', 'agreed', 'paid')
    ) AS taken
    CROSS JOIN LATERAL (
        SELECT array_agg(s.id ORDER BY s.created_at, s.id) AS ids, array_agg(s.name_enc ORDER BY s.created_at, s.id) AS names,
            array_agg(s.birth_month_enc ORDER BY s.created_at, s.id) AS months,
            array_agg(s.consent_version IS NOT DISTINCT FROM :consent ORDER BY s.created_at, s.id) AS agreed
        FROM guardianship g JOIN student s ON s.id = g.student_id WHERE g.guardian_id = asked.guardian_id
    ) AS family
""")


@dataclass(frozen=True, slots=True)
class Child:
    """A child that can be chosen; `consented`: nothing stands in the way of a contract."""

    id: UUID
    name_masked: str
    birth_month: str
    consented: bool


@dataclass(frozen=True, eq=False)
class Counter:
    """What is the same for all who stand before a class: what joining it now would buy, and what the contract would say.

    The same object for as long as nothing of it changes; `wording` is None when no lesson is left. Where the law forbids everybody to
    buy all of it at once, `refusal` says why, and `planned` is what a contract on its nearest legal plan would say, if there is one.
    """

    offer: Offer
    wording: Wording | None
    refusal: Refused | None = None
    planned: Wording | None = None

    @property
    def plan(self) -> LegalPlan | None:
        """The nearest legal plan to what is refused."""
        return self.refusal.facts.get("plan") if self.refusal else None


@dataclass(frozen=True, slots=True)
class Checkout:
    """A class's counter, the seats that are left, and the guardian's children in the order of entry."""

    counter: Counter
    seats_left: int
    children: list[Child]


class _Checkouts:
    """One district's checkouts in this process."""

    def __init__(self, district: District) -> None:
        self._district = district
        self._gathering: Gathering[tuple[UUID, UUID], Row[Any]] = Gathering(self._look, AT_ONCE, MOST)
        self._made: OrderedDict[UUID, tuple[str, date, Counter]] = OrderedDict()

    async def checkout(self, guardian_id: UUID, class_id: UUID) -> Checkout:
        row = await self._gathering.ask((class_id, guardian_id))
        counter = await self._counter(class_id, row.version)
        return Checkout(counter, max(counter.offer.view.seats - row.seats, 0), _children(row))

    async def _look(self, asked: list[tuple[UUID, UUID]]) -> Sequence[Row[Any] | Exception]:
        classes, guardians = zip(*dict.fromkeys(asked), strict=True)
        values = {"classes": classes, "guardians": guardians, "now": clock.now(), "consent": consenting.CURRENT}
        rows = {(row.class_id, row.guardian_id): row for row in await self._district.at_once(_LOOK, values)}
        return [rows.get(each) or NotFound("registry.class_not_found", "没有这个班级") for each in asked]

    async def _counter(self, class_id: UUID, version: str) -> Counter:
        """Made anew when any row that it is made of has changed, and every day."""
        known = self._made.get(class_id)
        if known is None or known[:2] != (version, clock.today()):
            async with self._district.reading() as session:
                known = self._made[class_id] = version, clock.today(), await _made(session, class_id)
        self._made.move_to_end(class_id)
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        return known[2]


async def _made(session: AsyncSession, class_id: UUID) -> Counter:
    offer = await queries.public_offer(session, class_id)
    if not offer.lessons:
        return Counter(offer, None)
    wording = await accepting.offered(session, class_id)
    refusal = await judging.refusal_for_all(session, await course_of(session, class_id), offer.lessons)
    counter = Counter(offer, wording, refusal)
    if counter.plan is None:
        return counter
    return replace(counter, planned=await accepting.offered(session, class_id, counter.plan.terms))


class Checkouts:
    """What guardians read before they sign, by district."""

    def __init__(self) -> None:
        self._of: dict[District, _Checkouts] = {}

    async def checkout(self, district: District, guardian_id: UUID, class_id: UUID) -> Checkout:
        """A class that was approved, and the guardian's children. Raises NotFound("registry.class_not_found")."""
        if district not in self._of:
            self._of[district] = _Checkouts(district)
        return await self._of[district].checkout(guardian_id, class_id)


def _children(row: Row[Any]) -> list[Child]:
    if row.ids is None:
        return []
    return [_child(*each) for each in zip(row.ids, row.names, row.months, row.agreed, strict=True)]


def _child(student_id: UUID, name_enc: bytes | None, birth_month_enc: bytes | None, consented: bool) -> Child:
    name, month = families.masked(name_enc, student_id), families.birth_month(birth_month_enc, student_id)
    return Child(student_id, name, month, consented)
