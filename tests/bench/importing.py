"""What a full file takes from its bytes to the register: reading, the dry run and the import."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from sqlalchemy import select

from app import clock
from app.bulk import reading, service, steps
from app.bulk.headings import table_of
from app.bulk.kinds import Importer
from app.bulk.models import BulkUpload
from app.bulk.registry import KINDS
from app.db import Database, District
from app.registry.models import Institution
from tests.bench.ground import DISTRICT, Ground, Size

ROWS = 20_000
"""Of each kind; a class has ten lessons, and an old contract all of them."""
SIZE = Size(institutions=10, families=200, lessons=5, confirmed=2)
"""What stands in the district already."""
_SEATS = 500
_OPENED = ROWS // _SEATS
_APPROVE = f"""
    UPDATE training_class SET status = 'opened', decided_at = now(), decision_reason = 'measured'
    WHERE name IN (SELECT '美术' || number || '班' FROM generate_series(0, {_OPENED - 1}) AS number)
"""
_A_DAY = 10
"""Classes that one teacher begins on a day, an hour each from eight in the morning on."""


@dataclass(frozen=True)
class Import:
    """One file and the seconds that its stages took."""

    kind: str
    rows: int
    read: float
    checked: float
    imported: float

    @property
    def seconds(self) -> float:
        return self.read + self.checked + self.imported


async def imports(here: Ground, database: str) -> list[Import]:
    """Files of teachers, classes, students and old contracts, one after the other, in a database of their own."""
    await here.database(database, SIZE)
    served = Database(here.url("escrow_app", database))
    district = served.district(DISTRICT)
    async with district.reading() as session:
        institution_id = (await session.scalars(select(Institution.id).limit(1))).one()
    importer = Importer(institution_id, "bench")
    done = [
        await _import(district, importer, "teachers", _rows(_teacher, ROWS)),
        await _import(district, importer, "classes", _rows(_class, ROWS)),
        await _import(district, importer, "students", _rows(_student, ROWS)),
    ]
    await here.run(database, _APPROVE)
    done.append(await _import(district, importer, "old-contracts", _rows(_old_contract, ROWS)))
    await served.aclose()
    return done


async def _import(district: District, importer: Importer, slug: str, rows: Sequence[Sequence[str]]) -> Import:
    content = _csv([column.heading for column in KINDS[slug].columns], rows)
    stages = [time.perf_counter()]
    table = table_of(KINDS[slug], await reading.read(importer.institution_id, content))
    async with district.transaction() as session:
        upload_id = (await service.receive(session, importer, KINDS[slug], table)).upload.id
    stages.append(time.perf_counter())
    await steps.take(district, upload_id)
    async with district.transaction() as session:
        await service.confirm(session, importer, upload_id)
    stages.append(time.perf_counter())
    await steps.take(district, upload_id)
    stages.append(time.perf_counter())
    async with district.reading() as session:
        ended = await session.get_one(BulkUpload, upload_id)
    assert ended.status == "imported", ended.problems[:3]
    read, checked, imported = (later - earlier for earlier, later in pairwise(stages))
    return Import(slug, len(rows), read, checked, imported)


def _rows(row: Callable[[int], list[str]], count: int) -> list[list[str]]:
    return [row(number) for number in range(count)]


def _teacher(number: int) -> list[str]:
    return [f"教师{number}", f"C{number:012d}", "美术", "美术、书法", "", "2024-09-01"]


def _class(number: int) -> list[str]:
    first_on, hour = _monday() + timedelta(days=number % 5), 8 + number % _A_DAY
    held = [f"{hour:02d}:00", f"{hour:02d}:45", "10", "1", "否", "", "45"]
    place = ["线下", "", f"{number // _A_DAY}", str(first_on), ""]
    return [f"美术{number}班", "美术", f"C{number:012d}", *place, *held, str(_SEATS), "1000", "1200", "素描入门", ""]


def _student(number: int) -> list[str]:
    return [f"138{number // 2:08d}", _pupil(number), f"{2010 + number % 10}-{1 + number % 12:02d}", "小学"]


def _pupil(number: int) -> str:
    """A name has no figures."""
    return "学生" + "".join("甲乙丙丁戊己庚辛壬癸"[int(figure)] for figure in str(number))


def _old_contract(number: int) -> list[str]:
    """Of families that the district does not know yet."""
    family = [f"139{number // 2:08d}", _pupil(number), f"{2010 + number % 10}-{1 + number % 12:02d}"]
    return [*family, f"美术{number // _SEATS}班", "10", "1000.00", ""]


def _monday() -> date:
    """Of the week after next."""
    return clock.today() + timedelta(days=14 - clock.today().weekday())


def _csv(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows([headings, *rows])
    return written.getvalue().encode("gb18030")
