"""How a contract is to be paid (付款方式): how many charges, of how many lessons and fen each, and on which business dates."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

Way = Literal["once", "parts", "later"]
"""Everything at signing (一次付清), several charges at legal times (分期付费), or every lesson after it was taught (先学后付)."""


@dataclass(frozen=True, slots=True)
class ChargeTerms:
    """One charge: whole lessons, in the order of the offer, for `amount_fen`, collected from the business date `charged_on` on."""

    lesson_count: int
    amount_fen: int
    charged_on: date


@dataclass(frozen=True, slots=True)
class Terms:
    """What is sold: the first `lesson_count` lessons of the offer, at the prices that the charges sum up to.

    `once` has one charge and `parts` two or more, the first today unless the nearest legal plan says a later day; `later` has one of a
    single lesson for every lesson, whose `charged_on` is the day of that lesson.
    """

    way: Way
    charges: tuple[ChargeTerms, ...]

    @property
    def lesson_count(self) -> int:
        """The lessons that all charges buy together."""
        return sum(charge.lesson_count for charge in self.charges)

    @property
    def amount_fen(self) -> int:
        """What all charges cost together."""
        return sum(charge.amount_fen for charge in self.charges)
