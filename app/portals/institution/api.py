"""JSON of the institution end."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/institution", tags=["institution"])
