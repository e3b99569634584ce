"""The brakes at the counter: what the registers know of a sale is judged before it is stored, and a refusal offers what is legal."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, select, text

from app import clock
from app.contracts import accepting, judging, queries, service
from app.contracts.judging import LegalPlan
from app.contracts.models import Charge, Contract
from app.contracts.service import Wish
from app.contracts.terms import ChargeTerms, Terms
from app.db import District
from app.errors import Conflict, DomainError, Refused
from app.ids import uuid7
from app.policy import records
from app.policy.packs import Pack, pack_for
from app.registry.courses import course_of
from app.registry.institutions import campuses
from app.registry.models import Campus, ClassSession, Institution, Student, Teacher, TrainingClass
from app.registry.teachers import create_teacher
from app.security import Parent
from tests.locality import stating
from tests.world import World

DAY = timedelta(days=1)


@pytest.fixture
async def institution(world: World) -> Institution:
    return await world.institution()


@pytest.fixture
async def parent(world: World) -> Parent:
    return await world.parent()


@pytest.fixture
async def child(world: World, parent: Parent) -> Student:
    return await world.child(parent)


async def change(world: World, model: type, row_id: UUID, **values: Any) -> None:
    async with world.district.transaction() as session:
        row = await session.get_one(model, row_id)
        for name, value in values.items():
            setattr(row, name, value)


async def sign(world: World, parent: Parent, sold: TrainingClass, child: Student, terms: Terms | None = None) -> Contract:
    async with world.district.transaction() as session:
        return await service.sign(session, parent, sold.id, child.id, terms)


async def refusal(world: World, parent: Parent, sold: TrainingClass, child: Student, terms: Terms | None = None) -> DomainError:
    """Nothing is stored of what is refused."""
    with pytest.raises(DomainError) as refused:
        await sign(world, parent, sold, child, terms)
    async with world.district.reading() as session:
        signed = Contract.class_id == sold.id, Contract.student_id == child.id
        assert await session.scalar(select(func.count()).select_from(Contract).where(*signed)) == 0
    return refused.value


async def broken(world: World, parent: Parent, sold: TrainingClass, child: Student) -> list[str]:
    """The rules that forbid a sale, each with its source and grade."""
    refused = await refusal(world, parent, sold, child)
    assert refused.code == "contracts.rule"
    findings = refused.facts["findings"]
    assert refused.facts["judged_by"].startswith(pack_for("510112", clock.today()).edition)
    assert all(finding["source"] and finding["grade"] and finding["message_zh"] in refused.message_zh for finding in findings)
    return [finding["rule"] for finding in findings]


@contextmanager
def in_force(monkeypatch: pytest.MonkeyPatch, rule_id: str, **changes: Any) -> Iterator[None]:
    """A locality that states a rule otherwise."""

    def stated(district: str, on: date) -> Pack:
        return stating(pack_for(district, on), rule_id, **changes)

    with monkeypatch.context() as patched:
        patched.setattr(judging, "pack_for", stated)
        yield


async def test_whoever_may_sell_nothing_is_refused_with_the_source(
    world: World, institution: Institution, parent: Parent, child: Student
) -> None:
    sold = await world.training_class(institution)
    today = clock.today()
    for values, rule in (
        ({"listing": "black"}, "inst.list"),
        ({"licence_to_on": today - DAY}, "inst.list"),
        ({"licence_from_on": today + DAY}, "inst.list"),
        ({"sales_paused_at": clock.now(), "sales_pause_reason": "更换法定代表人"}, "inst.paused"),
    ):
        before = {name: getattr(institution, name) for name in values}
        await change(world, Institution, institution.id, **values)
        assert await broken(world, parent, sold, child) == [rule]
        await change(world, Institution, institution.id, **before)
    await sign(world, parent, sold, child)


async def test_the_reason_of_a_pause_is_told(world: World, institution: Institution, parent: Parent, child: Student) -> None:
    sold = await world.training_class(institution, price_fen=500_001)
    await change(world, Institution, institution.id, sales_paused_at=clock.now(), sales_pause_reason="群众举报")
    assert await broken(world, parent, sold, child) == ["charge.cap", "inst.paused"]
    refused = await refusal(world, parent, sold, child)
    assert "暂停招生收费：群众举报" in refused.message_zh
    assert refused.facts["plan"] is None


async def test_a_subject_class_needs_its_teacher_and_its_days(world: World, parent: Parent, child: Student) -> None:
    institution = await world.institution(kind="subject")
    sold = await world.training_class(institution)
    await change(world, Teacher, sold.teacher_id, certificate_subject="音乐")
    assert await broken(world, parent, sold, child) == ["staff.cert"]
    await change(world, Teacher, sold.teacher_id, certificate_subject="美术", certificate_to_on=clock.today())
    assert await broken(world, parent, sold, child) == ["staff.cert"]
    await change(world, Teacher, sold.teacher_id, certificate_to_on=None, serving_school_teacher=True)
    assert await broken(world, parent, sold, child) == ["staff.cert"]
    await change(world, Teacher, sold.teacher_id, serving_school_teacher=False, foreigner_abroad=True)
    assert await broken(world, parent, sold, child) == ["staff.cert"]
    await change(world, Teacher, sold.teacher_id, foreigner_abroad=False, certificate_subject=None)
    await sign(world, parent, sold, child)


async def test_days_that_the_calendar_lacks_are_said_and_sold(world: World, owner: District, parent: Parent, child: Student) -> None:
    sold = await world.training_class(await world.institution(kind="subject"))
    async with owner.transaction() as session:
        await session.execute(text("DELETE FROM business_day"))
    contract = await sign(world, parent, sold, child)
    [told] = [each for each in contract.findings if "工作日历还没有2026年" in each["message_zh"]]
    assert (told["rule"], told["passed"], told["binding"]) == ("time.subject", False, False)


async def test_what_no_pack_states_of_a_teacher_is_refused_too(
    world: World, institution: Institution, parent: Parent, child: Student
) -> None:
    sold = await world.training_class(institution)
    today = clock.today()
    for values, code in (
        ({"certificate_to_on": today + DAY}, "registry.certificate_expired"),
        ({"certificate_to_on": None, "serving_school_teacher": True}, "registry.teacher_serving"),
        ({"serving_school_teacher": False, "employed_to_on": today + DAY}, "registry.teacher_left"),
    ):
        await change(world, Teacher, sold.teacher_id, **values)
        assert (await refusal(world, parent, sold, child)).code == code
    async with world.district.transaction() as session:
        other = await create_teacher(session, institution.id, "周老师", "CERT-OTHER", "美术")
        for late in (await course_of(session, sold.id)).sessions[1:]:
            late.teacher_id = other.id
    await sign(world, parent, sold, child)


async def test_everybody_who_teaches_a_lesson_that_is_sold_is_looked_at(world: World, parent: Parent, child: Student) -> None:
    institution = await world.institution(kind="subject")
    sold = await world.training_class(institution)
    async with world.district.transaction() as session:
        other = await create_teacher(session, institution.id, "周老师", "CERT-OTHER", "美术")
        second = (await course_of(session, sold.id)).sessions[1]
        second.teacher_id = other.id
    right = {"certificate_subject": "美术", "certificate_to_on": None, "serving_school_teacher": False, "foreigner_abroad": False}
    for wrong in (
        {"certificate_subject": "音乐"},
        {"certificate_to_on": clock.today()},
        {"serving_school_teacher": True},
        {"foreigner_abroad": True},
    ):
        await change(world, Teacher, other.id, **(right | wrong))
        assert await broken(world, parent, sold, child) == ["staff.cert"], wrong
    await change(world, Teacher, other.id, **right, employed_to_on=clock.today())
    assert (await refusal(world, parent, sold, child)).code == "registry.teacher_left"
    await change(world, Teacher, other.id, employed_to_on=clock.business_date(second.starts_at))
    await sign(world, parent, sold, child)


async def test_every_lesson_is_held_within_the_lease_of_its_own_rooms(
    world: World, institution: Institution, parent: Parent, child: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = await world.training_class(institution)
    async with world.district.transaction() as session:
        sessions = (await course_of(session, sold.id)).sessions
        [campus] = await campuses(session, institution.id)
        campus.lease_ends_on = clock.business_date(sessions[1].starts_at)
        sessions[1].campus_id = campus.id
    rule = pack_for("110105", clock.today()).rule("charge.lease").model_copy(update={"kinds": ["arts"]})
    pack = pack_for("510112", clock.today())
    edition = pack.editions[-1].model_copy(update={"rules": {**pack.editions[-1].rules, "charge.lease": rule}})
    monkeypatch.setattr(judging, "pack_for", lambda district, on: pack.under(edition))
    await sign(world, parent, sold, await world.child(parent, "李雷"))
    await change(world, ClassSession, sessions[2].id, campus_id=campus.id)
    refused = await refusal(world, parent, sold, child)
    assert [finding["rule"] for finding in refused.facts["findings"]] == ["charge.lease"]
    assert refused.facts["plan"].terms == Terms("once", (ChargeTerms(2, 20_000, clock.today()),))


async def test_what_lies_behind_the_lease_is_not_sold(
    world: World, institution: Institution, parent: Parent, child: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = await world.training_class(institution, lessons=10, price_fen=100_000)
    async with world.district.transaction() as session:
        campus = Campus(
            id=uuid7(),
            institution_id=institution.id,
            name="东校区",
            address="北泉路 9 号",
            lease_ends_on=clock.today() + 3 * DAY,
            created_at=clock.now(),
        )
        session.add(campus)
    await change(world, TrainingClass, sold.id, campus_id=campus.id)
    rule = pack_for("110105", clock.today()).rule("charge.lease").model_copy(update={"kinds": ["arts"]})
    pack = pack_for("510112", clock.today())
    edition = pack.editions[-1].model_copy(update={"rules": {**pack.editions[-1].rules, "charge.lease": rule}})
    monkeypatch.setattr(judging, "pack_for", lambda district, on: pack.under(edition))
    refused = await refusal(world, parent, sold, child)
    assert [finding["rule"] for finding in refused.facts["findings"]] == ["charge.lease"]
    plan: LegalPlan = refused.facts["plan"]
    assert (plan.changes, plan.terms) == (("fewer",), Terms("once", (ChargeTerms(4, 40_000, clock.today()),)))
    contract = await sign(world, parent, sold, child, plan.terms)
    assert (contract.amount_fen, len(await world.lessons_of(contract))) == (40_000, 4)


async def test_what_costs_more_than_the_guide_price_is_sold_at_it_and_at_nothing_less(
    world: World, parent: Parent, child: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class of 20 for 60 minutes may cost ¥40 × 60/45 and 5 % more: ¥56."""
    institution = await world.institution(kind="subject")
    sold = await world.training_class(institution, lessons=4, price_fen=40_000)
    limits = pack_for("320211", clock.today()).rule("price.guide").limits
    with in_force(monkeypatch, "price.guide", limits=limits):
        assert await broken(world, parent, sold, child) == ["price.guide"]
        plan: LegalPlan = (await refusal(world, parent, sold, child)).facts["plan"]
        assert (plan.changes, plan.terms) == (("cheaper",), Terms("once", (ChargeTerms(4, 4 * 5_600, clock.today()),)))
        for count, amount_fen in ((4, 4 * 5_600 - 1), (4, 4 * 5_600 + 1), (3, 3 * 5_600), (4, 4)):
            other = Terms("once", (ChargeTerms(count, amount_fen, clock.today()),))
            refused = await refusal(world, parent, sold, child, other)
            assert (refused.code, refused.facts["plan"]) == ("contracts.terms_changed", plan)
        contract = await sign(world, parent, sold, child, plan.terms)
    assert [lesson.price_fen for lesson in await world.lessons_of(contract)] == [5_600] * 4
    [facts] = [records.read(record) for record in contract.facts or []]
    assert (contract.amount_fen, facts.price_fen, facts.schedule[0].price_fen) == (22_400, 22_400, 5_600)
    assert {finding["rule"] for finding in contract.findings} >= {"price.guide"}
    async with world.district.reading() as session:
        view = await queries.contract_of_institution(session, institution.id, contract.id)
        document = await accepting.document_of_institution(session, institution.id, contract.id)
    assert ([charge.amount_fen for charge in view.charges], view.amount_fen) == ([22_400], 22_400)
    assert document is not None
    assert "购买 4 课时，价款合计 ¥224.00" in document.text


