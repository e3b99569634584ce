"""When a class may be taught, and by whom."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise

from app.clock import SHANGHAI
from app.policy.catalogue import DayKind
from app.policy.facts import ClassFacts
from app.policy.findings import Finding, cited, found, together
from app.policy.packs import CitedSchoolYear, Pack, Rule

_MINUTE = timedelta(minutes=1)
_NAMED = 3
_SCHOOL_SUBJECTS = ("语文", "数学", "英语", "日语", "俄语", "外语", "道德与法治", "政治", "历史", "地理", "物理", "化学", "生物")
_DAYS_ZH: dict[DayKind, str] = {"working": "工作日", "rest": "休息日", "holiday": "法定节假日"}


def judge_sessions(pack: Pack, course: ClassFacts) -> list[Finding]:
    """Every limit to the times of a class and to its teacher that the pack states and the facts speak of.

    Meetings on days that `course.days` does not know, where it is given, are not judged by it; that they are not is said as advice.
    """
    local = [(starts_at.astimezone(SHANGHAI), ends_at.astimezone(SHANGHAI)) for starts_at, ends_at in course.meetings]
    findings = [*_staff(pack, course, local[-1][1].date() if local else None)]
    if local:
        findings += [*_end(pack, course, local), *_online(pack, course, local), *_days(pack, course, local)]
    return findings


def judge_subject(pack: Pack, kind: str, subject: str) -> list[Finding]:
    """Whether the subject of a class, as it was typed, names a school subject that this kind of institution may not teach (隐形变异).

    Advice alone, whatever the grade of its source: what a class teaches is not known by its name. Nothing is found where it names none.
    """
    rule, typed = pack.find("inst.kind"), unicodedata.normalize("NFKC", subject)
    if rule is None or not rule.binds(kind) or not any(name in typed for name in _SCHOOL_SUBJECTS):
        return []
    said = f"科目“{subject}”按名称属于学科类，本机构不是学科类机构，请按课程内容核对是否变相开展学科类培训"
    return [replace(found("inst.kind", rule, "state", False, subject, kind, said), binding=False)]


_Meetings = Sequence[tuple[datetime, datetime]]


def _end(pack: Pack, course: ClassFacts, meetings: _Meetings) -> Iterator[Finding]:
    rule = pack.find("time.end")
    if rule is None or not rule.binds(course.kind):
        return
    limit = rule.times[course.mode]
    ended = [_minutes_into_day(starts, ends) for starts, ends in meetings]
    latest = max(ended)
    late = [starts.date() for (starts, _), minutes in zip(meetings, ended, strict=True) if minutes > limit.hour * 60 + limit.minute]
    value = f"{latest // 60:02d}:{latest % 60:02d}"
    mode = "线上" if course.mode == "online" else "线下"
    said = f"{mode}培训结束时间不得晚于{limit:%H:%M}，最晚的一次课{value}结束{_named(late)}"
    yield found("time.end", rule, "time", not late, value, f"{limit:%H:%M}", said)


def _minutes_into_day(starts: datetime, ends: datetime) -> int:
    """Minutes from the midnight before a meeting to its end, so that one over midnight ends after 24:00; a part counts as a whole."""
    days = ends.toordinal() - starts.toordinal()
    return days * 24 * 60 + ends.hour * 60 + ends.minute + bool(ends.second or ends.microsecond)


def _online(pack: Pack, course: ClassFacts, meetings: _Meetings) -> Iterator[Finding]:
    rule = pack.find("time.online")
    if rule is None or course.mode != "online" or not rule.binds(course.kind):
        return
    most, least = rule.limits["lesson_minutes"], rule.limits["break_minutes"]
    longest = max([course.lesson_minutes or 0, *(-((starts - ends) // _MINUTE) for starts, ends in meetings)])
    said = f"线上培训每课时不得超过{most}分钟，最长的一课时{longest}分钟"
    yield found("time.online", rule, "minute", longest <= most, longest, most, said)
    breaks = [(later[0] - earlier[1]) // _MINUTE for earlier, later in pairwise(meetings) if earlier[0].date() == later[0].date()]
    if breaks:
        said = f"线上培训课间不得少于{least}分钟，最短的课间{min(breaks)}分钟"
        yield found("time.online", rule, "minute", min(breaks) >= least, min(breaks), least, said)


def _days(pack: Pack, course: ClassFacts, meetings: _Meetings) -> Iterator[Finding]:
    """Rest days and holidays out of the district's calendar; school holidays are only as sure as the source of their dates."""
    rule = pack.find("time.subject")
    if rule is None or course.days is None or not rule.binds(course.kind):
        return
    dates = [starts.date() for starts, _ in meetings]
    known = [on for on in dates if on in course.days]
    free = [on for on in known if course.days[on] != "working"]
    said = "学科类培训不得占用法定节假日和休息日"
    if known:
        shown = f"，有{len(free)}次课在{_DAYS_ZH[course.days[free[0]]]}等{_named(free)}" if free else ""
        yield found("time.subject", rule, "date", not free, str(free[0]) if free else "working", "working", said + shown)
    if len(known) < len(dates):
        unknown = [on for on in dates if on not in course.days]
        years = "、".join(dict.fromkeys(str(on.year) for on in unknown))
        said += f"，工作日历还没有{years}年，有{len(unknown)}次课没有核对{_named(unknown)}"
        yield replace(found("time.subject", rule, "date", False, str(unknown[0]), "working", said), binding=False)
    if pack.school_year is not None:
        yield _school_holidays(rule, pack.school_year, dates)


def _school_holidays(rule: Rule, year: CitedSchoolYear, dates: Sequence[date]) -> Finding:
    within = [(on, each.name_zh) for on in dates if (each := year.holidays_on(on)) is not None]
    said = "学科类培训不得占用寒暑假"
    said += f"，有{len(within)}次课在{within[0][1]}{_named([on for on, _ in within])}" if within else ""
    source, grade = together(rule, year)
    return cited("time.subject", source, grade, "state", not within, within[0][1] if within else "term", "term", said)


def _staff(pack: Pack, course: ClassFacts, last_on: date | None) -> Iterator[Finding]:
    rule = pack.find("staff.cert")
    if rule is None or not rule.binds(course.kind):
        return
    if course.certificate_covers is not None:
        value = "covered" if course.certificate_covers else "not_covered"
        said = "学科类教师须持有相应学科的教师资格证" + ("" if course.certificate_covers else "，该教师的证书不含本科目")
        yield found("staff.cert", rule, "state", course.certificate_covers, value, "covered", said)
    if course.certificate_to_on is not None and last_on is not None:
        said = f"教师资格证有效期至{course.certificate_to_on}，末次课为{last_on}"
        passed = last_on <= course.certificate_to_on
        yield found("staff.cert", rule, "date", passed, str(last_on), str(course.certificate_to_on), said)
    if course.serving_school_teacher is not None:
        value = "serving" if course.serving_school_teacher else "not_serving"
        yield found("staff.cert", rule, "state", not course.serving_school_teacher, value, "not_serving", "不得聘用在职中小学教师")
    if course.foreigner_abroad is not None:
        value = "abroad" if course.foreigner_abroad else "not_abroad"
        yield found("staff.cert", rule, "state", not course.foreigner_abroad, value, "not_abroad", "不得聘请在境外的外籍人员")


def _named(dates: Sequence[date]) -> str:
    """The first few of them."""
    if not dates:
        return ""
    return f"（{'、'.join(str(on) for on in dates[:_NAMED])}{'等' if len(dates) > _NAMED else ''}）"
