"""A settlement run drafts what is final and unpaid, once, and pays lines, not balances."""

import asyncio
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select, update

from app import clock
from app.banking import jobs as bank_jobs
from app.errors import BadInput, NotFound, Refused
from app.ids import uuid7
from app.registry.models import Institution
from app.settlement import jobs, queries, service
from app.settlement.models import Payout, PayoutLine, SettlementRun
from app.supervision import jobs as supervision
from tests.school import LESSON_FEN, Family, School, final_after, found_school, instructed, send
from tests.world import CONNECTION, World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def run(school: School, run_no: int = 1, business_on: date | None = None) -> Payout | None:
    async with school.world.district.transaction() as session:
        return await service.run(session, school.institution.id, business_on or clock.today(), run_no, school.world.clerk().actor)


async def runs_of(school: School) -> int | None:
    async with school.world.district.reading() as session:
        query = select(func.count()).select_from(SettlementRun).where(SettlementRun.institution_id == school.institution.id)
        return await session.scalar(query)


async def confirmed_lessons(school: School, how_many: int = 2) -> list[Family]:
    """That many families have confirmed the first lesson."""
    families = [await school.enrol() for _ in range(how_many)]
    await school.deliver(1, *families)
    for family in families:
        await school.confirm(family, 1)
    return families


async def confirmed_second(school: School, family: Family) -> None:
    await school.deliver(2, family)
    await school.confirm(family, 2)


async def test_a_run_drafts_one_payout_and_reserves_its_money(school: School) -> None:
    await confirmed_lessons(school)
    payout = await run(school)
    assert payout is not None
    assert payout.amount_fen == 2 * LESSON_FEN
    assert (await instructed(school.world, payout.payout_no)).status == "drafted"
    assert await school.totals() == {"cash": 800_00, "escrow": 600_00, "outgoing": 200_00}


async def test_what_is_cleared_reaches_the_settlement_account(school: School) -> None:
    await confirmed_lessons(school)
    payout = await run(school)
    assert payout is not None
    await send(school.world)
    assert await school.world.at_bank(school.institution, "settlement") == 0
    await supervision.clear_payouts(school.world.district)
    await send(school.world)
    assert await school.world.at_bank(school.institution, "settlement") == 2 * LESSON_FEN
    async with school.world.district.reading() as session:
        balance = await queries.balance(session, school.institution.id)
    assert balance == queries.Balance(escrow_fen=600_00, payable_fen=0, outgoing_fen=0, paid_fen=200_00, shortfall_fen=0)


async def test_the_same_run_again_answers_the_same_payout(school: School) -> None:
    [family] = await confirmed_lessons(school, 1)
    first = await run(school)
    await confirmed_second(school, family)
    again = await run(school, business_on=first and clock.business_date(first.drafted_at))
    assert (first and first.id, await runs_of(school)) == (again and again.id, 1)
    assert (await school.totals())["payable"] == LESSON_FEN


async def test_the_next_run_number_drafts_what_came_since(school: School) -> None:
    [family] = await confirmed_lessons(school, 1)
    first = await run(school)
    await confirmed_second(school, family)
    second = await run(school, run_no=2)
    assert first is not None
    assert second is not None
    assert (first.amount_fen, second.amount_fen) == (LESSON_FEN, LESSON_FEN)
    assert (await school.totals())["outgoing"] == 2 * LESSON_FEN


async def test_the_same_run_at_once_drafts_once(school: School) -> None:
    await confirmed_lessons(school)
    payouts = await asyncio.gather(*(run(school) for _ in range(8)))
    assert len({payout and payout.id for payout in payouts}) == 1
    assert (await school.totals())["outgoing"] == 2 * LESSON_FEN


async def test_different_runs_at_once_pay_each_release_once(school: School) -> None:
    await confirmed_lessons(school, 3)
    payouts = [payout for payout in await asyncio.gather(*(run(school, number) for number in range(1, 7))) if payout]
    assert sum(payout.amount_fen for payout in payouts) == 3 * LESSON_FEN
    assert await runs_of(school) == 6
    async with school.world.district.reading() as session:
        assert await session.scalar(select(func.count()).select_from(PayoutLine)) == 3


