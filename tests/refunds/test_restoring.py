"""A refund that the bank did not pay gives the lessons and their fees back, and the family may ask again."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Refused
from app.lessons import service as lessons
from app.refunds import jobs, queries
from app.refunds import service as refunds
from app.refunds.models import Refund
from tests.school import Family, School, ask_again, found_school, instructed, send
from tests.world import CONNECTION, World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def ask_back(school: School, family: Family) -> Refund:
    async with school.world.district.transaction() as session:
        [refund] = await refunds.request(session, family.parent, family.contract.id, "不学了")
        return refund


async def reject(school: School, refund: Refund) -> None:
    """The bank refuses to pay it."""
    await school.world.bank.knob("reject", reference=refund.refund_no, code="account_closed")
    await send(school.world)
    assert (await instructed(school.world, refund.refund_no)).status == "rejected"


async def come_back(school: School, refund: Refund) -> None:
    """The bank pays it, and days later the money comes back."""
    await send(school.world)
    await school.world.bank.return_instruction(CONNECTION, refund.refund_no)
    assert (await ask_again(school.world, refund.refund_no)).status == "returned"


async def test_a_rejected_refund_gives_everything_back(school: School) -> None:
    family = await school.enrol()
    refund = await ask_back(school, family)
    await reject(school, refund)
    assert await jobs.restore_unpaid(school.world.district) == 1
    assert await school.states(family) == ["scheduled"] * 4
    assert await school.contract_status(family) == "paid"
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}
    assert await jobs.restore_unpaid(school.world.district) == 0


async def test_a_returned_refund_gives_everything_back(school: School) -> None:
    family = await school.enrol()
    refund = await ask_back(school, family)
    await come_back(school, refund)
    assert await jobs.restore_unpaid(school.world.district) == 1
    assert await school.states(family) == ["scheduled"] * 4
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}


async def test_what_was_taught_to_others_meanwhile_was_missed(school: School) -> None:
    family = await school.enrol()
    refund = await ask_back(school, family)
    await school.deliver(1)
    await reject(school, refund)
    await jobs.restore_unpaid(school.world.district)
    assert await school.states(family) == ["missed", "scheduled", "scheduled", "scheduled"]


async def test_the_family_asks_again_and_is_paid(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    first = await ask_back(school, family)
    await reject(school, first)
    await jobs.restore_unpaid(school.world.district)
    second = await ask_back(school, family)
    await send(school.world)
    assert second.refund_no != first.refund_no
    assert (await instructed(school.world, second.refund_no)).status == "settled"
    assert await school.states(family) == ["delivered", "refunded", "refunded", "refunded"]
    async with school.world.district.reading() as session:
        seen = await queries.refund(session, first.refund_no)
    assert (seen.status, {line.live for line in seen.lines}) == ("rejected", {False})


async def test_a_seat_taken_again_is_not_taken_back(world: World) -> None:
    school = await found_school(world, seats=1)
    family = await school.enrol()
    refund = await ask_back(school, family)
    await school.enrol()
    await reject(school, refund)
    assert await jobs.restore_unpaid(world.district) == 1
    assert await school.contract_status(family) == "closed"
    assert await school.states(family) == ["missed"] * 4
    again = await ask_back(school, family)
    await send(world)
    assert (await instructed(world, again.refund_no)).status == "settled"


async def test_a_child_who_joined_again_has_one_live_contract(school: School) -> None:
    family = await school.enrol()
    refund = await ask_back(school, family)
    second = await school.enrol(family.parent, family.student)
    await reject(school, refund)
    await jobs.restore_unpaid(school.world.district)
    assert [await school.contract_status(each) for each in (family, second)] == ["closed", "paid"]
    await school.deliver(1, second)
    assert [(await school.states(each))[0] for each in (family, second)] == ["missed", "delivered"]


async def test_a_lesson_ruled_back_whose_refund_fails_waits_for_the_family(school: School) -> None:
    family = await school.enrol()
    await school.deliver(1, family)
    await school.dispute(family, 1)
    officer = school.world.officer()
    async with school.world.district.transaction() as session:
        await lessons.rule_on(session, officer, family.lesson_ids[0], "return", "老师确未到场")
        refund = await refunds.give_back(session, officer, family.lesson_ids[0], "老师确未到场")
    await reject(school, refund)
    await jobs.restore_unpaid(school.world.district)
    assert await school.states(family) == ["missed", "scheduled", "scheduled", "scheduled"]
    assert await school.confirm(family, 1) == [("not_delivered", 0)]
    assert (await ask_back(school, family)).amount_fen == 400_00


async def test_two_workers_restore_once(school: School) -> None:
    family = await school.enrol()
    await reject(school, await ask_back(school, family))
    assert sum(await asyncio.gather(*(jobs.restore_unpaid(school.world.district) for _ in range(4)))) == 1
    assert await school.totals() == {"cash": 400_00, "escrow": 400_00}


async def test_restoring_and_delivering_at_once_see_each_other(school: School) -> None:
    family = await school.enrol()
    await reject(school, await ask_back(school, family))
    await school.end_of(1)
    await asyncio.gather(jobs.restore_unpaid(school.world.district), school.enter(1))
    assert (await school.states(family))[0] == "missed"


async def test_one_that_cannot_be_restored_stops_no_other(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    families = [await school.enrol() for _ in range(2)]
    poison, _ = [await ask_back(school, family) for family in families]
    await school.world.bank.knob("reject", times=2, code="account_closed")
    await send(school.world)
    unreserve = jobs.banking.unreserve

    async def stubborn(session: AsyncSession, instruction_ids: Sequence[UUID], posted_by: str) -> None:
        if (await instructed(school.world, poison.refund_no)).id in instruction_ids:
            raise Refused("ledger.insufficient_funds", "账户余额不足")
        await unreserve(session, instruction_ids, posted_by)

    with monkeypatch.context() as patched:
        patched.setattr(jobs.banking, "unreserve", stubborn)
        assert await jobs.restore_unpaid(school.world.district) == 1
    assert [(await school.states(family))[0] for family in families] == ["refunded", "scheduled"]
    assert await jobs.restore_unpaid(school.world.district) == 1
