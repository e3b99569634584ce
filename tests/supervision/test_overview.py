"""What officers look at."""

from datetime import timedelta

import pytest

from app import clock
from app.errors import NotFound
from app.ids import uuid7
from app.ledger.jobs import seal
from app.registry.models import Institution
from app.supervision import queries
from app.supervision.queries import Waiting
from app.supervision.rules import DEFAULT_LINES
from tests.supervision.scenes import LINES, draw_lines, settle_one_lesson
from tests.world import World, in_utc


@pytest.fixture
async def school(world: World) -> Institution:
    await world.wait_until(in_utc(2025, 3, 3, 1))
    institution = await world.institution()
    await draw_lines(world.district, institution)
    return institution


async def test_an_empty_district_has_nothing_to_cover(world: World) -> None:
    async with world.district.reading() as session:
        overview = await queries.overview(session)
    assert (overview.institutions, overview.waiting) == (0, Waiting(0, 0, 0, 0, 0, 0, 0, 0))
    assert overview.open_alerts == {"yellow": 0, "red": 0}
    assert (overview.money.escrow_fen, overview.money.reported_fen, overview.money.coverage_bps) == (0, None, None)


async def test_the_overview_adds_up_every_book_and_what_waits(world: World, school: Institution) -> None:
    other = await world.institution("第二学校")
    await world.paid_contract(other, price_fen=400_00)
    await settle_one_lesson(world, school, price_fen=150_00)
    await world.work()

    async with world.district.reading() as session:
        overview = await queries.overview(session)

    money = overview.money
    assert (money.cash_fen, money.escrow_fen, money.payable_fen, money.outgoing_fen) == (1_000_00, 850_00, 0, 150_00)
    assert (money.suspense_fen, money.shortfall_fen, money.unresolved_fen) == (0, 0, 150_00)
    assert (overview.institutions, overview.waiting.held_payouts) == (2, 1)
    assert overview.open_alerts == {"yellow": 1, "red": 1}, "a held payout; the second school's balance before its first payment"


async def test_coverage_compares_with_what_the_bank_last_said(world: World, school: Institution) -> None:
    await settle_one_lesson(world, school, price_fen=150_00)
    await world.wait(timedelta(days=1))
    await world.work()
    async with world.district.reading() as session:
        view, lines = await queries.institution(session, school.id)
    assert (view.money.reported_fen, view.money.escrow_fen, view.money.unresolved_fen) == (600_00, 450_00, 150_00)
    assert view.money.coverage_bps == 10_000
    assert view.money.reported_at == clock.now()
    assert lines == LINES
    assert view.open_alerts == 1


async def test_institutions_page_in_the_order_of_entry(world: World, school: Institution) -> None:
    for n in range(2):
        await world.wait(timedelta(minutes=1))
        await world.institution(f"第{n}学校")
    async with world.district.reading() as session:
        first = await queries.institutions(session, limit=2)
        rest = await queries.institutions(session, after=(first[-1].created_at, first[-1].id))
    assert [view.name for view in [*first, *rest]] == [school.name, "第0学校", "第1学校"]


async def test_an_unknown_institution_and_alert_are_not_found(world: World) -> None:
    async with world.district.reading() as session:
        with pytest.raises(NotFound, match=r"supervision\.institution_not_found"):
            await queries.institution(session, uuid7())
        with pytest.raises(NotFound, match=r"supervision\.alert_not_found"):
            await queries.alert(session, uuid7())


async def test_movements_are_the_sealed_transfers_newest_first(world: World, school: Institution) -> None:
    other = await world.institution("第二学校")
    for institution in (school, other):
        await world.paid_contract(institution, price_fen=400_00)
        await world.wait(timedelta(seconds=1))
        assert await seal(world.district) == 2
    async with world.district.reading() as session:
        newest = await queries.movements(session, limit=3)
        oldest = await queries.movements(session, before=newest[-1].seq)
        own = await queries.movements_of(session, school.id, limit=1)
        own += await queries.movements_of(session, school.id, before=own[-1].transfer_id)
        onwards = await queries.movements_after(session, 2)
    assert [(each.seq, each.kind, each.institution_name) for each in [*newest, *oldest]] == [
        (4, "payment_matched", "第二学校"),
        (3, "received", "第二学校"),
        (2, "payment_matched", school.name),
        (1, "received", school.name),
    ]
    assert [each.seq for each in own] == [2, 1]
    assert [each.seq for each in onwards] == [3, 4]
    assert (own[1].debit.split(":")[0], own[1].credit, own[1].amount_fen) == ("cash", "suspense", 400_00)


async def test_an_institution_without_lines_of_its_own_shows_the_default_ones(world: World) -> None:
    institution = await world.institution()
    async with world.district.reading() as session:
        _, lines = await queries.institution(session, institution.id)
    assert lines == DEFAULT_LINES
