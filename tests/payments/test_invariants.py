"""Every invariant of the registers, contracts and payments names the rows that break it."""

from datetime import timedelta

from sqlalchemy import text

from app import clock
from app.banking import jobs as bank_jobs
from app.db import District
from app.ledger.check import invariants
from app.payments import jobs
from tests.old_families import deposit, old_family, rule_on
from tests.school import School
from tests.world import CONNECTION, World

SLICES = ("registry", "contracts", "payments")
POISONS = {
    "registry.schedule": "UPDATE training_class SET lesson_count = lesson_count + 1",
    "registry.overlap": "UPDATE class_session SET starts_at = starts_at - interval '2 days', teacher_id = NULL WHERE number = 3",
    "registry.one_institution": "UPDATE teacher SET institution_id = (SELECT max(id::text)::uuid FROM institution)",
    "registry.decided": "UPDATE training_class SET status = 'filed', decided_at = NULL, decision_reason = NULL",
    "registry.price": "UPDATE training_class SET price_fen = lesson_count - 1",
    "registry.bank_accounts": "WITH gone AS (DELETE FROM statement_day) DELETE FROM bank_account WHERE role = 'settlement'",
    "registry.listing": "UPDATE institution SET listing = 'black'",
    "registry.paused": "INSERT INTO institution_change (id, institution_id, kind, new_value, reason, status, proposed_at, proposed_by)"
    " SELECT gen_random_uuid(), id, 'address', 'x', 'x', 'proposed', now(), id FROM institution",
    "contracts.seats": "UPDATE training_class SET seats = 1",
    "contracts.amount": "UPDATE lesson SET price_fen = price_fen + 1 WHERE number = 1",
    "contracts.charges": "UPDATE charge SET first_lesson = first_lesson + 1",
    "contracts.first_charge": "UPDATE charge SET status = 'planned', ended_at = NULL WHERE status = 'paid'",
    "contracts.accepted": "UPDATE contract SET created_at = created_at - interval '1 second'",
    "contracts.states": "UPDATE lesson SET status = 'lapsed' WHERE status = 'reserved' AND number = 1",
    "contracts.one_party": "UPDATE lesson SET student_id = (SELECT max(id::text)::uuid FROM student)",
    "contracts.once": "UPDATE lesson SET class_session_id = (SELECT max(id::text)::uuid FROM class_session)",
    "payments.escrow": "UPDATE lesson SET status = 'confirmed' WHERE status = 'scheduled' AND number = 1",
    "payments.matched": "UPDATE payment SET amount_fen = amount_fen - 1 WHERE status = 'paid'",
    "payments.charge": "UPDATE charge SET status = 'lapsed' WHERE status = 'paid'",
    "payments.seat": "UPDATE payment SET expires_at = expires_at + interval '1 hour' WHERE status = 'created'",
    "payments.order": "UPDATE collection SET amount_fen = amount_fen + 1",
    "payments.receipts": "DELETE FROM receipt WHERE outcome <> 'matched'",
    "payments.paid_by": "UPDATE payment SET movement_id = (SELECT max(id::text)::uuid FROM bank_movement)"
    " WHERE status = 'paid' AND NOT old_stock",
    "payments.recognised": "UPDATE contract SET old_stock = false",
    "payments.made_good": "UPDATE receipt SET made_good_fen = made_good_fen - 1 WHERE made_good_fen > 0",
    "payments.suspense": "UPDATE receipt SET return_no = NULL",
    "payments.returns": "UPDATE receipt SET returned_at = now(), return_no = NULL WHERE outcome <> 'matched'",
}


async def test_each_poison_is_named(world: World, district: District, owner: District) -> None:
    institution = await world.institution()
    await world.institution()
    training_class = await world.training_class(institution, starts_in=timedelta(days=1))
    parent, other = await world.parent(), await world.parent()
    await world.pay(parent, await world.sign(parent, training_class))
    await world.order(other, await world.sign(other, training_class))
    await world.bank.deposit_from_stranger((await world.account(institution)).account_no, 5_000)
    await bank_jobs.import_statement(district, world.banks, CONNECTION, clock.today())
    await jobs.match_receipts(district)
    await jobs.return_unassigned(district)
    school = School(world, institution, training_class, [])
    await old_family(school, lesson_count=2)
    await rule_on(school, await deposit(school, 5_000), "made_good")
    checks = {check.name: check for check in invariants() if check.name.split(".")[0] in SLICES}
    assert set(checks) == set(POISONS)
    for name, poison in POISONS.items():
        async with owner.reading() as session:
            await session.execute(text(poison))
            for book_id in (None, institution.id):
                broken = (await session.execute(text(checks[name].sql), {"book": book_id})).all()
                assert broken, f"{name} for {book_id}"
                assert {row.book_id for row in broken} >= {institution.id}, name
                assert all(row.row and row.detail for row in broken), name
