"""What the supervision end sends and gets, in JSON."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.ledger.queries import TrialLine
from app.money import MAX_FEN
from app.portals.fields import Fen, Text
from app.supervision.queries import AlertChange, InstitutionView, Overview
from app.supervision.rules import Lines

_OUT_OF_SLICE = ConfigDict(from_attributes=True)


class NoteInput(BaseModel):
    """What an officer found or did."""

    note: Text


class ReasonInput(BaseModel):
    """Why an officer decides so; it is kept in the audit trail."""

    reason: Text


class RulingInput(ReasonInput):
    """How a disputed lesson ends: its fee goes to the institution, or back to the payer."""

    ruling: Literal["release", "return"]


class ThresholdsInput(BaseModel):
    """An institution's alarm lines; an outflow over one, or a balance under the minimum, raises an alert."""

    model_config = _OUT_OF_SLICE

    large_transfer_fen: Fen
    large_day_fen: Fen
    minimum_balance_fen: Annotated[int, Field(strict=True, ge=0, le=MAX_FEN)]

    def lines(self) -> Lines:
        """The slice's form of it."""
        return Lines(self.large_transfer_fen, self.large_day_fen, self.minimum_balance_fen)


class Thresholds(ThresholdsInput):
    """The alarm lines that hold."""

    institution_id: UUID


class Totals(BaseModel):
    """What the books hold, by type of ledger account. cash + incoming + shortfall = escrow + payable + outgoing + suspense."""

    model_config = _OUT_OF_SLICE

    cash_fen: int
    incoming_fen: int
    shortfall_fen: int
    escrow_fen: int
    payable_fen: int
    outgoing_fen: int
    suspense_fen: int


class Coverage(BaseModel):
    """What the bank reports, held against escrow: (reported + incoming − unresolved instructions) ÷ escrow, in basis points."""

    model_config = _OUT_OF_SLICE

    coverage_bps: int | None = Field(description="None where there is nothing to cover, or the bank has not been asked yet")
    reported_fen: int | None
    reported_at: datetime | None = Field(description="The bank's time of its oldest balance in the sum")
    unresolved_fen: int


class OverviewView(BaseModel):
    """The district at a glance."""

    totals: Totals
    coverage: Coverage
    institutions: int
    open_alerts: dict[str, int] = Field(description="By level: yellow, red")
    held_payouts: int
    held_refunds: int = Field(description="Of old contracts, to accounts that guardians named")
    open_disputes: int
    applications: int = Field(description="入库申请 that wait for a decision")
    changes: int = Field(description="机构变更 that wait for one")
    classes: int = Field(description="班课备案 that wait for one")
    scan_reports: int = Field(description="扫码举报 that nobody has handled")
    receipts: int = Field(description="Money from unknown payers that waits for a ruling, as its book has a shortfall")
    lookups: int = Field(description="实名查看 of the last 24 hours, by all officers")

    @classmethod
    def of(cls, found: Overview, lookups: int) -> "OverviewView":
        """The slices' overview in this form."""
        return cls(
            totals=Totals.model_validate(found.money),
            coverage=Coverage.model_validate(found.money),
            institutions=found.institutions,
            open_alerts=found.open_alerts,
            **asdict(found.waiting),
            lookups=lookups,
        )


class InstitutionItem(BaseModel):
    """An institution with its money."""

    id: UUID
    name: str
    credit_code: str
    status: str
    created_at: datetime
    totals: Totals
    coverage: Coverage
    open_alerts: int

    @classmethod
    def of(cls, found: InstitutionView) -> "InstitutionItem":
        """The slice's view in this form."""
        return cls(**_institution(found))


class InstitutionDetail(InstitutionItem):
    """The same with its alarm lines."""

    thresholds: Thresholds

    @classmethod
    def with_lines(cls, found: InstitutionView, lines: Lines) -> "InstitutionDetail":
        """The slice's view in this form."""
        held = ThresholdsInput.model_validate(lines)
        return cls(**_institution(found), thresholds=Thresholds(**held.model_dump(), institution_id=found.id))


def _institution(found: InstitutionView) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "credit_code": found.credit_code,
        "status": found.status,
        "created_at": found.created_at,
        "totals": Totals.model_validate(found.money),
        "coverage": Coverage.model_validate(found.money),
        "open_alerts": found.open_alerts,
    }


class TrialLineItem(BaseModel):
    """One type of ledger account, summed."""

    model_config = _OUT_OF_SLICE

    type: str
    side: str = Field(description="asset or liability")
    accounts: int
    balance_fen: int


class BookItem(BaseModel):
    """One institution's trial balance; assets equal liabilities in every book."""

    institution_id: UUID
    institution_name: str
    assets_fen: int
    liabilities_fen: int
    balanced: bool
    lines: list[TrialLineItem]

    @classmethod
    def of(cls, institution_id: UUID, name: str, lines: list[TrialLine]) -> "BookItem":
        """Sum the lines of one book."""
        assets_fen, liabilities_fen = (sum(line.balance_fen for line in lines if line.side == side) for side in ("asset", "liability"))
        return cls(
            institution_id=institution_id,
            institution_name=name,
            assets_fen=assets_fen,
            liabilities_fen=liabilities_fen,
            balanced=assets_fen == liabilities_fen,
            lines=[TrialLineItem.model_validate(line) for line in lines],
        )


class AlertItem(BaseModel):
    """A rule fired. `subject` says about what: `instruction:…`, `movement:…`, `account:…` or `day:…`; `facts` are amounts and dates."""

    model_config = _OUT_OF_SLICE

    id: UUID
    institution_id: UUID
    institution_name: str
    rule: str
    level: str = Field(description="yellow or red")
    subject: str
    facts: dict[str, Any]
    status: str = Field(description="opened, acknowledged or resolved")
    opened_at: datetime
    changed_at: datetime
    note: str | None


class AlertEvent(AlertItem):
    """An alert as an event: it was raised, or changed to `change` at `at`; its other fields are as they stand now."""

    seq: int
    change: str
    at: datetime

    @classmethod
    def of(cls, found: AlertChange) -> "AlertEvent":
        """The slice's change in this form."""
        return cls(**AlertItem.model_validate(found.alert).model_dump(), seq=found.seq, change=found.status, at=found.at)


class AlertStatus(BaseModel):
    """Where an alert is now."""

    id: UUID
    status: str


class PayoutStatus(BaseModel):
    """Where a payout is after an officer's decision: cleared, the worker sends it; or rejected, its money goes back to payable."""

    id: UUID
    payout_no: str
    status: str


class DisputeItem(BaseModel):
    """A guardian's objection to a lesson, and the officer's ruling once there is one."""

    model_config = _OUT_OF_SLICE

    id: UUID
    lesson_id: UUID
    institution_id: UUID
    institution_name: str
    class_name: str
    price_fen: int
    starts_at: datetime
    ends_at: datetime
    reason: str
    status: str = Field(description="opened or ruled")
    opened_at: datetime
    ruling: str | None = Field(description="release or return")
    ruling_reason: str | None
    ruled_at: datetime | None


class MovementItem(BaseModel):
    """One sealed transfer; `seq` is its voucher number 凭证号, without a gap."""

    model_config = _OUT_OF_SLICE

    seq: int
    transfer_id: UUID
    institution_id: UUID
    institution_name: str
    kind: str
    debit: str
    credit: str
    amount_fen: int
    occurred_at: datetime
    recorded_at: datetime
