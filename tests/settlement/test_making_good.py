"""A shortfall is made good from what the institution earns before it is paid anything."""

import asyncio

import pytest
from sqlalchemy import select

from app import clock
from app.banking import jobs as bank_jobs
from app.errors import Refused
from app.lessons.models import Release
from app.refunds import jobs as refund_jobs
from app.registry import institutions
from app.settlement import jobs
from app.settlement.models import MadeGoodLine, PayoutLine
from tests.old_families import ask_back, old_families, old_family, settle, taught
from tests.school import LESSON_FEN, School, final_after, found_school
from tests.world import CONNECTION, World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def lines(school: School) -> tuple[list[int], list[int]]:
    """What runs took for shortfalls, and what they pay, release by release."""
    async with school.world.district.reading() as session:
        taken = await session.scalars(select(MadeGoodLine.amount_fen).order_by(MadeGoodLine.release_id))
        paid = await session.scalars(select(PayoutLine.amount_fen).where(PayoutLine.live).order_by(PayoutLine.release_id))
        return list(taken), list(paid)


async def test_earnings_make_the_shortfall_good_and_nothing_is_paid_out(school: School) -> None:
    old, new = await old_family(school), await school.enrol()
    await taught(school, 1, old, new)
    assert await settle(school) is None
    assert await school.totals() == {"cash": 400_00, "escrow": 600_00, "shortfall": 200_00}
    assert await lines(school) == ([LESSON_FEN, LESSON_FEN], [])


async def test_what_is_left_over_is_paid_out_of_the_same_run(school: School) -> None:
    old = await old_family(school, lesson_count=1, amount_fen=250_00)
    families = [await school.enrol() for _ in range(2)]
    await taught(school, 1, *families, old)
    payout = await settle(school)
    assert payout is not None
    assert payout.amount_fen == 200_00
    assert await lines(school) == ([100_00, 100_00, 50_00], [200_00])
    assert await school.totals() == {"cash": 800_00, "escrow": 600_00, "outgoing": 200_00}


async def test_a_suspended_institution_is_paid_nothing_but_makes_its_shortfall_good(school: School) -> None:
    world = school.world
    old = await old_family(school, lesson_count=2)
    families = [await school.enrol() for _ in range(3)]
    await taught(school, 1, old, *families)
    await ask_back(school, old)
    async with world.district.transaction() as session:
        await institutions.set_status(session, world.officer(), school.institution.id, "suspended", "检查中")
    for _ in range(2):
        assert await jobs.run_district(world.district, clock.today(), 1) == []
    assert await school.totals() == {"cash": 1_200_00, "escrow": 1_000_00, "payable": 200_00}
    assert await lines(school) == ([100_00, 100_00], [])
    assert await refund_jobs.fund(world.district) == 1, "the family that waits is paid"


async def test_the_same_run_again_takes_nothing_twice(school: School) -> None:
    old = await old_family(school)
    await taught(school, 1, old)
    for _ in range(2):
        assert await settle(school) is None
    assert await settle(school, run_no=2) is None
    assert await school.totals() == {"escrow": 300_00, "shortfall": 300_00}


async def test_a_fee_that_may_still_be_disputed_makes_nothing_good(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    old = await old_family(school)
    with final_after(monkeypatch, 24):
        await taught(school, 1, old)
    assert await settle(school) is None
    assert await school.totals() == {"escrow": 300_00, "payable": 100_00, "shortfall": 400_00}
    await school.dispute(old, 1)
    assert await school.totals() == {"escrow": 400_00, "shortfall": 400_00}


async def test_a_debit_that_nobody_instructed_is_made_good_too(school: School) -> None:
    world, family = school.world, await school.enrol()
    await taught(school, 1, family)
    await world.bank.debit_uninstructed((await world.account(school.institution)).account_no, 30_00)
    await bank_jobs.import_statement(world.district, world.banks, CONNECTION, clock.today())
    payout = await settle(school)
    assert payout is not None
    assert payout.amount_fen == 70_00
    assert await school.totals() == {"cash": 370_00, "escrow": 300_00, "outgoing": 70_00}


async def test_a_payout_that_comes_back_waits_for_the_next_run_less_what_is_short_then(school: School) -> None:

    world, family = school.world, await school.enrol()
    await taught(school, 1, family)
    payout = await settle(school)
    assert payout is not None
    await world.bank.knob("reject", "transfer", code="account_closed")
    await world.work()
    assert await jobs.free_unpaid(world.district) == 0
    await old_family(school, lesson_count=1, amount_fen=40_00)
    again = await settle(school, run_no=2)
    assert again is not None
    assert again.amount_fen == 60_00
    assert await lines(school) == ([40_00], [60_00])


async def test_runs_at_once_take_each_fen_once(school: School) -> None:
    old = await old_families(school, 3)
    new = await school.enrol()
    await taught(school, 1, new, *old)

    async def run(run_no: int) -> str:
        try:
            return str(await settle(school, run_no))
        except Refused as refusal:
            return refusal.code

    assert set(await asyncio.gather(*(run(number) for number in range(1, 9)))) == {"None"}
    assert await school.totals() == {"cash": 400_00, "escrow": 1_200_00, "shortfall": 800_00}
    async with school.world.district.reading() as session:
        assert set(await session.scalars(select(Release.made_good_fen))) == {LESSON_FEN}


async def test_lessons_recognised_while_a_run_goes_on_leave_the_books_whole(school: School) -> None:
    families = [await school.enrol() for _ in range(3)]
    await taught(school, 1, *families)
    await asyncio.gather(old_families(school, 2, lesson_count=3), *(settle(school, number) for number in range(1, 5)))
    totals = await school.totals()
    assert totals["cash"] + totals.get("shortfall", 0) == totals["escrow"] + totals.get("payable", 0) + totals.get("outgoing", 0)
