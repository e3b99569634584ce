"""One class of one institution, whose families sign, pay, attend, confirm and object."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text

from app import clock
from app.banking import jobs as bank_jobs
from app.banking.models import Instruction
from app.contracts.models import Contract
from app.contracts.terms import ChargeTerms, Terms
from app.lessons import service as lessons
from app.lessons.service import Outcome
from app.policy.packs import Pack, pack_for
from app.registry import class_sessions
from app.registry.clashes import Meeting
from app.registry.courses import course_of
from app.registry.models import ClassSession, Guardianship, Institution, Student, TrainingClass
from app.security import InstitutionStaff, Parent
from bank_adapters import port
from tests.locality import stating
from tests.world import CONNECTION, World

LESSON_FEN = 100_00


@dataclass(frozen=True)
class Family:
    """A guardian, a child, their contract in the school's class, and its lessons by number."""

    parent: Parent
    student: Student
    contract: Contract
    lesson_ids: list[UUID]


@dataclass(frozen=True)
class School:
    """A class with a session of an hour a day, each lesson at ¥100."""

    world: World
    institution: Institution
    training_class: TrainingClass
    sessions: list[ClassSession]

    @property
    def staff(self) -> InstitutionStaff:
        return self.world.staff(self.institution)

    def parts(self, *lesson_counts: int) -> Terms:
        """Charges of so many lessons each, every one after the first from the eve of its first lesson on."""
        charges, sold = [], 0
        for count in lesson_counts:
            eve = clock.business_date(self.sessions[sold].starts_at) - timedelta(days=1)
            charges.append(ChargeTerms(count, count * LESSON_FEN, max(clock.today(), eve)))
            sold += count
        return Terms("parts", tuple(charges))

    def afterwards(self) -> Terms:
        """Every lesson is paid after it was taught."""
        days = [clock.business_date(session.starts_at) for session in self.sessions]
        return Terms("later", tuple(ChargeTerms(1, LESSON_FEN, on) for on in days))

    async def sign(self, parent: Parent | None = None, student: Student | None = None, terms: Terms | None = None) -> Family:
        """A new family, or a known one, signs for the whole class, or on these terms; nothing is paid."""
        parent = parent or await self.world.parent()
        student = student or await self.world.child(parent)
        contract = await self.world.sign(parent, self.training_class, student, terms)
        return Family(parent, student, contract, [lesson.id for lesson in await self.world.lessons_of(contract)])

    async def enrol(self, parent: Parent | None = None, student: Student | None = None, terms: Terms | None = None) -> Family:
        """A family signs and pays what is due, and its money is in escrow."""
        family = await self.sign(parent, student, terms)
        await self.world.pay(family.parent, family.contract)
        return family

    async def end_of(self, number: int) -> None:
        """Wait until the class session of this number (from 1) is over."""
        await self.world.wait_until(max(clock.now(), self.sessions[number - 1].ends_at))

    async def deliver(self, number: int, *attending: Family) -> None:
        """The class session of this number ends, and its attendance is entered."""
        await self.end_of(number)
        await self.enter(number, *attending)

    async def enter(self, number: int, *attending: Family) -> None:
        """Enter the attendance of a class session, whatever the time."""
        async with self.world.district.transaction() as session:
            present = [family.student.id for family in attending]
            await lessons.deliver(session, self.staff, self.sessions[number - 1].id, present)

    async def cancel(self, number: int) -> None:
        """A class session falls out and has no new day."""
        async with self.world.district.transaction() as session:
            await class_sessions.cancel_session(session, self.staff, self.sessions[number - 1].id, "教师生病")

    async def replace(self, number: int, starts_at: datetime) -> None:
        """A cancelled class session is held at another time, for an hour."""
        async with self.world.district.transaction() as session:
            planned = Meeting(starts_at, starts_at + timedelta(hours=1), self.training_class.teacher_id, None, None)
            await class_sessions.replace_session(session, self.staff, self.sessions[number - 1].id, planned, "补课")

    async def confirm(self, family: Family, *numbers: int) -> list[tuple[str, int]]:
        """The guardian confirms lessons by number: what became of each, and the fen that it released."""
        async with self.world.district.transaction() as session:
            return told(await lessons.confirm(session, family.parent, [family.lesson_ids[number - 1] for number in numbers]))

    async def dispute(self, family: Family, number: int, reason: str = "孩子说老师没有来") -> None:
        async with self.world.district.transaction() as session:
            await lessons.dispute(session, family.parent, family.lesson_ids[number - 1], reason)

    async def states(self, family: Family) -> list[str]:
        """The family's lessons' states by number."""
        return [lesson.status for lesson in await self.world.lessons_of(family.contract)]

    async def contract_status(self, family: Family) -> str:
        async with self.world.district.reading() as session:
            return (await session.get_one(Contract, family.contract.id)).status

    async def totals(self) -> dict[str, int]:
        return await self.world.totals(self.institution)

    async def second_guardian(self, family: Family) -> Parent:
        """Another guardian who answers for the family's child."""
        parent = await self.world.parent()
        async with self.world.district.transaction() as session:
            session.add(Guardianship(guardian_id=parent.guardian_id, student_id=family.student.id, since=clock.now()))
        return parent


async def found_school(world: World, lesson_count: int = 4, seats: int = 20, most_unpaid: int = 2, kind: str = "arts") -> School:
    """Enter an institution and open its class."""
    institution = await world.institution(kind=kind)
    training_class = await world.training_class(institution, lesson_count, LESSON_FEN * lesson_count, seats, most_unpaid=most_unpaid)
    async with world.district.reading() as session:
        course = await course_of(session, training_class.id)
    return School(world, institution, training_class, course.sessions)


def told(outcomes: Sequence[Outcome]) -> list[tuple[str, int]]:
    """Outcomes without their lessons."""
    return [(outcome.outcome, outcome.released_fen) for outcome in outcomes]


async def instructed(world: World, reference: str) -> Instruction:
    """An instruction as it stands now."""
    async with world.district.reading() as session:
        return (await session.scalars(select(Instruction).where(Instruction.reference == reference))).one()


async def send(world: World) -> None:
    """What is cleared goes to the bank, and the bank is asked until it has ended each."""
    await bank_jobs.send_instructions(world.district, world.banks)
    await world.wait(timedelta(seconds=30))
    await bank_jobs.resolve_instructions(world.district, world.banks)


async def ask_again(world: World, reference: str) -> Instruction:
    """The bank is asked once more what became of an instruction."""
    instruction = await instructed(world, reference)
    answer = await world.banks.get(CONNECTION).query(reference)
    assert isinstance(answer, port.Instruction)
    await bank_jobs.record(world.district, answer)
    assert (await instructed(world, reference)).status != instruction.status
    return await instructed(world, reference)


async def somebody_waits(world: World) -> None:
    """Until a transaction of this database waits for another one's lock."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    found = 0
    while not found:
        async with world.district.reading() as session:
            found = await session.scalar(waiting) or 0


@contextmanager
def final_after(monkeypatch: pytest.MonkeyPatch, hours: int) -> Iterator[None]:
    """A locality whose releases become final only some hours after the confirmation."""

    def patient(district: str, on: object) -> Pack:
        return stating(pack_for(district, clock.today()), "release.final_after_hours", limits={"hour": hours})

    with monkeypatch.context() as patched:
        patched.setattr(lessons, "pack_for", patient)
        yield
