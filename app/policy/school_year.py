"""School terms and holidays by month and day, for rules that speak of them."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

MonthDay = Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]
_SOUND = ConfigDict(frozen=True, strict=True, extra="forbid")


class Term(BaseModel):
    """学期: from its first day to the day before the next one's."""

    model_config = _SOUND

    name_zh: Annotated[str, Field(min_length=1)]
    begins: MonthDay


class Holidays(BaseModel):
    """寒暑假: both days included; it may go over the turn of the year."""

    model_config = _SOUND

    name_zh: Annotated[str, Field(min_length=1)]
    begins: MonthDay
    ends: MonthDay

    def include(self, day: MonthDay) -> bool:
        """Whether a day lies in them."""
        if self.begins <= self.ends:
            return self.begins <= day <= self.ends
        return day >= self.begins or day <= self.ends


class SchoolYear(BaseModel):
    """The terms in the order of their beginnings within a calendar year, and the school holidays."""

    model_config = _SOUND

    terms: Annotated[list[Term], Field(min_length=2)]
    holidays: list[Holidays] = []

    @model_validator(mode="after")
    def _in_order(self) -> "SchoolYear":
        begins = [term.begins for term in self.terms]
        if begins != sorted(set(begins)):
            raise ValueError("terms must begin one after the other")
        return self

    def term_of(self, on: date) -> tuple[int, Term]:
        """The term that a day lies in, and the calendar year in which that term began."""
        day = _month_day(on)
        begun = [term for term in self.terms if term.begins <= day]
        return (on.year, begun[-1]) if begun else (on.year - 1, self.terms[-1])

    def holidays_on(self, on: date) -> Holidays | None:
        """The school holidays that a day lies in."""
        day = _month_day(on)
        return next((each for each in self.holidays if each.include(day)), None)


def _month_day(on: date) -> MonthDay:
    return on.isoformat()[-5:]
