"""What the pages of the three staff ends share: forms that decide something, amounts that people typed, small charts."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date

from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app import money
from app.db import District
from app.errors import BadInput, Conflict, DomainError, Refused
from app.money import allocate
from app.portals.edge import snapshot
from app.portals.pages import see_other

BAR_WIDTH = 1000


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: its name, its amount (fen), its colour's name, and where it lies on a width of 1,000."""

    label: str
    amount_fen: int
    colour: str
    x: int
    width: int


def bar(parts: Sequence[tuple[str, int, str]]) -> list[Segment]:
    """Lay (label, fen, colour) side by side in proportion; what is nothing has no width."""
    filled = [part for part in parts if part[1] > 0]
    widths = iter(allocate(BAR_WIDTH, [part[1] for part in filled])) if filled else iter(())
    segments, x = [], 0
    for label, amount_fen, colour in parts:
        width = next(widths) if amount_fen > 0 else 0
        segments.append(Segment(label, amount_fen, colour, x, width))
        x += width
    return segments


def typed_fen(text: str, field: str) -> int:
    """Fen out of yuan as people type them: 1,234.5 or ¥1234.50. Raises BadInput `request.amount` that names the field."""
    try:
        return money.typed(text)
    except ValueError as cause:
        raise BadInput("request.amount", "金额须为数字，最多两位小数", field=field) from cause
    except OverflowError as cause:
        raise BadInput("request.amount", "金额超出上限", field=field) from cause


def typed_date(text: str, field: str, name_zh: str) -> date:
    """A date as a form's date field sends it. Raises BadInput `request.date` that names the field."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError as cause:
        raise BadInput("request.date", f"请填写{name_zh}，例如 2026-09-01", field=field) from cause


def typed_whole(text: str, field: str, name_zh: str, least: int, most: int) -> int:
    """A whole number as people type it, up to four digits. Raises BadInput `request.number` that names the field."""
    plain = text.strip()
    if not (plain.isascii() and plain.isdigit() and len(plain) < 5 and least <= int(plain) <= most):
        raise BadInput("request.number", f"{name_zh}须为 {least} 至 {most} 的整数", field=field)
    return int(plain)


async def carry_out(district: District, act: Callable[[AsyncSession], Awaitable[object]], *, back: str, done: str) -> RedirectResponse:
    """Do what a form asks in one transaction and go back to a page, which says that it was done or why it was refused."""
    try:
        async with district.transaction() as session:
            await act(session)
    except (BadInput, Conflict, Refused) as refused:
        return see_other(back, refused.message_zh, "danger")
    return see_other(back, done)


async def carry_out_or_show(
    district: District,
    act: Callable[[AsyncSession], Awaitable[object]],
    again: Callable[[AsyncSession, DomainError], Awaitable[Response]],
    *,
    back: str,
    done: str,
) -> Response:
    """The same, but where it is refused `again` shows the form anew, with what was typed and what is wrong."""
    try:
        async with district.transaction() as session:
            await act(session)
    except (BadInput, Conflict, Refused) as refused:
        async with snapshot(district) as session:
            return await again(session, refused)
    return see_other(back, done)
