"""Old contracts out of a file: every row finds its class and its family, or none is entered."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app import clock
from app.bulk import old_contracts, service, steps
from app.bulk.headings import Table
from app.bulk.kinds import Importer
from app.bulk.models import BulkUpload
from app.bulk.reader import Numbered, letters
from app.contracts import queries
from app.contracts.models import Contract
from app.ledger import service as ledger
from app.registry import families
from app.registry.models import Guardian
from tests.conftest import books_hold
from tests.old_families import old_family
from tests.school import School, found_school
from tests.world import World

CLASS = "创意美术"


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world, seats=3)


def row(phone: str = "13900000001", name: str = "赵小满", lessons: str = "2", yuan: str = "150", ends_on: str = "") -> list[str]:
    return [phone, name, "2016-09", CLASS, lessons, yuan, ends_on]


async def checked(school: School, *rows: list[str]) -> BulkUpload:
    """Upload the rows and let them be checked."""
    world = school.world
    table = Table([letters(at) for at in range(7)], [Numbered(number, cells) for number, cells in enumerate(rows, start=2)])
    importer = Importer(school.institution.id, school.staff.actor)
    async with world.district.transaction() as session:
        received = await service.receive(session, importer, old_contracts.KIND, table)
    await steps.take(world.district, received.upload.id)
    return await now(school, received.upload)


async def now(school: School, upload: BulkUpload) -> BulkUpload:
    async with school.world.district.reading() as session:
        return await session.get_one(BulkUpload, upload.id)


async def imported(school: School, upload: BulkUpload) -> BulkUpload:
    """Confirm it and let it be imported."""
    async with school.world.district.transaction() as session:
        await service.confirm(session, Importer(school.institution.id, school.staff.actor), upload.id)
    await steps.take(school.world.district, upload.id)
    return await now(school, upload)


async def entered(school: School) -> int:
    async with school.world.district.reading() as session:
        return await session.scalar(select(func.count()).select_from(Contract)) or 0


async def test_a_file_becomes_contracts_that_their_families_find(school: School) -> None:
    upload = await checked(school, row(), row("13900000002", "钱小雨", "4", "400.00"))
    assert (upload.status, upload.problems) == ("checked", [])
    assert await school.totals() == {}
    assert (await imported(school, upload)).status == "imported"
    assert await school.totals() == {"escrow": 550_00, "shortfall": 550_00}
    async with school.world.district.reading() as session:
        [guardian] = (await families.known_guardians(session, ["+8613900000001"])).values()
        [view] = await queries.contracts_of_guardian(session, guardian.id)
    assert (view.old_stock, view.amount_fen, [lesson.price_fen for lesson in view.lessons]) == (True, 150_00, [75_00, 75_00])


async def test_every_bad_row_is_named_and_nothing_is_entered(school: School) -> None:
    too_soon = (clock.today() + timedelta(days=1)).isoformat()
    bad = [
        row("13900000002", lessons="5"),
        row("13900000003", yuan="0.01"),
        [*row("13900000004")[:3], "没有这个班", "2", "100", ""],
        row("13900000005", lessons="4", ends_on=too_soon),
        row(),
        row("12"),
    ]
    upload = await checked(school, row(), *bad)
    assert upload.status == "faulty"
    assert [problem["cell"] for problem in upload.problems] == ["E3", "F4", "D5", "G6", "D7", "A8"]
    assert await entered(school) == 0


async def test_seats_that_the_file_itself_takes_are_counted(school: School) -> None:
    await old_family(school)
    upload = await checked(school, *[row(f"1390000000{n}") for n in range(1, 4)])
    assert [problem["message_zh"] for problem in upload.problems] == ["该班级名额已满"]


async def test_the_same_file_again_enters_nothing_twice(school: School) -> None:
    first = await checked(school, row())
    assert (await imported(school, first)).status == "imported"
    again = await checked(school, row(yuan="151"))
    assert [problem["message_zh"] for problem in again.problems] == ["这名学生在该班级已有有效合同"]
    assert await entered(school) == 1


async def test_a_file_of_more_than_the_books_take_at_once_is_recognised_as_one(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_contracts, "AT_A_TIME", 2)
    monkeypatch.setattr(ledger, "MOST_AT_ONCE", 2)
    upload = await imported(school, await checked(school, row(), row("13900000002"), row("13900000003", yuan="100")))
    assert (upload.status, upload.problems) == ("imported", [])
    assert await school.totals() == {"escrow": 400_00, "shortfall": 400_00}
    await books_hold(school.world.district)


async def test_a_family_without_a_contract_here_looks_like_a_stranger(school: School) -> None:
    world = school.world
    parent = await world.parent()
    child = await world.child(parent, "赵小满")
    async with world.district.reading() as session:
        phone = families.phone_of(await session.get_one(Guardian, parent.guardian_id))
    upload = await checked(school, row(phone))
    assert (upload.status, upload.known_count, upload.problems) == ("checked", 0, [])
    assert (await imported(school, upload)).status == "imported"
    async with world.district.reading() as session:
        [view] = await queries.contracts_of_guardian(session, parent.guardian_id)
        [own] = await families.children_of(session, parent.guardian_id)
    assert (view.student_id, families.birth_month_of(own)) == (child.id, "2017-05"), "what the guardian said stands"
    elsewhere = await checked(school, row(phone, name="赵 小满"))
    assert [problem["cell"] for problem in elsewhere.problems] == ["C2"], "now it is a family of the institution"
