"""Whoever owns the tables can break the path of money; each break is named by its invariant, and a sound path by none."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.db import District
from app.ledger.check import invariants
from app.lessons import service as lessons
from app.refunds import service as refunds
from app.settlement import service as settlement
from tests.old_families import ask_back, old_family, settle
from tests.school import found_school
from tests.world import World

SLICES = ("lessons", "refunds", "settlement")
BREAKS = {
    "UPDATE release SET amount_fen = amount_fen + 1": {"lessons.release_has_cause", "lessons.release_of_its_lesson"},
    "UPDATE release SET reversed_at = now() WHERE made_good_fen = 0": {"lessons.release_posted", "lessons.confirmed_is_released"},
    "UPDATE release SET confirmed_by = (SELECT id FROM guardian WHERE id NOT IN (SELECT guardian_id FROM contract) LIMIT 1)": {
        "lessons.caused_by_its_own"
    },
    "UPDATE release SET confirmed_by = NULL, dispute_id = (SELECT id FROM dispute WHERE ruling = 'return')": {"lessons.caused_by_its_own"},
    "UPDATE lesson SET status = 'confirmed' WHERE status = 'delivered'": {"lessons.confirmed_is_released"},
    "UPDATE lesson SET status = 'delivered' WHERE status = 'confirmed'": {"lessons.confirmed_is_released"},
    "UPDATE lesson SET status = 'disputed' WHERE status = 'delivered'": {"lessons.disputed_is_open"},
    "UPDATE lesson SET status = 'delivered' WHERE status = 'disputed'": {"lessons.disputed_is_open"},
    "UPDATE class_session SET status = 'scheduled', attended = NULL": {"lessons.taught_when_delivered"},
    "UPDATE lesson SET status = 'scheduled' WHERE status = 'delivered'": {"lessons.taught_when_delivered"},
    "UPDATE refund SET amount_fen = amount_fen + 1": {"refunds.amount_is_its_lines"},
    "UPDATE refund SET funded_at = now() WHERE funded_at IS NULL": {"refunds.waits_for_funds"},
    "UPDATE instruction SET original_movement_id = (SELECT max(movement_id::text)::uuid FROM payment"
    " WHERE id NOT IN (SELECT payment_id FROM refund)) WHERE purpose = 'refund'": {"refunds.to_its_payer"},
    "WITH named AS (INSERT INTO payee (id, account_enc, created_at) VALUES (gen_random_uuid(), '', now()) RETURNING id),"
    " moved AS (UPDATE refund SET payee_id = named.id, named_by = guardian_id FROM named WHERE funded_at IS NOT NULL)"
    " UPDATE instruction SET payee_id = named.id, original_movement_id = NULL FROM named WHERE purpose = 'refund'": {
        "refunds.to_its_payer"
    },
    "UPDATE instruction SET source = 'escrow:none' WHERE purpose = 'payout'": {
        "refunds.instruction_has_refund",
        "settlement.amount_is_its_lines",
    },
    "UPDATE refund_line SET amount_fen = amount_fen + 1": {"refunds.line_of_its_lesson", "refunds.amount_is_its_lines"},
    "UPDATE refund_line SET live = false": {"refunds.live_until_given_back", "refunds.refunded_is_on_a_line"},
    "UPDATE lesson SET status = 'missed' WHERE status = 'refunded'": {"refunds.refunded_is_on_a_line"},
    "UPDATE payout SET amount_fen = amount_fen + 1": {"settlement.amount_is_its_lines"},
    "UPDATE instruction SET source = 'payable' WHERE purpose = 'refund'": {
        "settlement.instruction_has_payout",
        "refunds.amount_is_its_lines",
    },
    "UPDATE payout_line SET amount_fen = amount_fen + 1": {"settlement.line_of_its_release", "settlement.amount_is_its_lines"},
    "UPDATE release SET final_at = final_at + interval '1 day'": {"settlement.line_of_its_release"},
    "UPDATE payout_line SET live = false": {"settlement.live_until_given_back", "settlement.release_knows_its_payout"},
    "UPDATE release SET made_good_fen = made_good_fen - 1 WHERE made_good_fen > 0": {
        "settlement.release_knows_what_was_taken",
        "settlement.payable_is_unpaid_releases",
    },
    "INSERT INTO made_good_line (run_id, release_id, amount_fen)"
    " SELECT p.run_id, r.id, 1 FROM payout p JOIN release r ON r.payout_id = p.id": {
        "settlement.made_good_is_its_lines",
        "settlement.release_knows_what_was_taken",
    },
    "UPDATE payment SET old_stock = false, status = 'expired' WHERE old_stock": {"settlement.nothing_out_of_others"},
    "UPDATE release SET payout_id = NULL": {"settlement.release_knows_its_payout", "settlement.payable_is_unpaid_releases"},
}


async def broken(session: AsyncSession) -> set[str]:
    """The names of these slices' invariants that do not hold in the session's own view."""
    names = set()
    for invariant in invariants():
        if invariant.name.split(".")[0] in SLICES and (await session.execute(text(invariant.sql), {"book": None})).first():
            names.add(invariant.name)
    return names


async def tell_a_whole_story(world: World) -> None:
    """Lessons in every state, a payout, a refund asked for and one ruled, in one book; old stock in another, made good in part."""
    school = await found_school(world, lesson_count=2)
    first, second, third = [await school.enrol() for _ in range(3)]
    await world.parent()
    await school.deliver(1, first, second, third)
    await school.confirm(first, 1)
    await school.dispute(second, 1)
    officer = world.officer()
    async with world.district.transaction() as session:
        await refunds.request(session, first.parent, first.contract.id, "搬家了")
    async with world.district.transaction() as session:
        await lessons.rule_on(session, officer, second.lesson_ids[0], "return", "属实")
        await refunds.give_back(session, officer, second.lesson_ids[0], "属实")
    async with world.district.transaction() as session:
        assert await settlement.run(session, school.institution.id, clock.today(), 1, "system")
    other = await found_school(world, lesson_count=2)
    await other.enrol()
    fourth, old = await other.enrol(), await old_family(other, lesson_count=2)
    await other.deliver(1, fourth, old)
    await other.dispute(fourth, 1)
    await other.confirm(old, 1)
    assert await settle(other) is None
    await ask_back(other, old)


async def test_every_break_is_named(world: World, owner: District) -> None:
    await tell_a_whole_story(world)
    async with owner.reading() as session:
        assert await broken(session) == set()
    for statement, names in BREAKS.items():
        async with owner.reading() as session:
            changed = await session.execute(text(statement))
            assert changed.rowcount, statement
            assert names <= await broken(session), statement
    shipped = {invariant.name for invariant in invariants() if invariant.name.split(".")[0] in SLICES}
    assert set.union(*BREAKS.values()) == shipped
