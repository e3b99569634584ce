"""A small district to act in: its people do what people do, its bank is the real mock bank, its jobs are the worker's own."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import UUID

from sqlalchemy import select
from stdnum.cn import uscc

from app import clock, worker
from app.banking.banks import Banks
from app.banking.collections import ask_collection, open_collection
from app.banking.models import BankAccount, Collection
from app.clock import SHANGHAI
from app.contracts import service as contracts
from app.contracts.models import Contract, Lesson
from app.contracts.terms import Terms
from app.db import District
from app.ids import uuid7
from app.ledger import queries as books
from app.lessons import service as lessons
from app.payments import jobs as payment_jobs
from app.payments import service as payments
from app.payments.models import Payment
from app.registry import classes, consenting, families, institutions, planning, teachers
from app.registry.models import ClassSession, Institution, Student, TrainingClass
from app.registry.rules import ClassDraft, Contact, InstitutionDraft, Licence
from app.registry.schedules import Pattern
from app.security import InstitutionStaff, Parent, SettlementStaff, SupervisionStaff
from tests.bank_process import BankProcess

CONNECTION = "mock"
SCHOOL_MORNING = datetime(2026, 3, 3, 1, tzinfo=UTC)
"""Nine o'clock in Shanghai on a Tuesday of the spring term."""
LICENSED_FROM = date(2020, 1, 1)
LATEST_HOUR = 19
"""In Shanghai: a lesson of an hour that begins before it ends by half past eight."""
_numbers = count(1)