async def test_where_nothing_is_owed_the_run_drafts_nothing_and_is_done(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    assert await run(school) is None
    await school.confirm(family, 1)
    assert await run(school) is None
    assert await run(school, run_no=2) is not None


async def test_only_what_is_final_is_drafted(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    with final_after(monkeypatch, hours=24):
        await confirmed_lessons(school, 1)
    assert await run(school) is None
    await school.world.wait(timedelta(hours=24))
    assert await run(school) is not None


async def test_a_taken_back_confirmation_is_not_drafted(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    families = [await school.enrol() for _ in range(2)]
    await school.deliver(1, *families)
    with final_after(monkeypatch, hours=24):
        for family in families:
            await school.confirm(family, 1)
        await school.dispute(families[0], 1)
    await school.world.wait(timedelta(hours=24))
    payout = await run(school)
    assert payout is not None
    assert payout.amount_fen == LESSON_FEN
    assert await school.totals() == {"cash": 800_00, "escrow": 700_00, "outgoing": 100_00}


async def test_a_run_needs_a_day_that_has_come_a_number_and_an_approved_institution(school: School) -> None:
    await confirmed_lessons(school, 1)
    with pytest.raises(BadInput, match=r"settlement\.future_date"):
        await run(school, business_on=clock.today() + timedelta(days=1))
    for run_no in (0, 1000):
        with pytest.raises(BadInput, match=r"settlement\.run_no"):
            await run(school, run_no)
    with pytest.raises(NotFound, match=r"settlement\.institution_not_found"):
        async with school.world.district.transaction() as session:
            await service.run(session, uuid7(), clock.today(), 1, "system")
    await suspend(school)
    with pytest.raises(Refused, match=r"settlement\.institution_not_approved"):
        await run(school)
    assert (await school.totals())["payable"] == LESSON_FEN


async def suspend(school: School) -> None:
    async with school.world.district.transaction() as session:
        await session.execute(update(Institution).where(Institution.id == school.institution.id).values(status="suspended"))


async def test_a_run_over_the_district_settles_everybody_it_can(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_BATCH", 2)
    schools = [await found_school(world) for _ in range(5)]
    paid, idle, short, suspended, last = schools
    families = [(school, await school.enrol()) for school in (paid, short, suspended, last)]
    for school, family in families:
        await school.deliver(1, family)
        await school.confirm(family, 1)
    await suspend(suspended)
    await world.bank.debit_uninstructed((await world.account(short.institution)).account_no, 350_00)
    await bank_jobs.import_statement(world.district, world.banks, CONNECTION, clock.today())
    payouts = await jobs.run_district(world.district, clock.today(), 1, world.clerk().actor)
    assert {payout.institution_id for payout in payouts} == {paid.institution.id, last.institution.id}
    assert [await runs_of(school) for school in schools] == [1, 1, 1, 0, 1]
    assert await short.totals() == {"cash": 50_00, "escrow": 300_00, "shortfall": 250_00}
    again = await jobs.run_district(world.district, clock.today(), 1)
    assert {payout.id for payout in again} == {payout.id for payout in payouts}
    assert await idle.totals() == {}


async def test_a_run_of_a_day_to_come_is_refused_for_all(world: World) -> None:
    await found_school(world)
    with pytest.raises(BadInput, match=r"settlement\.future_date"):
        await jobs.run_district(world.district, clock.today() + timedelta(days=1), 1)


async def test_each_end_sees_payouts_with_their_lines_page_by_page(school: School) -> None:
    family, _ = await confirmed_lessons(school, 2)
    first = await run(school)
    await confirmed_second(school, family)
    await school.world.wait(timedelta(minutes=1))
    second = await run(school, run_no=2)
    assert first is not None
    assert second is not None
    async with school.world.district.reading() as session:
        newest = await queries.payouts_of_institution(session, school.institution.id, limit=1)
        older = await queries.payouts_of_institution(session, school.institution.id, after=(newest[0].drafted_at, newest[0].id))
        everyone = await queries.payouts_of_district(session, status="drafted", business_on=newest[0].business_on)
        assert await queries.payouts_of_district(session, status="settled") == []
        assert await queries.payouts_of_institution(session, uuid7()) == []
        with pytest.raises(NotFound, match=r"settlement\.payout_not_found"):
            await queries.payout(session, first.id, uuid7())
        seen = await queries.payout(session, first.id, school.institution.id)
        page = await queries.lines_of(session, first.id, limit=1)
        rest = await queries.lines_of(session, first.id, after=page[0].release_id)
    assert [view.payout_no for view in newest + older] == [second.payout_no, first.payout_no]
    assert newest[0] in everyone
    assert (seen.run_no, seen.status, seen.line_count) == (1, "drafted", 2)
    assert page + rest == seen.lines
    assert [line.amount_fen for line in seen.lines] == [LESSON_FEN, LESSON_FEN]
