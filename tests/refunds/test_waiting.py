"""Refunds of old stock wait until the institution has funded them, and are never paid out of other families' money."""

import asyncio

import pytest
from sqlalchemy import select

from app.audit import AuditEntry
from app.banking.payees import PayeeDraft
from app.errors import BadInput, Conflict, NotFound, Refused
from app.lessons import service as lessons
from app.privacy import leaving
from app.refunds import funding, jobs, queries
from app.refunds import service as refunds
from app.refunds.models import Refund
from app.supervision import service as supervision
from app.supervision.queries import clearances
from app.supervision.queries import waiting as waiting_for_officers
from tests.old_families import PAYEE, PAYEE_NO, ask_back, deposit, old_families, old_family, open_payee, release, rule_on, settle, taught
from tests.school import Family, School, found_school, instructed
from tests.supervision.scenes import LINES, alerts, draw_lines
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    await open_payee(world)
    return await found_school(world)


async def status(school: School, refund: Refund) -> str:
    async with school.world.district.reading() as session:
        return (await queries.refund(session, refund.refund_no)).status


async def name_payee(school: School, family: Family, refund: Refund, payee: PayeeDraft = PAYEE) -> None:
    async with school.world.district.transaction() as session:
        await refunds.name_payee(session, family.parent, refund.refund_no, payee)


@pytest.mark.parametrize(
    ("waiting", "funds_fen", "covered"),
    [([], 100, 0), ([100], 99, 0), ([100], 100, 1), ([100, 50], 150, 2), ([100, 50], 60, 0), ([10, 100, 5], 20, 1)],
)
def test_who_asked_first_is_paid_first(waiting: list[int], funds_fen: int, covered: int) -> None:
    assert funding.covered(waiting, funds_fen) == covered


async def test_the_end_of_a_year(school: School) -> None:
    """Recognised, taught, made good from what was earned, asked back, funded, paid."""
    old, new = await old_family(school), await school.enrol()
    await taught(school, 1, old, new)
    assert await settle(school) is None
    refund = await ask_back(school, old)
    assert await status(school, refund) == "waiting"
    await school.world.work()
    assert await status(school, refund) == "waiting"
    assert await school.totals() == {"cash": 400_00, "escrow": 600_00, "shortfall": 200_00}
    assert await school.states(old) == ["confirmed", "refunded", "refunded", "refunded"]
    await rule_on(school, await deposit(school, 200_00), "made_good")
    await school.world.work()
    assert await status(school, refund) == "held"
    await release(school, refund)
    assert await status(school, refund) == "settled"
    assert await school.world.bank.balance_of(PAYEE_NO) == 300_00
    assert await school.totals() == {"cash": 300_00, "escrow": 300_00}
    await taught(school, 2, new)
    payout = await settle(school, run_no=2)
    assert payout is not None
    assert payout.amount_fen == 100_00


async def test_other_families_money_pays_no_old_refund(school: School) -> None:
    old = await old_family(school)
    for _ in range(3):
        await school.enrol()
    refund = await ask_back(school, old)
    await school.world.work()
    assert await status(school, refund) == "waiting"
    assert await school.world.at_bank(school.institution) == 1_200_00


async def test_what_is_owed_to_the_institution_pays_it_only_once_it_has_made_good(school: School) -> None:
    old = await old_family(school, lesson_count=2)
    families = [await school.enrol() for _ in range(3)]
    await taught(school, 1, old, *families)
    refund = await ask_back(school, old)
    assert await jobs.fund(school.world.district) == 0
    await settle(school)
    assert await jobs.fund(school.world.district) == 1
    assert await status(school, refund) == "drafted"
    assert (await school.totals())["outgoing"] == 300_00


