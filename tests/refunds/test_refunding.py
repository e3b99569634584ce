"""What was not taught goes back to whoever paid, at once; what was taught waits until it is decided."""

import asyncio
from uuid import UUID

import pytest

from app import clock
from app.banking import jobs as bank_jobs
from app.errors import BadInput, Conflict, DomainError, NotFound, Refused
from app.ids import uuid7
from app.lessons import service as lessons
from app.refunds import queries
from app.refunds import service as refunds
from app.refunds.models import Refund
from bank_adapters.mock_bank.control import PAYER_NO
from tests.school import LESSON_FEN, Family, School, found_school, instructed, send, somebody_waits
from tests.world import CONNECTION, World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def ask_back(school: School, family: Family, reason: str = "搬家了") -> Refund:
    async with school.world.district.transaction() as session:
        [refund] = await refunds.request(session, family.parent, family.contract.id, reason)
        return refund


async def rule_return(school: School, lesson_id: UUID, reason: str = "老师确未到场") -> Refund:
    officer = school.world.officer()
    async with school.world.district.transaction() as session:
        await lessons.rule_on(session, officer, lesson_id, "return", reason)
        return await refunds.give_back(session, officer, lesson_id, reason)


async def test_untaught_lessons_go_back_at_their_allocated_price(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.confirm(family, 1)
    await school.deliver(2)
    await school.deliver(3, family)
    refund = await ask_back(school, family)
    assert refund.amount_fen == 2 * LESSON_FEN
    assert await school.states(family) == ["confirmed", "refunded", "delivered", "refunded"]
    assert await school.totals() == {"cash": 400_00, "escrow": 100_00, "outgoing": 200_00, "payable": 100_00}


async def test_the_money_arrives_where_it_came_from(school: School) -> None:
    family = await school.enrol()
    before = await school.world.bank.balance_of(PAYER_NO)
    refund = await ask_back(school, family)
    await send(school.world)
    assert (await instructed(school.world, refund.refund_no)).status == "settled"
    assert await school.world.bank.balance_of(PAYER_NO) == before + 400_00
    assert await school.totals() == {}


async def test_an_odd_price_goes_back_to_the_last_fen(world: World) -> None:
    institution = await world.institution()
    parent, contract = await world.paid_contract(institution, lessons=3, price_fen=100_00)
    await world.deliver(institution, (await world.lessons_of(contract))[0])
    async with world.district.transaction() as session:
        [refund] = await refunds.request(session, parent, contract.id, "换班")
    assert refund.amount_fen == 66_66
    assert (await world.totals(institution))["escrow"] == 33_34


async def test_the_rule_that_approved_it_is_kept(school: School) -> None:
    family = await school.enrol()
    refund = await ask_back(school, family, " 不想\n上了 ")
    async with school.world.district.reading() as session:
        seen = await queries.refund_of_guardian(session, family.parent.guardian_id, refund.refund_no)
    assert (seen.cause, seen.reason, seen.status) == ("guardian", "不想 上了", "cleared")
    assert seen.finding["rule"] == "refund.untaught"
    assert seen.finding["judged_by"].startswith("nation/")
    assert sum(line.amount_fen for line in seen.lines) == seen.amount_fen == 400_00


async def test_a_contract_of_which_nothing_is_left_is_closed(school: School) -> None:
    family, other = await school.enrol(), await school.enrol()
    await school.deliver(1, other)
    await ask_back(school, family)
    assert await school.contract_status(family) == "closed"
    await ask_back(school, other)
    assert await school.contract_status(other) == "paid"
    await school.confirm(other, 1)
    assert await school.contract_status(other) == "closed"


async def test_when_nothing_is_left_nothing_happens(school: School) -> None:
    family, unpaid = await school.enrol(), await school.sign()
    await ask_back(school, family)
    for asking, code in ((family, r"refunds\.nothing_left"), (unpaid, r"refunds\.not_paid")):
        with pytest.raises(Refused, match=code):
            await ask_back(school, asking)
    assert (await school.totals())["outgoing"] == 400_00


async def test_delivered_and_disputed_lessons_stay(world: World) -> None:
    school = await found_school(world, lesson_count=2)
    family = await school.enrol()
    await school.deliver(1, family)
    await school.deliver(2, family)
    await school.dispute(family, 2)
    with pytest.raises(Refused, match=r"refunds\.nothing_left"):
        await ask_back(school, family)


async def test_only_ones_own_contract_and_only_with_a_reason(school: School) -> None:
    family, stranger = await school.enrol(), await school.enrol()
    for contract_id in (family.contract.id, uuid7()):
        with pytest.raises(NotFound, match=r"contracts\.not_found"):
            async with school.world.district.transaction() as session:
                await refunds.request(session, stranger.parent, contract_id, "不是我的")
    with pytest.raises(BadInput, match=r"reason\.invalid"):
        await ask_back(school, family, "")
    assert await school.states(family) == ["scheduled"] * 4


async def test_the_same_refund_asked_for_many_times_at_once_is_given_once(school: School) -> None:
    family = await school.enrol()
    results = await asyncio.gather(*(ask_back(school, family) for _ in range(8)), return_exceptions=True)
    assert (
        sorted(result.code if isinstance(result, DomainError) else "given" for result in results)
        == ["given"] + ["refunds.nothing_left"] * 7
    )
    assert await school.totals() == {"cash": 400_00, "outgoing": 400_00}


async def test_a_refund_that_waits_for_a_delivery_leaves_the_lesson_to_its_confirmation(world: World) -> None:
    school = await found_school(world, lesson_count=2)
    family = await school.enrol()
    await school.end_of(1)
    async with world.district.transaction() as session:
        await lessons.deliver(session, school.staff, school.sessions[0].id, [family.student.id])
        asking = asyncio.create_task(ask_back(school, family))
        await somebody_waits(world)
    confirmed, refund = await asyncio.gather(school.confirm(family, 1), asking)
    assert (confirmed, refund.amount_fen) == ([("confirmed", LESSON_FEN)], LESSON_FEN)
    assert await school.states(family) == ["confirmed", "refunded"]


async def test_a_delivery_that_waits_for_a_refund_finds_nothing_to_confirm(world: World) -> None:
    school = await found_school(world, lesson_count=2)
    family = await school.enrol()
    await school.end_of(1)
    async with world.district.transaction() as session:
        await refunds.request(session, family.parent, family.contract.id, "搬家了")
        entering = asyncio.create_task(school.enter(1, family))
        await somebody_waits(world)
    with pytest.raises(Refused, match=r"lessons\.not_paid"):
        await entering
    assert await school.confirm(family, 1) == [("refunded", 0)]
    assert await school.states(family) == ["refunded", "refunded"]


async def test_a_confirmation_that_waits_for_a_refund_of_the_rest_goes_through(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    async with school.world.district.transaction() as session:
        await refunds.request(session, family.parent, family.contract.id, "搬家了")
        confirming = asyncio.create_task(school.confirm(family, 1))
        await somebody_waits(school.world)
    assert await confirming == [("confirmed", LESSON_FEN)]
    assert await school.states(family) == ["confirmed", "refunded", "refunded", "refunded"]
    assert await school.contract_status(family) == "closed"


async def test_many_refunds_and_confirmations_at_once_end_with_every_fen_in_one_place(world: World) -> None:
    school = await found_school(world, lesson_count=2)
    families = [await school.enrol() for _ in range(6)]
    await school.deliver(1, *families[:4])
    work = [school.confirm(family, 1) for family in families] + [ask_back(school, family) for family in families]
    results = await asyncio.gather(*work, return_exceptions=True)
    assert [result for result in results if isinstance(result, Exception)] == []
    assert [await school.states(family) for family in families] == [["confirmed", "refunded"]] * 4 + [["refunded", "refunded"]] * 2
    assert await school.totals() == {"cash": 1200_00, "outgoing": 800_00, "payable": 400_00}


async def test_a_refund_beyond_the_cash_is_refused(school: School) -> None:
    family = await school.enrol()
    account = await school.world.account(school.institution)
    await school.world.bank.debit_uninstructed(account.account_no, 1_00)
    await bank_jobs.import_statement(school.world.district, school.world.banks, CONNECTION, clock.today())
    with pytest.raises(Refused, match=r"ledger\.insufficient_funds"):
        await ask_back(school, family)
    assert await school.states(family) == ["scheduled"] * 4


async def test_a_ruling_gives_one_lesson_back_at_once(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.dispute(family, 1)
    refund = await rule_return(school, family.lesson_ids[0])
    assert (refund.cause, refund.amount_fen, refund.guardian_id) == ("ruling", LESSON_FEN, family.parent.guardian_id)
    assert refund.finding["rule"] == "refund.ruling"
    assert await school.states(family) == ["refunded", "scheduled", "scheduled", "scheduled"]
    assert await school.totals() == {"cash": 400_00, "escrow": 300_00, "outgoing": 100_00}


async def test_nothing_is_given_back_without_such_a_ruling(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.dispute(family, 1)
    for lesson_id in family.lesson_ids[:2]:
        with pytest.raises(Conflict, match=r"refunds\.not_ruled"):
            async with school.world.district.transaction() as session:
                await refunds.give_back(session, school.world.officer(), lesson_id, "我看该退")
    with pytest.raises(NotFound, match=r"lessons\.not_found"):
        async with school.world.district.transaction() as session:
            await refunds.give_back(session, school.world.officer(), uuid7(), "没有")


async def test_each_end_sees_its_own_refunds_page_by_page(school: School) -> None:
    family, other = await school.enrol(), await school.enrol()
    mine, others = await ask_back(school, family), await ask_back(school, other)
    async with school.world.district.reading() as session:
        own = await queries.refunds_of_guardian(session, family.parent.guardian_id)
        first = await queries.refunds_of_institution(session, school.institution.id, limit=1)
        second = await queries.refunds_of_institution(session, school.institution.id, after=(first[0].approved_at, first[0].id))
        everyone = await queries.refunds_of_district(session)
        with pytest.raises(NotFound, match=r"refunds\.not_found"):
            await queries.refund_of_guardian(session, family.parent.guardian_id, others.refund_no)
        assert (await queries.refund(session, others.refund_no)).refund_no == others.refund_no
    assert [refund.refund_no for refund in own] == [mine.refund_no]
    assert [refund.refund_no for refund in first + second] == [others.refund_no, mine.refund_no]
    assert everyone == first + second
