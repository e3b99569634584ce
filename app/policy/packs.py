"""Rule packs: one TOML file per locality and version, read once, refused when it is not sound, merged from the nation down to a district.

A file is an edition. Once judged by, it stays as it is: a change is a file with the next version beside it, and a stored
judgement names the editions that made it. A pack is what is in force for a district on a day: the nation's edition, overlaid rule by
rule by the province's, the city's and the district's.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from functools import cached_property, lru_cache
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.errors import NotFound, Refused
from app.policy.catalogue import ALWAYS, SHAPES, Kind
from app.policy.school_year import SchoolYear

Grade = Literal["A", "B", "C", "D", "S", "U"]
BINDING: tuple[Grade, ...] = ("A", "B", "C", "S")
"""What may be held against somebody; a draft (D) and what is unverified (U) are advice."""
HIGHEST_BPS = 10_000

_PACKS = Path(__file__).parent / "packs"
_Words = Annotated[str, Field(min_length=1)]
_SOUND = ConfigDict(frozen=True, strict=True, extra="forbid")


class Cited(BaseModel):
    """Whatever a pack states: where it stands written, and how good that source is."""

    model_config = _SOUND

    source: _Words
    grade: Grade

    @property
    def binding(self) -> bool:
        """Whether the source is good enough to refuse by."""
        return self.grade in BINDING


class Rule(Cited):
    """One rule: its values by name, and the kinds of institution it binds."""

    title_zh: _Words
    limits: dict[str, Annotated[int, Field(ge=0)]] = {}
    times: dict[str, time] = {}
    choices: dict[str, str] = {}
    kinds: Annotated[list[Kind], Field(min_length=1)] | None = None

    def binds(self, kind: str) -> bool:
        """Whether the rule speaks of this kind of institution; without a list it speaks of all."""
        return self.kinds is None or kind in self.kinds


class CitedSchoolYear(Cited, SchoolYear):
    """The school year as a pack states it."""


class Edition(BaseModel):
    """What one file states for a locality (a GB/T 2260 prefix, empty for the nation).

    In force from one business date to another, both included; where its source names no first day, as long as the nation's pack is.
    """

    model_config = _SOUND

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    version: Annotated[int, Field(ge=1)]
    name_zh: _Words
    locality: Annotated[str, Field(pattern=r"^(\d{2}|\d{4}|\d{6})?$")]
    effective_from: date = date.min
    effective_to: date = date.max
    school_year: CitedSchoolYear | None = None
    rules: dict[str, Rule] = {}

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> "Edition":
        if self.effective_to < self.effective_from:
            raise ValueError("a pack cannot end before it begins")
        return self

    @model_validator(mode="after")
    def _states_rules_as_they_are_known(self) -> "Edition":
        for rule_id, rule in self.rules.items():
            if rule_id not in SHAPES:
                raise ValueError(f"{rule_id} is unknown")
            if not SHAPES[rule_id].fits(rule.limits, rule.times, rule.choices):
                raise ValueError(f"{rule_id} lacks a value, or has one that it does not know")
        if not self.locality and not self.rules.keys() >= set(ALWAYS):
            raise ValueError(f"the nation's pack must state {', '.join(ALWAYS)}")
        return self

    @model_validator(mode="after")
    def _adds_up(self) -> "Edition":
        old, guide = self.rules.get("custody.old"), self.rules.get("price.guide")
        if old is not None and sum(old.limits.values()) != HIGHEST_BPS:
            raise ValueError("the tranches of custody.old must add up to the whole")
        if guide is not None and not 0 < guide.limits["small_students"] < guide.limits["medium_students"]:
            raise ValueError("the class sizes of price.guide must grow")
        if guide is not None and not min(guide.limits["onsite_minutes"], guide.limits["online_minutes"]):
            raise ValueError("a standard lesson of price.guide must last some time")
        return self

    @property
    def name(self) -> str:
        """How a judgement cites it: id and version."""
        return f"{self.id}/{self.version}"

    def covers(self, district: str, on: date) -> bool:
        """Whether it is in force in a district (GB/T 2260) on a business date."""
        return district.startswith(self.locality) and self.effective_from <= on <= self.effective_to


@dataclass(frozen=True)
class Pack:
    """Editions on top of each other, from the nation's down: of several that state a rule the nearest one counts, whole."""

    editions: tuple[Edition, ...]

    @cached_property
    def origins(self) -> Mapping[str, Edition]:
        """The edition that states each rule."""
        return {rule_id: edition for edition in self.editions for rule_id in edition.rules}

    @cached_property
    def rules(self) -> Mapping[str, Rule]:
        """Every rule in force, by its id."""
        return {rule_id: edition.rules[rule_id] for rule_id, edition in self.origins.items()}

    @cached_property
    def school_year(self) -> CitedSchoolYear | None:
        """The nearest stated one."""
        stated = [edition.school_year for edition in self.editions if edition.school_year]
        return stated[-1] if stated else None

    @property
    def edition(self) -> str:
        """What a judgement records: `nation/4+chengdu/1` names every file, and `of_edition` finds the same rules again."""
        return "+".join(edition.name for edition in self.editions)

    def rule(self, rule_id: str) -> Rule:
        """A rule that the nation's pack always states. Raises KeyError for one that nobody states here."""
        return self.rules[rule_id]

    def find(self, rule_id: str) -> Rule | None:
        """A rule that not every locality has."""
        return self.rules.get(rule_id)

    def under(self, other: Edition) -> "Pack":
        """The same with another edition in the place of its locality's, whatever its dates: what would be if it were in force."""
        kept = [edition for edition in self.editions if edition.locality != other.locality]
        return _stacked([*kept, other])


