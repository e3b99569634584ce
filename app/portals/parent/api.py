"""JSON of the parent end."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/parent", tags=["parent"])
