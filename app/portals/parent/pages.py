"""Pages of the parent end."""

from fastapi import APIRouter

router = APIRouter(prefix="/parent", include_in_schema=False)
