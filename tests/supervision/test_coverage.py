"""Selling again: the bank holds what families prepaid; what old contracts never brought is not asked for, what a debit took is."""

import pytest
from sqlalchemy import select

from app.audit import AuditEntry
from app.banking import service as banking
from app.errors import Refused
from app.registry import institutions
from app.supervision.coverage import Coverage, confirm_coverage
from tests.old_families import old_family, taught
from tests.school import School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    """Paused, with an old family, whose 400 yuan never came, and a new one, whose 400 did."""
    school = await found_school(world)
    await old_family(school)
    await school.enrol()
    async with world.district.transaction() as session:
        await institutions.pause_sales(session, world.officer(), school.institution.id, "变更法定代表人")
    return school


async def confirm(school: School) -> Coverage:
    world = school.world
    async with world.district.transaction() as session:
        await banking.ask_balance(session, school.institution.id)
    await world.work()
    async with world.district.transaction() as session:
        return await confirm_coverage(session, world.officer(), school.institution.id, "已核对存量台账")


async def refused(school: School) -> dict[str, object]:
    with pytest.raises(Refused, match=r"supervision\.uncovered") as refusal:
        await confirm(school)
    return dict(refusal.value.facts)


async def test_an_institution_with_old_stock_sells_again_though_it_is_short_of_it(school: School) -> None:
    confirmed = await confirm(school)
    assert (confirmed.money.escrow_fen, confirmed.old_stock_fen, confirmed.due_fen) == (800_00, 400_00, 400_00)
    assert (confirmed.money.coverage_bps, confirmed.due_bps) == (5_000, 10_000)
    async with school.world.district.reading() as session:
        resumed = (await session.scalars(select(AuditEntry).where(AuditEntry.action == "registry.sales_resumed"))).one()
    assert (resumed.facts["escrow_fen"], resumed.facts["old_stock_fen"], resumed.facts["reported_fen"]) == (800_00, 400_00, 400_00)


async def test_what_a_debit_took_is_not_left_out_beside_old_stock(school: School) -> None:
    await school.world.bank.debit_uninstructed((await school.world.account(school.institution)).account_no, 100_00)
    facts = await refused(school)
    assert (facts["old_stock_fen"], facts["due_fen"], facts["due_bps"]) == (400_00, 400_00, 7_500)


async def test_old_lessons_that_were_confirmed_leave_no_other_family_out(world: World) -> None:
    """Their fees are the institution's by now, and no more in escrow: the shortfall stands against those, not against others."""
    school = await found_school(world)
    old, _ = await old_family(school), await school.enrol()
    async with world.district.transaction() as session:
        await institutions.pause_sales(session, world.officer(), school.institution.id, "变更法定代表人")
    await taught(school, 1, old)
    await taught(school, 2, old)
    await world.bank.debit_uninstructed((await world.account(school.institution)).account_no, 50_00)
    facts = await refused(school)
    assert (facts["escrow_fen"], facts["old_stock_fen"], facts["due_fen"]) == (600_00, 200_00, 400_00)
    assert facts["reported_fen"] == 350_00