async def test_a_legal_price_is_nobodys_to_lower(world: World, institution: Institution, parent: Parent, child: Student) -> None:
    sold = await world.training_class(institution, lessons=4, price_fen=40_000)
    lower = Terms("once", (ChargeTerms(4, 39_999, clock.today()),))
    assert (await refusal(world, parent, sold, child, lower)).code == "contracts.terms_changed"
    await change(world, Institution, institution.id, licence_to_on=clock.today() - DAY)
    assert (await refusal(world, parent, sold, child, lower)).facts["judged_by"] == pack_for("510112", clock.today()).edition


async def test_what_comes_too_early_is_signed_for_its_day_and_no_other(
    world: World, institution: Institution, parent: Parent, child: Student
) -> None:
    sold = await world.training_class(institution, lessons=40, price_fen=800_000, starts_in=timedelta(days=60))
    assert "charge.advance" in await broken(world, parent, sold, child)
    plan: LegalPlan = (await refusal(world, parent, sold, child)).facts["plan"]
    first, second = plan.terms.charges
    assert (plan.changes, first.lesson_count) == (("later", "split"), 25)
    assert clock.today() < first.charged_on < sold.starts_on < second.charged_on
    for on in (first.charged_on - DAY, first.charged_on + DAY):
        other = Terms("parts", (replace(first, charged_on=on), second))
        assert (await refusal(world, parent, sold, child, other)).code == "contracts.terms_changed"
    contract = await sign(world, parent, sold, child, plan.terms)
    assert (contract.status, contract.lapses_at) == ("created", clock.day_bounds(first.charged_on)[1])
    async with world.district.reading() as session:
        view = await queries.contract_of_guardian(session, parent.guardian_id, contract.id)
        document = await accepting.document_of(session, parent.guardian_id, contract.id)
    assert [(charge.opens_on, charge.is_due) for charge in view.charges] == [(first.charged_on, False), (second.charged_on, False)]
    assert document is not None
    assert f"第 1 次　第 1 至 25 课时　¥5,000.00　{first.charged_on} 起，至 {first.charged_on + DAY} 00:00:00" in document.text
    assert f"{first.charged_on} 之前可以随时放弃名额" in document.text


