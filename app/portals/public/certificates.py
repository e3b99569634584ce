"""教师公示: an institution's teachers with their certificates, as the rules want them shown to parents."""

from typing import Any

from fastapi import APIRouter, Response

from app import clock
from app.portals.edge import PublicRead
from app.portals.entries import CertificateItem
from app.portals.fields import Listed, PageByTime, PathId, listed
from app.registry import institution_queries as registry
from app.registry.photos import MEDIA_TYPE
from app.registry.queries import institution

api = APIRouter(prefix="/api/v1/public", tags=["public"])

_FOR_AN_HOUR = "public, max-age=3600"
_IMAGE: dict[int | str, dict[str, Any]] = {200: {"description": "The image", "content": {MEDIA_TYPE: {}}}}


@api.get("/institutions/{institution_id}/teachers", summary="An institution's teachers and their certificates")
async def certificates(session: PublicRead, institution_id: PathId, paging: PageByTime) -> Listed[CertificateItem]:
    """Those who teach there today, in the order of entry."""
    await institution(session, institution_id)
    found = await registry.teachers(session, institution_id, paging.after, paging.more, employed_on=clock.today())
    return listed([CertificateItem.model_validate(each) for each in found], [(each.created_at, each.id) for each in found], paging)


@api.get("/teachers/{teacher_id}/photo.jpg", response_class=Response, responses=_IMAGE, summary="A teacher's photo")
async def photo(session: PublicRead, teacher_id: PathId) -> Response:
    """As this service encoded it; nothing else is ever sent under this address."""
    found = await registry.photo(session, teacher_id)
    return Response(found.content, media_type=MEDIA_TYPE, headers={"Cache-Control": _FOR_AN_HOUR, "ETag": f'"{found.sha256.hex()[:32]}"'})