async def test_they_are_paid_in_the_order_in_which_they_were_asked_for(school: School) -> None:
    first, second, third = await old_families(school, 3, lesson_count=2)
    asked = [await ask_back(school, family) for family in (first, second, third)]
    await rule_on(school, await deposit(school, 450_00), "made_good")
    assert await jobs.fund(school.world.district) == 2
    assert [await status(school, refund) for refund in asked] == ["drafted", "drafted", "waiting"]
    assert await jobs.fund(school.world.district) == 0


async def test_eight_workers_pay_it_once(school: School) -> None:
    old = await old_family(school)
    await ask_back(school, old)
    await rule_on(school, await deposit(school, 400_00), "made_good")
    assert sum(await asyncio.gather(*(jobs.fund(school.world.district) for _ in range(8)))) == 1
    assert await school.totals() == {"cash": 400_00, "outgoing": 400_00}


async def test_confirmations_beside_it_leave_other_families_their_money(school: School) -> None:
    staying, leaving = await old_families(school, 2, lesson_count=2)
    await school.enrol()
    await ask_back(school, leaving)
    await school.deliver(1, staying)
    await rule_on(school, await deposit(school, 200_00), "made_good")
    await asyncio.gather(jobs.fund(school.world.district), school.confirm(staying, 1), settle(school))
    await settle(school, run_no=2)
    totals = await school.totals()
    assert totals["cash"] - totals.get("outgoing", 0) >= 400_00


async def test_it_needs_an_account(school: School) -> None:
    old = await old_family(school)
    with pytest.raises(BadInput, match=r"refunds\.payee_needed"):
        await ask_back(school, old, None)
    for payee, field in [(PayeeDraft("12ab", "王"), "payee_account_no"), (PayeeDraft(PAYEE_NO, " "), "payee_name")]:
        with pytest.raises(BadInput) as caught:
            await ask_back(school, old, payee)
        assert caught.value.facts["field"] == field
    assert await school.states(old) == ["scheduled"] * 4


async def test_a_lesson_that_is_ruled_back_waits_for_its_account_too(school: School) -> None:
    old = await old_family(school)
    await school.deliver(1, old)
    await school.dispute(old, 1)
    async with school.world.district.transaction() as session:
        await supervision.rule_on_dispute(session, school.world.officer(), old.lesson_ids[0], "return", "没有上课")
    await rule_on(school, await deposit(school, 400_00), "made_good")
    assert await jobs.fund(school.world.district) == 0
    async with school.world.district.reading() as session:
        [seen] = await queries.waiting_refunds(session)
    assert (seen.status, seen.payee_known, seen.amount_fen) == ("waiting", False, 100_00)
    async with school.world.district.transaction() as session:
        named = await refunds.name_payee(session, old.parent, seen.refund_no, PAYEE)
    await school.world.work()
    await release(school, named)
    assert await school.world.bank.balance_of(PAYEE_NO) == 100_00
    with pytest.raises(Conflict, match=r"refunds\.not_waiting"):
        async with school.world.district.transaction() as session:
            await refunds.name_payee(session, old.parent, seen.refund_no, PAYEE)


async def test_nobody_else_names_the_account(school: School) -> None:
    old, stranger = await old_family(school), await school.enrol()
    refund = await ask_back(school, old)
    with pytest.raises(NotFound, match=r"refunds\.not_found"):
        await name_payee(school, stranger, refund)


async def test_only_the_guardian_who_named_the_account_changes_it(school: School) -> None:
    old = await old_family(school)
    other = await school.second_guardian(old)
    refund = await ask_back(school, old)
    with pytest.raises(Conflict, match=r"refunds\.payee_named"):
        async with school.world.district.transaction() as session:
            await refunds.name_payee(session, other, refund.refund_no, PAYEE)
    await name_payee(school, old, refund)
    async with school.world.district.reading() as session:
        named = select(AuditEntry.actor).where(AuditEntry.action == "refunds.payee_named", AuditEntry.subject == refund.refund_no)
        assert (await session.scalars(named)).all() == [old.parent.actor] * 2


