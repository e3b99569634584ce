"""Old contracts become contracts like any others: every old yuan on a lesson, and as shortfall what no cash stands behind."""

import asyncio
from datetime import timedelta

import pytest

from app import clock
from app.contracts import queries
from app.contracts.old_stock import OldContract
from app.errors import BadInput, Conflict, DomainError, NotFound, Refused
from app.ids import uuid7
from app.payments.old_stock import recognise
from app.registry import classes, institutions
from tests.old_families import old_families, old_family, taught
from tests.school import LESSON_FEN, School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world, seats=3)


async def refused(school: School, *rows: OldContract) -> DomainError:
    with pytest.raises(DomainError) as caught:
        async with school.world.district.transaction() as session:
            await recognise(session, school.institution.id, rows, school.staff.actor)
    return caught.value


async def row_for(school: School, lesson_count: int = 2, amount_fen: int = 200_00) -> OldContract:
    parent = await school.world.parent()
    student = await school.world.child(parent)
    return OldContract(school.training_class.id, parent.guardian_id, student.id, lesson_count, amount_fen)


async def test_every_old_yuan_stands_on_a_lesson_and_as_shortfall(school: School) -> None:
    family = await old_family(school, lesson_count=3, amount_fen=100_00)
    lessons = await school.world.lessons_of(family.contract)
    assert [lesson.status for lesson in lessons] == ["scheduled"] * 3
    assert [lesson.price_fen for lesson in lessons] == [33_34, 33_33, 33_33]
    assert [lesson.class_session_id for lesson in lessons] == [each.id for each in school.sessions[:3]]
    assert await school.totals() == {"escrow": 100_00, "shortfall": 100_00}
    assert await school.contract_status(family) == "paid"


async def test_its_guardian_sees_that_it_is_an_old_contract(school: School) -> None:
    family = await old_family(school)
    async with school.world.district.reading() as session:
        [view] = await queries.contracts_of_guardian(session, family.parent.guardian_id)
    assert (view.old_stock, view.status, view.escrow_fen) == (True, "paid", 400_00)


async def test_only_lessons_that_have_not_begun_can_be_given(school: School) -> None:
    await school.end_of(2)
    error = await refused(school, await row_for(school, lesson_count=3))
    assert isinstance(error, Refused)
    assert (error.code, error.facts["field"], error.facts["item"]) == ("contracts.old_lessons", "lesson_count", 0)
    assert (await school.world.lessons_of((await old_family(school, lesson_count=2)).contract))[0].class_session_id == school.sessions[2].id


async def test_a_contract_that_ends_before_its_lessons_is_refused(school: School) -> None:
    row = await row_for(school, lesson_count=4)
    ends_on = clock.business_date(school.sessions[3].starts_at) - timedelta(days=1)
    early = OldContract(row.class_id, row.guardian_id, row.student_id, 4, 400_00, ends_on)
    assert (await refused(school, early)).code == "contracts.old_ends"


async def test_one_bad_row_keeps_all_out(school: School) -> None:
    good = await row_for(school)
    for bad, kind, code in [
        (await row_for(school, amount_fen=1), BadInput, "contracts.old_amount"),
        (OldContract(uuid7(), good.guardian_id, good.student_id, 2, 200_00), NotFound, "registry.class_not_found"),
        (good, Conflict, "contracts.already_signed"),
    ]:
        error = await refused(school, good, bad)
        assert (type(error), error.code, error.facts["item"]) == (kind, code, 1)
    assert await school.totals() == {}


async def test_old_contracts_take_seats(school: School) -> None:
    await school.enrol()
    await old_families(school, 2)
    assert (await refused(school, await row_for(school))).code == "contracts.full"


async def test_an_institution_that_sells_nothing_new_enters_them_all_the_same(school: School) -> None:
    async with school.world.district.transaction() as session:
        await institutions.pause_sales(session, school.world.officer(), school.institution.id, "变更地址")
        await classes.close_class(session, school.staff, school.training_class.id)
    assert await school.contract_status(await old_family(school)) == "paid"


async def test_a_suspended_institution_enters_none(school: School) -> None:
    row = await row_for(school)
    async with school.world.district.transaction() as session:
        await institutions.set_status(session, school.world.officer(), school.institution.id, "suspended", "检查中")
    assert (await refused(school, row)).code == "payments.institution_not_open"


async def test_a_confirmed_old_lesson_is_owed_to_the_institution_like_any_other(school: School) -> None:
    family = await old_family(school)
    await taught(school, 1, family)
    assert await school.totals() == {"escrow": 300_00, "payable": LESSON_FEN, "shortfall": 400_00}
    for number in range(2, 5):
        await taught(school, number, family)
    assert await school.contract_status(family) == "closed"


async def test_two_who_enter_the_same_children_at_once_enter_them_once(school: School) -> None:
    rows = [await row_for(school), await row_for(school)]

    async def enter() -> str:
        try:
            async with school.world.district.transaction() as session:
                return str(len(await recognise(session, school.institution.id, rows, school.staff.actor)))
        except Conflict as refusal:
            return refusal.code

    answers = await asyncio.gather(*(enter() for _ in range(4)))
    assert sorted(answers) == ["2", *["contracts.already_signed"] * 3]
    assert await school.totals() == {"escrow": 400_00, "shortfall": 400_00}