def parse(text: str) -> Edition:
    """An edition from TOML. Raises ValueError (also tomllib's and pydantic's) naming what is unsound."""
    return Edition.model_validate(tomllib.loads(text))


def choose(editions: Iterable[Edition], district: str, on: date) -> Pack:
    """What is in force in a district (GB/T 2260) on a business date; of several versions of one pack the latest.

    Raises Refused "policy.no_pack" where not even the nation's is in force.
    """
    latest: dict[str, Edition] = {}
    for edition in editions:
        known = latest.get(edition.id)
        if edition.covers(district, on) and (known is None or edition.version > known.version):
            latest[edition.id] = edition
    pack = _stacked(latest.values())
    if not pack.editions or pack.editions[0].locality:
        raise Refused("policy.no_pack", "当日没有适用于本地的规则包", district=district, on=on.isoformat())
    return pack


def check_apart(editions: Iterable[Edition]) -> None:
    """Raises ValueError where nobody could say which edition judges.

    That is: two of one name, versions of one pack for different localities, or two packs of one locality in force on the same day.
    """
    for one, other in combinations(editions, 2):
        overlap = one.effective_from <= other.effective_to and other.effective_from <= one.effective_to
        if one.name == other.name:
            raise ValueError(f"there are two of {one.name}")
        if one.id == other.id and one.locality != other.locality:
            raise ValueError(f"{one.name} and {other.name} are of different localities")
        if one.id != other.id and one.locality == other.locality and overlap:
            raise ValueError(f"{one.name} and {other.name} are in force at the same time")


@lru_cache
def shipped() -> tuple[Edition, ...]:
    """The editions that come with the service, superseded ones too."""
    editions = []
    for path in sorted(_PACKS.glob("*/*.toml")):
        edition = parse(path.read_text(encoding="utf-8"))
        if edition.name != f"{path.parent.name}/{path.stem}":
            raise ValueError(f"{path.parent.name}/{path.name} states {edition.name}")
        editions.append(edition)
    check_apart(editions)
    return tuple(editions)


@lru_cache(maxsize=1024)
def pack_for(district: str, on: date) -> Pack:
    """What of the shipped packs governs a district (GB/T 2260) on a business date. Raises Refused "policy.no_pack"."""
    return choose(shipped(), district, on)


def of_edition(text: str) -> Pack:
    """The pack that a stored judgement names, as it stood then. Raises NotFound "policy.edition_unknown"."""
    known = {edition.name: edition for edition in shipped()}
    names = text.split("+")
    if not set(names) <= known.keys():
        raise NotFound("policy.edition_unknown", "没有这个版本的规则包")
    return _stacked([known[name] for name in names])


def _stacked(editions: Iterable[Edition]) -> Pack:
    ordered: Sequence[Edition] = sorted(editions, key=lambda edition: len(edition.locality))
    return Pack(tuple(ordered))
