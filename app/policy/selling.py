"""May this charge be taken at all? The brakes on what one sale of lessons may prepay."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from app.money import yuan
from app.policy.packs import KINDS, Pack, Rule, Unit


@dataclass(frozen=True, slots=True)
class SaleFacts:
    """What is to be sold in one charge; dates are business dates of the first and the last class session."""

    kind: str
    price_fen: int
    lesson_count: int
    first_on: date
    last_on: date


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit held against a sale, ready to be stored as JSON: numbers in `unit`, dates as ISO text."""

    rule: str
    unit: Unit
    passed: bool
    value: int | str
    limit: int | str
    source: str
    grade: str
    message_zh: str


def judge_sale(pack: Pack, facts: SaleFacts) -> list[Finding]:
    """Every limit that the pack sets to such a sale, passed or not, in the order of the law.

    A charge counts lessons and spans a period at once, so both limits bind and the shorter one decides.
    """
    assert facts.kind in KINDS
    assert facts.price_fen >= 1
    assert facts.lesson_count >= 1
    assert facts.first_on <= facts.last_on
    findings = [*_span(pack.rule("charge.span"), facts)]
    cap = pack.rule("charge.cap")
    if cap.binds(facts.kind):
        findings.append(_cap(cap, facts))
    return findings


def months_later(day: date, months: int) -> date:
    """The last day of a period of months that begins on a day.

    It is the day of the same number, or the month's last where there is none: 30 November and three months
    end with February (Civil Code, article 202).
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _span(rule: Rule, facts: SaleFacts) -> Iterator[Finding]:
    lessons, months = rule.limits["lesson"], rule.limits["month"]
    yield Finding(
        rule="charge.span",
        unit="lesson",
        passed=facts.lesson_count <= lessons,
        value=facts.lesson_count,
        limit=lessons,
        source=rule.source,
        grade=rule.grade,
        message_zh=f"一次收费不得超过{lessons}课时，本班{facts.lesson_count}课时",
    )
    latest_on = months_later(facts.first_on, months)
    yield Finding(
        rule="charge.span",
        unit="month",
        passed=facts.last_on <= latest_on,
        value=facts.last_on.isoformat(),
        limit=latest_on.isoformat(),
        source=rule.source,
        grade=rule.grade,
        message_zh=f"一次收费的时间跨度不得超过{months}个月，末次课不得晚于{latest_on}，本班末次课为{facts.last_on}",
    )


def _cap(rule: Rule, facts: SaleFacts) -> Finding:
    limit_fen = rule.limits["fen"]
    return Finding(
        rule="charge.cap",
        unit="fen",
        passed=facts.price_fen <= limit_fen,
        value=facts.price_fen,
        limit=limit_fen,
        source=rule.source,
        grade=rule.grade,
        message_zh=f"非学科类培训一次收费不得超过{yuan(limit_fen)}，本班{yuan(facts.price_fen)}",
    )
