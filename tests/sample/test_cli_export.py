"""An operator writes the books to a file for auditors."""

import os
from pathlib import Path

import pytest
from sqlalchemy import select

from app import clock
from app.audit import AuditEntry
from app.ledger import jobs
from tests.ledger.auditors import complaints, csv_rows, excel_rows
from tests.sample.commands import Operator
from tests.world import World


async def test_the_books_are_written_to_a_file_of_the_kind_that_its_name_says(
    monkeypatch: pytest.MonkeyPatch, world: World, app_url: str, tmp_path: Path
) -> None:
    operator, institution = Operator(monkeypatch, DATABASE_URL=app_url), await world.institution()
    await world.paid_contract(institution)
    await jobs.seal(world.district)
    today = str(clock.today())
    files = [tmp_path / f"books.{suffix}" for suffix in ("beancount", "csv", "xlsx")]
    for file in files:
        assert await operator.done("export", str(file), "--book", str(institution.id), "--from", today, "--to", today) == f"{file}\n"
    assert await complaints(files[0].read_text("utf-8"), tmp_path) == []
    for rows in (csv_rows(files[1].read_bytes()), excel_rows(files[2].read_bytes())):
        assert [row["账簿名称"] for row in rows] == [institution.name] * 2
    async with world.district.reading() as session:
        entries = await session.scalars(select(AuditEntry).where(AuditEntry.action == "ledger.exported"))
        assert [(entry.actor, entry.facts["form"]) for entry in entries] == [("operator", file.suffix[1:]) for file in files]


async def test_what_cannot_be_exported_leaves_the_file_as_it_was(
    monkeypatch: pytest.MonkeyPatch, world: World, app_url: str, tmp_path: Path
) -> None:
    operator, file = Operator(monkeypatch, DATABASE_URL=app_url), tmp_path / "books.csv"
    file.write_text("last year's")
    assert "没有这本账簿" in await operator.refused("export", str(file), "--book", "00000000-0000-0000-0000-000000000001")
    assert "起止日期不正确" in await operator.refused("export", str(file), "--from", "2026-03-02", "--to", "2026-03-01")
    assert "文件名须以" in await operator.refused("export", str(tmp_path / "books.pdf"))
    assert "无法写入文件" in await operator.refused("export", str(tmp_path / "nowhere" / "books.csv"))
    assert file.read_text() == "last year's"
    assert os.listdir(tmp_path) == ["books.csv"]
