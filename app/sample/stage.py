"""What people, time and the bank do in an invented district: each step through the real services, committed as theirs are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from stdnum.cn import uscc

from app import clock, worker
from app.banking.banks import Banks
from app.banking.collections import ask_collection, open_collection
from app.contracts import service as contracts
from app.contracts.models import TO_COME, Contract, Lesson
from app.contracts.terms import Terms
from app.db import District
from app.ids import uuid7
from app.lessons import service as lessons
from app.lessons.service import Ruling
from app.payments import service as payments
from app.payments.models import Payment
from app.reconciliation.jobs import reconcile_due
from app.refunds import service as refunds
from app.refunds.models import Refund
from app.registry import applications, changes, classes, consenting, families, institutions, teachers
from app.registry.applications import ApplicationDraft
from app.registry.changes import ChangeDraft, ChangeKind
from app.registry.courses import Course
from app.registry.families import ChildDraft
from app.registry.models import ClassSession, Institution, Teacher, TrainingClass
from app.registry.rules import ClassDraft, Contact, InstitutionDraft, Licence
from app.security import InstitutionStaff, Parent, Staff, StaffRole, SupervisionStaff, create_staff, hash_password
from app.settlement import jobs as settlement
from app.settlement.models import Payout
from app.supervision import service as supervision
from app.supervision.rules import Lines
from bank_adapters.mock_bank.control import MockBankControl, OrderPayment

MOST_PASSES = 60
"""Rounds of the worker's jobs after which they should have come to rest."""
MOST_ROUNDS = 1_000
"""The same for one job alone."""


@dataclass(frozen=True, slots=True)
class Family:
    """A guardian, one child, and the account that they pay from."""

    parent: Parent
    student_id: UUID
    payer_no: str
    payer_name: str

    def purse(self, payment: Payment, amount_fen: int) -> OrderPayment:
        """What the family pays at the bank for an order."""
        return OrderPayment(payment.payment_no, amount_fen, self.payer_no, self.payer_name)


