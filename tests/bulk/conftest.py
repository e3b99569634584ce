"""An institution that hands in files, and what becomes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import func, select

from app.bulk import service, steps
from app.bulk.headings import table_of
from app.bulk.kinds import Importer
from app.bulk.models import BulkPart, BulkUpload
from app.bulk.reader import read
from app.bulk.registry import KINDS
from app.bulk.service import Received
from app.db import Base
from app.registry.families import name_of
from app.registry.models import Institution, Student
from tests.bulk.files import filled, xlsx
from tests.registry.office import MONDAY
from tests.world import World

SOUND: Mapping[str, Mapping[str, Any]] = {
    "teachers": {"name": "李明", "certificate_no": "C-1", "subject": "美术"},
    "students": {"phone": "13800138000", "name": "王小明", "birth_month": "2017-05"},
    "classes": {
        "name": "少儿美术",
        "subject": "美术",
        "certificate_no": "C-1",
        "mode": "线下",
        "campus": "主校区",
        "room": "201",
        "first_on": MONDAY,
        "weekdays": "周一、周三",
        "starts": "10:00",
        "ends": "11:00",
        "count": 4,
        "seats": 20,
        "price_fen": 400,
        "materials": "素描入门；练习册",
    },
}


@dataclass(frozen=True)
class Clerk:
    """Somebody at an institution, with files."""

    world: World
    institution: Institution

    @property
    def importer(self) -> Importer:
        return Importer(self.institution.id, "staff:clerk")

    def file(self, slug: str, *rows: Mapping[str, Any]) -> bytes:
        """A workbook of sound rows with these changes."""
        return xlsx(filled(slug, *rows, sound=SOUND[slug]))

    async def hand_in(self, slug: str, *rows: Mapping[str, Any]) -> Received:
        async with self.world.district.transaction() as session:
            await service.admit(session, self.importer)
        table = table_of(KINDS[slug], read(self.file(slug, *rows)))
        async with self.world.district.transaction() as session:
            return await service.receive(session, self.importer, KINDS[slug], table)

    async def check(self, slug: str, *rows: Mapping[str, Any]) -> BulkUpload:
        """Hand a file in and let the worker check it."""
        received = await self.hand_in(slug, *rows)
        assert await steps.take(self.world.district, received.upload.id) == 1
        return await self.seen(received.upload)

    async def confirm(self, upload: BulkUpload) -> BulkUpload:
        """Confirm it and let the worker import it."""
        async with self.world.district.transaction() as session:
            await service.confirm(session, self.importer, upload.id)
        assert await steps.take_due(self.world.district) == 1
        return await self.seen(upload)

    async def bring_in(self, slug: str, *rows: Mapping[str, Any]) -> BulkUpload:
        """All of it."""
        checked = await self.check(slug, *rows)
        assert checked.status == "checked", checked.problems
        return await self.confirm(checked)

    async def seen(self, upload: BulkUpload) -> BulkUpload:
        """As it stands now."""
        async with self.world.district.reading() as session:
            return await session.get_one(BulkUpload, upload.id)

    async def told(self, slug: str, *rows: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Cells and reasons of a file that the check refuses."""
        faulty = await self.check(slug, *rows)
        assert (faulty.status, faulty.problem_count) == ("faulty", len({problem["row"] for problem in faulty.problems}))
        return [(problem["cell"], problem["message_zh"]) for problem in faulty.problems]

    async def count(self, model: type[Base]) -> int:
        async with self.world.district.reading() as session:
            return await session.scalar(select(func.count()).select_from(model)) or 0

    async def children(self) -> list[str]:
        async with self.world.district.reading() as session:
            return sorted(name_of(child) for child in await session.scalars(select(Student)))

    async def kept(self) -> int:
        """Parts of files that are still kept."""
        return await self.count(BulkPart)


@pytest.fixture
async def clerk(world: World) -> Clerk:
    return Clerk(world, await world.institution())
