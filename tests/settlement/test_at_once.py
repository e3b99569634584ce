"""Everybody acts at once: no deadlock, no unexpected error, every fen in one place."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from app import clock
from app.errors import DomainError
from app.lessons import service as lessons
from app.refunds import jobs as refund_jobs
from app.refunds import service as refunds
from app.settlement import jobs as settlement_jobs
from app.supervision import jobs as supervision
from tests.school import Family, School, found_school, send
from tests.world import World

ALLOWED = {
    "lessons.already_delivered",
    "lessons.not_paid",
    "lessons.already_disputed",
    "lessons.not_delivered",
    "lessons.final",
    "lessons.not_disputed",
    "refunds.nothing_left",
}
Act = Callable[[], Awaitable[object]]


async def confirm(world: World, family: Family, lesson_ids: list[UUID]) -> None:
    async with world.district.transaction() as session:
        await lessons.confirm(session, family.parent, lesson_ids)


async def ask_back(world: World, family: Family) -> None:
    async with world.district.transaction() as session:
        await refunds.request(session, family.parent, family.contract.id, "不学了")


async def rule_on(world: World, family: Family, number: int, ruling: lessons.Ruling) -> None:
    officer = world.officer()
    async with world.district.transaction() as session:
        await lessons.rule_on(session, officer, family.lesson_ids[number - 1], ruling, "已核实")
        if ruling == "return":
            await refunds.give_back(session, officer, family.lesson_ids[number - 1], "已核实")


def acts(world: World, school: School, families: list[Family], dice: random.Random) -> list[Act]:
    """What a busy hour of one school consists of, in any order."""
    chosen: list[Act] = []
    for number in (1, 2, 3):
        present = dice.sample(families, 4)
        chosen += [lambda number=number, present=present: school.enter(number, *present)] * 2
    for family in families:
        for _ in range(3):
            mixed = dice.sample(family.lesson_ids, 3)
            chosen.append(lambda family=family, mixed=mixed: confirm(world, family, mixed))
        chosen.append(lambda family=family: ask_back(world, family))
        for number in (1, 2):
            chosen.append(lambda family=family, number=number: school.dispute(family, number))
            ruling = dice.choice(["release", "return"])
            chosen.append(lambda family=family, number=number, ruling=ruling: rule_on(world, family, number, ruling))
    for run_no in (1, 2, 3):
        chosen.append(lambda run_no=run_no: settlement_jobs.run_district(world.district, clock.today(), run_no))
    chosen += [lambda: refund_jobs.restore_unpaid(world.district), lambda: settlement_jobs.free_unpaid(world.district)] * 3
    chosen += [lambda: supervision.clear_payouts(world.district)] * 2
    return chosen


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_busy_hour(world: World, seed: int) -> None:
    dice = random.Random(seed)
    schools = [await found_school(world) for _ in range(2)]
    classes = [(school, [await school.enrol() for _ in range(5)]) for school in schools]
    await world.wait_until(max(school.sessions[2].ends_at for school in schools))
    for school, families in classes:
        # A lesson that is taught is not asked back, and nobody disputes this one: in whatever order all act, it will be confirmed.
        await school.enter(3, *families)
    await world.bank.knob("reject", times=6, code="account_closed")
    for _ in range(3):
        busy = [act for school, families in classes for act in acts(world, school, families, dice)]
        dice.shuffle(busy)
        results = await asyncio.gather(*(act() for act in busy), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                assert isinstance(result, DomainError), result
                assert result.code in ALLOWED
        await send(world)
    await refund_jobs.restore_unpaid(world.district)
    await settlement_jobs.free_unpaid(world.district)
    ended = {state for school, families in classes for family in families for state in await school.states(family)}
    assert {"confirmed", "refunded"} <= ended
