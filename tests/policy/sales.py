"""Sales to be judged, and how they fare."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from app.policy.facts import PricedLesson, SaleFacts
from app.policy.findings import Finding, broken
from app.policy.packs import Pack, pack_for
from app.policy.selling import judge_sale

ON = date(2025, 9, 1)
NATION = pack_for("440106", ON)
LONGQUANYI = pack_for("510112", ON)
BEIJING = pack_for("110105", ON)
WUXI = pack_for("320211", ON)


def lessons(count: int, first_on: str = "2025-09-01", every: int = 1, price_fen: int = 5_000) -> list[PricedLesson]:
    """Lessons at one price, one every so many days."""
    first = date.fromisoformat(first_on)
    return [PricedLesson(first + timedelta(i * every), price_fen, price_fen) for i in range(count)]


def sale(
    count: int = 40, first_on: str = "2025-09-01", kind: str = "arts", every: int = 1, price_fen: int = 5_000, **others: Any
) -> SaleFacts:
    """A sale of such lessons."""
    return SaleFacts.of_lessons(kind, lessons(count, first_on, every, price_fen), **others)


def verdicts(pack: Pack, facts: SaleFacts, rule: str) -> list[bool]:
    """Whether the sale passes each limit of a rule; empty where the rule is not held against it."""
    return [finding.passed for finding in judge_sale(pack, facts) if finding.rule == rule]


def finding(pack: Pack, facts: SaleFacts, rule: str, unit: str) -> Finding:
    """The one finding of a rule in a unit."""
    [only] = [each for each in judge_sale(pack, facts) if (each.rule, each.unit) == (rule, unit)]
    return only


def refused_by(pack: Pack, facts: SaleFacts) -> list[tuple[str, str]]:
    """What forbids the sale, by rule and unit."""
    return named(broken(judge_sale(pack, facts)))


def named(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(each.rule, each.unit) for each in findings]
