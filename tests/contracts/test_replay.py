"""The time machine: what another pack would have refused of what was signed."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app import clock
from app.contracts.models import Contract
from app.contracts.replay import Replay, replay
from app.errors import Refused
from app.policy.packs import Edition, pack_for
from app.registry.courses import course_of
from app.registry.models import Institution
from app.security import Parent
from tests.world import World


def nation(**limits: dict[str, int]) -> Edition:
    """The nation's pack with other limits; `charge_cap` is `charge.cap`."""
    known = pack_for("510112", clock.today()).editions[0]
    changed = {name.replace("_", ".", 1): numbers for name, numbers in limits.items()}
    rules = {rule_id: rule.model_copy(update={"limits": changed.get(rule_id, rule.limits)}) for rule_id, rule in known.rules.items()}
    return known.model_copy(update={"id": "draft", "version": 1, "rules": rules})


async def replayed(world: World, other: Edition, days_before: int = 1) -> Replay:
    today = clock.today()
    async with world.district.reading() as session:
        return await replay(session, today - timedelta(days_before), today, other)


async def signed(world: World, institution: Institution, parent: Parent, lessons: int, price_fen: int) -> str:
    """A class sold to the parent's only child and paid."""
    child = await world.child(parent)
    contract = await world.sign(parent, await world.training_class(institution, lessons, price_fen), child)
    await world.pay(parent, contract)
    return contract.contract_no


async def test_a_lower_cap_would_have_refused_the_dear_ones(world: World) -> None:
    institution, parent = await world.institution(), await world.parent()
    await signed(world, institution, parent, 2, 300_000)
    dear = await signed(world, institution, await world.parent(), 2, 300_001)
    await world.sign(await world.parent(), await world.training_class(institution, 2, 400_000))
    as_it_was = await replayed(world, nation())
    assert (as_it_was.contracts, as_it_was.amount_fen, as_it_was.refused) == (2, 600_001, [])
    stricter = await replayed(world, nation(charge_cap={"fen": 300_000}))
    assert [(each.contract_no, each.amount_fen, each.rules) for each in stricter.refused] == [(dear, 300_001, ("charge.cap",))]
    assert (stricter.refused_fen, stricter.by_rule()) == (300_001, [("charge.cap", 1, 300_001)])


async def test_a_second_charge_of_the_subject_counts_with_the_first(world: World) -> None:
    institution, parent = await world.institution(), await world.parent()
    await signed(world, institution, parent, 4, 40_000)
    await world.wait(timedelta(days=1))
    second = await signed(world, institution, parent, 3, 30_000)
    await signed(world, institution, await world.parent(), 6, 60_000)
    found = await replayed(world, nation(charge_span={"month": 3, "lesson": 6}).model_copy(update={"locality": "51"}), days_before=2)
    assert found.refused == [], "twenty untaught lessons are few enough for a renewal in Chengdu"
    late = pack_for("510112", clock.today()).rule("charge.advance").model_copy(update={"limits": {"month": 1, "lesson": 3}})
    strict = nation(charge_span={"month": 3, "lesson": 6})
    strict = strict.model_copy(update={"locality": "5101", "rules": {**strict.rules, "charge.advance": late}})
    found = await replayed(world, strict, days_before=2)
    assert [(each.contract_no, each.rules) for each in found.refused] == [(second, ("charge.split",))]


async def test_what_was_judged_is_judged_again_and_rebuilt_only_where_nobody_kept_it(world: World) -> None:
    no = await signed(world, await world.institution(), await world.parent(), 2, 20_000)
    async with world.district.transaction() as session:
        contract = (await session.scalars(select(Contract).where(Contract.contract_no == no))).one()
        last = (await course_of(session, contract.class_id)).sessions[-1]
        last.starts_at, last.ends_at = last.starts_at + timedelta(days=120), last.ends_at + timedelta(days=120)
    assert (await replayed(world, nation())).refused == []
    async with world.district.transaction() as session:
        (await session.get_one(Contract, contract.id)).facts = None
    assert [each.rules for each in (await replayed(world, nation())).refused] == [("charge.span",)]


async def test_only_the_days_asked_for_are_judged(world: World) -> None:
    await signed(world, await world.institution(), await world.parent(), 2, 20_000)
    await world.wait(timedelta(days=3))
    assert (await replayed(world, nation())).contracts == 0
    assert (await replayed(world, nation(), days_before=3)).contracts == 1


async def test_another_places_pack_says_nothing_here(world: World) -> None:
    with pytest.raises(Refused) as refusal:
        await replayed(world, nation().model_copy(update={"locality": "3202"}))
    assert refusal.value.code == "policy.other_place"
