"""The family's first page: what is paid, what comes next, and whether there is anything else to look up."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from app.contracts.home import NEWS, FamilyHome, home_of
from app.db import District
from app.registry import changes, families, inviting
from app.registry.changes import ChangeDraft
from app.registry.class_sessions import cancel_session
from app.registry.models import Guardian
from app.security import Parent
from tests.school import School, found_school
from tests.world import World

Look = Callable[[Parent], Awaitable[FamilyHome]]


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


@pytest.fixture
def home(district: District) -> Look:
    async def look(parent: Parent) -> FamilyHome:
        return await home_of(district, parent.guardian_id)

    return look


def others(found: FamilyHome) -> set[str]:
    return {name for name in ("due", "paused", "changed", "invited") if getattr(found, name)}


async def test_a_guardian_without_children_has_nothing(world: World, home: Look) -> None:
    assert await home(await world.parent()) == FamilyHome(0, 0, [], [], False, False, False, False)


async def test_escrow_and_what_comes_next_follow_the_lessons(world: World, school: School, home: Look) -> None:
    family = await school.sign()
    unpaid = await home(family.parent)
    assert (unpaid.escrow_fen, unpaid.upcoming, others(unpaid)) == (0, [], {"due"})
    await world.pay(family.parent, family.contract)
    paid = await home(family.parent)
    assert (paid.escrow_fen, paid.to_confirm, len(paid.upcoming), others(paid)) == (40_000, 0, 3, set())
    assert {(lesson.contract_id, lesson.student_name_masked, lesson.session_status) for lesson in paid.upcoming} == {
        (family.contract.id, "王*明", "scheduled")
    }
    starts = [(await world.session_of(lesson)).starts_at for lesson in await world.lessons_of(family.contract)]
    assert [lesson.starts_at for lesson in paid.upcoming] == starts[:3]
    await school.deliver(1, family)
    delivered = await home(family.parent)
    assert (delivered.escrow_fen, delivered.to_confirm, delivered.upcoming[0].starts_at) == (40_000, 1, starts[1])
    await school.confirm(family, 1)
    assert ((await home(family.parent)).escrow_fen, (await home(family.parent)).to_confirm) == (30_000, 0)


async def test_what_is_over_comes_no_more_whether_it_was_entered_or_not(world: World, school: School, home: Look) -> None:
    family = await school.enrol()
    first, second, *_ = [await world.session_of(lesson) for lesson in await world.lessons_of(family.contract)]
    await world.wait_until(first.ends_at + timedelta(seconds=1))
    assert (await home(family.parent)).upcoming[0].starts_at == second.starts_at


async def test_a_guardian_sees_the_lessons_that_another_one_paid(world: World, school: School, home: Look) -> None:
    family = await school.sign()
    other = await school.second_guardian(family)
    assert others(await home(other)) == {"due"}
    await world.pay(family.parent, family.contract)
    assert (await home(other)) == (await home(family.parent))
    assert (await home(await world.parent())).escrow_fen == 0


async def test_a_change_is_news_for_two_weeks_and_only_for_those_who_had_joined(
    world: World, district: District, school: School, home: Look
) -> None:
    family = await school.enrol()
    await world.wait(timedelta(minutes=1))
    [first, *_] = await world.lessons_of(family.contract)
    async with district.transaction() as session:
        await cancel_session(session, school.staff, first.class_session_id, "教师生病")
    changed = await home(family.parent)
    assert (others(changed), changed.upcoming[0].session_status) == ({"changed"}, "cancelled")
    assert others(await home((await school.enrol()).parent)) == set()
    await world.wait(NEWS + timedelta(minutes=1))
    assert others(await home(family.parent)) == set()


async def test_an_institution_that_sells_nothing_new_is_told_to_its_families(
    world: World, district: District, school: School, home: Look
) -> None:
    family = await school.enrol()
    async with district.transaction() as session:
        await changes.propose(session, school.staff, school.institution.id, ChangeDraft("legal_representative", "李法人", "股权转让"))
    assert others(await home(family.parent)) == {"paused"}
    assert others(await home(await world.parent())) == set()


async def test_an_invitation_waits_for_the_phone_it_was_made_out_to(world: World, district: District, home: Look) -> None:
    parent, other = await world.parent(), await world.parent()
    child = await world.child(parent)
    async with district.transaction() as session:
        phone = families.phone_of(await session.get_one(Guardian, other.guardian_id))
        invited = await inviting.invite(session, parent, child.id, phone)
    assert (others(await home(other)), others(await home(parent))) == ({"invited"}, set())
    await world.wait(invited.invitation.expires_at - invited.invitation.created_at)
    assert others(await home(other)) == set()


async def test_a_withdrawn_consent_is_not_asked_for_again(world: World, district: District, home: Look) -> None:
    parent = await world.parent()
    child = await world.child(parent)
    assert [(each.name_masked, each.to_consent) for each in (await home(parent)).children] == [("王*明", False)]
    async with district.transaction() as session:
        await families.withdraw_consent(session, parent, child.id)
    assert [(each.name_masked, each.to_consent) for each in (await home(parent)).children] == [("王*明", False)]
