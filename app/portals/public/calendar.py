"""What a calendar program reads: the timetable behind a secret address."""

import hashlib
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Header, Request, Response

from app import security
from app.errors import NotFound
from app.lessons import timetable
from app.portals import icalendar
from app.portals.edge import district_called, snapshot
from app.settings import settings

router = APIRouter(include_in_schema=False)

_ASK_AGAIN = "private, no-cache"


@router.get("/calendar/{token}.ics")
async def feed(request: Request, token: str, if_none_match: Annotated[str, Header(max_length=200)] = "") -> Response:
    """The calendar, or that it is the same as before; a wrong, ended or foreign address is alike not there."""
    code = security.token_district(token)
    if code is None:
        raise NotFound("lessons.feed_not_found", "这个日历地址已失效")
    async with snapshot(await district_called(request, code)) as session:
        entries = await timetable.feed(session, token)
    written = icalendar.calendar(entries, urlsplit(settings().base_url).hostname or "localhost")
    tag = f'"{hashlib.sha256(written).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": _ASK_AGAIN}
    if tag in [each.strip().removeprefix("W/") for each in if_none_match.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(written, headers=headers, media_type=icalendar.MEDIA_TYPE)
