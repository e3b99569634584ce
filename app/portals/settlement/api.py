"""JSON of the settlement end."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/settlement", tags=["settlement"])
