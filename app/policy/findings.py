"""What came of holding one limit against the facts, with where the limit stands written."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.policy.catalogue import Unit
from app.policy.packs import BINDING, CitedSchoolYear, Grade, Rule

_WORST_FIRST: tuple[Grade, ...] = ("U", "D", "C", "S", "B", "A")


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit held against the facts, ready to be stored as JSON: numbers in `unit`, dates as ISO text.

    Only a binding one may refuse; the others are advice and never shown as law.
    """

    rule: str
    unit: Unit
    passed: bool
    value: int | str
    limit: int | str
    source: str
    grade: str
    message_zh: str
    binding: bool = True

    def told(self) -> dict[str, Any]:
        """As it is stored."""
        return {name: getattr(self, name) for name in self.__slots__}


def found(rule_id: str, rule: Rule, unit: Unit, passed: bool, value: int | str, limit: int | str, message_zh: str) -> Finding:
    """A finding that cites its rule."""
    return cited(rule_id, rule.source, rule.grade, unit, passed, value, limit, message_zh)


def cited(
    rule_id: str, source: str, grade: Grade, unit: Unit, passed: bool, value: int | str, limit: int | str, message_zh: str
) -> Finding:
    """A finding that cites this source."""
    return Finding(rule_id, unit, passed, value, limit, source, grade, message_zh, grade in BINDING)


def together(rule: Rule, year: CitedSchoolYear) -> tuple[str, Grade]:
    """Sources and grade of what a rule says about the school year: it is only as sure as the worse of the two."""
    sources = dict.fromkeys([rule.source, year.source])
    return "；".join(sources), min(rule.grade, year.grade, key=_WORST_FIRST.index)


def broken(findings: Iterable[Finding]) -> list[Finding]:
    """Those that forbid what was judged."""
    return [finding for finding in findings if finding.binding and not finding.passed]