async def held_refund(school: School, family: Family) -> Refund:
    """All that is left of the family's contract, funded, and held as an account is typed and not known."""
    refund = await ask_back(school, family)
    await rule_on(school, await deposit(school, refund.amount_fen), "made_good")
    await school.world.work()
    assert await status(school, refund) == "held"
    return refund


async def test_an_invented_old_contract_is_no_way_out_of_custody(school: School) -> None:
    """However small it is: the account that somebody typed waits for an officer, who sees it and can ask whose it is."""
    invented = await old_family(school, lesson_count=1, amount_fen=1_00)
    refund = await held_refund(school, invented)
    assert await school.world.bank.balance_of(PAYEE_NO) == 0
    async with school.world.district.reading() as session:
        [seen] = await queries.held_refunds(session)
        assert (seen.refund_no, seen.payee_masked) == (refund.refund_no, "6217****0001 王*长")
        assert (await waiting_for_officers(session)).held_refunds == 1
        [judged] = await clearances(session, refund.refund_no)
    assert (judged.decision, judged.rule) == ("held", "named_payee")
    await release(school, refund)
    assert await status(school, refund) == "settled"
    assert await school.world.bank.balance_of(PAYEE_NO) == 1_00
    with pytest.raises(Conflict, match=r"banking\.not_held"):
        async with school.world.district.transaction() as session:
            await supervision.reject_refund(session, school.world.officer(), refund.refund_no, "又想起来")


async def test_a_large_one_is_alerted_to_as_well(school: School) -> None:
    await draw_lines(school.world.district, school.institution)
    refund = await held_refund(school, await old_family(school))
    fired = {alert.rule: alert.facts for alert in await alerts(school.world.district)}
    assert fired["large_transfer"] == {
        "reference": refund.refund_no,
        "purpose": "refund",
        "amount_fen": 400_00,
        "line_fen": LINES.large_transfer_fen,
    }


async def test_one_that_an_officer_rejects_gives_everything_back(school: School) -> None:
    old = await old_family(school)
    refund = await held_refund(school, old)
    async with school.world.district.transaction() as session:
        await supervision.reject_refund(session, school.world.officer(), refund.refund_no, "账户不是家长的")
    await school.world.work()
    assert await school.world.bank.balance_of(PAYEE_NO) == 0
    assert await school.states(old) == ["scheduled"] * 4
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}
    with pytest.raises(NotFound, match=r"supervision\.refund_not_found"):
        async with school.world.district.transaction() as session:
            await supervision.release_refund(session, school.world.officer(), "R0", "已电话核实")


async def test_an_account_that_the_bank_does_not_know_gives_everything_back(school: School) -> None:
    old = await old_family(school)
    refund = await ask_back(school, old, PayeeDraft("62170000000099", "王家长"))
    await rule_on(school, await deposit(school, 400_00), "made_good")
    await school.world.work()
    await release(school, refund)
    assert (await instructed(school.world, refund.refund_no)).reject_code == "payee_unknown"
    assert await school.states(old) == ["scheduled"] * 4
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}
    again = await ask_back(school, old)
    await school.world.work()
    await release(school, again)
    assert await status(school, again) == "settled"


async def test_a_confirmed_lesson_of_old_stock_can_be_objected_to_and_ruled_released(school: School) -> None:
    old = await old_family(school)
    await school.deliver(1, old)
    await school.dispute(old, 1)
    async with school.world.district.transaction() as session:
        await lessons.rule_on(session, school.world.officer(), old.lesson_ids[0], "release", "课上过了")
    assert await school.totals() == {"escrow": 300_00, "payable": 100_00, "shortfall": 400_00}


async def test_nobody_is_erased_while_it_waits(school: School) -> None:
    old = await old_family(school)
    await ask_back(school, old)
    with pytest.raises(Refused, match=r"privacy\.not_settled"):
        async with school.world.district.transaction() as session:
            await leaving.erase_account(session, old.parent)
