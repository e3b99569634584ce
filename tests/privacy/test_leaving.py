"""Leaving a child, and erasure that keeps the books."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app import security
from app.audit import AuditEntry
from app.contracts import queries as contracts
from app.contracts.models import Contract
from app.db import District
from app.errors import DomainError, NotFound, Refused
from app.lessons import timetable, trials
from app.lessons.models import CalendarFeed, Trial
from app.privacy import leaving
from app.refunds import service as refunds
from app.registry import consenting, families, inviting, queries
from app.registry.models import FormerGuardianship, Guardian, GuardianInvitation, Guardianship, Student
from app.registry.rules import shanghai
from app.security import Parent
from tests.school import School, ask_again, found_school, instructed
from tests.world import CONNECTION, World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def leave(district: District, parent: Parent, student_id: object) -> bool:
    async with district.transaction() as session:
        return await leaving.leave_child(session, parent, student_id)  # type: ignore[arg-type]


async def erase(district: District, parent: Parent) -> None:
    async with district.transaction() as session:
        await leaving.erase_account(session, parent)


async def left_over(district: District, parent: Parent, student_id: object = None) -> dict[str, int]:
    with pytest.raises(Refused) as refusal:
        await (leave(district, parent, student_id) if student_id else erase(district, parent))
    assert refusal.value.code == "privacy.not_settled"
    return {name: count for name, count in refusal.value.facts.items() if count}


async def settle(world: World) -> None:
    await world.work()
    await world.wait(timedelta(minutes=1))
    await world.work()


async def test_one_of_two_may_leave_while_a_contract_lives_and_the_last_may_not(school: School, district: District) -> None:
    family = await school.enrol()
    other = await school.second_guardian(family)
    assert await leave(district, family.parent, family.student.id) is False
    with pytest.raises(NotFound):
        await leave(district, family.parent, family.student.id)
    assert await left_over(district, other, family.student.id) == {"contracts": 1, "lessons": 4}
    async with district.reading() as session:
        [former] = await session.scalars(select(FormerGuardianship))
    assert (former.guardian_id, former.student_id) == (family.parent.guardian_id, family.student.id)


async def test_two_who_leave_at_once_do_not_both_think_the_other_stays(school: School, district: District) -> None:
    family = await school.enrol()
    other = await school.second_guardian(family)

    async def attempt(parent: Parent) -> bool:
        try:
            await leave(district, parent, family.student.id)
        except Refused:
            return False
        return True

    assert sorted(await asyncio.gather(attempt(family.parent), attempt(other))) == [False, True]


async def test_money_on_its_way_back_holds_an_erasure_up_until_it_arrived(school: School, district: District) -> None:
    world, family = school.world, await school.sign()
    order = await world.order(family.parent, family.contract)
    for _ in range(2):
        await world.bank.pay(order.payment_no)
    await world.learn_of(order.payment_no)
    assert await left_over(district, family.parent) == {"contracts": 1, "lessons": 4, "receipts": 1}
    async with district.transaction() as session:
        await refunds.request(session, family.parent, family.contract.id, "搬家")
    assert await left_over(district, family.parent, family.student.id) == {"refunds": 1, "receipts": 1}
    await settle(world)
    assert (await left_over(district, family.parent, family.student.id))["arrived"] == 2
    await world.wait(leaving.COMES_BACK_WITHIN)
    assert await leave(district, family.parent, family.student.id) is True


async def test_a_refund_that_the_bank_sends_back_later_still_finds_its_family(school: School, district: District) -> None:
    """Paid on a Tuesday, 退汇 on the Thursday: whoever was erased on the Wednesday could not ask for it again."""
    world, family = school.world, await school.enrol()
    async with district.transaction() as session:
        [refund] = await refunds.request(session, family.parent, family.contract.id, "搬家")
    await settle(world)
    paid_at = (await instructed(world, refund.refund_no)).ended_at
    assert paid_at is not None
    await world.wait(timedelta(days=1))
    with pytest.raises(Refused, match=r"privacy\.not_settled") as refusal:
        await erase(district, family.parent)
    until = paid_at + leaving.COMES_BACK_WITHIN
    assert refusal.value.facts == {"arrived": 1, "until": until.isoformat()}
    assert f"银行仍可能退汇，{shanghai(until)} 以后才能删除" in refusal.value.message_zh
    await world.wait(timedelta(days=1))
    await world.bank.return_instruction(CONNECTION, refund.refund_no)
    await ask_again(world, refund.refund_no)
    await world.work()
    assert (await left_over(district, family.parent))["lessons"] == 4
    async with district.transaction() as session:
        await refunds.request(session, family.parent, family.contract.id, "再退一次")
    await settle(world)
    await world.wait(leaving.COMES_BACK_WITHIN)
    await erase(district, family.parent)


async def test_an_erased_family_leaves_its_rows_and_takes_its_names(school: School, district: District) -> None:
    world = school.world
    family = await school.enrol()
    async with district.transaction() as session:
        token = await security.open_session(session, "parent", guardian_id=family.parent.guardian_id)
        guardian = await session.get_one(Guardian, family.parent.guardian_id)
        phone = families.phone_of(guardian)
        await refunds.request(session, family.parent, family.contract.id, "搬家")
    await settle(world)
    await world.wait(leaving.COMES_BACK_WITHIN)
    await erase(district, family.parent)
    async with district.reading() as session:
        guardian = await session.get_one(Guardian, family.parent.guardian_id)
        student = await session.get_one(Student, family.student.id)
        assert (guardian.phone_enc, guardian.phone_index, student.name_enc, student.birth_month_enc, student.stage) == (None,) * 5
        assert guardian.erased_at is not None
        assert (families.phone_of(guardian), queries.masked_name(student), families.birth_month_of(student)) == ("", "已注销", "")
        assert await session.scalar(select(func.count()).select_from(Guardianship)) == 0
        [contract] = await contracts.contracts_of_institution(session, school.institution.id)
        assert (contract.student_name_masked, contract.amount_fen, contract.status) == ("已注销", 40_000, "closed")
        acts = list(await session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))
    assert acts[-2:] == ["privacy.child_erased", "privacy.account_erased"]
    assert await security.principals_of(district, [token]) == [None]
    async with district.transaction() as session:
        again = await families.guardian_for_phone(session, phone)
    assert again.id != family.parent.guardian_id, "the phone enters anew, as a stranger"
    async with district.reading() as session:
        assert await contracts.contracts_of_guardian(session, again.id) == []


async def test_an_account_with_a_live_contract_stays_whole(school: School, district: District) -> None:
    family = await school.sign()
    own = await school.world.child(family.parent, "李小红")
    assert await left_over(district, family.parent) == {"contracts": 1}
    async with district.reading() as session:
        child = await session.get_one(Student, own.id)
        assert families.name_of(child) == "李小红"


async def test_who_signed_and_left_cannot_vanish_from_a_live_contract(school: School, district: District) -> None:
    family = await school.enrol()
    await school.second_guardian(family)
    await leave(district, family.parent, family.student.id)
    assert await left_over(district, family.parent) == {"contracts": 1, "lessons": 4}


async def test_a_shared_child_stays_with_the_other_guardian(school: School, district: District) -> None:
    family = await school.sign()
    other = await school.second_guardian(family)
    await erase(district, other)
    async with district.reading() as session:
        child = await session.get_one(Student, family.student.id)
        assert (child.erased_at, families.name_of(child)) == (None, "王小明")
        assert list(await session.scalars(select(Guardianship.guardian_id))) == [family.parent.guardian_id]


async def test_leaving_takes_back_what_the_leaver_invited_and_withdrew(school: School, district: District) -> None:
    family = await school.sign()
    other = await school.second_guardian(family)
    async with district.transaction() as session:
        made = await inviting.invite(session, other, family.student.id)
        await families.withdraw_consent(session, other, family.student.id)
    await leave(district, other, family.student.id)
    async with district.reading() as session:
        assert (await session.get_one(GuardianInvitation, made.invitation.id)).outcome == "revoked"
        assert (await session.get_one(Student, family.student.id)).consent_version == consenting.CURRENT


async def test_an_erased_child_is_booked_nowhere_and_its_calendar_address_is_dead(world: World, district: District) -> None:
    school = await found_school(world)
    parent = await world.parent()
    child = await world.child(parent)
    async with district.transaction() as session:
        booked = await trials.book(session, parent, school.sessions[0].id, child.id)
        await timetable.open_feed(session, parent, child.id)
    assert await leave(district, parent, child.id) is True
    async with district.reading() as session:
        assert (await session.get_one(Trial, booked.id)).status == "cancelled"
        [feed] = await session.scalars(select(CalendarFeed))
    assert feed.ended_at is not None


async def test_nobody_signs_for_a_child_while_it_is_being_erased(school: School, district: District) -> None:
    """Whoever comes second sees what the first one did: a contract of an erased child cannot arise."""
    parent = await school.world.parent()
    child = await school.world.child(parent)

    async def sign() -> str:
        try:
            await school.world.sign(parent, school.training_class, child)
        except DomainError as refusal:
            return refusal.code
        return "signed"

    async def vanish() -> str:
        try:
            await leave(district, parent, child.id)
        except DomainError as refusal:
            return refusal.code
        return "erased"

    outcomes = await asyncio.gather(sign(), vanish())
    assert outcomes in (["signed", "privacy.not_settled"], ["registry.student_not_found", "erased"])
    async with district.reading() as session:
        erased = (await session.get_one(Student, child.id)).erased_at is not None
        assert await session.scalar(select(func.count()).select_from(Contract)) == (0 if erased else 1)
