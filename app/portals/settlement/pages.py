"""Pages of the settlement end."""

from fastapi import APIRouter

router = APIRouter(prefix="/settlement", include_in_schema=False)
