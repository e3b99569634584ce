"""The brakes at the counter: what the registers know of a sale is held against the rule pack of the day before anything is stored.

What a register does not know is not judged: that no family borrows for training (charge.loan) is agreed in the contract, and nobody
looks into it here.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.clock import business_date
from app.contracts import rules
from app.contracts.models import Charge, Lesson
from app.contracts.rules import OfferedLesson, SoldCharge
from app.contracts.terms import ChargeTerms, Terms, Way
from app.db import district_of
from app.errors import Conflict, Refused
from app.money import allocate
from app.policy import records, selling
from app.policy.catalogue import DayKind, Mode, Stage
from app.policy.days import known_kinds
from app.policy.facts import ClassFacts, PricedLesson, SaleFacts
from app.policy.findings import Finding, broken
from app.policy.packs import Pack, pack_for
from app.registry.courses import Course
from app.registry.folding import folded
from app.registry.institutions import check_may_sell
from app.registry.judging import asks_for_days
from app.registry.models import Campus, ClassSession, Institution, Teacher, TrainingClass
from app.registry.teachers import check_may_teach, covers

_NO_CHILD = UUID(int=0)
_CHANGES = {"inst.list", "inst.paused", "charge.lease", "staff.cert"}
"""Rules about what can change between a signature and a later charge."""

# Lessons that each child has of the class's subject at its institution, sold and still to be taught, with when the first one that was
# charged together with each begins. What is paid after it was taught prepays nothing.
_UNTAUGHT = text("""
    SELECT asked.student_id, asked.class_id, class_session.starts_at, lesson.price_fen, charged.begins_at
    FROM unnest(CAST(:students AS uuid[]), CAST(:classes AS uuid[])) AS asked (student_id, class_id)
    JOIN training_class wanted ON wanted.id = asked.class_id
    JOIN contract ON contract.student_id = asked.student_id AND contract.institution_id = wanted.institution_id
        AND contract.status IN ('created', 'paid') AND contract.way <> 'later'
    JOIN training_class sold ON sold.id = contract.class_id
        AND lower(normalize(sold.subject, NFKC)) = lower(normalize(wanted.subject, NFKC))
    JOIN charge ON charge.contract_id = contract.id AND charge.status <> 'lapsed'
    CROSS JOIN LATERAL (
        SELECT min(held.starts_at) AS begins_at FROM lesson first JOIN class_session held ON held.id = first.class_session_id
        WHERE first.contract_id = contract.id AND first.number BETWEEN charge.first_lesson AND charge.last_lesson
            AND held.status <> 'cancelled'
    ) AS charged
    JOIN lesson ON lesson.contract_id = contract.id AND lesson.number BETWEEN charge.first_lesson AND charge.last_lesson
        AND lesson.status IN ('reserved', 'scheduled')
    JOIN class_session ON class_session.id = lesson.class_session_id
    ORDER BY class_session.starts_at, lesson.id
