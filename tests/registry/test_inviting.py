"""Several guardians of a child: by code, by phone, and what each may do then."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app import clock
from app.db import District
from app.errors import BadInput, Conflict, DomainError, NotFound, Refused
from app.registry import consenting, families, family_queries, inviting
from app.registry.inviting import Invited
from app.registry.models import Guardian, GuardianInvitation, Guardianship, Student
from app.security import Parent
from tests.world import World

AGREED = consenting.CURRENT


@pytest.fixture
async def parent(world: World) -> Parent:
    return await world.parent()


@pytest.fixture
async def child(world: World, parent: Parent) -> Student:
    return await world.child(parent)


async def invite(district: District, parent: Parent, child: Student, phone: str | None = None) -> Invited:
    async with district.transaction() as session:
        return await inviting.invite(session, parent, child.id, phone)


async def accept(district: District, other: Parent, made: Invited, code: str | None = None) -> Student:
    way = {"code": code or made.code} if made.code else {"invitation_id": made.invitation.id}
    async with district.transaction() as session:
        return await inviting.accept(session, other, AGREED, **way)  # type: ignore[arg-type]


async def refusal_of(district: District, other: Parent, made: Invited) -> str:
    with pytest.raises(DomainError) as refusal:
        await accept(district, other, made)
    return refusal.value.code


async def guardians(district: District, child: Student) -> int:
    async with district.reading() as session:
        return await session.scalar(select(func.count()).select_from(Guardianship).where(Guardianship.student_id == child.id)) or 0


async def phone_of(district: District, parent: Parent) -> str:
    async with district.reading() as session:
        return families.phone_of(await session.get_one(Guardian, parent.guardian_id))


async def test_a_code_that_is_handed_over_makes_a_second_guardian(world: World, district: District, parent: Parent, child: Student) -> None:
    made, other = await invite(district, parent, child), await world.parent()
    assert made.code is not None
    async with district.reading() as session:
        row = await session.get_one(GuardianInvitation, made.invitation.id)
        assert made.code.replace("-", "").encode() not in (row.code_hash or b"")
        seen = await family_queries.invitation(session, row.id)
    assert seen is not None
    assert (seen.student_name_masked, seen.inviter_phone_masked[:3]) == ("王*明", "138")
    assert (await accept(district, other, made, f" {made.code.lower().replace('-', ' ')} ")).id == child.id
    async with district.reading() as session:
        assert [each.guardian_id for each in await family_queries.guardians_of_child(session, child.id)] == [
            parent.guardian_id,
            other.guardian_id,
        ]
        assert len(await family_queries.consents_of_child(session, child.id)) == 2


async def test_a_code_is_taken_once_also_by_many_at_once(world: World, district: District, parent: Parent, child: Student) -> None:
    made = await invite(district, parent, child)
    others = [await world.parent() for _ in range(5)]

    async def attempt(other: Parent) -> bool:
        try:
            await accept(district, other, made)
        except NotFound:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt(other) for other in others))) == 1
    assert await guardians(district, child) == 2


async def test_an_invitation_by_phone_is_for_that_phone_alone(world: World, district: District, parent: Parent, child: Student) -> None:
    other, stranger = await world.parent(), await world.parent()
    made = await invite(district, parent, child, await phone_of(district, other))
    assert made.code is None
    async with district.reading() as session:
        assert [each.id for each in await family_queries.invitations_to(session, other.guardian_id)] == [made.invitation.id]
        assert await family_queries.invitations_to(session, stranger.guardian_id) == []
    assert await refusal_of(district, stranger, made) == "registry.invitation_not_found"
    assert (await accept(district, other, made)).id == child.id


async def test_nobody_invites_themselves(district: District, parent: Parent, child: Student) -> None:
    own = await phone_of(district, parent)
    for typed in (own, own.removeprefix("+86"), f" {own[3:6]} {own[6:10]} {own[10:]}"):
        with pytest.raises(BadInput) as refusal:
            await invite(district, parent, child, typed)
        assert (refusal.value.code, refusal.value.facts["field"]) == ("registry.phone_invalid", "phone")
        assert "您自己的手机号" in refusal.value.message_zh
    async with district.reading() as session:
        assert await family_queries.open_invitations_of_child(session, child.id) == []


async def test_an_invitation_ends_after_two_days_when_taken_back_or_turned_down(
    world: World, district: District, parent: Parent, child: Student
) -> None:
    other = await world.parent()
    late, revoked = await invite(district, parent, child), await invite(district, parent, child)
    declined = await invite(district, parent, child, await phone_of(district, other))
    for who, made in ((parent, revoked), (other, declined)):
        async with district.transaction() as session:
            await inviting.end(session, who, made.invitation.id)
    with pytest.raises(NotFound):
        async with district.transaction() as session:
            await inviting.end(session, await world.parent(), late.invitation.id)
    clock.set_to(clock.now() + timedelta(hours=48))
    assert [await refusal_of(district, other, made) for made in (late, revoked, declined)] == ["registry.invitation_not_found"] * 3
    async with district.reading() as session:
        assert await family_queries.open_invitations_of_child(session, child.id) == []


async def test_joining_needs_consent(world: World, district: District, parent: Parent, child: Student) -> None:
    made, other = await invite(district, parent, child), await world.parent()
    with pytest.raises(Refused) as refusal:
        async with district.transaction() as session:
            await inviting.accept(session, other, None, code=made.code)
    assert refusal.value.code == "registry.consent_needed"
    assert await guardians(district, child) == 1


async def test_who_entered_the_child_alone_is_told_of_the_twin(world: World, district: District, parent: Parent, child: Student) -> None:
    made, other = await invite(district, parent, child), await world.parent()
    own = await world.child(other)
    assert await refusal_of(district, other, made) == "registry.student_known"
    assert (await guardians(district, child), await guardians(district, own)) == (1, 1)


async def test_who_answers_already_uses_the_invitation_up(district: District, parent: Parent, child: Student) -> None:
    made = await invite(district, parent, child)
    await accept(district, parent, made)
    assert await guardians(district, child) == 1
    assert await refusal_of(district, parent, made) == "registry.invitation_not_found"


async def test_invitations_and_guardians_have_an_end(
    world: World, district: District, parent: Parent, child: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await invite(district, parent, child) for _ in range(inviting.MOST_INVITATIONS)]
    with pytest.raises(Refused) as refusal:
        await invite(district, parent, child)
    assert refusal.value.code == "registry.too_many_invitations"
    monkeypatch.setattr(inviting, "MOST_GUARDIANS", 2)
    await accept(district, await world.parent(), made[0])
    assert await refusal_of(district, await world.parent(), made[1]) == "registry.too_many_guardians"
    with pytest.raises(NotFound):
        await invite(district, await world.parent(), child)


async def test_each_guardians_last_word_counts(world: World, district: District, parent: Parent, child: Student) -> None:
    other = await world.parent()
    await accept(district, other, await invite(district, parent, child))

    async def consented() -> bool:
        async with district.reading() as session:
            return (await family_queries.student(session, parent.guardian_id, child.id)).consented

    async with district.transaction() as session:
        await families.withdraw_consent(session, other, child.id)
    assert not await consented()
    async with district.transaction() as session:
        await families.agree(session, parent, child.id, AGREED)
    assert not await consented(), "one guardian does not outvote the other"
    async with district.transaction() as session:
        await families.agree(session, other, child.id, AGREED)
    assert await consented()


async def test_a_taken_or_wrong_code_says_the_same(world: World, district: District, parent: Parent, child: Student) -> None:
    made, other = await invite(district, parent, child), await world.parent()
    await accept(district, other, made)
    said = set()
    for code in (made.code, "0000-0000-0000", "", "x" * 40):
        with pytest.raises((NotFound, Conflict)) as refusal:
            async with district.reading() as session:
                await inviting.found_by_code(session, code or "")
        said.add((refusal.value.code, refusal.value.message_zh))
    assert len(said) == 1
