"""JSON of the public end."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/public", tags=["public"])
