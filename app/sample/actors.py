"""Who acts in a simulation: institutions with their families, and the authorities that watch and pay them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal, get_args
from uuid import UUID

from app import clock, worker
from app.errors import Refused
from app.lessons.service import Ruling
from app.sample import invented
from app.sample.crowd import Crowd
from app.sample.invented import dice
from app.sample.plan import MOST_FAMILIES, FamilyPlan, InstitutionPlan, Pays
from app.sample.stage import Family, FamilyDraft, Stage, supervised_no
from app.security import SupervisionStaff
from app.settlement.models import Payout
from app.supervision import queries as supervision
from app.supervision import service as decisions
from bank_adapters.mock_bank.control import ControlRefused, OrderPayment

Act = Literal["enter", "remember", "surprise", "open_classes", "deliver", "respond", "enrol", "pay_late", "follow_up", "forget"]
"""What institutions and families do; `enter` begins it all, `remember` takes up what others began, `forget` ends a day. `follow_up` is
what the worker does for them while another process plays the part of it that moves money."""

KEPT_BACK_FEN = 5_000
"""What a family that pays a wrong amount pays too little."""
PATIENCE = timedelta(days=2)
"""How long a dispute waits for its ruling."""
NOBODY = UUID(int=0)
AFTERMATH = timedelta(days=7)
"""How long after a class's last meeting its families still answer."""


@dataclass(slots=True)
class School:
    """One institution, and those of its families whose class is not long over."""

    plan: InstitutionPlan
    id: UUID = NOBODY
    teachers: list[UUID] = field(default_factory=list)
    classes: dict[int, UUID] = field(default_factory=dict)
    families: dict[int, tuple[FamilyPlan, Family]] = field(default_factory=dict)
    """By number."""

    @property
    def serial(self) -> int:
        """Its number at the bank and in the register, from 1."""
        return self.plan.number + 1

    def enrolling(self, day: date, *pays: Pays) -> list[FamilyPlan]:
        """Families that enrol on a business date and pay in one of these ways."""
        return [family for family in self.plan.families if family.enrols_on == day and family.pays in pays]

    def asked(self, day: date) -> list[tuple[FamilyPlan, Family]]:
        """Families that may have an answer to give about lessons on this evening."""
        meeting = {number for number, course in enumerate(self.plan.classes) if course.meets_on(day)}
        return [(plan, family) for plan, family in self.families.values() if _answers(plan, day, plan.class_number in meeting)]

    def forget(self, day: date) -> None:
        """Families whose class has been over for a while have nothing more to do."""
        over = {number for number, course in enumerate(self.plan.classes) if course.ends_on + AFTERMATH < day}
        self.families = {number: each for number, each in self.families.items() if each[0].class_number not in over}


def _answers(plan: FamilyPlan, day: date, met: bool) -> bool:
    if plan.confirms == "weekly" and day.weekday() == plan.number % 7:
        return True
    return met and (plan.confirms == "soon" or plan.objects_to is not None)


