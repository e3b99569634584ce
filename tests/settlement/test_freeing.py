"""A payout that the bank did not pay, or an officer rejected, frees its releases for the next run."""

import asyncio

import pytest

from app import clock
from app.banking import service as banking
from app.settlement import jobs, queries, service
from app.settlement.models import Payout
from tests.school import LESSON_FEN, School, ask_again, clear, found_school, instructed, send
from tests.world import CONNECTION, World


@pytest.fixture
async def school(world: World) -> School:
    school = await found_school(world)
    family = await school.enrol()
    await school.deliver(1, family)
    await school.confirm(family, 1)
    return school


async def run(school: School, run_no: int = 1) -> Payout:
    async with school.world.district.transaction() as session:
        payout = await service.run(session, school.institution.id, clock.today(), run_no, school.world.clerk().actor)
    assert payout is not None
    return payout


async def reject(school: School, payout: Payout) -> None:
    """The bank refuses to pay it."""
    await school.world.bank.knob("reject", reference=payout.payout_no, code="account_closed")
    await clear(school.world, payout.payout_no)
    await send(school.world)
    assert (await instructed(school.world, payout.payout_no)).status == "rejected"


async def test_a_rejected_payout_is_drafted_anew_by_the_next_run(school: School) -> None:
    first = await run(school)
    await reject(school, first)
    assert await jobs.free_unpaid(school.world.district) == 1
    assert await school.totals() == {"cash": 400_00, "escrow": 300_00, "payable": 100_00}
    second = await run(school, 2)
    assert (second.amount_fen, second.payout_no != first.payout_no) == (LESSON_FEN, True)
    await clear(school.world, second.payout_no)
    await send(school.world)
    assert await school.world.at_bank(school.institution, "settlement") == LESSON_FEN
    async with school.world.district.reading() as session:
        views = {view.payout_no: view for view in await queries.payouts_of_institution(session, school.institution.id)}
    assert [line.live for line in views[first.payout_no].lines + views[second.payout_no].lines] == [False, True]
    assert (views[first.payout_no].status, views[first.payout_no].reject_code) == ("rejected", "account_closed")


async def test_a_returned_payout_is_owed_again(school: School) -> None:
    payout = await run(school)
    await clear(school.world, payout.payout_no)
    await send(school.world)
    await school.world.bank.return_instruction(CONNECTION, payout.payout_no)
    assert (await ask_again(school.world, payout.payout_no)).status == "returned"
    assert await jobs.free_unpaid(school.world.district) == 1
    assert await school.totals() == {"cash": 400_00, "escrow": 300_00, "payable": 100_00}
    async with school.world.district.reading() as session:
        assert (await queries.balance(session, school.institution.id)).paid_fen == 0


async def test_a_held_payout_that_an_officer_rejects_is_owed_again(school: School) -> None:
    payout = await run(school)
    instruction = await instructed(school.world, payout.payout_no)
    async with school.world.district.transaction() as session:
        await banking.hold(session, instruction.id)
    assert await jobs.free_unpaid(school.world.district) == 0
    async with school.world.district.transaction() as session:
        await banking.reject_held(session, instruction.id)
    assert await jobs.free_unpaid(school.world.district) == 1
    assert (await school.totals())["payable"] == LESSON_FEN


async def test_a_held_payout_is_not_drafted_twice(school: School) -> None:
    payout = await run(school)
    async with school.world.district.transaction() as session:
        await banking.hold(session, (await instructed(school.world, payout.payout_no)).id)
        assert await service.run(session, school.institution.id, clock.today(), 2, "system") is None


async def test_the_same_run_still_answers_the_payout_that_failed(school: School) -> None:
    payout = await run(school)
    await reject(school, payout)
    await jobs.free_unpaid(school.world.district)
    assert (await run(school)).id == payout.id


async def test_workers_at_once_free_once(school: School) -> None:
    await reject(school, await run(school))
    assert sum(await asyncio.gather(*(jobs.free_unpaid(school.world.district) for _ in range(4)))) == 1
    assert (await school.totals())["payable"] == LESSON_FEN


async def test_freeing_and_the_next_run_at_once_pay_each_release_once(school: School) -> None:
    await reject(school, await run(school))
    district = school.world.district
    await asyncio.gather(jobs.free_unpaid(district), jobs.run_district(district, clock.today(), 2))
    await jobs.run_district(district, clock.today(), 3)
    assert await school.totals() == {"cash": 400_00, "escrow": 300_00, "outgoing": 100_00}