async def test_a_seat_can_be_held_for_a_day_only_where_the_law_says_so(
    world: World, institution: Institution, parent: Parent, child: Student
) -> None:
    sold = await world.training_class(institution, lessons=4, price_fen=40_000, starts_in=10 * DAY)
    tomorrow = Terms("once", (ChargeTerms(4, 40_000, clock.today() + DAY),))
    assert (await refusal(world, parent, sold, child, tomorrow)).code == "contracts.terms_changed"


async def test_what_the_law_forbids_is_told_though_the_class_is_full(world: World, institution: Institution) -> None:
    sold = await world.training_class(institution, seats=1)
    await world.sign(await world.parent(), sold)
    parent = await world.parent()
    child = await world.child(parent)
    assert (await refusal(world, parent, sold, child)).code == "contracts.full"
    await change(world, Institution, institution.id, licence_to_on=clock.today() - DAY)
    assert await broken(world, parent, sold, child) == ["inst.list"]


async def test_a_plan_of_several_charges_is_signed_as_it_was_offered(
    world: World, institution: Institution, parent: Parent, child: Student
) -> None:
    sold = await world.training_class(institution, lessons=40, price_fen=800_000)
    plan: LegalPlan = (await refusal(world, parent, sold, child)).facts["plan"]
    assert [(charge.lesson_count, charge.amount_fen) for charge in plan.terms.charges] == [(25, 500_000), (15, 300_000)]
    contract = await sign(world, parent, sold, child, plan.terms)
    assert (contract.way, contract.amount_fen, len(contract.facts or [])) == ("parts", 800_000, 2)
    assert [finding["charges"] for finding in contract.findings if finding["rule"] == "charge.cap"] == [[1], [2]]
    assert [finding["charges"] for finding in contract.findings if finding["rule"] == "inst.paused"] == [[1, 2]]
    async with world.district.reading() as session:
        charges = await session.scalars(select(Charge).where(Charge.contract_id == contract.id).order_by(Charge.number))
        told = [(each.first_lesson, each.last_lesson, each.amount_fen, each.opens_on) for each in charges]
    assert told == [(1, 25, 500_000, clock.today()), (26, 40, 300_000, plan.terms.charges[1].charged_on)]