""")


@dataclass(frozen=True, slots=True)
class Asked:
    """A child's place in a class: the lessons on offer, in order of time, and the terms; None: everything at once."""

    course: Course
    offered: Sequence[OfferedLesson]
    student_id: UUID
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A sale that nothing forbids. `edition` names the rule pack; findings and facts are ready to be stored, the facts by charge, each
    finding with the numbers of the `charges` that it was found of."""

    institution_id: UUID
    terms: Terms
    charges: Sequence[SoldCharge]
    edition: str
    findings: list[dict[str, Any]]
    facts: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class LegalPlan:
    """The nearest sale that passes; its `terms` can be signed now as they are.

    `changes` of: fewer (lessons), later, cheaper, split.
    """

    message_zh: str
    changes: tuple[str, ...]
    terms: Terms


async def judge_all(session: AsyncSession, asked: Sequence[Asked]) -> list[Judged]:
    """Hold each sale against the law, in their order; each counts for those after it.

    Raises Refused("contracts.rule") with the findings that forbid a sale, the edition they are `judged_by` and the nearest legal `plan`
    (a LegalPlan, or None), Refused("registry.blacklisted", "registry.sales_paused") where no pack states as much, what
    `teachers.check_may_teach` raises likewise,
    Refused("contracts.not_afterwards") where lessons of the class are only paid in advance,
    BadInput("contracts.terms_invalid") and Conflict("contracts.terms_changed") for terms that the offer does not bear (any more), with
    the `plan` that they may have meant.
    """
    pack = pack_for(district_of(session), clock.today())
    courses = {each.course.training_class.id: each.course for each in asked}
    bench = _Bench(pack, await _registers(session, courses), await _kinds(session, pack, asked), await _untaught(session, asked))
    return [bench.judge(each) for each in asked]


async def refusal_for_all(
    session: AsyncSession, course: Course, offered: Sequence[OfferedLesson], terms: Terms | None = None
) -> Refused | None:
    """Why nobody may buy an offer on these terms today (None: at once), whatever lessons a child still has; None where that is not so,
    or depends on the child.

    Its facts are those of `judge_all`; raises what that raises of terms that the offer does not bear.
    """
    try:
        await judge_all(session, [Asked(course, offered, _NO_CHILD, terms)])
    except Refused as refused:
        # It is kept, and what it was raised in is not.
        return refused.with_traceback(None)
    return None


async def judge_due(session: AsyncSession, due: Sequence[Charge]) -> None:
    """Hold charges that have opened after their contract was signed against the pack of today again, and note its edition with each.

    Only what can change after a sale: lists, licence and pause of the institution, the lease of the rooms, the teachers. Span, lessons,
    price and the days of charging were agreed when they were legal. Raises Refused("contracts.rule") with the findings that forbid a
    charge and the edition they are `judged_by`, Refused("registry.blacklisted", "registry.sales_paused") and what
    `teachers.check_may_teach` raises where no pack says so.
    """
    pack = pack_for(district_of(session), clock.today())
    taught: defaultdict[tuple[UUID, UUID, UUID | None], list[Row[Any]]] = defaultdict(list)
    for row in await session.execute(_taught([charge.id for charge in due])) if due else ():
        taught[row.charge_id, row.Teacher.id, row.campus_id].append(row)
    forbidding: dict[UUID, list[Finding]] = defaultdict(list)
    for rows in taught.values():
        findings = [finding for finding in selling.judge_sale(pack, _as_of_today(rows)) if finding.rule in _CHANGES]
        forbidding[rows[0].Institution.id] += broken(findings)
    institutions = {rows[0].Institution.id: rows[0].Institution for rows in taught.values()}
    for institution_id, institution in institutions.items():
        if findings := list(dict.fromkeys(forbidding[institution_id])):
            raise _refused(findings, institution, pack, None)
        check_may_sell(institution)
    for rows in taught.values():
        _check_teacher(rows[-1].Teacher, rows[-1].TrainingClass, rows[-1].Institution, business_date(rows[-1].starts_at))
    for charge in due:
        charge.judged_by = pack.edition


@dataclass(frozen=True, slots=True)
class _Registers:
    """What stands in the registers besides the courses: who teaches their class sessions, and the leases of where they are held."""

    teachers: Mapping[UUID, Teacher]
    leases: Mapping[UUID | None, date | None]


@dataclass(frozen=True, slots=True)
class _Held:
    """The day of a lesson, who teaches it, and the last day of the lease of its rooms."""

    on: date
    teacher: Teacher
    lease_ends_on: date | None


_Subject = tuple[UUID, UUID, str]
"""Child, institution, subject."""


class _Bench:
    """Several sales under one pack. Sales of the same lessons to children who have none yet are the same sale."""

    def __init__(
        self,
        pack: Pack,
        registers: _Registers,
        kinds: Mapping[date, DayKind],
        untaught: defaultdict[_Subject, list[PricedLesson]],
    ) -> None:
        self._pack = pack
        self._registers = registers
        self._kinds = kinds
        self._untaught = untaught
        self._known: dict[tuple[UUID, Terms | None, tuple[PricedLesson, ...]], Judged] = {}

    def judge(self, asked: Asked) -> Judged:
        course = asked.course
        untaught = self._untaught[asked.student_id, course.institution.id, folded(course.training_class.subject)]
        key = (course.training_class.id, asked.terms, tuple(untaught))
        if key not in self._known:
            self._known[key] = self._judge(asked, key[2])
        judged = self._known[key]
        if judged.terms.way != "later":
            for charge in judged.charges:
                lessons = _priced(course, charge.lessons)
                untaught.extend(replace(lesson, begun_on=lessons[0].on) for lesson in lessons)
        return judged

    def _judge(self, asked: Asked, untaught: Sequence[PricedLesson]) -> Judged:
        terms = asked.terms or rules.once(asked.offered, clock.today())
        charges = rules.sold(asked.offered, terms, clock.today())
        if terms.way == "later" and not asked.course.training_class.most_unpaid:
            raise Refused("contracts.not_afterwards", "这个班级不提供先学后付", field="terms")
        facts = self._facts(asked, untaught)
        self._check_terms(asked, terms, charges, facts)
        judged = _judged_by(replace(facts, schedule=tuple(_priced(asked.course, _lessons(charges)))), terms.way, charges)
        findings: defaultdict[Finding, dict[int, None]] = defaultdict(dict)
        for number, each in judged.items():
            for finding in selling.judge_sale(self._pack, each):
                findings[finding][number] = None
        if forbidding := broken(findings):
            plan = self._plan(facts)
            if plan is not None:
                self._check_standing(asked, rules.sold(asked.offered, plan.terms, clock.today()))
            raise _refused(forbidding, asked.course.institution, self._pack, plan)
        self._check_standing(asked, charges)
        told = [finding.told() | {"charges": list(numbers)} for finding, numbers in findings.items()]
        record = [records.written(each) for each in judged.values()]
        return Judged(asked.course.institution.id, terms, charges, self._pack.edition, told, record)

    def _check_terms(self, asked: Asked, terms: Terms, charges: Sequence[SoldCharge], facts: SaleFacts) -> None:
        """Prices are the offer's and the first charge is today's, never the caller's, or all is as the nearest legal plan says now."""
        lessons = _lessons(charges)
        at_once = terms.way == "later" or charges[0].opens_on == clock.today()
        if at_once and lessons == list(asked.offered[: len(lessons)]):
            return
        plan = self._plan(facts)
        if plan is None:
            raise _refused(broken(selling.judge_sale(self._pack, facts)), asked.course.institution, self._pack, None)
        if plan.terms.way != terms.way or rules.sold(asked.offered, plan.terms, clock.today()) != charges:
            raise Conflict("contracts.terms_changed", "该班级的课次或价格已有变化，请重新报名", plan=plan)

    def _plan(self, facts: SaleFacts) -> LegalPlan | None:
        plan = selling.nearest_plan(self._pack, facts)
        if plan is None:
            return None
        charges = tuple(ChargeTerms(each.lesson_count, each.price_fen, each.charged_on or clock.today()) for each in plan.charges)
        return LegalPlan(plan.message_zh, plan.changes, Terms("parts" if len(charges) > 1 else "once", charges))

    def _check_standing(self, asked: Asked, charges: Sequence[SoldCharge]) -> None:
        """The institution, and everybody who teaches a lesson that is sold, until their last one: also where no pack says so."""
        course = asked.course
        check_may_sell(course.institution)
        last = {each.teacher.id: each for each in self._held(course, _lessons(charges))}
        for each in last.values():
            _check_teacher(each.teacher, course.training_class, course.institution, each.on)

    def _held(self, course: Course, lessons: Sequence[OfferedLesson]) -> list[_Held]:
        sold, rows = course.training_class, {row.id: row for row in course.sessions}
        held = []
        for lesson in lessons:
            row = rows[lesson.class_session_id]
            teacher = self._registers.teachers[row.teacher_id or sold.teacher_id]
            held.append(_Held(business_date(lesson.starts_at), teacher, self._registers.leases.get(row.campus_id or sold.campus_id)))
        return held

    def _facts(self, asked: Asked, untaught: Sequence[PricedLesson]) -> SaleFacts:
        course, held = asked.course, self._held(asked.course, asked.offered)
        institution = course.institution
        return SaleFacts.of_lessons(
            institution.kind,
            _priced(course, asked.offered),
            charged_on=clock.today(),
            untaught=untaught,
            lease_ends_on=_ends_on([(each.on, each.lease_ends_on) for each in held]),
            listing=institution.listing,
            licence_from_on=institution.licence_from_on,
            licence_to_on=institution.licence_to_on,
            sales_paused=institution.sales_paused_at is not None,
            course=self._class(course, held, asked.offered),
        )

    def _class(self, course: Course, held: Sequence[_Held], offered: Sequence[OfferedLesson]) -> ClassFacts:
        """Of several teachers, what speaks against one speaks against the class."""
        sold, teachers = course.training_class, list({each.teacher.id: each.teacher for each in held}.values())
        dates = sorted({each.on for each in held})
        covered = [known for teacher in teachers if (known := _covers(teacher, sold)) is not None]
        return ClassFacts(
            kind=course.institution.kind,
            stage=cast(Stage | None, course.institution.stage),
            mode=cast(Mode, sold.mode),
            class_size=sold.seats,
            lesson_minutes=sold.lesson_minutes,
            meetings=[(lesson.starts_at, lesson.ends_at) for lesson in offered],
            days={on: self._kinds[on] for on in dates if on in self._kinds} if asks_for_days(self._pack, course.institution) else None,
            certificate_covers=all(covered) if covered else None,
            certificate_to_on=_ends_on([(each.on, each.teacher.certificate_to_on) for each in held]),
            serving_school_teacher=any(teacher.serving_school_teacher for teacher in teachers),
            foreigner_abroad=any(teacher.foreigner_abroad for teacher in teachers),
        )


