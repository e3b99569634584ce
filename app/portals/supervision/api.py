"""JSON of the supervision end, and its two event streams."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.ext.asyncio import AsyncSession

from app.ledger import queries as ledger
from app.lessons import queries as lessons
from app.portals.edge import Home, Once, OncePerKey, Read, SupervisionCaller, Write
from app.portals.fields import Listed, Moment, PageById, PageByNumber, PageByTime, Paging, PathId, listed
from app.portals.payouts import PayoutItem, PayoutState, listed_payouts
from app.portals.supervision.live import AlertsAfter, MovementsAfter, feed_of, while_serving
from app.portals.supervision.views import (
    AlertEvent,
    AlertItem,
    AlertStatus,
    BookItem,
    DisputeItem,
    InstitutionDetail,
    InstitutionItem,
    MovementItem,
    NoteInput,
    OverviewView,
    PayoutStatus,
    ReasonInput,
    RulingInput,
    Thresholds,
    ThresholdsInput,
)
from app.privacy import lookups
from app.registry import queries as registry
from app.security import SupervisionStaff
from app.settlement import queries as settlement
from app.supervision import queries, service

router = APIRouter(prefix="/api/v1/supervision", tags=["supervision"])


@router.get("/overview", summary="Totals, coverage, and what waits for an officer")
async def overview(caller: SupervisionCaller, session: Read) -> OverviewView:
    """Amounts in fen over all books; coverage against the bank's own word, with its time."""
    return OverviewView.of(await queries.overview(session), await lookups.lookups_within_a_day(session))


@router.get("/institutions", summary="Institutions with their money, in the order of entry")
async def institutions(caller: SupervisionCaller, session: Read, paging: PageByTime) -> Listed[InstitutionItem]:
    """Each by its own book."""
    found = await queries.institutions(session, paging.after, paging.more)
    return listed([InstitutionItem.of(each) for each in found], [(each.created_at, each.id) for each in found], paging)


@router.get("/institutions/{institution_id}", summary="One institution with its money and its alarm lines")
async def institution(institution_id: PathId, caller: SupervisionCaller, session: Read) -> InstitutionDetail:
    """The default lines hold until an officer sets others."""
    return InstitutionDetail.with_lines(*await queries.institution(session, institution_id))


@router.put("/institutions/{institution_id}/thresholds", summary="Set an institution's alarm lines")
async def set_thresholds(institution_id: PathId, body: ThresholdsInput, caller: SupervisionCaller, session: Write) -> Thresholds:
    """They hold for what is judged from now on."""
    await service.set_thresholds(session, caller.actor, institution_id, body.lines())
    return Thresholds(**body.model_dump(), institution_id=institution_id)


@router.get("/books", summary="Trial balance of every book")
async def books(caller: SupervisionCaller, session: Read, paging: PageByTime) -> Listed[BookItem]:
    """In the order of the institutions' entry."""
    return await listed_books(session, paging)


@router.get("/movements", summary="Sealed transfers of all books, newest first")
async def movements(caller: SupervisionCaller, session: Read, paging: PageByNumber) -> Listed[MovementItem]:
    """By voucher number."""
    found = await queries.movements(session, paging.after, paging.more)
    return listed([MovementItem.model_validate(each) for each in found], [each.seq for each in found], paging)


@router.get("/movements/stream", response_class=EventSourceResponse, summary="Transfers as they are sealed (server-sent events)")
async def movement_stream(request: Request, caller: SupervisionCaller, home: Home, after: MovementsAfter) -> AsyncIterator[ServerSentEvent]:
    """Events named `movement`, numbered by voucher number."""
    async for each in while_serving(request, feed_of(request, home).movements(after)):
        yield ServerSentEvent(id=str(each.seq), event="movement", data=MovementItem.model_validate(each))


@router.get("/alerts", summary="Alerts, newest first")
async def alerts(
    caller: SupervisionCaller,
    session: Read,
    paging: PageById,
    open_only: Annotated[bool, Query(description="Without resolved ones")] = False,
    institution_id: Annotated[UUID | None, Query()] = None,
) -> Listed[AlertItem]:
    """All of them, or one institution's."""
    found = await queries.alerts(session, open_only=open_only, institution_id=institution_id, before=paging.after, limit=paging.more)
    return listed([AlertItem.model_validate(each) for each in found], [each.id for each in found], paging)


@router.get("/alerts/stream", response_class=EventSourceResponse, summary="Alerts as they are raised and change (server-sent events)")
async def alert_stream(request: Request, caller: SupervisionCaller, home: Home, after: AlertsAfter) -> AsyncIterator[ServerSentEvent]:
    """Events named `alert`, numbered without a gap: `Last-Event-ID` catches up."""
    async for each in while_serving(request, feed_of(request, home).alerts(after)):
        yield ServerSentEvent(id=str(each.seq), event="alert", data=AlertEvent.of(each))


