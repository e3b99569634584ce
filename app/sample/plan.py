"""What a simulated institution's months will be like, decided before they happen: pure functions of seed, number and dates.

A plan is made again wherever it is needed, so a district of any size needs no memory of it.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Literal

from app.clock import SHANGHAI
from app.sample import invented
from app.sample.invented import TRADES, Trade, dice
from app.supervision.rules import Lines

Pays = Literal["in_time", "twice", "wrong_amount", "late", "never"]
Confirms = Literal["soon", "weekly", "never"]

_PAYS: tuple[Pays, ...] = ("in_time", "twice", "wrong_amount", "late", "never")
_CONFIRMS: tuple[Confirms, ...] = ("soon", "weekly", "never")

MOST_FAMILIES = 14
"""Families of one class; its seats are two more."""
FAMILY_NUMBERS = 100_000
"""Numbers that one institution has for its families."""
ENROLS_AT = time(23, 40)
"""Late, so that the statement of the day that is just over shows who paid while the seats are still held: one statement call a day."""
_PERIOD = 30
_USUAL_FAMILIES, _USUAL_FEE_FEN = 11, 230_000
"""What a class of a simulation of a given volume has, and what a family there pays."""
_WEEKDAYS = ((5, 6), (0, 3), (1, 4), (2, 5), (2, 4), (3, 6))
_STARTS = (time(10, 30), time(14), time(16), time(17, 30), time(18, 30))
_SESSION = timedelta(minutes=75)


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """A class; it opens for enrolment two days before its first meeting, or with the simulation."""

    name: str
    subject: str
    opens_on: date
    price_fen: int
    sessions: tuple[tuple[datetime, datetime], ...]
    teacher: int = 0
    """Its position among the institution's teachers."""

    @property
    def ends_on(self) -> date:
        """The business date of its last meeting."""
        return self.sessions[-1][1].date()

    def meets_on(self, day: date) -> bool:
        """Whether it has a meeting on a business date."""
        return any(starts_at.date() == day for starts_at, _ in self.sessions)

    def fee_fen(self, enrols_on: date) -> int:
        """What is left of its price for who joins on a business date, to the fen that rounding leaves open."""
        joins_at = datetime.combine(enrols_on, ENROLS_AT, SHANGHAI)
        return self.price_fen * sum(starts_at > joins_at for starts_at, _ in self.sessions) // len(self.sessions)


@dataclass(frozen=True, slots=True)
class FamilyPlan:
    """A family and what it will do. `leaves_on` is when it asks for the rest of its money back; `objects_to` a lesson by number."""

    number: int
    class_number: int
    parent: str
    child: str
    birth_month: str
    enrols_on: date
    pays: Pays
    confirms: Confirms
    objects_to: int | None
    leaves_on: date | None


@dataclass(frozen=True, slots=True)
class InstitutionPlan:
    """An institution, the subjects of its teachers, its classes and its families."""

    number: int
    name: str
    place: str
    trade: Trade
    lines: Lines
    teachers: tuple[str, ...]
    classes: tuple[ClassPlan, ...]
    families: tuple[FamilyPlan, ...]


def plan_institution(seed: int, number: int, place: str, first_on: date, days: int, volume_fen: int | None = None) -> InstitutionPlan:
    """The institution of this number, from 0, over a period that begins on `first_on`.

    `volume_fen` is what its families shall pay in all, and lessons cost about ¥100; by default a few classes a month.
    """
    chance = dice(seed, "institution", number)
    trade = TRADES[number % len(TRADES)]
    if volume_fen is None:
        teachers, classes = _staffed(_classes(chance, trade, first_on, days))
        families = tuple(_families(chance, number, classes, first_on))
    else:
        teachers, classes = _staffed(_classes_for(chance, trade, first_on, days, volume_fen))
        families = tuple(_families_for(chance, number, classes, first_on + timedelta(days=days), volume_fen))
    watched_closely = number % 5 == 2
    lines = Lines(
        large_transfer_fen=150_000 if watched_closely else 5_000_000,
        large_day_fen=10_000_000,
        minimum_balance_fen=chance.choice((200_000, 500_000, 3_000_000)),
    )
    return InstitutionPlan(number, invented.school_name(number, place, trade), place, trade, lines, teachers, classes, families)


