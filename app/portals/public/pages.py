"""Pages of the public end."""

from fastapi import APIRouter

router = APIRouter(prefix="", include_in_schema=False)
