"""Is arrived money the payment that we wait for? And when may money that is not ours go back? Pure decisions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

Outcome = Literal["matched", "late", "second", "wrong_amount", "unknown_payer"]

CODE_VALID = timedelta(minutes=15)
"""How long a payment code and its cashier order stay open."""
MAX_RETURN_ATTEMPTS = 3
"""After three refused returns a person must find out why; the money waits in suspense where everybody sees it."""
RETURN_RETRY = timedelta(hours=1)
"""A bank that refuses a return now refuses it in a second too; hourly tries still end on the same day."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Money that the bank says has come in to an institution's supervised account at `occurred_at`."""

    institution_id: UUID
    amount_fen: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Awaited:
    """The payment whose number the money carries, and how its charge stands."""

    institution_id: UUID
    amount_fen: int
    expires_at: datetime
    status: str
    charge_status: str


def judge(arrival: Arrival, awaited: Awaited | None) -> Outcome:
    """What an arrival is. Only the exact amount, in time by the bank's clock, for a charge that is still to be paid, is matched.

    An expired payment may still be matched: the bank took the money in time and told us late, and nobody else has the seat.
    """
    if awaited is None or awaited.institution_id != arrival.institution_id:
        return "unknown_payer"
    if "paid" in (awaited.status, awaited.charge_status):
        return "second"
    if arrival.amount_fen != awaited.amount_fen:
        return "wrong_amount"
    if arrival.occurred_at > awaited.expires_at or awaited.charge_status != "planned":
        return "late"
    return "matched"


def returns_due(now: datetime) -> dict[int, datetime]:
    """By the number of tries it has had: until when unmatched money was decided about that is to go back now.

    At once, then hourly, three times in all.
    """
    return {attempts: now - attempts * RETURN_RETRY for attempts in range(MAX_RETURN_ATTEMPTS)}
