"""公示: what the public may know of an institution's money and reliability, as JSON."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.portals.edge import PublicRead
from app.portals.fields import PathId
from app.registry import institution_queries as register
from app.registry.queries import institution
from app.supervision import publishing

api = APIRouter(prefix="/api/v1/public", tags=["public"])


class CheckItem(BaseModel):
    """The result of a yearly check (年检)."""

    model_config = ConfigDict(from_attributes=True)

    year: int
    result: str = Field(description="passed, conditional or failed")


class FactsAnswer(BaseModel):
    """Counted now and then over the last half year; everything is null before the first time, rates also where there is too little."""

    model_config = ConfigDict(from_attributes=True)

    coverage_bps: int | None = Field(None, description="What the bank reported against what untaught lessons are worth; 10000 is all of it")
    coverage_at: datetime | None = None
    refunds: int | None = Field(None, description="Paid back")
    refunds_unpaid: int | None = Field(None, description="Agreed and not paid yet, whenever: held, waiting for funds, under way")
    refund_median_hours: int | None = Field(None, description="From request to payment, of those that were paid back")
    dispute_bps: int | None = Field(None, description="Of the lessons taught, those that were disputed")
    rearranged_bps: int | None = Field(None, description="Of the class sessions planned, those that were called off or moved")
    counted_at: datetime | None = None
    yearly_checks: list[CheckItem]


@api.get("/institutions/{institution_id}/facts", summary="An institution's money and reliability")
async def facts(session: PublicRead, institution_id: PathId) -> FactsAnswer:
    """Coverage of prepaid money, how long refunds take, disputes, lessons called off or moved, yearly checks."""
    await institution(session, institution_id)
    checks = [CheckItem.model_validate(each) for each in await register.yearly_checks(session, institution_id)]
    found = await publishing.facts_of(session, institution_id)
    counted = {name: getattr(found, name) for name in found.__slots__} if found else {}
    return FactsAnswer(**counted, yearly_checks=checks)