@dataclass(frozen=True)
class World:
    """Everything a story needs to be told. Steps commit, as the service's own do."""

    district: District
    banks: Banks
    bank: BankProcess

    async def institution(self, name: str = "晨光艺术培训学校", kind: str = "arts", stage: str | None = None) -> Institution:
        """An approved institution with its two accounts at the bank; one of subject training teaches primary pupils."""
        draft = await self.institution_draft(name, kind, stage)
        async with self.district.transaction() as session:
            return await institutions.create_institution(session, draft)

    async def institution_draft(self, name: str = "晨光艺术培训学校", kind: str = "arts", stage: str | None = None) -> InstitutionDraft:
        """An institution that is not entered yet; its accounts are open at the bank, its licence holds for years."""
        serial = next(_numbers)
        supervised_no, settlement_no = f"62280000{serial:010d}", f"62290000{serial:010d}"
        for account_no in (supervised_no, settlement_no):
            await self.bank.open_account(account_no, name, client=CONNECTION)
        return InstitutionDraft(
            credit_code(serial),
            name,
            kind,
            "龙泉驿区驿都大道 1 号",
            CONNECTION,
            supervised_no,
            settlement_no,
            licence=Licence(f"教民{serial:07d}号", "龙泉驿区教育局", "中小学校外培训", LICENSED_FROM, date(clock.today().year + 9, 12, 31)),
            stage=stage or ("primary" if kind == "subject" else None),
            for_profit=True,
            legal_representative="赵法人",
            contact=Contact("钱校长", f"139{serial:08d}"),
        )

    async def training_class(
        self,
        institution: Institution,
        lessons: int = 4,
        price_fen: int = 40_000,
        seats: int = 20,
        starts_in: timedelta = timedelta(hours=1),
        most_unpaid: int = 2,
    ) -> TrainingClass:
        """An approved class whose sessions are one hour long, one a day; at nine in the morning where they would end in the night.

        A school subject is taught on working days.
        """
        first = _by_day(clock.now() + starts_in)
        async with self.district.transaction() as session:
            sessions = [(first + timedelta(days=i), first + timedelta(days=i, hours=1)) for i in range(lessons)]
            if institution.kind == "subject":
                hour = first.astimezone(SHANGHAI).time()
                pattern = Pattern(clock.business_date(first), hour, hour.replace(hour=hour.hour + 1), lessons, range(5))
                sessions = list((await planning.plan(session, pattern, skip_holidays=True)).sessions)
            teacher = await teachers.create_teacher(session, institution.id, "李老师", f"CERT{next(_numbers)}", "美术")
            draft = ClassDraft(teacher.id, "创意美术", "美术", price_fen, lessons, seats, sessions, most_unpaid=most_unpaid)
            return (await classes.open_class(session, institution.id, draft)).training_class

    async def parent(self) -> Parent:
        """A guardian who is signed in."""
        async with self.district.transaction() as session:
            guardian = await families.guardian_for_phone(session, f"138{next(_numbers):08d}")
        return Parent(self.district.code, uuid7(), guardian.id)

    async def child(self, parent: Parent, name: str = "王小明") -> Student:
        async with self.district.transaction() as session:
            return await families.add_student(session, parent.guardian_id, name, "2017-05", consent=consenting.CURRENT)

    async def sign(
        self, parent: Parent, training_class: TrainingClass, student: Student | None = None, terms: Terms | None = None
    ) -> Contract:
        """A contract for the parent's child, not paid yet; without terms everything at once."""
        student = student or await self.child(parent)
        async with self.district.transaction() as session:
            return await contracts.sign(session, parent, training_class.id, student.id, terms)

    async def order(self, parent: Parent, contract: Contract) -> Payment:
        """A payment whose cashier order is open at the bank."""
        async with self.district.transaction() as session:
            payment = await payments.start(session, parent, contract.id)
        await open_collection(self.district, self.banks, payment.payment_no)
        return payment

    async def pay(self, parent: Parent, contract: Contract) -> Payment:
        """Pay what is due of a contract at the bank and let the money be matched."""
        payment = await self.order(parent, contract)
        await self.bank.pay(payment.payment_no)
        await self.learn_of(payment.payment_no)
        async with self.district.reading() as session:
            return await session.get_one(Payment, payment.id)

    async def learn_of(self, reference: str) -> Collection:
        """Ask the bank about an order and match what it received."""
        collection = await ask_collection(self.district, self.banks, reference)
        while await payment_jobs.match_receipts(self.district):
            pass
        return collection

    async def paid_contract(
        self, institution: Institution, parent: Parent | None = None, lessons: int = 4, price_fen: int = 40_000
    ) -> tuple[Parent, Contract]:
        """A parent with one child in a class of its own, paid."""
        parent = parent or await self.parent()
        contract = await self.sign(parent, await self.training_class(institution, lessons, price_fen))
        await self.pay(parent, contract)
        return parent, contract

    async def lessons_of(self, contract: Contract) -> list[Lesson]:
        """The contract's lessons in their order, as they are now."""
        async with self.district.reading() as session:
            return list(await session.scalars(select(Lesson).where(Lesson.contract_id == contract.id).order_by(Lesson.number)))

    async def session_of(self, lesson: Lesson) -> ClassSession:
        async with self.district.reading() as session:
            return await session.get_one(ClassSession, lesson.class_session_id)

    def staff(self, institution: Institution) -> InstitutionStaff:
        """Somebody at the institution."""
        return InstitutionStaff(self.district.code, uuid7(), uuid7(), institution.id)

    def officer(self) -> SupervisionStaff:
        """Somebody at the district's supervision."""
        return SupervisionStaff(self.district.code, uuid7(), uuid7())

    def clerk(self) -> SettlementStaff:
        """Somebody at the settlement end."""
        return SettlementStaff(self.district.code, uuid7(), uuid7())

    async def deliver(self, institution: Institution, lesson: Lesson, attended: bool = True) -> None:
        """Wait until the lesson's class session is over and mark it delivered, with or without the child."""
        over = (await self.session_of(lesson)).ends_at
        if clock.now() < over:
            await self.wait_until(over)
        async with self.district.transaction() as session:
            await lessons.deliver(session, self.staff(institution), lesson.class_session_id, [lesson.student_id] if attended else [])

    async def confirm(self, parent: Parent, *confirmed: Lesson) -> list[lessons.Outcome]:
        async with self.district.transaction() as session:
            return await lessons.confirm(session, parent, [lesson.id for lesson in confirmed])

    async def wait_until(self, instant: datetime) -> None:
        """Let time pass, here and at the bank."""
        clock.set_to(instant)
        await self.bank.set_clock(fixed_at=instant)

    async def wait(self, by: timedelta) -> None:
        await self.wait_until(clock.now() + by)

    async def work(self, passes: int = 25) -> None:
        """Let the worker's jobs run until none finds anything to do."""
        for _ in range(passes):
            latest = await worker.one_pass(self.district, self.banks)
            assert not latest.failed
            if not latest.done:
                return
        raise AssertionError("the worker's jobs do not come to rest")

    async def account(self, institution: Institution, role: str = "supervised") -> BankAccount:
        async with self.district.reading() as session:
            bound = select(BankAccount).where(BankAccount.book_id == institution.id, BankAccount.role == role)
            return (await session.scalars(bound)).one()

    async def totals(self, institution: Institution) -> dict[str, int]:
        """Fen by type of ledger account of the institution's book; types that hold nothing are left out."""
        async with self.district.reading() as session:
            return {kind: fen for kind, fen in (await books.totals(session, institution.id)).items() if fen}

    async def at_bank(self, institution: Institution, role: str = "supervised") -> int:
        """What the bank itself says the account holds."""
        return await self.bank.balance_of((await self.account(institution, role)).account_no)


def _by_day(instant: datetime) -> datetime:
    if instant.astimezone(SHANGHAI).hour < LATEST_HOUR:
        return instant
    return clock.day_bounds(clock.business_date(instant))[1] + timedelta(hours=9)


def credit_code(serial: int) -> str:
    """A unified social credit code with a right check digit."""
    body = f"52510112MJQ{serial % 1_000_000:06d}"
    return body + uscc.calc_check_digit(body)


def in_utc(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def ids(rows: list[Lesson]) -> list[UUID]:
    return [row.id for row in rows]
