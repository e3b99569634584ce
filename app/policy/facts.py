"""What is to be judged: a class as it is filed and taught, and one sale of its lessons. What is empty is not judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from app.policy.catalogue import DayKind, Mode, Stage


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """A class: what kind of training, how and when it is taught, and by whom.

    `class_size` is the number of seats. `meetings` are the (starts_at, ends_at) of its class sessions in order of time, aware instants;
    `days` says what sort of day each of their business dates is.
    """

    kind: str
    stage: Stage | None = None
    mode: Mode = "onsite"
    class_size: int | None = None
    lesson_minutes: int | None = None
    meetings: Sequence[tuple[datetime, datetime]] = ()
    days: Mapping[date, DayKind] | None = None
    certificate_covers: bool | None = None
    certificate_to_on: date | None = None
    serving_school_teacher: bool | None = None
    foreigner_abroad: bool | None = None


@dataclass(frozen=True, slots=True)
class PricedLesson:
    """A lesson on its business date, with what is asked for it and its part of the posted price (fen).

    `begun_on` is, of a lesson that is sold already, the business date of the first one that was charged together with it.
    """

    on: date
    price_fen: int
    listed_fen: int | None = None
    begun_on: date | None = None


@dataclass(frozen=True, slots=True)
class SaleFacts:
    """What is to be sold in one charge; dates are business dates of the first and the last class session.

    `untaught` are the lessons of the same child and subject at the same institution that are sold already and still to be taught.
    """

    kind: str
    price_fen: int
    lesson_count: int
    first_on: date
    last_on: date
    gift_lessons: int = 0
    charged_on: date | None = None
    schedule: Sequence[PricedLesson] = ()
    untaught: Sequence[PricedLesson] = ()
    listed_price_fen: int | None = None
    lease_ends_on: date | None = None
    loan: bool | None = None
    listing: str | None = None
    licence_from_on: date | None = None
    licence_to_on: date | None = None
    sales_paused: bool | None = None
    course: ClassFacts | None = None

    @classmethod
    def of_lessons(cls, kind: str, lessons: Sequence[PricedLesson], **others: Any) -> "SaleFacts":
        """The sale of these lessons, at least one, in order of time; what else is known of it by name."""
        listed = [lesson.listed_fen for lesson in lessons if lesson.listed_fen is not None]
        return cls(
            kind=kind,
            price_fen=sum(lesson.price_fen for lesson in lessons),
            lesson_count=len(lessons),
            first_on=lessons[0].on,
            last_on=lessons[-1].on,
            schedule=tuple(lessons),
            listed_price_fen=sum(listed) if len(listed) == len(lessons) else None,
            **others,
        )
