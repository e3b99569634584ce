"""A later charge is held against the registers and the pack of the day on which it is paid."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app import clock
from app.contracts import judging
from app.contracts.rules import PAYABLE_AFTER_PAUSE
from app.errors import Refused
from app.ids import uuid7
from app.payments import jobs
from app.payments.models import Payment
from app.policy.packs import pack_for
from app.registry import institutions
from app.registry.models import Campus, Teacher
from app.registry.teachers import create_teacher
from tests.payments.test_charges import charges, eve_of, refusal, start, view
from tests.school import Family, School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def forbidden(school: School, family: Family) -> list[str]:
    """The rules that forbid the charge that has opened, each with its source; no code exists."""
    with pytest.raises(Refused) as refused:
        await start(school, family.parent, family)
    assert (refused.value.code, refused.value.facts["plan"]) == ("contracts.rule", None)
    findings = refused.value.facts["findings"]
    assert all(finding["source"] and finding["message_zh"] in refused.value.message_zh for finding in findings)
    async with school.world.district.reading() as session:
        of_contract = Payment.contract_id == family.contract.id, Payment.status == "created"
        assert await session.scalar(select(func.count()).where(*of_contract)) == 0
    return [finding["rule"] for finding in findings]


async def set_values(school: School, row: Any, **values: Any) -> None:
    async with school.world.district.transaction() as session:
        found = await session.merge(row)
        for name, value in values.items():
            setattr(found, name, value)


async def teacher_of(school: School) -> Teacher:
    async with school.world.district.reading() as session:
        return await session.get_one(Teacher, school.training_class.teacher_id)


async def test_an_institution_that_may_sell_nothing_takes_no_further_charge(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    async with school.world.district.transaction() as session:
        await institutions.set_listing(session, school.world.officer(), school.institution.id, "black", "卷款失联")
    assert await forbidden(school, family) == ["inst.list"]
    assert await school.states(family) == ["scheduled", "reserved", "reserved", "reserved"]


async def test_what_fell_due_during_a_pause_can_be_paid_after_it(school: School) -> None:
    """A routine change pauses sales; it must not cost families their contracts."""
    paying, silent = [await school.enrol(terms=school.parts(1, 2, 1)) for _ in range(2)]
    officer = school.world.officer()
    async with school.world.district.transaction() as session:
        await institutions.pause_sales(session, officer, school.institution.id, "变更法定代表人")
    await school.world.wait_until(school.sessions[1].ends_at)
    assert await forbidden(school, paying) == ["inst.paused"]
    assert await jobs.lapse_charges(school.world.district) == 0
    async with school.world.district.transaction() as session:
        paused = await institutions.lock(session, school.institution.id)
        await institutions.resume_sales(session, officer, paused, "变更已核定")
    await school.world.wait(PAYABLE_AFTER_PAUSE - timedelta(hours=1))
    assert await jobs.lapse_charges(school.world.district) == 0
    await school.world.pay(paying.parent, paying.contract)
    await school.world.wait(timedelta(hours=1))
    assert await refusal(school, silent) == "payments.charge_lapsed"
    assert await jobs.lapse_charges(school.world.district) == 2
    assert await charges(school, paying) == ["paid", "paid", "lapsed"], "its last lesson's day was over too"
    assert await charges(school, silent) == ["paid", "lapsed", "lapsed"]


async def test_what_a_charge_was_judged_by_again_stands_with_it(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 1, 2))
    await start(school, family.parent, family)
    edition = pack_for("510112", clock.today()).edition
    assert [charge.judged_by for charge in (await view(school, family)).charges] == [None, edition, None]


async def test_a_later_charge_is_held_against_the_licence_of_its_day(school: School) -> None:
    family = await school.enrol(terms=school.parts(2, 2))
    await set_values(school, school.institution, licence_to_on=clock.today())
    await eve_of(school, 3)
    assert await forbidden(school, family) == ["inst.list"]
    await set_values(school, school.institution, licence_to_on=clock.today(), sales_paused_at=clock.now(), sales_pause_reason="群众举报")
    assert await forbidden(school, family) == ["inst.paused"]
    await set_values(school, school.institution, sales_paused_at=None, sales_pause_reason=None)
    await school.world.pay(family.parent, family.contract)
    assert await charges(school, family) == ["paid", "paid"]


async def test_it_is_held_against_the_lease_of_its_rooms(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    family = await school.enrol(terms=school.parts(1, 2, 1))
    lease = {"name": "东校区", "address": "北泉路 9 号", "created_at": clock.now()}
    ends_on = clock.business_date(school.sessions[2].starts_at)
    campus = Campus(id=uuid7(), institution_id=school.institution.id, lease_ends_on=ends_on, **lease)
    async with school.world.district.transaction() as session:
        session.add(campus)
        await session.flush()
        (await session.merge(school.training_class)).campus_id = campus.id
    rule = pack_for("110105", clock.today()).rule("charge.lease").model_copy(update={"kinds": ["arts"]})
    pack = pack_for("510112", clock.today())
    edition = pack.editions[-1].model_copy(update={"rules": {**pack.editions[-1].rules, "charge.lease": rule}})
    monkeypatch.setattr(judging, "pack_for", lambda district, on: pack.under(edition))
    await eve_of(school, 2)
    await school.world.pay(family.parent, family.contract)
    await eve_of(school, 4)
    assert await forbidden(school, family) == ["charge.lease"]
    await set_values(school, school.sessions[3], campus_id=None)
    await set_values(school, campus, lease_ends_on=None)
    await school.world.pay(family.parent, family.contract)
    assert await charges(school, family) == ["paid"] * 3


async def test_it_is_held_against_its_teachers(school: School) -> None:
    family = await school.enrol(terms=school.parts(1, 3))
    teacher, last_on = await teacher_of(school), clock.business_date(school.sessions[2].starts_at)
    for values, code in (
        ({"certificate_to_on": last_on}, "registry.certificate_expired"),
        ({"certificate_to_on": None, "serving_school_teacher": True}, "registry.teacher_serving"),
        ({"serving_school_teacher": False, "employed_to_on": last_on}, "registry.teacher_left"),
    ):
        await set_values(school, teacher, **values)
        assert await refusal(school, family) == code
    async with school.world.district.transaction() as session:
        other = await create_teacher(session, school.institution.id, "周老师", "CERT-OTHER", "美术")
    await set_values(school, school.sessions[3], teacher_id=other.id)
    await school.world.pay(family.parent, family.contract)
    assert await charges(school, family) == ["paid", "paid"]


async def test_what_a_pack_states_of_teachers_is_named_with_its_source(world: World) -> None:
    school = await found_school(world, kind="subject")
    family = await school.enrol(terms=school.parts(1, 3))
    await eve_of(school, 2)
    teacher, last_on = await teacher_of(school), clock.business_date(school.sessions[2].starts_at)
    for values in ({"certificate_to_on": last_on}, {"certificate_to_on": None, "serving_school_teacher": True}):
        await set_values(school, teacher, **values)
        assert await forbidden(school, family) == ["staff.cert"]
    await set_values(school, teacher, serving_school_teacher=False)
    await school.world.pay(family.parent, family.contract)
