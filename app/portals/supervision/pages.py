"""Pages of the supervision end."""

from fastapi import APIRouter

router = APIRouter(prefix="/supervision", include_in_schema=False)