async def test_terms_are_judged_anew(world: World, institution: Institution, parent: Parent, child: Student) -> None:
    sold = await world.training_class(institution, lessons=40, price_fen=800_000)
    plan: LegalPlan = (await refusal(world, parent, sold, child)).facts["plan"]
    first, second = plan.terms.charges
    today = clock.today()
    for terms, code in (
        (Terms("once", (ChargeTerms(40, 800_000, today),)), "contracts.rule"),
        (Terms("parts", (first, replace(second, charged_on=today))), "contracts.rule"),
        (Terms("parts", (replace(first, amount_fen=499_999), second)), "contracts.terms_changed"),
        (Terms("parts", (replace(first, lesson_count=24), second)), "contracts.terms_changed"),
        (Terms("parts", (first, replace(second, lesson_count=16, amount_fen=320_000))), "contracts.terms_changed"),
        (Terms("once", (first, second)), "contracts.terms_invalid"),
        (Terms("parts", (first,)), "contracts.terms_invalid"),
        (Terms("once", ()), "contracts.terms_invalid"),
    ):
        assert (await refusal(world, parent, sold, child, terms)).code == code, terms
    await world.wait(2 * DAY)
    assert (await refusal(world, parent, sold, child, plan.terms)).code == "contracts.terms_changed"


