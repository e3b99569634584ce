"""A story that fills the books, for those who audit them."""

from dataclasses import dataclass
from datetime import date, timedelta

import pytest

from app import clock
from app.db import District
from app.ledger import jobs
from app.refunds import jobs as refund_jobs
from app.refunds import service as refunds
from app.refunds.models import Refund
from app.settlement import service as settlement
from app.supervision import jobs as supervision
from tests.school import Family, School, ask_again, found_school, send
from tests.world import CONNECTION, World


@dataclass(frozen=True)
class Story:
    """Two schools over four days: payments and confirmations, a payout, a refund, and a refund that came back."""

    world: World
    first: School
    second: School
    days: list[date]

    @property
    def district(self) -> District:
        return self.world.district


@pytest.fixture
async def story(world: World) -> Story:
    """Told from nine in the morning of tomorrow to five minutes before midnight of the fourth day, and sealed."""
    days = [clock.today() + timedelta(days=number) for number in range(1, 5)]
    await world.wait_until(clock.day_bounds(days[0])[0] + timedelta(hours=9))
    first, second = await found_school(world), await found_school(world)
    families = [await first.enrol() for _ in range(2)]
    leaving = await second.enrol()
    await taught(first, 1, families)
    await taught(first, 2, families)
    await pay_out(first)
    await world.wait_until(clock.day_bounds(days[2])[0])
    await ask_back(first, families[0])
    lost = await ask_back(second, leaving)
    await world.wait_until(clock.day_bounds(days[3])[1] - timedelta(minutes=5))
    await come_back(world, lost)
    assert clock.today() == days[-1]
    while await jobs.seal(world.district):
        pass
    return Story(world, first, second, days)


async def taught(school: School, number: int, families: list[Family]) -> None:
    await school.deliver(number, *families)
    for family in families:
        await school.confirm(family, number)


async def pay_out(school: School) -> None:
    async with school.world.district.transaction() as session:
        await settlement.run(session, school.institution.id, clock.today(), 1, school.world.clerk().actor)
    await supervision.clear_payouts(school.world.district)
    await send(school.world)


async def ask_back(school: School, family: Family) -> Refund:
    async with school.world.district.transaction() as session:
        [refund] = await refunds.request(session, family.parent, family.contract.id, "搬家了")
    await send(school.world)
    return refund


async def come_back(world: World, refund: Refund) -> None:
    """A refund that was paid returns, and its lessons with it."""
    await world.bank.return_instruction(CONNECTION, refund.refund_no)
    await ask_again(world, refund.refund_no)
    await refund_jobs.restore_unpaid(world.district)
