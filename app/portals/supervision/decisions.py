"""What officers decide by the forms of their pages."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import BadInput
from app.portals.edge import Home, SupervisionCaller
from app.portals.fields import PathId
from app.portals.pages import see_other
from app.portals.staff import carry_out, typed_fen
from app.supervision import service
from app.supervision.rules import Lines

router = APIRouter()

Words = Annotated[str, Form(max_length=2000)]


@router.post("/alerts/{alert_id}/{decision}")
async def decide_alert(
    alert_id: PathId, decision: Literal["acknowledge", "resolve"], caller: SupervisionCaller, home: Home, note: Words = ""
) -> Response:
    """Take an alert up, or close it."""
    decide = service.acknowledge if decision == "acknowledge" else service.resolve

    async def act(session: AsyncSession) -> None:
        await decide(session, caller, alert_id, note)

    done = "已开始处置" if decision == "acknowledge" else "预警已办结"
    return await carry_out(home, act, back=f"/supervision/alerts/{alert_id}", done=done)


@router.post("/payouts/{payout_id}/{decision}")
async def decide_payout(
    payout_id: PathId, decision: Literal["release", "reject"], caller: SupervisionCaller, home: Home, reason: Words = ""
) -> Response:
    """Let a held payout go, or end it unpaid."""
    decide = service.release_payout if decision == "release" else service.reject_payout

    async def act(session: AsyncSession) -> None:
        await decide(session, caller, payout_id, reason)

    done = "已放行，等待发送银行" if decision == "release" else "已驳回，款项退回应付款"
    return await carry_out(home, act, back=f"/supervision/payouts/{payout_id}", done=done)


@router.post("/disputes/{lesson_id}/ruling")
async def rule(
    lesson_id: PathId,
    caller: SupervisionCaller,
    home: Home,
    ruling: Annotated[Literal["release", "return"], Form()],
    reason: Words = "",
) -> Response:
    """Decide about a disputed lesson."""

    async def act(session: AsyncSession) -> None:
        await service.rule_on_dispute(session, caller, lesson_id, ruling, reason)

    done = "已裁决：课费划拨给机构" if ruling == "release" else "已裁决：课费退还家长"
    return await carry_out(home, act, back=f"/supervision/disputes/{lesson_id}", done=done)


@router.post("/institutions/{institution_id}/thresholds")
async def set_thresholds(
    institution_id: PathId,
    caller: SupervisionCaller,
    home: Home,
    large_transfer: Words = "",
    large_day: Words = "",
    minimum_balance: Words = "",
) -> Response:
    """Set an institution's alarm lines, in yuan as typed."""
    back = f"/supervision/institutions/{institution_id}"
    try:
        lines = Lines(
            typed_fen(large_transfer, "large_transfer"), typed_fen(large_day, "large_day"), typed_fen(minimum_balance, "minimum_balance")
        )
    except BadInput as refused:
        return see_other(back, refused.message_zh, "danger")

    async def act(session: AsyncSession) -> None:
        await service.set_thresholds(session, caller.actor, institution_id, lines)

    return await carry_out(home, act, back=back, done="预警线已更新")