async def test_top_ups_count_with_what_is_still_untaught(world: World, institution: Institution, parent: Parent, child: Student) -> None:
    first = await world.training_class(institution, lessons=40, price_fen=200_000)
    second = await world.training_class(institution, lessons=40, price_fen=200_000)
    await sign(world, parent, first, child)
    assert await broken(world, parent, second, child) == ["charge.split"]
    plan: LegalPlan = (await refusal(world, parent, second, child)).facts["plan"]
    assert plan.terms.charges[0].lesson_count == 20
    await sign(world, parent, second, await world.child(parent, "王小红"))
    elsewhere = await world.training_class(await world.institution(), lessons=40, price_fen=200_000)
    await sign(world, parent, elsewhere, child)


async def test_a_charge_split_over_two_classes_is_one_until_the_first_is_being_taught(
    world: World, institution: Institution, parent: Parent, child: Student
) -> None:
    """However the subject is typed."""
    first, second = [await world.training_class(institution, lessons=20, price_fen=500_000) for _ in range(2)]
    async with world.district.transaction() as session:
        for sold, subject in ((first, "Art"), (second, "ＡＲＴ")):
            (await session.get_one(TrainingClass, sold.id)).subject = subject
    await sign(world, parent, first, child)
    assert await broken(world, parent, second, child) == ["charge.split"]
    await world.wait(DAY)
    await sign(world, parent, second, child)


