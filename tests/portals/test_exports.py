"""An officer takes the books away as files: each is recorded, few are read at a time, and a reader who leaves stops it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.types import Message

from app import clock
from app.audit import AuditEntry
from app.ids import uuid7
from app.ledger import jobs
from app.portals.supervision import exports
from tests.ledger.auditors import complaints, csv_rows, excel_rows, nobody_reads, vouchers
from tests.portals.desks import Desk, Desks
from tests.world import World


@pytest.fixture
async def officer(desks: Desks) -> Desk:
    return await desks.officer()


async def test_an_officer_takes_the_books_away_and_it_is_recorded(officer: Desk, world: World, tmp_path: Path) -> None:
    institution = await world.institution("晨光艺术培训学校")
    await world.paid_contract(institution)
    await jobs.seal(world.district)
    today = clock.today()
    asked = {"book": institution.id, "from": today, "to": today}
    files = [await officer.api.get(f"/api/v1/supervision/ledger.{form}", params=asked) for form in ("beancount", "csv", "xlsx")]
    assert [answer.status_code for answer in files] == [200] * 3
    assert [answer.headers["content-type"] for answer in files] == [
        "text/plain; charset=utf-8",
        "text/csv; charset=utf-8",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ]
    named = f'attachment; filename="ledger-510112-{institution.id}-from-{today}-to-{today}.'
    assert [answer.headers["content-disposition"] for answer in files] == [f'{named}{form}"' for form in ("beancount", "csv", "xlsx")]

    beancount, in_csv, in_excel = files
    assert await complaints(beancount.text, tmp_path) == []
    assert vouchers(beancount.text) == [1, 2]
    assert "; 晨光艺术培训学校\n" in beancount.text
    for rows in (csv_rows(in_csv.content), excel_rows(in_excel.content)):
        assert [(row["账簿名称"], row["摘要"]) for row in rows] == [("晨光艺术培训学校", "银行收款"), ("晨光艺术培训学校", "缴费入账")]

    async with world.district.reading() as session:
        entries = (await session.scalars(select(AuditEntry).where(AuditEntry.action == "ledger.exported").order_by(AuditEntry.at))).all()
    assert [(entry.subject, entry.facts) for entry in entries] == [
        (f"book:{institution.id}", {"form": form, "from_on": str(today), "to_on": str(today)}) for form in ("beancount", "csv", "xlsx")
    ]


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"book": str(uuid7())}, 404, "ledger.no_book"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, 400, "ledger.bad_range"),
        ({"from": "0001-01-01"}, 400, "ledger.bad_range"),
        ({"to": "9999-12-31"}, 400, "ledger.bad_range"),
        ({"from": "yesterday"}, 422, "request.invalid"),
        ({"book": "all"}, 422, "request.invalid"),
    ],
)
async def test_what_cannot_be_exported_is_refused_before_it_begins(asked: dict[str, str], status: int, code: str, officer: Desk) -> None:
    for form in ("beancount", "csv", "xlsx"):
        answer = await officer.api.get(f"/api/v1/supervision/ledger.{form}", params=asked)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_only_officers_take_the_books_away(desks: Desks, world: World) -> None:
    institution = await desks.institution(await world.institution())
    for client, status in ((institution.api, 403), (await desks.anybody(), 401)):
        assert (await client.get("/api/v1/supervision/ledger.csv")).status_code == status


async def test_more_exports_at_a_time_than_there_are_places_wait_outside(officer: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_places", asyncio.Semaphore(0))
    answer = await officer.api.get("/api/v1/supervision/ledger.csv")
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger.exports_busy")


async def test_a_reader_who_leaves_gives_the_place_and_the_connection_back(
    desks: Desks, officer: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = asyncio.Semaphore(1)
    monkeypatch.setattr(exports, "_places", places)
    began, sent = asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        if not sent.is_set():
            sent.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await began.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message.get("body"):
            assert places.locked()
            began.set()
            await asyncio.Event().wait()

    await desks.app(request(officer, "/api/v1/supervision/ledger.beancount"), receive, send)
    assert began.is_set()
    assert not places.locked()
    await nobody_reads(world.district)


def request(desk: Desk, path: str) -> dict[str, Any]:
    """A GET as a server hands it over."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "server": ("escrow.test", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"escrow.test"), (b"authorization", f"Bearer {desk.token}".encode())],
        "state": {},
    }