@dataclass(frozen=True, slots=True)
class FamilyDraft:
    """A family that is to be: the guardian's phone, who its account belongs to, its child."""

    phone: str
    payer_name: str
    child: str
    birth_month: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A district, its jobs, and its bank behind the connection of this slug. Times are UTC, amounts fen."""

    district: District
    banks: Banks
    bank: MockBankControl
    connection: str

    async def set_time(self, instant: datetime | None) -> None:
        """Let it be this instant, here and at the bank; None is real time again."""
        clock.set_to(instant)
        await self.bank.set_clock(fixed_at=instant)

    async def rest(self) -> None:
        """Let the worker's jobs run until none finds anything to do. Raises RuntimeError where one fails or they find no rest."""
        for _ in range(MOST_PASSES):
            done = await worker.one_pass(self.district, self.banks)
            if done.failed:
                raise RuntimeError(f"failed: {', '.join(done.failed)}")
            if not done.done:
                return
        raise RuntimeError("the worker's jobs do not come to rest")

    async def begin_day(self, jobs: Sequence[worker.Job] = worker.JOBS) -> None:
        """Yesterday's statement first: what came in is matched before seats lapse. Then the worker's other jobs."""
        await reconcile_due(self.district, self.banks)
        await self.sweep(jobs)

    async def sweep(self, jobs: Sequence[worker.Job] = worker.JOBS) -> None:
        """Let every one of these jobs of the worker, in their order, run until it finds nothing to do."""
        for job in jobs:
            rounds = 0
            while await job(self.district, self.banks):
                rounds += 1
                if rounds > MOST_ROUNDS:
                    raise RuntimeError(f"{job.__name__} does not come to rest")

    async def staff(self, role: StaffRole, username: str, password: str, name: str, institution_id: UUID | None = None) -> UUID:
        """A member of staff who can sign in; who is entered already stays so."""
        async with self.district.transaction() as session:
            known: UUID | None = await session.scalar(select(Staff.id).where(Staff.username == username))
            return known or (await create_staff(session, role, username, password, name, institution_id)).id

    async def institution(self, serial: int, name: str, kind: str, address: str, lines: Lines) -> Institution:
        """An institution with its two accounts at the bank and its alarm lines."""
        draft = await self._known_at_the_bank(serial, name, kind, address)
        async with self.district.transaction() as session:
            entered = await institutions.create_institution(session, draft)
            await supervision.set_thresholds(session, "system", entered.id, lines)
        return entered

    async def apply(self, serial: int, name: str, kind: str, address: str, username: str, password: str) -> None:
        """An institution with its two accounts at the bank asks to be entered."""
        draft = await self._known_at_the_bank(serial, name, kind, address)
        password_hash = await hash_password(password)
        async with self.district.transaction() as session:
            await applications.apply(session, ApplicationDraft(draft, username, "王示例", password_hash))

    async def propose(self, institution_id: UUID, kind: ChangeKind, new_value: str, reason: str) -> None:
        """An institution asks for a change of its entry."""
        staff = InstitutionStaff(self.district.code, uuid7(), uuid7(), institution_id)
        async with self.district.transaction() as session:
            await changes.propose(session, staff, institution_id, ChangeDraft(kind, new_value, reason))

    async def open_class(
        self,
        institution_id: UUID,
        teacher_id: UUID,
        name: str,
        subject: str,
        price_fen: int,
        seats: int,
        sessions: Sequence[tuple[datetime, datetime]],
        room: str | None = None,
        materials: Sequence[str] = (),
        *,
        decided: bool = True,
    ) -> Course:
        """A class with one lesson for each meeting: already approved, or filed by its institution and waiting for an officer."""
        draft = ClassDraft(teacher_id, name, subject, price_fen, len(sessions), seats, sessions, materials=materials, room=room)
        async with self.district.transaction() as session:
            [campus, *_] = await institutions.campuses(session, institution_id)
            draft = replace(draft, campus_id=campus.id)
            if decided:
                return await classes.open_class(session, institution_id, draft)
            return await classes.file_class(session, InstitutionStaff(self.district.code, uuid7(), uuid7(), institution_id), draft)

    async def teacher(self, institution_id: UUID, name: str, certificate_no: str, subject: str) -> UUID:
        """A teacher of an institution."""
        async with self.district.transaction() as session:
            return (await teachers.create_teacher(session, institution_id, name, certificate_no, subject)).id

    async def family(self, phone: str, payer_name: str, child: str, birth_month: str) -> Family:
        """The guardian of this phone with this child; the same again is the same family."""
        [family] = await self.families([FamilyDraft(phone, payer_name, child, birth_month)])
        return family

    async def families(self, drafts: Sequence[FamilyDraft]) -> list[Family]:
        """The same for several families in one transaction."""
        async with self.district.transaction() as session:
            guardians = await families.guardians_for_phones(session, [draft.phone for draft in drafts])
            entered = zip(guardians, drafts, strict=True)
            children = [ChildDraft(guardian.id, draft.child, draft.birth_month, consent=consenting.CURRENT) for guardian, draft in entered]
            students = await families.add_students(session, children)
        return [
            Family(Parent(self.district.code, uuid7(), guardian.id), student.id, f"6222{draft.phone}", draft.payer_name)
            for guardian, student, draft in zip(guardians, students, drafts, strict=True)
        ]

    async def sign(self, family: Family, class_id: UUID, terms: Terms | None = None) -> Contract:
        """Sign for a class, without terms all of it at once."""
        async with self.district.transaction() as session:
            return await contracts.sign(session, family.parent, class_id, family.student_id, terms)

    async def order(self, family: Family, class_id: UUID, terms: Terms | None = None) -> Payment:
        """Sign for a class and open the payment, up to the bank's cashier page."""
        return await self.order_again(family, (await self.sign(family, class_id, terms)).id)

    async def order_again(self, family: Family, contract_id: UUID) -> Payment:
        """Open the payment of a contract that waits for it."""
        async with self.district.transaction() as session:
            payment = await payments.start(session, family.parent, contract_id)
        await open_collection(self.district, self.banks, payment.payment_no)
        return payment

    async def pay(self, family: Family, payment: Payment, amount_fen: int | None = None, *, late: bool = False) -> None:
        """The family pays at the bank, and we ask the bank about it: in time the exact amount, or otherwise."""
        paying = self.bank.pay_late if late else self.bank.pay
        await paying(payment.payment_no, amount_fen, payer_no=family.payer_no, payer_name=family.payer_name, client=self.connection)
        await ask_collection(self.district, self.banks, payment.payment_no)

    async def deliver(self, institution_id: UUID, class_session_id: UUID, attended: Collection[UUID]) -> None:
        """The institution marks a class session delivered with the children who attended."""
        staff = InstitutionStaff(self.district.code, uuid7(), uuid7(), institution_id)
        async with self.district.transaction() as session:
            await lessons.deliver(session, staff, class_session_id, attended)

    async def confirm(self, family: Family, lesson_ids: Sequence[UUID]) -> None:
        """The guardian confirms lessons in one call."""
        async with self.district.transaction() as session:
            await lessons.confirm(session, family.parent, lesson_ids)

    async def dispute(self, family: Family, lesson_id: UUID, reason: str) -> None:
        """The guardian objects to one lesson."""
        async with self.district.transaction() as session:
            await lessons.dispute(session, family.parent, lesson_id, reason)

    async def leave(self, family: Family, contract_id: UUID, reason: str) -> list[Refund]:
        """The guardian asks for the untaught lessons' fees."""
        async with self.district.transaction() as session:
            return await refunds.request(session, family.parent, contract_id, reason)

    async def settle(self, business_on: date, run_no: int = 1) -> list[Payout]:
        """A settlement run over the whole district."""
        return await settlement.run_district(self.district, business_on, run_no)

    async def rule(self, officer: SupervisionStaff, lesson_id: UUID, ruling: Ruling, reason: str) -> None:
        """An officer decides a dispute."""
        async with self.district.transaction() as session:
            await supervision.rule_on_dispute(session, officer, lesson_id, ruling, reason)

    async def decide(self, officer: SupervisionStaff, payout_id: UUID, reason: str, *, release: bool) -> None:
        """An officer releases or rejects a held payout."""
        decide = supervision.release_payout if release else supervision.reject_payout
        async with self.district.transaction() as session:
            await decide(session, officer, payout_id, reason)

    async def contract_of(self, family: Family, class_id: UUID) -> tuple[Contract, list[Lesson]]:
        """The family's newest contract in a class, with its lessons in order."""
        async with self.district.reading() as session:
            signed = select(Contract).where(Contract.class_id == class_id, Contract.student_id == family.student_id)
            contract = (await session.scalars(signed.order_by(Contract.created_at.desc()).limit(1))).one()
            rows = await session.scalars(select(Lesson).where(Lesson.contract_id == contract.id).order_by(Lesson.number))
            return contract, list(rows)

    async def roster(self, class_session_id: UUID) -> list[UUID]:
        """The children who hold a lesson in a class session that is still to be delivered, paid or to be paid afterwards."""
        async with self.district.reading() as session:
            paid = select(Lesson.student_id).where(Lesson.class_session_id == class_session_id, Lesson.status.in_(TO_COME))
            return list(await session.scalars(paid.order_by(Lesson.id)))

    async def ended_sessions(self, institution_id: UUID) -> list[ClassSession]:
        """Class sessions that are over and wait for their delivery, in order of time."""
        over = (ClassSession.institution_id == institution_id, ClassSession.status == "scheduled", ClassSession.ends_at <= clock.now())
        async with self.district.reading() as session:
            return list(await session.scalars(select(ClassSession).where(*over).order_by(ClassSession.ends_at, ClassSession.id)))

    async def known_institution(self, serial: int) -> UUID | None:
        """The institution with this serial number, where it is entered."""
        async with self.district.reading() as session:
            found: UUID | None = await session.scalar(select(Institution.id).where(Institution.credit_code == self._credit_code(serial)))
            return found

    async def teachers_of(self, institution_id: UUID) -> dict[str, UUID]:
        """An institution's teachers by their certificates."""
        async with self.district.reading() as session:
            rows = await session.execute(select(Teacher.certificate_no, Teacher.id).where(Teacher.institution_id == institution_id))
            return {certificate_no: teacher_id for certificate_no, teacher_id in rows}

    async def classes_of(self, institution_id: UUID) -> dict[str, UUID]:
        """An institution's classes by name."""
        async with self.district.reading() as session:
            rows = await session.execute(select(TrainingClass.name, TrainingClass.id).where(TrainingClass.institution_id == institution_id))
            return {name: class_id for name, class_id in rows}

    def officer(self, staff_id: UUID) -> SupervisionStaff:
        """An officer of this district."""
        return SupervisionStaff(self.district.code, uuid7(), staff_id)

    async def _known_at_the_bank(self, serial: int, name: str, kind: str, address: str) -> InstitutionDraft:
        numbers = supervised_no(serial), settlement_no(serial)
        for number in numbers:
            await self.bank.open_account(number, name, client=self.connection)
        return InstitutionDraft(
            self._credit_code(serial),
            name,
            kind,
            address,
            self.connection,
            *numbers,
            licence=_licence(serial),
            for_profit=True,
            legal_representative="张示例",
            contact=Contact("李示例", f"139{serial:08d}"),
        )

    def _credit_code(self, serial: int) -> str:
        body = f"52{self.district.code}MA{serial:07d}"
        return body + str(uscc.calc_check_digit(body))


def _licence(serial: int) -> Licence:
    year = clock.today().year
    return Licence(f"教民示例{serial:07d}号", "示例区教育局", "非学历校外培训", date(year - 2, 1, 1), date(year + 3, 12, 31))


def supervised_no(serial: int) -> str:
    """The number of the supervised account of the institution with this serial number."""
    return f"6228{serial:015d}"


def settlement_no(serial: int) -> str:
    """The number of its settlement account."""
    return f"6229{serial:015d}"
