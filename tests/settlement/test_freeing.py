"""A payout that the bank did not pay, or an officer rejected, frees its releases for the next run."""

import asyncio

import pytest

from app import clock
from app.settlement import jobs, queries, service
from app.settlement.models import Payout
from app.supervision import jobs as supervision
from app.supervision.rules import Lines
from app.supervision.service import reject_payout, set_thresholds
from tests.school import LESSON_FEN, School, ask_again, found_school, instructed, send
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
    await supervision.clear_payouts(school.world.district)
    await send(school.world)
    assert (await instructed(school.world, payout.payout_no)).status == "rejected"


async def test_a_rejected_payout_is_drafted_anew_by_the_next_run(school: School) -> None:
    first = await run(school)
    await reject(school, first)
    assert await jobs.free_unpaid(school.world.district) == 1
    assert await school.totals() == {"cash": 400_00, "escrow": 300_00, "payable": 100_00}
    second = await run(school, 2)
    assert (second.amount_fen, second.payout_no != first.payout_no) == (LESSON_FEN, True)
    await supervision.clear_payouts(school.world.district)
    await send(school.world)
    assert await school.world.at_bank(school.institution, "settlement") == LESSON_FEN
    async with school.world.district.reading() as session:
        views = {view.payout_no: view for view in await queries.payouts_of_institution(session, school.institution.id)}
    assert [line.live for line in views[first.payout_no].lines + views[second.payout_no].lines] == [False, True]
    assert (views[first.payout_no].status, views[first.payout_no].reject_code) == ("rejected", "account_closed")


async def test_a_returned_payout_is_owed_again(school: School) -> None:
    payout = await run(school)
    await supervision.clear_payouts(school.world.district)
    await send(school.world)
    await school.world.bank.return_instruction(CONNECTION, payout.payout_no)
    assert (await ask_again(school.world, payout.payout_no)).status == "returned"
    assert await jobs.free_unpaid(school.world.district) == 1
    assert await school.totals() == {"cash": 400_00, "escrow": 300_00, "payable": 100_00}
    async with school.world.district.reading() as session:
        assert (await queries.balance(session, school.institution.id)).paid_fen == 0


async def hold(school: School) -> None:
    """Supervision holds every payout of this institution above ¥0.01."""
    async with school.world.district.transaction() as session:
        await set_thresholds(session, "test", school.institution.id, Lines(1, 1, 0))
    assert await supervision.clear_payouts(school.world.district) == 1


async def test_a_held_payout_that_an_officer_rejects_is_owed_again(school: School) -> None:
    payout = await run(school)
    await hold(school)
    assert await jobs.free_unpaid(school.world.district) == 0
    async with school.world.district.transaction() as session:
        await reject_payout(session, school.world.officer(), payout.id, "先核查")
    assert await jobs.free_unpaid(school.world.district) == 1
    assert (await school.totals())["payable"] == LESSON_FEN


async def test_a_held_payout_is_not_drafted_twice(school: School) -> None:
    await run(school)
    await hold(school)
    async with school.world.district.transaction() as session:
        assert await service.run(session, school.institution.id, clock.today(), 2, "system") is None
    assert (await school.totals())["outgoing"] == LESSON_FEN


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