def _classes(chance: random.Random, trade: Trade, first_on: date, days: int) -> list[ClassPlan]:
    """Two to four new classes in every thirty days."""
    classes: list[ClassPlan] = []
    for period in range(0, days, _PERIOD):
        for _ in range(chance.randint(2, 4)):
            course, subject = trade.courses[len(classes) % len(trade.courses)]
            begins_on = first_on + timedelta(days=period + chance.randint(1, _PERIOD // 3))
            sessions = _sessions(begins_on, chance.choice(_WEEKDAYS), chance.choice(_STARTS), chance.choice((8, 12, 16, 20)))
            price_fen = chance.randint(8, 20) * 1_000 * len(sessions)
            opens_on = max(first_on, begins_on - timedelta(days=2))
            classes.append(ClassPlan(f"{course}{len(classes) + 1}班", subject, opens_on, price_fen, sessions))
    return classes


def _classes_for(chance: random.Random, trade: Trade, first_on: date, days: int, volume_fen: int) -> list[ClassPlan]:
    """As many as the volume needs, spread over the whole period."""
    count = -(-volume_fen // (_USUAL_FAMILIES * _USUAL_FEE_FEN))
    span = max(days - 3, 1)
    classes = []
    for number in range(count):
        course, subject = trade.courses[number % len(trade.courses)]
        begins_on = first_on + timedelta(days=2 + (number * span + chance.randrange(span)) // count)
        sessions = _sessions(begins_on, chance.choice(_WEEKDAYS), chance.choice(_STARTS), chance.choice((22, 24, 24, 25)))
        price_fen = chance.randint(85, 115) * 100 * len(sessions)
        opens_on = max(first_on, begins_on - timedelta(days=2))
        classes.append(ClassPlan(f"{course}{number + 1}班", subject, opens_on, price_fen, sessions))
    return classes


def _staffed(classes: Sequence[ClassPlan]) -> tuple[tuple[str, ...], tuple[ClassPlan, ...]]:
    """The subjects of as few teachers as it takes, and the classes, each with one of its subject who is free whenever it meets."""
    teachers: list[str] = []
    busy: list[dict[date, list[datetime]]] = []
    staffed = []
    for course in classes:
        able = [n for n, subject in enumerate(teachers) if subject == course.subject and _is_free(busy[n], course)]
        if not able:
            able = [len(teachers)]
            teachers.append(course.subject)
            busy.append(defaultdict(list))
        for starts_at, _ in course.sessions:
            busy[able[0]][starts_at.date()].append(starts_at)
        staffed.append(replace(course, teacher=able[0]))
    return tuple(teachers), tuple(staffed)


def _is_free(busy: dict[date, list[datetime]], course: ClassPlan) -> bool:
    taken = ((starts_at, each) for starts_at, _ in course.sessions for each in busy.get(starts_at.date(), ()))
    return all(abs(starts_at - each) >= _SESSION for starts_at, each in taken)


def _sessions(begins_on: date, weekdays: Sequence[int], starts: time, count: int) -> tuple[tuple[datetime, datetime], ...]:
    meetings: list[tuple[datetime, datetime]] = []
    day = begins_on
    while len(meetings) < count:
        if day.weekday() in weekdays:
            starts_at = datetime.combine(day, starts, SHANGHAI)
            meetings.append((starts_at, starts_at + _SESSION))
        day += timedelta(days=1)
    return tuple(meetings)


def _families(chance: random.Random, institution: int, classes: Sequence[ClassPlan], first_on: date) -> list[FamilyPlan]:
    families: list[FamilyPlan] = []
    for class_number, course in enumerate(classes):
        for _ in range(chance.randint(8, MOST_FAMILIES)):
            number = institution * FAMILY_NUMBERS + len(families) + 1
            families.append(_family(chance, number, class_number, course.opens_on, first_on.year))
    return families


def _families_for(
    chance: random.Random, institution: int, classes: Sequence[ClassPlan], ends_on: date, volume_fen: int
) -> list[FamilyPlan]:
    """One family for each class in turn, until those that pay within the period bring the volume, or every seat is taken."""
    families: list[FamilyPlan] = []
    paid_fen = 0
    for position in range(len(classes) * MOST_FAMILIES):
        if paid_fen >= volume_fen:
            break
        class_number = position % len(classes)
        course = classes[class_number]
        number = institution * FAMILY_NUMBERS + position + 1
        family = _family(chance, number, class_number, course.opens_on, ends_on.year)
        families.append(family)
        if family.pays != "never" and family.enrols_on < ends_on:
            paid_fen += course.fee_fen(family.enrols_on)
    return families


def _family(chance: random.Random, number: int, class_number: int, opens_on: date, year: int) -> FamilyPlan:
    enrols_on = opens_on + timedelta(days=min(int(chance.expovariate(1 / 3)), 12))
    leaves = chance.random() < 0.12
    return FamilyPlan(
        number=number,
        class_number=class_number,
        parent=invented.parent_name(chance),
        child=invented.person_name(chance),
        birth_month=f"{year - chance.randint(6, 14)}-{chance.randint(1, 12):02d}",
        enrols_on=enrols_on,
        pays=chance.choices(_PAYS, (84, 4, 4, 5, 3))[0],
        confirms=chance.choices(_CONFIRMS, (55, 35, 10))[0],
        objects_to=chance.randint(1, 4) if chance.random() < 0.06 else None,
        leaves_on=enrols_on + timedelta(days=chance.randint(3, _PERIOD)) if leaves else None,
    )