class Schools:
    """All institutions and their families, who do what their plan says when its day comes. Every act may be repeated."""

    def __init__(self, stage: Stage, seed: int, schools: list[School], paid_fen: int) -> None:
        self._stage = stage
        self._crowd = Crowd(stage)
        self._seed = seed
        self._schools = schools
        self._paid_fen = paid_fen
        self._acts: dict[Act, Callable[[date], Awaitable[None]]] = {
            "enter": self._enter,
            "remember": self._remember,
            "surprise": self._surprise,
            "open_classes": self._open_classes,
            "deliver": self._deliver,
            "respond": self._respond,
            "enrol": self._enrol,
            "pay_late": self._pay_late,
            "follow_up": self._follow_up,
            "forget": self._forget,
        }

    async def act(self, name: Act, day: date) -> int:
        """Play an act of a business date at the present instant; what these families have paid so far, in fen."""
        await self._acts[name](day)
        return self._paid_fen

    async def _enter(self, day: date) -> None:
        """The institutions are in the register, with their accounts and their teachers; entered now where they are new."""
        for school in self._schools:
            plan, chance = school.plan, dice(self._seed, "teachers", school.plan.number)
            address = f"{plan.place}驿都大道{school.serial}号"
            school.id = (
                await self._stage.known_institution(school.serial)
                or (await self._stage.institution(school.serial, plan.name, plan.trade.kind, address, plan.lines)).id
            )
            known = await self._stage.teachers_of(school.id)
            for position, subject in enumerate(plan.teachers):
                certificate_no, name = f"{school.serial:06d}{position + 1:04d}", invented.person_name(chance)
                teacher_id = known.get(certificate_no) or await self._stage.teacher(school.id, name, certificate_no, subject)
                school.teachers.append(teacher_id)

    async def _remember(self, day: date) -> None:
        """Take up what others began: the classes opened and the families entered up to a business date."""
        for school in self._schools:
            opened = await self._stage.classes_of(school.id)
            school.classes = {number: opened[course.name] for number, course in enumerate(school.plan.classes) if course.name in opened}
            came = [plan for plan in school.plan.families if plan.enrols_on <= day]
            school.families = {plan.number: (plan, family) for plan, family in zip(came, await self._families(came), strict=True)}
            school.forget(day)

    async def _follow_up(self, day: date) -> None:
        await self._stage.sweep(worker.FOLLOWING)

    async def _forget(self, day: date) -> None:
        """What is long over needs no memory."""
        for school in self._schools:
            school.forget(day)

    async def _surprise(self, day: date) -> None:
        """Now and then a stranger's money arrives, without a reference."""
        for school in self._schools:
            chance = dice(self._seed, "stranger", school.plan.number, day)
            if chance.random() < 0.02:
                payer_no, amount_fen = f"6225{day:%Y%m%d}{school.serial:07d}", chance.randint(100, 900) * 100
                if not await self._stage.bank.movements(account_no=payer_no):
                    await self._stage.bank.deposit_from_stranger(supervised_no(school.serial), amount_fen, payer_no)

    async def _open_classes(self, day: date) -> None:
        """Classes whose day it is open for enrolment."""
        for school in self._schools:
            for number, course in enumerate(school.plan.classes):
                if course.opens_on == day and number not in school.classes:
                    opened = await self._stage.open_class(
                        school.id,
                        school.teachers[course.teacher],
                        course.name,
                        course.subject,
                        course.price_fen,
                        MOST_FAMILIES + 2,
                        course.sessions,
                    )
                    school.classes[number] = opened.training_class.id

    async def _enrol(self, day: date) -> None:
        """Families sign and pay: most of them in time and once. Those whose code expired yesterday try again."""
        coming = [
            (school, plan)
            for school in self._schools
            for plan in school.enrolling(day, *get_args(Pays)) + school.enrolling(day - timedelta(days=1), "late")
        ]
        families = await self._families([plan for _, plan in coming])
        wishes = []
        for (school, plan), family in zip(coming, families, strict=True):
            school.families[plan.number] = plan, family
            wishes.append((family, school.classes[plan.class_number]))
        ordered = await self._crowd.order_all(wishes)
        paying: list[OrderPayment] = []
        for (_, plan), (family, _), payment in zip(coming, wishes, ordered, strict=True):
            if payment is not None:
                paying += [family.purse(payment, amount_fen) for amount_fen in _amounts(plan, day, payment.amount_fen)]
        await self._crowd.pay_all(paying)
        self._paid_fen += sum(purse.amount_fen for purse in paying)

    async def _pay_late(self, day: date) -> None:
        """Those who hesitated pay when their code has expired."""
        late = [school.families[plan.number][1] for school in self._schools for plan in school.enrolling(day, "late")]
        paying = [family.purse(payment, payment.amount_fen) for family, payment in await self._crowd.unpaid(late)]
        await self._crowd.pay_all(paying, late=True)

    async def _deliver(self, day: date) -> None:
        """Every class session that is over is marked, with the children who came."""
        numbers = {family.student_id: plan.number for school in self._schools for plan, family in school.families.values()}

        def came(child: UUID, session_number: int) -> bool:
            return dice(self._seed, "came", numbers[child], session_number).random() < 0.93

        await self._crowd.deliver([school.id for school in self._schools], came)

    async def _respond(self, day: date) -> None:
        """Families confirm what was delivered, all of a child's lessons in one call, or object; some leave."""
        asked = {family.student_id: (plan, family) for school in self._schools for plan, family in school.asked(day)}
        consents: list[tuple[Family, list[UUID]]] = []
        for child, lessons in (await self._crowd.delivered([family for _, family in asked.values()])).items():
            plan, family = asked[child]
            for lesson_id in [lesson.id for lesson in lessons if lesson.number == plan.objects_to]:
                await self._stage.dispute(family, lesson_id, "孩子说当天老师没有来，课没有上")
            accepted = [lesson.id for lesson in lessons if lesson.number != plan.objects_to]
            if accepted and plan.confirms != "never":
                consents.append((family, accepted))
        await self._crowd.confirm(consents)
        for school in self._schools:
            for plan, family in list(school.families.values()):
                if plan.leaves_on == day:
                    await self._leave(plan, family, school.classes[plan.class_number])

    async def _families(self, plans: Sequence[FamilyPlan]) -> list[Family]:
        return await self._crowd.families(
            [FamilyDraft(invented.phone(plan.number), plan.parent, plan.child, plan.birth_month) for plan in plans]
        )

    async def _leave(self, plan: FamilyPlan, family: Family, class_id: UUID) -> None:
        contract, _ = await self._stage.contract_of(family, class_id)
        if contract.status != "paid":
            return
        try:
            [refund] = await self._stage.leave(family, contract.id, "搬家，无法继续上课")
        except Refused:
            return
        if dice(self._seed, "refund", plan.number).random() < 0.1:
            await self._stage.bank.knob("reject", "refund", reference=refund.refund_no, code="payee_account_closed")