def _ends_on(held: Sequence[tuple[date, date | None]]) -> date | None:
    """Of days in order of time, each with the end of what it depends on: the first end that comes too early, or else that of the last day.

    None: it does not end.
    """
    return min((ends_on for on, ends_on in held if ends_on is not None and ends_on < on), default=held[-1][1])


def _taught(charge_ids: Sequence[UUID]) -> Select[*tuple[Any, ...]]:
    """The lessons of planned charges that have a day, each with its teacher and the lease of its rooms, in order of time."""
    campus_id = func.coalesce(ClassSession.campus_id, TrainingClass.campus_id)
    return (
        select(
            Charge.id.label("charge_id"),
            Institution,
            TrainingClass,
            Teacher,
            campus_id.label("campus_id"),
            Campus.lease_ends_on,
            ClassSession.starts_at,
            ClassSession.ends_at,
            Lesson.price_fen,
        )
        .join(Institution, Institution.id == Charge.institution_id)
        .join(Lesson, (Lesson.contract_id == Charge.contract_id) & Lesson.number.between(Charge.first_lesson, Charge.last_lesson))
        .join(ClassSession, ClassSession.id == Lesson.class_session_id)
        .join(TrainingClass, TrainingClass.id == ClassSession.class_id)
        .join(Teacher, Teacher.id == func.coalesce(ClassSession.teacher_id, TrainingClass.teacher_id))
        .outerjoin(Campus, Campus.id == campus_id)
        .where(Charge.id.in_(charge_ids), ClassSession.status != "cancelled")
        .order_by(ClassSession.starts_at, Lesson.id)
    )


