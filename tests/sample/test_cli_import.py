"""An operator imports a file of rows for an institution."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.audit import AuditEntry
from app.bulk.models import BulkPart
from app.registry.models import Student
from tests.bulk.conftest import SOUND
from tests.bulk.files import as_csv, filled
from tests.sample.commands import Operator
from tests.world import World


async def test_a_file_is_tried_imported_and_not_imported_again(
    monkeypatch: pytest.MonkeyPatch, world: World, app_url: str, tmp_path: Path
) -> None:
    operator, institution = Operator(monkeypatch, DATABASE_URL=app_url), await world.institution()
    file = tmp_path / "students.csv"
    file.write_bytes(as_csv(filled("students", {}, {"name": "王小红"}, sound=SOUND["students"]), "gb18030"))
    command = ("import", "students", str(file), "--institution", institution.credit_code)
    assert "2 行可以导入" in await operator.done(*command, "--dry-run")
    assert await students(world) == (0, 0)
    assert "2 行已导入" in await operator.done(*command)
    assert await students(world) == (2, 0)
    assert "没有重复导入" in await operator.done(*command)
    async with world.district.reading() as session:
        imported = (await session.scalars(select(AuditEntry).where(AuditEntry.action == "bulk.imported"))).one()
    assert (imported.actor, imported.facts) == ("operator", {"kind": "students", "rows": 2, "known": 0})


async def test_what_cannot_be_imported_is_said_and_nothing_is(
    monkeypatch: pytest.MonkeyPatch, world: World, app_url: str, tmp_path: Path
) -> None:
    operator, institution = Operator(monkeypatch, DATABASE_URL=app_url), await world.institution()
    file = tmp_path / "students.csv"
    command = ("import", "students", str(file), "--institution", institution.credit_code)
    assert "无法读取文件" in await operator.refused(*command)
    file.write_bytes(b"")
    assert "文件是空的" in await operator.refused(*command)
    file.write_bytes(as_csv(filled("students", {}, {"phone": "12345"}, sound=SOUND["students"])))
    status, printed, said = await operator.run(*command)
    assert (status, said) == (1, "1 行不能导入，一行也没有导入\n")
    assert "A3" in printed
    assert "须为大陆手机号码" in printed
    assert "没有这种导入" in await operator.refused("import", "pupils", *command[2:])
    assert "没有这家机构" in await operator.refused(*command[:-1], "none")
    assert await students(world) == (0, 0)


async def students(world: World) -> tuple[int, int]:
    """Children in the register, and parts of files that are kept."""
    async with world.district.reading() as session:
        counts = [await session.scalar(select(func.count()).select_from(model)) or 0 for model in (Student, BulkPart)]
        return counts[0], counts[1]
