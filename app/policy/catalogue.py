"""Which rules a pack can state, and in which values and units: what stands in a pack and not here is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

Unit = Literal["year", "month", "day", "workday", "hour", "minute", "lesson", "student", "fen", "bps", "time", "date", "state"]
Kind = Literal["subject", "arts", "sports", "science", "other"]
Mode = Literal["onsite", "online"]
Stage = Literal["preschool", "primary", "middle", "high"]
DayKind = Literal["working", "rest", "holiday"]

KINDS: tuple[str, ...] = get_args(Kind)
"""What an institution can be."""
COMPULSORY: tuple[Stage, ...] = ("primary", "middle")
"""Stages of compulsory education."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The values of a rule: whole numbers by name and unit, times of day, choices. `either` names are units of which one is stated."""

    limits: dict[str, Unit] = field(default_factory=dict)
    optional: dict[str, Unit] = field(default_factory=dict)
    either: tuple[Unit, ...] = ()
    times: frozenset[str] = frozenset()
    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def unit_of(self, name: str) -> Unit:
        """The unit of a number. Raises KeyError for a name that the rule does not know."""
        alternatives: dict[str, Unit] = {unit: unit for unit in self.either}
        return (self.limits | self.optional | alternatives)[name]

    def fits(self, limits: Mapping[str, int], times: Mapping[str, object], choices: Mapping[str, str]) -> bool:
        """Whether the rule is stated completely, and in nothing but its own values."""
        names = set(limits) - set(self.optional)
        alternatives = names & set(self.either)
        return (
            names - alternatives == set(self.limits)
            and len(alternatives) == bool(self.either)
            and set(times) == self.times
            and set(choices) == set(self.choices)
            and all(chosen in self.choices[name] for name, chosen in choices.items())
        )


_BARE = Shape()
_DAYS = Shape(either=("day", "workday"))

SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "charge.span": Shape({"month": "month", "lesson": "lesson"}),
        "charge.cap": Shape({"fen": "fen"}),
        "charge.advance": Shape({"month": "month", "lesson": "lesson"}),
        "charge.split": _BARE,
        "charge.term": _BARE,
        "charge.lease": _BARE,
        "charge.loan": _BARE,
        "price.guide": Shape(
            # A class of at most `small_students` is small, one of at most `medium_students` medium, any other large.
            limits={
                "small_students": "student",
                "medium_students": "student",
                "onsite_minutes": "minute",
                "online_minutes": "minute",
                "float_bps": "bps",
            },
            optional={"small_fen": "fen", "medium_fen": "fen", "large_fen": "fen"},
            choices={
                "rounding": frozenset({"half_up", "down", "up"}),
                "float": frozenset({"before_rounding", "after_rounding"}),
            },
        ),
        "price.listed": _BARE,
        "time.end": Shape(times=frozenset({"onsite", "online"})),
        "time.online": Shape({"lesson_minutes": "minute", "break_minutes": "minute"}),
        "time.subject": _BARE,
        "staff.cert": _BARE,
        "inst.kind": _BARE,
        "inst.list": _BARE,
        "inst.paused": _BARE,
        "custody.all": _BARE,
        "custody.old": Shape({"first_bps": "bps", "second_bps": "bps", "third_bps": "bps"}),
        "custody.coverage": Shape({"bps": "bps"}),
        "release.confirm": _BARE,
        "release.final_after_hours": Shape({"hour": "hour"}),
        "release.silence": _DAYS,
        "refund.untaught": Shape({"bps": "bps", "hour": "hour"}),
        "refund.silence": _DAYS,
        "refund.before": _DAYS,
        "refund.after": _DAYS,
        "refund.cooling": _DAYS,
        "refund.price": Shape(choices={"own_reason": frozenset({"pro_rata", "list_price"})}),
        "refund.transfer": _BARE,
        "refund.close": _BARE,
        "close.notice": Shape(either=("day", "month")),
        "records": Shape({"year": "year"}),
    }
)

ALWAYS = ("charge.span", "charge.cap", "release.final_after_hours", "refund.untaught")
"""What a pack of the nation must state: the service cannot act without it."""
