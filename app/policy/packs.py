"""Rule packs: one TOML file per locality and period, read once, refused when it is not sound."""

import tomllib
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.errors import Refused

Grade = Literal["A", "B", "C", "D", "S", "U"]
Unit = Literal["month", "lesson", "fen", "hour", "bps"]
Kind = Literal["subject", "arts", "sports", "science", "other"]

KINDS: tuple[str, ...] = get_args(Kind)
"""What an institution can be."""
UNITS_OF_RULE: dict[str, set[Unit]] = {
    "charge.span": {"month", "lesson"},
    "charge.cap": {"fen"},
    "release.final_after_hours": {"hour"},
    "refund.untaught": {"bps", "hour"},
}
"""The rules that every pack states, and the units of their limits."""

_PACKS = Path(__file__).parent / "packs"
_Words = Annotated[str, Field(min_length=1)]
_SOUND = ConfigDict(frozen=True, strict=True, extra="forbid")


class Rule(BaseModel):
    """One rule of a pack: its limits by unit, the kinds of institution it binds, and where it stands written."""

    model_config = _SOUND

    title_zh: _Words
    limits: Annotated[dict[Unit, Annotated[int, Field(ge=0)]], Field(min_length=1)]
    kinds: Annotated[list[Kind], Field(min_length=1)] | None = None
    source: _Words
    grade: Grade

    def binds(self, kind: str) -> bool:
        """Whether the rule speaks of this kind of institution; without a list it speaks of all."""
        return self.kinds is None or kind in self.kinds


class Pack(BaseModel):
    """The rules of a locality (a GB/T 2260 prefix, empty for the nation) from one business date to another, both included."""

    model_config = _SOUND

    id: _Words
    version: Annotated[int, Field(ge=1)]
    name_zh: _Words
    locality: Annotated[str, Field(pattern=r"^(\d{2}|\d{4}|\d{6})?$")]
    effective_from: date
    effective_to: date = date.max
    rules: dict[str, Rule]

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> "Pack":
        if self.effective_to < self.effective_from:
            raise ValueError("a pack cannot end before it begins")
        return self

    @model_validator(mode="after")
    def _states_every_rule(self) -> "Pack":
        stated = {rule_id: set(rule.limits) for rule_id, rule in self.rules.items()}
        for rule_id in sorted(stated.keys() | UNITS_OF_RULE.keys()):
            if stated.get(rule_id) != UNITS_OF_RULE.get(rule_id):
                raise ValueError(f"{rule_id} is missing, unknown, or has other units")
        return self

    @property
    def edition(self) -> str:
        """What a judgement records: the pack's id and version."""
        return f"{self.id}/{self.version}"

    def rule(self, rule_id: str) -> Rule:
        """The rule of this id, one of those that every pack states. Raises KeyError for any other."""
        return self.rules[rule_id]

    def covers(self, district: str, on: date) -> bool:
        """Whether the pack is in force in a district (GB/T 2260) on a business date."""
        return district.startswith(self.locality) and self.effective_from <= on <= self.effective_to


def parse(text: str) -> Pack:
    """A pack from TOML. Raises ValueError (also tomllib's and pydantic's) naming what is unsound."""
    return Pack.model_validate(tomllib.loads(text))


def choose(packs: Iterable[Pack], district: str, on: date) -> Pack:
    """The pack of the nearest locality in force in a district on a business date. Raises Refused "policy.no_pack"."""
    in_force = [pack for pack in packs if pack.covers(district, on)]
    if not in_force:
        raise Refused("policy.no_pack", "当日没有适用于本地的规则包", district=district, on=on.isoformat())
    return max(in_force, key=lambda pack: len(pack.locality))


def check_apart(packs: Iterable[Pack]) -> None:
    """Raises ValueError where two packs of one locality are in force on the same day: nobody could say which one judges."""
    for one, other in combinations(packs, 2):
        overlap = one.effective_from <= other.effective_to and other.effective_from <= one.effective_to
        if one.locality == other.locality and overlap:
            raise ValueError(f"{one.edition} and {other.edition} are in force at the same time")


@lru_cache
def shipped() -> tuple[Pack, ...]:
    """The packs that come with the service."""
    packs = tuple(parse(path.read_text(encoding="utf-8")) for path in sorted(_PACKS.glob("*.toml")))
    check_apart(packs)
    return packs


def pack_for(district: str, on: date) -> Pack:
    """The shipped pack that governs a district (GB/T 2260) on a business date. Raises Refused "policy.no_pack"."""
    return choose(shipped(), district, on)
