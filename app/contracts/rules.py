"""What a contract sells and for how much, as pure decisions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from uuid import UUID

from app.clock import business_date, day_bounds
from app.contracts.terms import ChargeTerms, Terms, Way
from app.errors import BadInput, Conflict
from app.money import allocate
from app.registry.courses import Course

SEAT_HELD = timedelta(minutes=30)
"""How long an unpaid contract keeps its seat: two payment codes of 15 minutes, so that one failed attempt costs nobody the seat,
and short enough that a full class opens again within the half hour."""
PAYABLE_AFTER_PAUSE = timedelta(days=3)
"""What fell due while an institution might not take it can be paid that long after it may."""

OPENS_BEFORE = timedelta(days=7)
"""How long before its first lesson a month's charge opens: time to pay, and little that is prepaid."""


@dataclass(frozen=True, slots=True)
class OfferedLesson:
    """One class session still to come, at its part of the class's price."""

    class_session_id: UUID
    number: int
    starts_at: datetime
    ends_at: datetime
    price_fen: int


def offer(course: Course, now: datetime) -> list[OfferedLesson]:
    """What joining the class buys at `now`: every class session that has not started, each at its part of the class's price.

    In order of time. The whole price is allocated over the whole schedule by number first, so a lesson costs the same for whoever
    joins early or late, and wherever it was moved; a cancelled one is sold once its replacement is set.
    """
    prices = allocate(course.training_class.price_fen, [1] * course.training_class.lesson_count)
    coming = [
        OfferedLesson(row.id, row.number, row.starts_at, row.ends_at, price_fen)
        for row, price_fen in zip(course.sessions, prices, strict=True)
        if row.starts_at > now and row.status != "cancelled"
    ]
    return sorted(coming, key=lambda lesson: lesson.starts_at)


@dataclass(frozen=True, slots=True)
class SoldCharge:
    """A charge of a contract with the lessons that it buys, at prices that come to its amount; numbers count within the contract."""

    number: int
    first_lesson: int
    lessons: tuple[OfferedLesson, ...]
    amount_fen: int
    opens_on: date
    due_on: date

    @property
    def last_lesson(self) -> int:
        """The number of its last lesson."""
        return self.first_lesson + len(self.lessons) - 1


def once(lessons: Sequence[OfferedLesson], on: date) -> Terms:
    """Everything that is offered, paid at signing on the business date `on`."""
    return Terms("once", (ChargeTerms(len(lessons), price_of(lessons), on),))


def monthly(lessons: Sequence[OfferedLesson], on: date) -> Terms | None:
    """A charge for the lessons of each calendar month, the first at once; None where all are in one month. At least one lesson."""
    charges: list[ChargeTerms] = []
    for _, of_month in groupby(lessons, lambda lesson: business_date(lesson.starts_at).replace(day=1)):
        part = list(of_month)
        opens_on = max(on, business_date(part[0].starts_at) - OPENS_BEFORE) if charges else on
        charges.append(ChargeTerms(len(part), price_of(part), opens_on))
    return Terms("parts", tuple(charges)) if len(charges) > 1 else None


def afterwards(lessons: Sequence[OfferedLesson]) -> Terms:
    """Everything that is offered, each lesson paid after it was taught."""
    return Terms("later", tuple(ChargeTerms(1, lesson.price_fen, business_date(lesson.starts_at)) for lesson in lessons))


def sold(offered: Sequence[OfferedLesson], terms: Terms, on: date) -> list[SoldCharge]:
    """The first lessons of the offer dealt out to the charges of a sale on the business date `on`, each at its price in the offer.

    Where a charge comes to another amount, each of its lessons costs the same, to the fen.

    Raises BadInput("contracts.terms_invalid") for terms that no offer can have, Conflict("contracts.terms_changed") where fewer
    lessons are left than they buy.
    """
    counts = [charge.lesson_count for charge in terms.charges]
    shaped = {"once": len(counts) == 1, "parts": len(counts) > 1, "later": set(counts) == {1}}
    if not counts or not shaped[terms.way] or any(not 1 <= each.lesson_count <= each.amount_fen for each in terms.charges):
        raise _invalid()
    if sum(counts) > len(offered):
        raise Conflict("contracts.terms_changed", "可以报名的课次已有变化，请重新选择付款方式")
    charges: list[SoldCharge] = []
    first = 0
    for number, charge in enumerate(terms.charges, start=1):
        lessons = offered[first : first + charge.lesson_count]
        charges.append(_sold(number, first + 1, lessons, charge, terms.way, on))
        first += charge.lesson_count
    return charges


def lapses_at(first_begins_at: datetime, due_on: date, sells_again_at: datetime | None = None) -> datetime:
    """When a charge that is not the first lapses unpaid: as its first lesson begins, or where that was moved to before the day
    that was agreed, as this ends; never sooner than some days after the institution was allowed to take it again.
    """
    starts_at, ends_at = day_bounds(due_on)
    lapses = first_begins_at if first_begins_at >= starts_at else ends_at
    return lapses if sells_again_at is None else max(lapses, sells_again_at + PAYABLE_AFTER_PAUSE)


def pays_by(first: SoldCharge, on: date) -> datetime | None:
    """When (UTC) the seat of a sale on the business date `on` is free again, where its first charge opens on a later day: as that day
    ends, or its first lesson begins. None where it is paid at once.
    """
    return None if first.opens_on <= on else min(day_bounds(first.opens_on)[1], first.lessons[0].starts_at)


def price_of(lessons: Sequence[OfferedLesson]) -> int:
    """What the lessons cost together, in fen."""
    return sum(lesson.price_fen for lesson in lessons)


def _sold(number: int, first_lesson: int, lessons: Sequence[OfferedLesson], charge: ChargeTerms, way: Way, on: date) -> SoldCharge:
    prices = [lesson.price_fen for lesson in lessons]
    if sum(prices) != charge.amount_fen:
        prices = allocate(charge.amount_fen, [1] * len(lessons))
    bought = tuple(replace(lesson, price_fen=price_fen) for lesson, price_fen in zip(lessons, prices, strict=True))
    begins_on = business_date(lessons[0].starts_at)
    if way == "later":
        opens_on, due_on = begins_on, begins_on
    else:
        opens_on = max(on, charge.charged_on)
        due_on = opens_on if number == 1 else begins_on
    if opens_on > begins_on:
        raise _invalid()
    return SoldCharge(number, first_lesson, bought, charge.amount_fen, opens_on, due_on)


def _invalid() -> BadInput:
    return BadInput("contracts.terms_invalid", "付款方式不正确", field="terms")
