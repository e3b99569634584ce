"""How much one charge may prepay, how early, and what counts as one charge."""

from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import date

from app.money import yuan
from app.policy.facts import PricedLesson, SaleFacts
from app.policy.findings import Finding, cited, found, together
from app.policy.packs import Pack, Rule


def months_later(day: date, months: int) -> date:
    """The last day of a period of months that begins on a day; with a negative number, the first day of one that ends on it.

    It is the day of the same number, or the month's last where there is none: 30 November and three months
    end with February (Civil Code, article 202).
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def judge_charge(pack: Pack, facts: SaleFacts) -> Iterator[Finding]:
    """Every `charge.*` rule that the pack states and the facts speak of."""
    yield from _span(pack.rule("charge.span"), facts)
    yield from _cap(pack.rule("charge.cap"), facts)
    yield from _split(pack, facts)
    yield from _advance(pack, facts)
    yield from _term(pack, facts)
    yield from _lease(pack, facts)
    yield from _loan(pack, facts)


def opens_on(pack: Pack, first_on: date) -> date:
    """The first day on which lessons that begin on a day may be charged, leaving renewals aside."""
    rule = pack.find("charge.advance")
    return date.min if rule is None or not rule.binding else months_later(first_on, -rule.limits["month"])


def _span(rule: Rule, facts: SaleFacts) -> Iterator[Finding]:
    """A charge counts lessons and spans a period at once, so both limits bind and the shorter one decides."""
    lessons, months = rule.limits["lesson"], rule.limits["month"]
    count = facts.lesson_count + facts.gift_lessons
    gift = f"（含赠送{facts.gift_lessons}课时）" if facts.gift_lessons else ""
    said = f"一次收费不得超过{lessons}课时，本班{count}课时{gift}"
    yield found("charge.span", rule, "lesson", count <= lessons, count, lessons, said)
    latest_on = months_later(facts.first_on, months)
    said = f"一次收费的时间跨度不得超过{months}个月，末次课不得晚于{latest_on}，本班末次课为{facts.last_on}"
    yield found("charge.span", rule, "month", facts.last_on <= latest_on, str(facts.last_on), str(latest_on), said)


def _cap(rule: Rule, facts: SaleFacts) -> Iterator[Finding]:
    limit_fen = rule.limits["fen"]
    if rule.binds(facts.kind):
        said = f"非学科类培训一次收费不得超过{yuan(limit_fen)}，本班{yuan(facts.price_fen)}"
        yield found("charge.cap", rule, "fen", facts.price_fen <= limit_fen, facts.price_fen, limit_fen, said)


def _split(pack: Pack, facts: SaleFacts) -> Iterator[Finding]:
    """Charges whose lessons are still untaught count together with this one, except where it is a renewal at its legal time."""
    rule, span, cap = pack.find("charge.split"), pack.rule("charge.span"), pack.rule("charge.cap")
    if rule is None or not facts.untaught:
        return
    advance = pack.find("charge.advance")
    if advance is not None and advance.binding and _renews(advance, facts):
        most, left = advance.limits["lesson"], len(facts.untaught)
        said = f"该科目剩余{left}课时，不超过{most}课时，可以续费，另算一次收费"
        yield found("charge.split", rule, "lesson", True, left, most, said)
        return
    count, lessons = facts.lesson_count + facts.gift_lessons + len(facts.untaught), span.limits["lesson"]
    said = f"未上完的课时与本次收费合并计算，不得超过{lessons}课时，合计{count}课时"
    yield found("charge.split", rule, "lesson", count <= lessons, count, lessons, said)
    if cap.binds(facts.kind):
        together_fen, limit_fen = facts.price_fen + sum(lesson.price_fen for lesson in facts.untaught), cap.limits["fen"]
        said = f"未上完的课时与本次收费合并计算，不得超过{yuan(limit_fen)}，合计{yuan(together_fen)}"
        yield found("charge.split", rule, "fen", together_fen <= limit_fen, together_fen, limit_fen, said)
    yield _split_span(rule, span, facts)


def _renews(advance: Rule, facts: SaleFacts) -> bool:
    """Few lessons are left of earlier charges, of each of which some have been taught: what was charged just now is not left over."""
    on = facts.charged_on
    begun = all(lesson.begun_on is None or on is None or lesson.begun_on < on for lesson in facts.untaught)
    return begun and 1 <= len(facts.untaught) <= advance.limits["lesson"]


def _split_span(rule: Rule, span: Rule, facts: SaleFacts) -> Finding:
    """Lessons that should have been taught by now span nothing any more."""
    coming = [lesson.on for lesson in facts.untaught if facts.charged_on is None or lesson.on >= facts.charged_on]
    first_on, last_on = min([facts.first_on, *coming]), max([facts.last_on, *coming])
    months = span.limits["month"]
    latest_on = months_later(first_on, months)
    said = f"未上完的课时与本次收费合并计算，时间跨度不得超过{months}个月，末次课不得晚于{latest_on}，实为{last_on}"
    return found("charge.split", rule, "month", last_on <= latest_on, str(last_on), str(latest_on), said)


def _advance(pack: Pack, facts: SaleFacts) -> Iterator[Finding]:
    rule = pack.find("charge.advance")
    if rule is None or facts.charged_on is None:
        return
    months, most, left = rule.limits["month"], rule.limits["lesson"], len(facts.untaught)
    if _renews(rule, facts):
        said = f"该科目剩余{left}课时，不超过{most}课时，可以续费"
        yield found("charge.advance", rule, "lesson", True, left, most, said)
        return
    earliest_on = months_later(facts.first_on, -months)
    said = f"收费不得早于开课前{months}个月（{earliest_on}）"
    said += f"，续费也可在开课后、剩余不超过{most}课时的时候，现剩余{left}课时" if left else f"，本次为{facts.charged_on}"
    passed = facts.charged_on >= earliest_on
    yield found("charge.advance", rule, "date", passed, str(facts.charged_on), str(earliest_on), said)


def _term(pack: Pack, facts: SaleFacts) -> Iterator[Finding]:
    """As good as the worse of two sources: the rule's, and that of the dates of the terms."""
    rule, year = pack.find("charge.term"), pack.school_year
    if rule is None or year is None:
        return
    first, last = year.term_of(facts.first_on), year.term_of(facts.last_on)
    source, grade = together(rule, year)
    named = [f"{begun}年{term.name_zh}" for begun, term in (first, last)]
    said = f"不得跨学期收费，首次课在{named[0]}，末次课在{named[1]}"
    yield cited("charge.term", source, grade, "state", first == last, named[1], named[0], said)


def _lease(pack: Pack, facts: SaleFacts) -> Iterator[Finding]:
    rule = pack.find("charge.lease")
    if rule is None or facts.lease_ends_on is None or not rule.binds(facts.kind):
        return
    said = f"收费时段不得超过场地租期，租期至{facts.lease_ends_on}，末次课为{facts.last_on}"
    yield found("charge.lease", rule, "date", facts.last_on <= facts.lease_ends_on, str(facts.last_on), str(facts.lease_ends_on), said)


def _loan(pack: Pack, facts: SaleFacts) -> Iterator[Finding]:
    rule = pack.find("charge.loan")
    if rule is not None and facts.loan is not None:
        value = "loan" if facts.loan else "none"
        yield found("charge.loan", rule, "state", not facts.loan, value, "none", "不得使用培训贷为未成年人缴费")


def still_untaught(lessons: Sequence[PricedLesson], since: date, on: date) -> list[PricedLesson]:
    """Of lessons untaught on the day `since`, those that will be so on a later day: what is overdue by then has no new day yet."""
    return [lesson for lesson in lessons if lesson.on < since or lesson.on >= on]