async def test_two_sales_to_a_child_at_once_count_together(world: World, institution: Institution, parent: Parent, child: Student) -> None:
    classes = [await world.training_class(institution, lessons=40, price_fen=200_000) for _ in range(4)]
    signed = await asyncio.gather(*(sign(world, parent, sold, child) for sold in classes), return_exceptions=True)
    refusals = [each for each in signed if not isinstance(each, Contract)]
    assert [each.code for each in refusals if isinstance(each, Refused)] == ["contracts.rule"] * 3


async def test_sales_of_one_list_count_for_each_other(world: World, institution: Institution, parent: Parent, child: Student) -> None:
    first, second = [await world.training_class(institution, lessons=40, price_fen=200_000) for _ in range(2)]
    with pytest.raises(Refused) as refused:
        async with world.district.transaction() as session:
            await service.sign_all(session, [Wish(parent, sold.id, child.id) for sold in (first, second)])
    assert [finding["rule"] for finding in refused.value.facts["findings"]] == ["charge.split"]


async def test_what_is_paid_after_it_was_taught_prepays_nothing(
    world: World, institution: Institution, parent: Parent, child: Student
) -> None:
    first, second = [await world.training_class(institution, lessons=40, price_fen=200_000) for _ in range(2)]
    await sign(world, parent, first, child)
    begins = (await world.training_class(institution)).starts_on
    later = Terms("later", tuple(ChargeTerms(1, 5_000, begins + number * DAY) for number in range(40)))
    contract = await sign(world, parent, second, child, later)
    assert contract.way == "later"
    assert {finding["rule"] for finding in contract.findings if finding["binding"]} >= {"charge.span", "charge.cap"}
    third = await world.training_class(institution, lessons=20, price_fen=100_000)
    await sign(world, parent, third, child)


async def test_a_form_sent_twice_meets_its_own_contract_and_no_rule(
    world: World, institution: Institution, parent: Parent, child: Student
) -> None:
    sold = await world.training_class(institution, lessons=40, price_fen=200_000)
    await sign(world, parent, sold, child)
    with pytest.raises(Conflict) as known:
        await sign(world, parent, sold, child)
    assert known.value.code == "contracts.already_signed"


async def test_facts_findings_and_edition_stand_with_the_contract(
    world: World, institution: Institution, parent: Parent, child: Student
) -> None:
    sold = await world.training_class(institution, lessons=3, price_fen=30_000)
    contract = await sign(world, parent, sold, child)
    async with world.district.reading() as session:
        stored = await session.get_one(Contract, contract.id)
    [facts] = [records.read(record) for record in stored.facts or []]
    assert (facts.kind, facts.price_fen, facts.lesson_count, facts.charged_on) == ("arts", 30_000, 3, clock.today())
    assert (facts.first_on, facts.last_on) == (sold.starts_on, sold.ends_on)
    assert (facts.loan, facts.sales_paused, facts.licence_to_on) == (None, False, institution.licence_to_on)
    assert [(each.price_fen, each.listed_fen) for each in facts.schedule] == [(10_000, 10_000)] * 3
    assert facts.course is not None
    assert (facts.course.class_size, facts.course.lesson_minutes, len(facts.course.meetings)) == (20, 60, 3)
    assert stored.judged_by == pack_for("510112", clock.today()).edition
    assert {"charge.term"} <= {finding["rule"] for finding in stored.findings if not finding["binding"]}
    assert "charge.loan" not in {finding["rule"] for finding in stored.findings}, "nobody looked"


async def test_a_list_of_sales_asks_as_often_as_one(world: World, institution: Institution, district: District) -> None:
    async def statements(families: int) -> int:
        wishes = []
        for _ in range(families):
            parent = await world.parent()
            child = await world.child(parent)
            sold = await world.training_class(institution, lessons=2, price_fen=2_000)
            wishes.append(Wish(parent, sold.id, child.id))
        asked: list[str] = []

        def note(*args: Any) -> None:
            asked.append(args[2])

        engine = district.engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            async with district.transaction() as session:
                await service.sign_all(session, wishes)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return len(asked)

    assert await statements(12) == await statements(1)
