"""A payout as three ends show it in JSON."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.portals.fields import Listed, Moment, Paging, listed
from app.settlement.queries import PayoutView

PayoutState = Literal["drafted", "held", "cleared", "submitted", "unknown", "settled", "rejected", "returned"]


class PayoutLineItem(BaseModel):
    """One confirmed lesson that a payout pays; `live` is false once the bank did not pay and the fee is payable again."""

    model_config = ConfigDict(from_attributes=True)

    release_id: UUID
    lesson_id: UUID
    class_name: str
    starts_at: datetime
    released_at: datetime
    amount_fen: int
    live: bool


class PayoutItem(BaseModel):
    """A payout of released fees to the institution's settlement account; `status` is its instruction's."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    payout_no: str
    institution_id: UUID
    institution_name: str
    business_date: date = Field(validation_alias="business_on")
    run_no: int
    amount_fen: int
    status: PayoutState
    reject_code: str | None = Field(description="The bank's reason, or `officer`")
    drafted_at: datetime
    ended_at: datetime | None
    line_count: int
    lines: list[PayoutLineItem] = Field(description="The first hundred of `line_count`")


def listed_payouts(views: list[PayoutView], paging: Paging[Moment]) -> Listed[PayoutItem]:
    """A page of payouts, newest first."""
    return listed([PayoutItem.model_validate(view) for view in views], [(view.drafted_at, view.id) for view in views], paging)
