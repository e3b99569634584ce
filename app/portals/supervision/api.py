"""JSON of the supervision end."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/supervision", tags=["supervision"])