@router.get("/alerts/{alert_id}", summary="One alert")
async def alert(alert_id: PathId, caller: SupervisionCaller, session: Read) -> AlertItem:
    """As it stands now."""
    return AlertItem.model_validate(await queries.alert(session, alert_id))


@router.post("/alerts/{alert_id}/acknowledge", summary="Take an alert up")
async def acknowledge(alert_id: PathId, body: NoteInput, caller: SupervisionCaller, session: Write) -> AlertStatus:
    """Opened → acknowledged."""
    return AlertStatus(id=alert_id, status=(await service.acknowledge(session, caller, alert_id, body.note)).status)


@router.post("/alerts/{alert_id}/resolve", summary="Close an alert")
async def resolve(alert_id: PathId, body: NoteInput, caller: SupervisionCaller, session: Write) -> AlertStatus:
    """Opened or acknowledged → resolved; the rule may then fire anew about the same subject."""
    return AlertStatus(id=alert_id, status=(await service.resolve(session, caller, alert_id, body.note)).status)


@router.get("/payouts", summary="Payouts of all institutions, newest first")
async def payouts(
    caller: SupervisionCaller, session: Read, paging: PageByTime, status: Annotated[PayoutState | None, Query()] = None
) -> Listed[PayoutItem]:
    """Those that wait for an officer are `status=held`."""
    return listed_payouts(await settlement.payouts_of_district(session, status, after=paging.after, limit=paging.more), paging)


@router.get("/payouts/{payout_id}", summary="One payout")
async def payout(payout_id: PathId, caller: SupervisionCaller, session: Read) -> PayoutItem:
    """With the lessons that it pays."""
    return PayoutItem.model_validate(await settlement.payout(session, payout_id))


@router.post("/payouts/{payout_id}/release", summary="Let a held payout go to the bank")
async def release(payout_id: PathId, body: ReasonInput, caller: SupervisionCaller, once: Once) -> PayoutStatus:
    """Held → cleared."""
    return await _decided(service.release_payout, payout_id, body, caller, once)


@router.post("/payouts/{payout_id}/reject", summary="End a held payout unpaid")
async def reject(payout_id: PathId, body: ReasonInput, caller: SupervisionCaller, once: Once) -> PayoutStatus:
    """Held → rejected; the bank never hears of it, and the next run may list its lessons again."""
    return await _decided(service.reject_payout, payout_id, body, caller, once)


@router.get("/disputes", summary="Disputes, newest first")
async def disputes(
    caller: SupervisionCaller,
    session: Read,
    paging: PageByTime,
    status: Annotated[Literal["opened", "ruled"] | None, Query()] = None,
) -> Listed[DisputeItem]:
    """Without children's names."""
    found = await lessons.disputes(session, status, after=paging.after, limit=paging.more)
    return listed([DisputeItem.model_validate(each) for each in found], [(each.opened_at, each.id) for each in found], paging)


@router.get("/disputes/{lesson_id}", summary="The latest dispute of a lesson")
async def dispute(lesson_id: PathId, caller: SupervisionCaller, session: Read) -> DisputeItem:
    """Without the child's name."""
    return DisputeItem.model_validate(await lessons.dispute_of(session, lesson_id))


@router.post("/disputes/{lesson_id}/ruling", summary="Decide about a disputed lesson")
async def rule(lesson_id: PathId, body: RulingInput, caller: SupervisionCaller, once: Once) -> DisputeItem:
    """`release` pays its fee to the institution's account in the book; `return` refunds it to the payer at once."""
    async with once.transaction() as session:
        await service.rule_on_dispute(session, caller, lesson_id, body.ruling, body.reason)
        return await once.answer(DisputeItem.model_validate(await lessons.dispute_of(session, lesson_id)))


async def _decided(
    decide: Callable[[AsyncSession, SupervisionStaff, UUID, str], Awaitable[object]],
    payout_id: UUID,
    body: ReasonInput,
    caller: SupervisionStaff,
    once: OncePerKey,
) -> PayoutStatus:
    async with once.transaction() as session:
        await decide(session, caller, payout_id, body.reason)
        decided = await settlement.payout(session, payout_id)
        return await once.answer(PayoutStatus(id=payout_id, payout_no=decided.payout_no, status=decided.status))


async def listed_books(session: AsyncSession, paging: Paging[Moment]) -> Listed[BookItem]:
    """A page of institutions with the trial balances of their books."""
    found = await registry.institutions(session, paging.after, paging.more)
    lines = defaultdict(list)
    for line in await ledger.trial_balance(session, [each.id for each in found]):
        lines[line.book_id].append(line)
    items = [BookItem.of(each.id, each.name, lines[each.id]) for each in found]
    return listed(items, [(each.created_at, each.id) for each in found], paging)
