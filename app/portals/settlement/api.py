"""JSON of the settlement end, and the door for banks' notices."""

from datetime import date, datetime
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, computed_field

from app import clock
from app.banking import service as banking
from app.banking.banks import Banks
from app.crypto import mask_account
from app.db import District
from app.errors import NotFound, SignInRequired, Unavailable
from app.portals.edge import Home, Once, Read, SettlementCaller, district_called
from app.portals.fields import MAX_PAGE, CalendarDate, Listed, PageById, PageByTime, Paging, PathId, listed
from app.portals.payouts import PayoutItem, PayoutState, listed_payouts
from app.reconciliation import jobs as reconciliation_jobs
from app.reconciliation import queries as reconciliation
from app.settlement import jobs as settlement_jobs
from app.settlement import queries as settlement
from app.settlement.service import LAST_RUN_NO
from bank_adapters.port import BankUnknown, NoticeRefused

router = APIRouter(prefix="/api/v1/settlement", tags=["settlement"])


WHOLE_PAGE: Paging[Any] = Paging(None, MAX_PAGE)
"""The first page of what a POST brought about."""


class RunInput(BaseModel):
    """Which run. The same business date and run number again answers what the first one drafted."""

    model_config = ConfigDict(extra="forbid")

    business_date: CalendarDate | None = Field(None, description="By default today in Shanghai")
    run_no: int | None = Field(None, strict=True, ge=1, le=LAST_RUN_NO, description="By default the next one of that date")


class Run(Listed[PayoutItem]):
    """What a run drafted. `next_cursor` goes on in `payouts?business_date=&run_no=`."""

    business_date: date
    run_no: int


class BreakItem(BaseModel):
    """A named difference; `amount_fen` is what the bank shows beyond the books, negative where it shows less."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    amount_fen: int
    reference: str


class AccountDayItem(BaseModel):
    """One supervised account's value day: the bank's closing balance, our cash by value date, and every difference by name."""

    model_config = ConfigDict(from_attributes=True)

    bank_account_id: UUID
    account_no: str = Field(exclude=True)
    institution_id: UUID
    institution_name: str
    value_on: date
    statement_fen: int
    cash_fen: int
    status: str = Field(description="matched or broken")
    reconciled_at: datetime
    breaks: list[BreakItem]

    @computed_field(description="Account number, masked")  # type: ignore[prop-decorator]
    @property
    def account(self) -> str:
        """What may be shown of the number."""
        return mask_account(self.account_no)


class Day(Listed[AccountDayItem]):
    """One value day of every supervised account; `on` is empty while no day has been reconciled."""

    on: date | None


class DayInput(BaseModel):
    """Which value day to reconcile."""

    model_config = ConfigDict(extra="forbid")

    on: CalendarDate | None = Field(None, description="By default today in Shanghai, as far as it has gone")


@router.post("/runs", status_code=201, summary="Settle: draft one payout per institution")
async def run(caller: SettlementCaller, home: Home, once: Once, body: RunInput = RunInput()) -> Run:
    """Out of each institution's final, unpaid releases. The money is reserved; supervision clears or holds each payout."""
    business_on = body.business_date or clock.today()
    async with once.transaction() as session:
        run_no = body.run_no or await settlement.next_run_no(session, business_on)
        await settlement_jobs.run_district(home, business_on, run_no, caller.actor)
        drafted = await settlement.payouts_of_district(session, business_on=business_on, run_no=run_no)
        page = listed_payouts(drafted, WHOLE_PAGE)
        return await once.answer(Run(items=page.items, next_cursor=page.next_cursor, business_date=business_on, run_no=run_no))


@router.get("/payouts", summary="Payouts of all institutions, newest first")
async def payouts(
    caller: SettlementCaller,
    session: Read,
    paging: PageByTime,
    status: Annotated[PayoutState | None, Query()] = None,
    business_date: Annotated[CalendarDate | None, Query()] = None,
    run_no: Annotated[int | None, Query(ge=1, le=LAST_RUN_NO)] = None,
) -> Listed[PayoutItem]:
    """All of them, or of one state, business date or run."""
    return listed_payouts(await settlement.payouts_of_district(session, status, business_date, run_no, paging.after, paging.more), paging)


@router.get("/payouts/{payout_id}", summary="One payout")
async def payout(payout_id: PathId, caller: SettlementCaller, session: Read) -> PayoutItem:
    """With the lessons that it pays."""
    return PayoutItem.model_validate(await settlement.payout(session, payout_id))


@router.get("/reconciliation", summary="One value day of every supervised account against the bank's statement")
async def reconciled_day(
    caller: SettlementCaller,
    session: Read,
    paging: PageById,
    on: Annotated[CalendarDate | None, Query(description="Value date; by default the newest reconciled one")] = None,
) -> Day:
    """As last reconciled: every night, and whenever it is asked for by POST."""
    value_on = on or await reconciliation.latest_day(session)
    found = await reconciliation.account_days(session, value_on, after=paging.after, limit=paging.more) if value_on else []
    page = listed([AccountDayItem.model_validate(each) for each in found], [each.bank_account_id for each in found], paging)
    return Day(items=page.items, next_cursor=page.next_cursor, on=value_on)


@router.post("/reconciliation", summary="Fetch the statements of a value day and reconcile it now")
async def reconcile(request: Request, caller: SettlementCaller, home: Home, body: DayInput = DayInput()) -> Day:
    """Any day again, and today as far as it has gone. Books what the statements show and we did not know yet."""
    value_on = body.on or clock.today()
    await reconcile_now(request, home, value_on)
    async with home.reading() as session:
        found = await reconciliation.account_days(session, value_on)
    page = listed([AccountDayItem.model_validate(each) for each in found], [each.bank_account_id for each in found], WHOLE_PAGE)
    return Day(items=page.items, next_cursor=page.next_cursor, on=value_on)


@router.post("/notices/{connection}", summary="A bank's signed notice")
async def notice(request: Request, connection: str) -> Response:
    """200 once it is stored, also for one that was stored before. A notice is a hint: the bank is asked before it counts."""
    banks = cast(Banks, request.app.state.banks)
    code = banks.district_of(connection)
    if code is None:
        raise NotFound("banking.connection_not_found", "没有这个银行连接")
    body = await request.body()
    try:
        verified = banks.get(connection).verify_notice(request.headers, body, clock.now())
    except NoticeRefused as cause:
        raise SignInRequired("banking.notice_refused", "通知的签名、时间或格式不正确") from cause
    district = await district_called(request, code)
    async with district.transaction() as session:
        await banking.store_notice(session, connection, verified, body)
    return Response(status_code=200)


async def reconcile_now(request: Request, home: District, value_on: date) -> None:
    """Reconcile a value day with the bank's answer of this moment.

    Raises BadInput `reconciliation.future`, Unavailable `banking.unavailable` where a bank does not answer.
    """
    try:
        await reconciliation_jobs.reconcile_day(home, cast(Banks, request.app.state.banks), value_on)
    except BankUnknown as cause:
        raise Unavailable("banking.unavailable", "银行暂时没有应答，请稍后再试") from cause
