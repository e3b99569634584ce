"""What operators ask: is the process alive, may it serve, how is it doing."""

import ipaddress
from typing import cast

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from app import districts, telemetry
from app.db import Database
from app.errors import NotFound, Unavailable

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """`ok`, or no answer at all."""

    status: str


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz")
async def readyz(request: Request) -> Health:
    """The database answers, and every district is migrated to this version. 503 otherwise."""
    late = await districts.behind(cast(Database, request.app.state.database))
    if late:
        raise Unavailable("server.not_migrated", "数据库尚未升级", districts=late)
    return Health(status="ok")


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Prometheus' text form, for this machine only: a proxy's requests come from here too, but say whom they are for."""
    forwarded = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    if forwarded or request.client is None or not _is_loopback(request.client.host):
        raise NotFound("request.not_found", "没有这个地址")
    return Response(telemetry.metrics(), media_type=telemetry.METRICS_TYPE)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
