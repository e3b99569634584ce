"""Payouts before they go out: cleared by rule, or held for an officer."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.audit import AuditEntry
from app.banking import service as banking
from app.banking.models import Instruction
from app.errors import BadInput, Conflict, NotFound
from app.ids import uuid7
from app.ledger.check import check_books
from app.registry.models import Institution
from app.supervision import queries
from app.supervision.jobs import clear_payouts
from app.supervision.models import Clearance
from app.supervision.rules import DEFAULT_LINES, Lines
from app.supervision.service import lines_of, record_clearance, reject_payout, release_payout, set_thresholds
from tests.supervision.scenes import LINES, alerts, draft, draw_lines, rules_fired, settle_one_lesson, status_of, statuses
from tests.world import World, in_utc

by_hand = pytest.mark.books_of("ledger", "supervision")


@pytest.fixture
async def school(world: World) -> Institution:
    """An institution with low lines, on a Monday at nine."""
    await world.wait_until(in_utc(2025, 3, 3, 1))
    institution = await world.institution()
    await draw_lines(world.district, institution)
    return institution


async def decisions(world: World, instruction: Instruction) -> list[tuple[str, str | None]]:
    async with world.district.reading() as session:
        rows = await session.scalars(select(Clearance).where(Clearance.instruction_id == instruction.id).order_by(Clearance.id))
        return [(row.decision, row.rule) for row in rows]


@by_hand
async def test_a_payout_on_the_line_is_cleared_and_one_fen_more_is_held(world: World, school: Institution) -> None:
    small = await draft(world, school, 100_00)
    large = await draft(world, school, 100_01)

    assert await clear_payouts(world.district) == 2

    assert await statuses(world.district, small, large) == ["cleared", "held"]
    assert await decisions(world, small) == [("cleared", None)]
    assert await decisions(world, large) == [("held", "large_transfer")]
    (alert,) = await alerts(world.district)
    assert (alert.rule, alert.level, alert.status, alert.institution_id) == ("large_transfer", "yellow", "opened", school.id)
    assert alert.facts == {"reference": large.reference, "purpose": "payout", "amount_fen": 100_01, "line_fen": 100_00}


@by_hand
async def test_what_goes_out_in_a_day_without_an_officer_never_exceeds_the_days_line(world: World, school: Institution) -> None:
    drafted = [await draft(world, school, 100_00) for _ in range(4)]
    await clear_payouts(world.district)
    assert await statuses(world.district, *drafted) == ["cleared", "cleared", "held", "held"]
    assert await rules_fired(world.district) == ["large_day", "large_day"]
    assert await decisions(world, drafted[2]) == [("held", "large_day")]


@by_hand
async def test_a_held_payout_does_not_hold_up_a_smaller_one(world: World, school: Institution) -> None:
    drafted = [await draft(world, school, fen) for fen in (100_00, 100_00, 100_00, 50_00)]
    await clear_payouts(world.district)
    assert await statuses(world.district, *drafted) == ["cleared", "cleared", "held", "cleared"]


@by_hand
async def test_the_next_day_begins_at_zero(world: World, school: Institution) -> None:
    first = [await draft(world, school, 100_00) for _ in range(2)]
    await clear_payouts(world.district)
    await world.wait(timedelta(days=1))
    second = await draft(world, school, 100_00)
    await clear_payouts(world.district)
    assert await statuses(world.district, *first, second) == ["cleared"] * 3


@by_hand
async def test_another_institutions_payouts_do_not_count(world: World, school: Institution) -> None:
    other = await world.institution("第二学校")
    await draw_lines(world.district, other)
    drafted = [await draft(world, institution, 100_00) for institution in (school, other, school, other)]
    await clear_payouts(world.district)
    assert await statuses(world.district, *drafted) == ["cleared"] * 4


@by_hand
async def test_eight_workers_at_once_let_no_more_through_than_one(world: World, school: Institution) -> None:
    drafted = [await draft(world, school, 60_00) for _ in range(10)]

    assert sum(await asyncio.gather(*(clear_payouts(world.district) for _ in range(8)))) == 10

    found = await statuses(world.district, *drafted)
    assert sorted(found) == ["cleared"] * 4 + ["held"] * 6
    assert len(await alerts(world.district)) == 6


@by_hand
async def test_an_institution_without_lines_of_its_own_is_held_to_the_default_ones(world: World) -> None:
    institution = await world.institution()
    async with world.district.reading() as session:
        assert await lines_of(session, institution.id) == DEFAULT_LINES
    drafted = [await draft(world, institution, fen) for fen in (300_000_00, 300_000_01)]
    await clear_payouts(world.district)
    assert await statuses(world.district, *drafted) == ["cleared", "held"]


async def test_a_released_payout_is_paid_by_the_bank(world: World, school: Institution) -> None:
    payout = await settle_one_lesson(world, school, price_fen=150_00)
    await world.work()
    assert await status_of(world.district, payout) == "held"
    async with world.district.reading() as session:
        (held,) = await queries.held_payouts(session)
    assert (held.id, held.amount_fen, held.lines, held.rule) == (payout.id, 150_00, 1, "large_transfer")

    officer = world.officer()
    async with world.district.transaction() as session:
        await release_payout(session, officer, payout.id, "  已核实  合同 ")
    await world.work()
    await world.wait(timedelta(seconds=30))
    await world.work()

    assert await status_of(world.district, payout) == "settled"
    assert await world.at_bank(school, "settlement") == 150_00
    async with world.district.reading() as session:
        assert await queries.held_payouts(session) == []
        entry = (await session.scalars(select(AuditEntry).where(AuditEntry.action == "supervision.payout_released"))).one()
    assert (entry.actor, entry.subject, entry.reason) == (officer.actor, payout.payout_no, "已核实 合同")


async def test_a_rejected_payout_goes_back_to_what_the_institution_is_owed(world: World, school: Institution) -> None:
    payout = await settle_one_lesson(world, school, price_fen=150_00)
    await world.work()
    async with world.district.transaction() as session:
        await reject_payout(session, world.officer(), payout.id, "材料不全")
    await world.work()

    assert await status_of(world.district, payout) == "rejected"
    assert await world.totals(school) == {"cash": 600_00, "escrow": 450_00, "payable": 150_00}
    assert await world.at_bank(school, "settlement") == 0
    assert await rules_fired(world.district) == ["large_transfer"], "an officer's own rejection is no failure to alert to"


async def test_a_held_payout_is_decided_once(world: World, school: Institution) -> None:
    payout = await settle_one_lesson(world, school, price_fen=150_00)
    await clear_payouts(world.district)

    async def decide(release: bool) -> bool:
        try:
            async with world.district.transaction() as session:
                await (release_payout if release else reject_payout)(session, world.officer(), payout.id, "已核实")
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(decide(bool(n % 2)) for n in range(8)))) == 1


async def test_a_payout_that_is_not_held_cannot_be_decided(world: World, school: Institution) -> None:
    payout = await settle_one_lesson(world, school, price_fen=50_00)
    await clear_payouts(world.district)
    assert await status_of(world.district, payout) == "cleared"
    with pytest.raises(Conflict, match=r"banking\.not_held"):
        async with world.district.transaction() as session:
            await release_payout(session, world.officer(), payout.id, "已核实")


@pytest.mark.parametrize("decide", [release_payout, reject_payout])
async def test_a_decision_needs_a_payout_and_a_reason(world: World, school: Institution, decide: object) -> None:
    async with world.district.reading() as session:
        with pytest.raises(NotFound, match=r"supervision\.payout_not_found"):
            await decide(session, world.officer(), uuid7(), "已核实")  # type: ignore[operator]
        with pytest.raises(BadInput, match=r"reason\.invalid"):
            await decide(session, world.officer(), uuid7(), " \n ")  # type: ignore[operator]


async def test_lines_are_set_with_a_trace_and_refused_where_they_make_no_sense(world: World, school: Institution) -> None:
    async with world.district.transaction() as session:
        await set_thresholds(session, "staff:1", school.id, Lines(1, 2, 3))
        assert await lines_of(session, school.id) == Lines(1, 2, 3)
    async with world.district.reading() as session:
        entry = (await session.scalars(select(AuditEntry).where(AuditEntry.actor == "staff:1"))).one()
        assert entry.facts["before"]["large_day_fen"] == LINES.large_day_fen
        assert entry.facts["after"] == {"large_transfer_fen": 1, "large_day_fen": 2, "minimum_balance_fen": 3}
        for bad in (Lines(0, 1, 1), Lines(1, 0, 1), Lines(1, 1, -1), Lines(10**13 + 1, 1, 1)):
            with pytest.raises(BadInput, match=r"supervision\.bad_lines"):
                await set_thresholds(session, "staff:1", school.id, bad)
        with pytest.raises(NotFound, match=r"supervision\.institution_not_found"):
            await set_thresholds(session, "staff:1", uuid7(), LINES)


@pytest.mark.broken_books
async def test_check_books_names_payouts_that_went_on_without_a_decision(world: World, school: Institution) -> None:
    cleared, held, released = [await draft(world, school, 50_00) for _ in range(3)]
    async with world.district.transaction() as session:
        await banking.clear(session, [cleared.id])
        await banking.hold(session, [held.id])
        record_clearance(session, released.id, "released", reason="已核实", decided_by=uuid7())
    async with world.district.reading() as session:
        findings = await check_books(session, school.id)
    assert {(finding.name, finding.row) for finding in findings if finding.name.startswith("supervision")} == {
        ("supervision.paid_only_cleared", cleared.reference),
        ("supervision.held_is_undecided", held.reference),
        ("supervision.held_is_undecided", released.reference),
        ("supervision.officers_decide_held", released.reference),
    }


@by_hand
async def test_a_payout_is_judged_once_and_decided_once_by_constraint(world: World, school: Institution) -> None:
    payout = await draft(world, school, 100_01)
    await clear_payouts(world.district)
    with pytest.raises(IntegrityError, match="uq_clearance_one_judgement"):
        async with world.district.transaction() as session:
            record_clearance(session, payout.id, "cleared")
    with pytest.raises(IntegrityError, match="ck_clearance_officer"):
        async with world.district.transaction() as session:
            record_clearance(session, payout.id, "released", decided_by=uuid7())