def _amounts(plan: FamilyPlan, day: date, due_fen: int) -> list[int]:
    """What a family pays at once, in fen, one after the other."""
    match plan.pays:
        case "twice":
            return [due_fen, due_fen]
        case "wrong_amount":
            return [due_fen - KEPT_BACK_FEN, due_fen]
        case "in_time":
            return [due_fen]
        case "late":
            return [due_fen] if plan.enrols_on < day else []
        case "never":
            return []


class Authorities:
    """Supervision and settlement of the district, and what the bank makes of their payouts."""

    def __init__(self, stage: Stage, seed: int, officer: SupervisionStaff) -> None:
        self._stage = stage
        self._seed = seed
        self._officer = officer

    async def surprise(self, day: date) -> None:
        """The bank sends yesterday's payouts back whose receiving account it could not credit in the end."""
        yesterday = day - timedelta(days=1)
        for payout in await Crowd(self._stage).payouts_of(yesterday):
            if 0.08 <= self._fate(yesterday, payout) < 0.16:
                with suppress(ControlRefused):
                    await self._stage.bank.return_instruction(self._stage.connection, payout.payout_no)

    async def settle(self, day: date) -> None:
        """The weekly run; the bank rejects some payouts, returns some later, and leaves some in doubt."""
        for payout in await self._stage.settle(day):
            fate = self._fate(day, payout)
            if fate < 0.08:
                await self._stage.bank.knob("reject", "transfer", reference=payout.payout_no, code="payee_account_closed")
            elif 0.16 <= fate < 0.24:
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

    def _fate(self, day: date, payout: Payout) -> float:
        return dice(self._seed, "payout", day, payout.amount_fen).random()

    async def _rule(self) -> None:
        async with self._stage.district.reading() as session:
            disputes = await supervision.open_disputes(session)
        for dispute in disputes:
            if clock.now() - dispute.opened_at < PATIENCE:
                continue
            ruling: Ruling = "release" if dice(self._seed, "ruling", dispute.starts_at, dispute.class_name).random() < 0.5 else "return"
            await self._stage.rule(self._officer, dispute.lesson_id, ruling, "已查看签到与监控")

    async def _resolve(self, day: date) -> None:
        async with self._stage.district.transaction() as session:
            known = [each for each in await supervision.alerts(session, open_only=True) if clock.business_date(each.opened_at) < day]
            seen = [each.id for each in known if dice(self._seed, "alert", each.rule, each.opened_at, day).random() < 0.7]
            await decisions.resolve_all(session, self._officer, seen, "已核实，无异常")