def _as_of_today(taught: Sequence[Row[Any]]) -> SaleFacts:
    """What is known today of lessons of one charge that one teacher gives in one place."""
    institution, sold, teacher = taught[0].Institution, taught[0].TrainingClass, taught[0].Teacher
    return SaleFacts.of_lessons(
        institution.kind,
        [PricedLesson(business_date(row.starts_at), row.price_fen) for row in taught],
        charged_on=clock.today(),
        lease_ends_on=taught[0].lease_ends_on,
        listing=institution.listing,
        licence_from_on=institution.licence_from_on,
        licence_to_on=institution.licence_to_on,
        sales_paused=institution.sales_paused_at is not None,
        course=ClassFacts(
            kind=institution.kind,
            mode=cast(Mode, sold.mode),
            meetings=[(row.starts_at, row.ends_at) for row in taught],
            certificate_covers=_covers(teacher, sold),
            certificate_to_on=teacher.certificate_to_on,
            serving_school_teacher=teacher.serving_school_teacher,
            foreigner_abroad=teacher.foreigner_abroad,
        ),
    )


def _covers(teacher: Teacher, sold: TrainingClass) -> bool | None:
    return None if teacher.certificate_subject is None else covers(teacher.certificate_subject, sold.subject)


def _check_teacher(teacher: Teacher, sold: TrainingClass, institution: Institution, last_on: date) -> None:
    """What the register knows of who teaches a class up to a day, also where no pack says so."""
    if teacher.certificate_subject is not None:
        check_may_teach(teacher, sold.subject, institution.kind, last_on)


