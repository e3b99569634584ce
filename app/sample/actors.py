"""Who acts in a simulation: institutions with their families, and the authorities that watch and pay them."""

from collections import defaultdict
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import select

from app import clock
from app.contracts.models import Lesson
from app.errors import Refused
from app.lessons.service import Ruling
from app.payments.models import Payment
from app.sample import invented
from app.sample.invented import dice
from app.sample.plan import MOST_FAMILIES, FamilyPlan, InstitutionPlan
from app.sample.stage import Family, Stage, supervised_no
from app.security import SupervisionStaff
from app.supervision import queries as supervision
from app.supervision import service as decisions
from bank_adapters.mock_bank.control import ControlRefused

KEPT_BACK_FEN = 5_000
"""What a family that pays a wrong amount pays too little."""
PATIENCE = timedelta(days=2)
"""How long a dispute waits for its ruling."""


class School:
    """One institution and its families, who do what their plan says when its day comes."""

    def __init__(self, stage: Stage, seed: int, plan: InstitutionPlan) -> None:
        self._stage = stage
        self._seed = seed
        self._plan = plan
        self.id = UUID(int=0)
        self._teachers: list[UUID] = []
        self._classes: dict[int, UUID] = {}
        self._families: dict[UUID, tuple[FamilyPlan, Family]] = {}
        """By child."""
        self._hesitating: list[tuple[FamilyPlan, Family, Payment]] = []
        self._trying_again: list[FamilyPlan] = []

    async def enter(self) -> None:
        """The institution is entered in the register, with its accounts and its teachers."""
        plan, chance = self._plan, dice(self._seed, "teachers", self._plan.number)
        address = f"{plan.place}驿都大道{plan.number + 1}号"
        entered = await self._stage.institution(plan.number + 1, plan.name, plan.trade.kind, address, plan.lines)
        self.id = entered.id
        for position, (_, subject) in enumerate(plan.trade.courses):
            certificate_no = f"{plan.number + 1:06d}{position + 1:02d}"
            self._teachers.append(await self._stage.teacher(self.id, invented.person_name(chance), certificate_no, subject))

    async def surprise(self, day: date) -> None:
        """Now and then a stranger's money arrives, without a reference."""
        chance = dice(self._seed, "stranger", self._plan.number, day)
        if chance.random() < 0.02:
            await self._stage.bank.deposit_from_stranger(supervised_no(self._plan.number + 1), chance.randint(100, 900) * 100)

    async def open_classes(self, day: date) -> None:
        """Classes whose day it is open for enrolment."""
        for number, course in enumerate(self._plan.classes):
            if course.opens_on == day:
                teacher_id = self._teachers[number % len(self._teachers)]
                opened = await self._stage.open_class(
                    self.id, teacher_id, course.name, course.subject, course.price_fen, MOST_FAMILIES + 2, course.sessions
                )
                self._classes[number] = opened.training_class.id

    async def enrol(self, day: date) -> None:
        """Families sign and pay: most of them in time and once."""
        again, self._trying_again = self._trying_again, []
        for plan in again:
            family = await self._family(plan)
            await self._stage.pay(family, await self._order(plan, family))
        for plan in self._plan.families:
            if plan.enrols_on == day:
                await self._pay(plan, await self._family(plan))

    async def pay_late(self) -> None:
        """Those who hesitated pay when their code has expired; tomorrow they try again."""
        hesitating, self._hesitating = self._hesitating, []
        for plan, family, payment in hesitating:
            await self._stage.pay(family, payment, late=True)
            self._trying_again.append(plan)

    async def deliver(self) -> None:
        """Every class session that is over is marked, with the children who came."""
        for held in await self._stage.ended_sessions(self.id):
            enrolled = await self._stage.roster(held.id)
            await self._stage.deliver(self.id, held.id, [child for child in enrolled if self._came(child, held.number)])

    async def respond(self, day: date) -> None:
        """Families confirm what was delivered, all of a child's lessons in one call, or object; some leave."""
        for child, lessons in (await self._delivered()).items():
            plan, family = self._families[child]
            objected = [lesson_id for number, lesson_id in lessons if number == plan.objects_to]
            accepted = [lesson_id for number, lesson_id in lessons if number != plan.objects_to]
            for lesson_id in objected:
                await self._stage.dispute(family, lesson_id, "孩子说当天老师没有来，课没有上")
            if accepted and (plan.confirms == "soon" or (plan.confirms == "weekly" and day.weekday() == plan.number % 7)):
                await self._stage.confirm(family, accepted)
        for plan, family in list(self._families.values()):
            if plan.leaves_on == day:
                await self._leave(plan, family)

    async def _pay(self, plan: FamilyPlan, family: Family) -> None:
        payment = await self._order(plan, family)
        match plan.pays:
            case "in_time":
                await self._stage.pay(family, payment)
            case "twice":
                await self._stage.pay(family, payment)
                await self._stage.pay(family, payment)
            case "wrong_amount":
                await self._stage.pay(family, payment, payment.amount_fen - KEPT_BACK_FEN)
                await self._stage.pay(family, payment)
            case "late":
                self._hesitating.append((plan, family, payment))
            case "never":
                pass

    async def _family(self, plan: FamilyPlan) -> Family:
        family = await self._stage.family(invented.phone(plan.number), plan.parent, plan.child, plan.birth_month)
        self._families[family.student_id] = plan, family
        return family

    async def _order(self, plan: FamilyPlan, family: Family) -> Payment:
        return await self._stage.order(family, self._classes[plan.class_number])

    async def _delivered(self) -> dict[UUID, list[tuple[int, UUID]]]:
        """Number and id of the lessons that wait for a guardian, by child."""
        guardians = [family.parent.guardian_id for _, family in self._families.values()]
        waiting = select(Lesson.student_id, Lesson.number, Lesson.id).where(Lesson.guardian_id.in_(guardians), Lesson.status == "delivered")
        found: dict[UUID, list[tuple[int, UUID]]] = defaultdict(list)
        async with self._stage.district.reading() as session:
            for child, number, lesson_id in await session.execute(waiting.order_by(Lesson.number)):
                found[child].append((number, lesson_id))
        return found

    async def _leave(self, plan: FamilyPlan, family: Family) -> None:
        contract, _ = await self._stage.contract_of(family, self._classes[plan.class_number])
        if contract.status != "paid":
            return
        try:
            refund = await self._stage.leave(family, contract.id, "搬家，无法继续上课")
        except Refused:
            return
        if dice(self._seed, "refund", plan.number).random() < 0.1:
            await self._stage.bank.knob("reject", "refund", reference=refund.refund_no, code="payee_account_closed")

    def _came(self, child: UUID, session_number: int) -> bool:
        return dice(self._seed, "came", self._families[child][0].number, session_number).random() < 0.93


