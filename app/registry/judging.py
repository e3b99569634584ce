"""A class as it is filed, and a meeting as it is moved, held against the rule pack of the day."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.clock import business_date
from app.db import district_of
from app.errors import Refused
from app.policy.catalogue import DayKind, Mode, Stage
from app.policy.charging import months_later
from app.policy.days import kinds_of
from app.policy.facts import ClassFacts
from app.policy.findings import Finding, broken, found
from app.policy.packs import Pack, pack_for
from app.policy.pricing import judge_guide
from app.policy.teaching import judge_sessions, judge_subject
from app.registry.clashes import Meeting
from app.registry.courses import Course
from app.registry.models import ClassSession, Institution, Teacher, TrainingClass
from app.registry.rules import ClassDraft
from app.registry.teachers import check_may_teach, covers


@dataclass(frozen=True, slots=True)
class Judgement:
    """Nothing in it forbids what was judged; `edition` names the rule pack."""

    edition: str
    findings: Sequence[Finding]

    def told(self) -> list[dict[str, Any]]:
        """The findings as they are stored."""
        return [asdict(finding) for finding in self.findings]


async def judge_filing(session: AsyncSession, institution: Institution, teacher: Teacher, draft: ClassDraft) -> Judgement:
    """Whether a clean draft may be filed: its times, its teacher, its price.

    Raises Refused("registry.rule") with the findings that forbid it, what `check_may_teach` raises.
    """
    pack = pack_for(district_of(session), clock.today())
    return judge_draft(pack, teacher, draft, await class_facts(session, pack, institution, teacher, draft, draft.sessions))


def judge_draft(pack: Pack, teacher: Teacher, draft: ClassDraft, facts: ClassFacts) -> Judgement:
    """The same by a pack and facts that are known already. Raises what `judge_filing` raises."""
    judgement = _judge_class(pack, draft, facts)
    for starts_at, _ in (draft.sessions[0], draft.sessions[-1]):
        check_may_teach(teacher, draft.subject, facts.kind, business_date(starts_at))
    return judgement


async def judge_again(session: AsyncSession, course: Course) -> Judgement:
    """Whether a class that was filed may be approved as it stands now: its teachers, its days and the pack may have changed since.

    Raises what `judge_filing` raises.
    """
    filed, institution = course.training_class, course.institution
    planned = sorted((each for each in course.sessions if each.status != "cancelled"), key=lambda each: each.starts_at)
    taught = defaultdict(list)
    for each in planned:
        taught[each.teacher_id or filed.teacher_id].append(business_date(each.starts_at))
    pack, teacher = pack_for(district_of(session), clock.today()), await session.get_one(Teacher, filed.teacher_id)
    facts = await class_facts(session, pack, institution, teacher, filed, [(each.starts_at, each.ends_at) for each in planned])
    judgement = _judge_class(pack, filed, facts)
    for teacher_id, days in taught.items():
        teacher = await session.get_one(Teacher, teacher_id)
        for on in (days[0], days[-1]):
            check_may_teach(teacher, filed.subject, institution.kind, on)
    return judgement


async def judge_change(
    session: AsyncSession,
    institution: Institution,
    training_class: TrainingClass,
    teacher: Teacher,
    planned: Meeting,
    that_day: Sequence[ClassSession],
) -> Judgement:
    """Whether a class may meet as planned, beside what else it has that day. Raises what `judge_filing` raises.

    A class does not grow over the span of one charge by moving: what was sold for three months is taught in them.
    """
    pack = pack_for(district_of(session), clock.today())
    meetings = sorted([(planned.starts_at, planned.ends_at), *((row.starts_at, row.ends_at) for row in that_day)])
    facts = await class_facts(session, pack, institution, teacher, training_class, meetings)
    findings = [*judge_sessions(pack, facts), _span(pack, training_class, planned)]
    judgement = _passed(pack, findings, "按规定不能这样调课")
    check_may_teach(teacher, training_class.subject, institution.kind, business_date(planned.starts_at))
    return judgement


async def class_facts(
    session: AsyncSession,
    pack: Pack,
    institution: Institution,
    teacher: Teacher,
    training_class: ClassDraft | TrainingClass,
    meetings: Sequence[tuple[datetime, datetime]],
) -> ClassFacts:
    """What rules may ask of a class and of these meetings of it, which stand in order of time.

    Raises Refused("policy.year_missing") where the pack asks what sort of days they are on and the calendar does not know.
    """
    dates = {business_date(starts_at) for starts_at, _ in meetings}
    kinds = await kinds_of(session, dates) if asks_for_days(pack, institution) else None
    return facts_of(institution, teacher, training_class, meetings, kinds)


def asks_for_days(pack: Pack, institution: Institution) -> bool:
    """Whether a pack asks what sort of days an institution teaches on."""
    rule = pack.find("time.subject")
    return rule is not None and rule.binds(institution.kind)


def facts_of(
    institution: Institution,
    teacher: Teacher,
    training_class: ClassDraft | TrainingClass,
    meetings: Sequence[tuple[datetime, datetime]],
    kinds: Mapping[date, DayKind] | None,
) -> ClassFacts:
    """The same where the sorts of the days are known already."""
    return ClassFacts(
        kind=institution.kind,
        stage=cast(Stage | None, institution.stage),
        mode=cast(Mode, training_class.mode),
        class_size=training_class.seats,
        lesson_minutes=training_class.lesson_minutes,
        meetings=meetings,
        days=kinds,
        certificate_covers=covers(teacher.certificate_subject, training_class.subject),
        certificate_to_on=teacher.certificate_to_on,
        serving_school_teacher=teacher.serving_school_teacher,
        foreigner_abroad=teacher.foreigner_abroad,
    )


def _judge_class(pack: Pack, training_class: ClassDraft | TrainingClass, facts: ClassFacts) -> Judgement:
    findings = [*judge_sessions(pack, facts), *judge_guide(pack, facts, training_class.price_fen, training_class.lesson_count)]
    findings += judge_subject(pack, facts.kind, training_class.subject)
    return _passed(pack, findings, "按规定不能这样开班")


def _span(pack: Pack, training_class: TrainingClass, planned: Meeting) -> Finding:
    rule, on = pack.rule("charge.span"), business_date(planned.starts_at)
    latest_on = max(training_class.ends_on, months_later(training_class.starts_on, rule.limits["month"]))
    said = f"已收费的课不得拖过一次收费的时间跨度，最晚上到{latest_on}，改期后为{on}"
    return found("charge.span", rule, "month", on <= latest_on, str(on), str(latest_on), said)


def _passed(pack: Pack, findings: Sequence[Finding], refusal_zh: str) -> Judgement:
    forbidding = broken(findings)
    if forbidding:
        said = "；".join(finding.message_zh for finding in forbidding)
        findings_told = [asdict(finding) for finding in forbidding]
        raise Refused("registry.rule", f"{refusal_zh}：{said}", findings=findings_told, judged_by=pack.edition)
    return Judgement(pack.edition, findings)