async def _registers(session: AsyncSession, courses: Mapping[UUID, Course]) -> _Registers:
    classes = [course.training_class for course in courses.values()]
    rows = [row for course in courses.values() for row in course.sessions]
    who = {each.teacher_id for each in classes} | {row.teacher_id for row in rows if row.teacher_id}
    where = {each.campus_id for each in classes if each.campus_id} | {row.campus_id for row in rows if row.campus_id}
    teachers = await session.scalars(select(Teacher).where(Teacher.id.in_(who)))
    campuses = await session.scalars(select(Campus).where(Campus.id.in_(where))) if where else ()
    return _Registers({each.id: each for each in teachers}, {each.id: each.lease_ends_on for each in campuses})


async def _kinds(session: AsyncSession, pack: Pack, asked: Sequence[Asked]) -> Mapping[date, DayKind]:
    """What sort of days the lessons are on, where a rule asks; without those whose year is missing."""
    bound = [each for each in asked if asks_for_days(pack, each.course.institution)]
    dates = {business_date(lesson.starts_at) for each in bound for lesson in each.offered}
    return await known_kinds(session, dates) if dates else {}


async def _untaught(session: AsyncSession, asked: Sequence[Asked]) -> defaultdict[_Subject, list[PricedLesson]]:
    courses = {each.course.training_class.id: each.course for each in asked}
    subjects = {(each.student_id, each.course.institution.id, folded(each.course.training_class.subject)): each for each in asked}
    values = {
        "students": [each.student_id for each in subjects.values()],
        "classes": [each.course.training_class.id for each in subjects.values()],
    }
    found: defaultdict[_Subject, list[PricedLesson]] = defaultdict(list)
    for row in await session.execute(_UNTAUGHT, values):
        course = courses[row.class_id]
        subject = (row.student_id, course.institution.id, folded(course.training_class.subject))
        begun_on = None if row.begins_at is None else business_date(row.begins_at)
        found[subject].append(PricedLesson(business_date(row.starts_at), row.price_fen, begun_on=begun_on))
    return found


def _lessons(charges: Sequence[SoldCharge]) -> list[OfferedLesson]:
    return [lesson for charge in charges for lesson in charge.lessons]


def _priced(course: Course, offered: Sequence[OfferedLesson]) -> list[PricedLesson]:
    listed = allocate(course.training_class.listed_price_fen, [1] * course.training_class.lesson_count)
    return [PricedLesson(business_date(each.starts_at), each.price_fen, listed[each.number - 1]) for each in offered]


def _judged_by(facts: SaleFacts, way: Way, charges: Sequence[SoldCharge]) -> dict[int, SaleFacts]:
    """What each charge is judged by, by its number.

    Paid after it was taught, a lesson is a charge by itself that prepays nothing: the first, the last and the dearest stand for all.
    """
    if way == "later":
        shown = [charges[0], max(charges, key=lambda charge: charge.amount_fen), charges[-1]]
        return {charge.number: _alone(facts, facts.schedule[charge.first_lesson - 1]) for charge in shown}
    parts = selling.charges_of(facts, [(len(charge.lessons), charge.opens_on) for charge in charges])
    return {charge.number: part for charge, part in zip(charges, parts, strict=True)}


def _alone(facts: SaleFacts, lesson: PricedLesson) -> SaleFacts:
    [charge] = selling.charges_of(replace(facts, schedule=(lesson,), untaught=(), charged_on=lesson.on), [(1, lesson.on)])
    return charge


def _refused(forbidding: Sequence[Finding], institution: Institution, pack: Pack, plan: LegalPlan | None) -> Refused:
    said = "；".join(finding.message_zh for finding in forbidding)
    said += f"（该机构暂停招生收费：{institution.sales_pause_reason}）" if institution.sales_pause_reason else ""
    findings = [finding.told() for finding in forbidding]
    return Refused("contracts.rule", f"按规定不能这样收费：{said}", findings=findings, judged_by=pack.edition, plan=plan)