class Authorities:
    """Supervision and settlement of the district, and what the bank makes of their payouts."""

    def __init__(self, stage: Stage, seed: int, officer: SupervisionStaff) -> None:
        self._stage = stage
        self._seed = seed
        self._officer = officer
        self._to_return: list[str] = []

    async def surprise(self) -> None:
        """The bank sends yesterday's payouts back whose receiving account it could not credit in the end."""
        returning, self._to_return = self._to_return, []
        for payout_no in returning:
            try:
                await self._stage.bank.return_instruction(self._stage.connection, payout_no)
            except ControlRefused:
                continue

    async def settle(self, day: date) -> None:
        """The weekly run; the bank rejects some payouts, returns some later, and leaves some in doubt."""
        for payout in await self._stage.settle(day):
            fate = dice(self._seed, "payout", day, payout.amount_fen).random()
            if fate < 0.08:
                await self._stage.bank.knob("reject", "transfer", reference=payout.payout_no, code="payee_account_closed")
            elif fate < 0.16:
                self._to_return.append(payout.payout_no)
            elif fate < 0.24:
                await self._stage.bank.knob("timeout_after", "transfer", reference=payout.payout_no)

    async def decide(self, day: date) -> None:
        """An officer rules on disputes, decides about held payouts, and looks into alerts."""
        await self._rule()
        async with self._stage.district.reading() as session:
            held = await supervision.held_payouts(session)
        for payout in held:
            release = dice(self._seed, "held", payout.institution_name, payout.amount_fen).random() < 0.75
            reason = "已核对课消记录，准予划拨" if release else "课消记录与签到不符，退回重新核对"
            await self._stage.decide(self._officer, payout.id, reason, release=release)
        await self._resolve(day)

    async def _rule(self) -> None:
        async with self._stage.district.reading() as session:
            disputes = await supervision.open_disputes(session)
        for dispute in disputes:
            if clock.now() - dispute.opened_at < PATIENCE:
                continue
            ruling: Ruling = "release" if dice(self._seed, "ruling", dispute.starts_at, dispute.class_name).random() < 0.5 else "return"
            await self._stage.rule(self._officer, dispute.lesson_id, ruling, "已查看签到与监控")

    async def _resolve(self, day: date) -> None:
        async with self._stage.district.reading() as session:
            standing = await supervision.alerts(session, open_only=True)
        for alert in standing:
            if clock.business_date(alert.opened_at) < day and dice(self._seed, "alert", alert.rule, alert.opened_at).random() < 0.7:
                async with self._stage.district.transaction() as session:
                    await decisions.resolve(session, self._officer, alert.id, "已核实，无异常")
