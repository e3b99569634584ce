"""JSON of the public end: who teaches what in the district, and for how much."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.contracts import queries as contracts
from app.portals.edge import PublicRead
from app.portals.fields import Listed, PageByTime, PathId, listed
from app.portals.public.answers import ClassDetail, ClassItem, InstitutionItem
from app.registry import queries as registry

router = APIRouter(prefix="/api/v1/public", tags=["public"])


@router.get("/institutions", summary="Institutions of the district")
async def institutions(session: PublicRead, paging: PageByTime) -> Listed[InstitutionItem]:
    """In the order in which they were entered."""
    rows = await registry.institutions(session, paging.after, paging.more)
    return listed([InstitutionItem.model_validate(row) for row in rows], [(row.created_at, row.id) for row in rows], paging)


@router.get("/institutions/{institution_id}", summary="One institution")
async def institution(session: PublicRead, institution_id: PathId) -> InstitutionItem:
    """Any institution of the district, also one that does not enrol."""
    return InstitutionItem.model_validate(await registry.institution(session, institution_id))


@router.get("/classes", summary="Classes that may be joined now")
async def classes(
    session: PublicRead, paging: PageByTime, institution_id: Annotated[UUID | None, Query(description="Of this institution only")] = None
) -> Listed[ClassItem]:
    """In the order in which they were opened; a class without seats left is listed too."""
    rows = await contracts.open_classes(session, institution_id, paging.after, paging.more)
    return listed([ClassItem.model_validate(row) for row in rows], [(row.created_at, row.id) for row in rows], paging)


@router.get("/classes/{class_id}", summary="One class and its schedule")
async def class_detail(session: PublicRead, class_id: PathId) -> ClassDetail:
    """With what joining it now would buy, and for how much."""
    return ClassDetail.of(await contracts.public_offer(session, class_id))
