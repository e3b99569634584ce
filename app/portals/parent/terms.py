"""Terms of payment as they come in: a program sends them as JSON, a page carries them in a hidden field. They are judged anew."""

from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from app.contracts.terms import ChargeTerms, Terms, Way
from app.errors import BadInput
from app.portals.fields import CalendarDate, Fen

MOST_CHARGES = 500
"""As many as a class has lessons."""


class ChargeInput(BaseModel):
    """One charge: so many of the next lessons, for so much, from a business date on."""

    lesson_count: Annotated[int, Field(strict=True, ge=1, le=MOST_CHARGES)]
    amount_fen: Fen
    charged_on: CalendarDate


class TermsInput(BaseModel):
    """How a contract is to be paid; the prices must be those of the offer, and the law is asked again."""

    way: Way = Field(description="once: everything now; parts: several charges; later: each lesson after it was taught")
    charges: Annotated[list[ChargeInput], Field(min_length=1, max_length=MOST_CHARGES)]

    def terms(self) -> Terms:
        """The same for the services."""
        return Terms(self.way, tuple(ChargeTerms(each.lesson_count, each.amount_fen, each.charged_on) for each in self.charges))

    @classmethod
    def of(cls, terms: Terms) -> "TermsInput":
        """Terms as a form carries them."""
        return cls.model_validate(terms, from_attributes=True)


def carried(field: str) -> Terms | None:
    """The terms of a hidden field, None where it is empty. Raises BadInput("contracts.terms_invalid")."""
    if not field:
        return None
    try:
        return TermsInput.model_validate_json(field).terms()
    except ValidationError as cause:
        raise BadInput("contracts.terms_invalid", "付款方式不正确", field="terms") from cause
