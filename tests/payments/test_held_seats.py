"""A class that may only be charged on a later day: its seat is held for that day, is paid then, or is free again."""

from dataclasses import dataclass
from datetime import date, timedelta

import pytest

from app import clock
from app.contracts import queries
from app.contracts.home import home_of
from app.contracts.judging import LegalPlan
from app.contracts.models import Contract
from app.errors import Conflict, DomainError, Refused
from app.payments import giving_up, jobs
from app.payments import service as payments
from app.payments.models import Payment
from app.policy.packs import pack_for
from app.privacy import leaving
from app.registry import institutions
from app.registry.models import Institution, TrainingClass
from app.security import Parent
from tests.world import World

MORNING = timedelta(hours=9)


@dataclass(frozen=True)
class Held:
    """A seat in a class of one that begins in two months, held by a parent until a day comes."""

    world: World
    institution: Institution
    training_class: TrainingClass
    parent: Parent
    contract: Contract
    on: date

    async def day_comes(self) -> None:
        await self.world.wait_until(clock.day_bounds(self.on)[0] + MORNING)

    async def start(self) -> Payment:
        async with self.world.district.transaction() as session:
            return await payments.start(session, self.parent, self.contract.id)

    async def refusal(self) -> DomainError:
        """Why no payment opens now."""
        with pytest.raises(DomainError) as refused:
            await self.start()
        return refused.value

    async def decline(self) -> None:
        await giving_up.decline(self.world.district, self.world.banks, self.parent, self.contract.id)

    async def status(self) -> str:
        async with self.world.district.reading() as session:
            return (await session.get_one(Contract, self.contract.id)).status

    async def due(self) -> tuple[bool, list[int]]:
        """What the parent's first page says."""
        family = await home_of(self.world.district, self.parent.guardian_id)
        async with self.world.district.reading() as session:
            waiting = await queries.contracts_to_pay(session, self.parent.guardian_id)
        return family.due, [view.due.amount_fen for view in waiting if view.due]


async def nearest(world: World, sold: TrainingClass) -> tuple[Parent, LegalPlan, Contract]:
    """A parent who takes the nearest legal plan."""
    parent = await world.parent()
    child = await world.child(parent)
    with pytest.raises(Refused) as refused:
        await world.sign(parent, sold, child)
    plan: LegalPlan = refused.value.facts["plan"]
    return parent, plan, await world.sign(parent, sold, child, plan.terms)


@pytest.fixture
async def held(world: World) -> Held:
    institution = await world.institution()
    sold = await world.training_class(institution, seats=1, starts_in=timedelta(days=60))
    parent, plan, contract = await nearest(world, sold)
    return Held(world, institution, sold, parent, contract, plan.terms.charges[0].charged_on)


async def test_it_opens_on_its_day_and_is_paid(held: Held) -> None:
    assert (await held.refusal()).code == "payments.not_due"
    assert await held.due() == (False, [])
    await held.world.wait(timedelta(days=1))
    assert await jobs.lapse_contracts(held.world.district) == 0
    await held.day_comes()
    assert await held.due() == (True, [40_000])
    await held.world.pay(held.parent, held.contract)
    assert await held.status() == "paid"
    assert [lesson.status for lesson in await held.world.lessons_of(held.contract)] == ["scheduled"] * 4
    assert await held.world.totals(held.institution) == {"cash": 40_000, "escrow": 40_000}


async def test_unpaid_it_is_free_when_its_day_is_over(held: Held) -> None:
    with pytest.raises(Refused) as full:
        await nearest(held.world, held.training_class)
    assert full.value.code == "contracts.full"
    await held.world.wait_until(held.contract.lapses_at - timedelta(minutes=5))
    assert await jobs.lapse_contracts(held.world.district) == 0
    payment = await held.start()
    assert payment.expires_at == held.contract.lapses_at
    await held.world.wait_until(held.contract.lapses_at)
    assert await jobs.expire_payments(held.world.district, held.world.banks) == 1
    assert (await held.refusal()).code == "payments.seat_expired"
    assert await jobs.lapse_contracts(held.world.district) == 1
    assert [lesson.status for lesson in await held.world.lessons_of(held.contract)] == ["lapsed"] * 4
    await held.world.sign(await held.world.parent(), held.training_class)


async def test_what_changed_until_its_day_is_held_against_it(held: Held) -> None:
    async with held.world.district.transaction() as session:
        await institutions.set_listing(session, held.world.officer(), held.institution.id, "black", "卷款失联")
    await held.day_comes()
    refused = await held.refusal()
    assert (refused.code, [finding["rule"] for finding in refused.facts["findings"]]) == ("contracts.rule", ["inst.list"])
    assert refused.facts["judged_by"] == pack_for("510112", clock.today()).edition


async def test_it_can_be_given_up_before_its_day(held: Held) -> None:
    await held.decline()
    assert await held.status() == "lapsed"
    await nearest(held.world, held.training_class)
    with pytest.raises(Conflict, match=r"contracts\.nothing_planned"):
        await held.decline()
    async with held.world.district.transaction() as session:
        await leaving.erase_account(session, held.parent)


async def test_it_can_be_given_up_on_its_day(held: Held) -> None:
    await held.day_comes()
    await held.start()
    await held.decline()
    assert await held.status() == "lapsed"


async def test_of_several_charges_the_first_is_paid_on_its_day_and_the_next_on_theirs(world: World) -> None:
    sold = await world.training_class(await world.institution(), lessons=40, price_fen=800_000, starts_in=timedelta(days=60))
    parent, plan, contract = await nearest(world, sold)
    for charge in plan.terms.charges:
        await world.wait_until(clock.day_bounds(charge.charged_on)[0] + MORNING)
        assert (await world.pay(parent, contract)).amount_fen == charge.amount_fen
    async with world.district.reading() as session:
        view = await queries.contract_of_guardian(session, parent.guardian_id, contract.id)
    assert [charge.status for charge in view.charges] == ["paid", "paid"]
