"""Pages of the institution end."""

from fastapi import APIRouter

router = APIRouter(prefix="/institution", include_in_schema=False)
