"""Routes that exist only in tests: one for each thing that the edge promises."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel, Field
from sqlalchemy import select, text

from app import audit
from app.audit import AuditEntry
from app.errors import NotFound, Refused
from app.portals.edge import Once, ParentCaller, PublicRead, Read, SupervisionCaller, Write
from app.portals.fields import Fen, PageById, PathId, PathNo, Text, listed
from app.portals.pages import render, see_other

api = APIRouter(prefix="/api/v1/supervision/probe", tags=["probe"])
pages = APIRouter(include_in_schema=False)


class Note(BaseModel):
    note: Annotated[Text, Field(max_length=20)]
    amount_fen: Fen = 1


class Noted(BaseModel):
    note: str
    entries: int


async def _write_down(session: Write, actor: str, note: str) -> Noted:
    await audit.record(session, actor, "probe.noted", note)
    return Noted(note=note, entries=len((await session.scalars(select(AuditEntry))).all()))


@api.get("/me")
async def me(caller: SupervisionCaller) -> dict[str, str]:
    return {"role": caller.role, "district": caller.district}


@api.get("/whose")
async def whose(caller: ParentCaller) -> dict[str, str]:
    return {"role": caller.role}


@api.post("/notes", status_code=201)
async def write(caller: SupervisionCaller, session: Write, body: Note) -> Noted:
    return await _write_down(session, caller.actor, body.note)


@api.post("/refused")
async def write_and_refuse(caller: SupervisionCaller, session: Write, body: Note) -> Noted:
    await _write_down(session, caller.actor, body.note)
    raise Refused("probe.refused", "不行", amount_fen=body.amount_fen)


@api.post("/once", status_code=201)
async def write_once(caller: SupervisionCaller, once: Once, body: Note) -> Noted:
    async with once.transaction() as session:
        answer = await once.answer(await _write_down(session, caller.actor, body.note))
        if body.note == "fails":
            raise RuntimeError("王小明 13800138000")
        if body.note == "refused":
            raise Refused("probe.refused", "不行")
    return answer


@api.post("/silent")
async def answer_nothing(caller: SupervisionCaller, once: Once) -> Noted:
    async with once.transaction() as session:
        return await _write_down(session, caller.actor, "silent")


@api.post("/read")
async def write_while_reading(caller: SupervisionCaller, session: Read, body: Note) -> Noted:
    return await _write_down(session, caller.actor, body.note)


@api.get("/things/{thing_id}/{thing_no}")
async def thing(thing_id: PathId, thing_no: PathNo, session: PublicRead) -> Response:
    raise NotFound("probe.not_found", "没有", digits=len(str(await session.scalar(text("SELECT 1")))))


@api.get("/numbers/{number}")
async def number(number: int) -> dict[str, int]:
    return {"number": number}


@api.get("/list")
async def entries(caller: SupervisionCaller, session: Read, paging: PageById) -> object:
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(paging.more)
    rows = (await session.scalars(query.where(AuditEntry.id < paging.after) if paging.after else query)).all()
    return listed([row.subject for row in rows], [row.id for row in rows], paging)


@api.get("/unstorable")
async def unstorable(session: PublicRead, text_of: str) -> object:
    return await session.scalar(select(AuditEntry.id).where(AuditEntry.subject == text_of))


@api.get("/fault")
async def fault() -> None:
    raise RuntimeError("王小明 13800138000")


@api.get("/stream", response_class=EventSourceResponse)
async def stream(caller: SupervisionCaller):  # type: ignore[no-untyped-def]
    yield {"role": caller.role}


@pages.get("/supervision/probe")
async def page(request: Request, caller: SupervisionCaller) -> Response:
    return render(request, "probe.html")


@pages.post("/supervision/probe")
async def form(request: Request, caller: SupervisionCaller, session: Write, note: Annotated[str, Form()]) -> Response:
    await _write_down(session, caller.actor, note)
    return see_other("/supervision/probe", f"已记下 {note}")


@pages.get("/supervision/fault")
async def page_fault(caller: SupervisionCaller) -> None:
    raise RuntimeError("王小明 13800138000")
