"""Signing under the seat limit and the law, and giving a seat back."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from app.contracts import queries, service
from app.contracts.models import Contract
from app.contracts.rules import SEAT_HELD
from app.db import District
from app.errors import Conflict, DomainError, NotFound, Refused
from app.payments import jobs as payment_jobs
from app.registry.models import Institution, TrainingClass
from tests.world import World


async def refused(world: World, training_class: TrainingClass) -> DomainError:
    with pytest.raises(DomainError) as refusal:
        await world.sign(await world.parent(), training_class)
    return refusal.value


async def test_a_contract_sells_every_session_at_its_allocated_price(world: World, district: District) -> None:
    institution = await world.institution()
    training_class = await world.training_class(institution, lessons=3, price_fen=100_000)
    parent = await world.parent()
    contract = await world.sign(parent, training_class)
    assert (contract.status, contract.amount_fen, contract.lapses_at) == ("created", 100_000, contract.created_at + SEAT_HELD)
    assert contract.judged_by.startswith("nation/")
    assert contract.findings
    assert all(finding["passed"] and finding["source"] for finding in contract.findings)
    async with district.reading() as session:
        view = await queries.contract_of_guardian(session, parent.guardian_id, contract.id)
    assert [(lesson.number, lesson.status, lesson.price_fen) for lesson in view.lessons] == [
        (1, "reserved", 33_334),
        (2, "reserved", 33_333),
        (3, "reserved", 33_333),
    ]
    assert (view.student_name_masked, view.escrow_fen) == ("王*明", 0)


async def test_a_late_joiner_buys_what_has_not_started(world: World) -> None:
    training_class = await world.training_class(await world.institution(), lessons=4, price_fen=40_001)
    await world.wait(timedelta(days=2))
    contract = await world.sign(await world.parent(), training_class)
    assert contract.amount_fen == 20_000
    assert [lesson.number for lesson in await world.lessons_of(contract)] == [1, 2]


async def test_a_class_that_is_over_cannot_be_joined(world: World) -> None:
    training_class = await world.training_class(await world.institution(), lessons=2)
    await world.wait(timedelta(days=2))
    assert (await refused(world, training_class)).code == "contracts.over"


async def test_eight_parents_race_for_the_last_seat(world: World, district: District) -> None:
    training_class = await world.training_class(await world.institution(), seats=1)
    parents = [await world.parent() for _ in range(8)]
    children = [await world.child(parent) for parent in parents]
    signed = await asyncio.gather(
        *(world.sign(parent, training_class, child) for parent, child in zip(parents, children, strict=True)), return_exceptions=True
    )
    refusals = [outcome for outcome in signed if not isinstance(outcome, Contract)]
    assert len(refusals) == 7
    assert {outcome.code for outcome in refusals if isinstance(outcome, Refused)} == {"contracts.full"}
    async with district.reading() as session:
        (view,) = await queries.open_classes(session)
    assert (view.seats, view.seats_left) == (1, 0)


async def test_a_child_has_one_live_contract_in_a_class_also_when_asked_twice_at_once(world: World) -> None:
    training_class = await world.training_class(await world.institution())
    parent = await world.parent()
    child = await world.child(parent)
    signed = await asyncio.gather(*(world.sign(parent, training_class, child) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(outcome, Contract) for outcome in signed) == 1
    assert {outcome.code for outcome in signed if isinstance(outcome, Conflict)} == {"contracts.already_signed"}


@pytest.mark.parametrize(
    ("kind", "lessons", "price_fen", "rules"),
    [
        ("arts", 60, 500_000, []),
        ("arts", 61, 500_000, ["charge.span"]),
        ("arts", 60, 500_001, ["charge.cap"]),
        ("subject", 60, 500_001, []),
        ("arts", 95, 600_000, ["charge.span", "charge.span", "charge.cap"]),
    ],
)
async def test_the_law_is_asked_before_anything_is_written(
    world: World, district: District, kind: str, lessons: int, price_fen: int, rules: list[str]
) -> None:
    training_class = await world.training_class(await world.institution(kind=kind), lessons, price_fen)
    if not rules:
        await world.sign(await world.parent(), training_class)
        return
    refusal = await refused(world, training_class)
    assert (refusal.code, [finding["rule"] for finding in refusal.facts["findings"]]) == ("contracts.rule", rules)
    assert all(finding["source"] and finding["message_zh"] in refusal.message_zh for finding in refusal.facts["findings"])
    async with district.reading() as session:
        (view,) = await queries.open_classes(session)
    assert view.seats_left == view.seats


async def test_a_suspended_institution_sells_nothing(world: World, district: District) -> None:
    institution = await world.institution()
    training_class = await world.training_class(institution)
    async with district.transaction() as session:
        (await session.get_one(Institution, institution.id)).status = "suspended"
    assert (await refused(world, training_class)).code == "registry.class_not_open"
    async with district.reading() as session:
        assert await queries.open_classes(session) == []
        assert len(await queries.classes_of_institution(session, institution.id)) == 1


async def test_only_the_guardian_signs_and_sees(world: World, district: District) -> None:
    institution = await world.institution()
    training_class = await world.training_class(institution)
    parent, other = await world.parent(), await world.parent()
    child = await world.child(parent)
    with pytest.raises(NotFound):
        await world.sign(other, training_class, child)
    contract = await world.sign(parent, training_class, child)
    async with district.reading() as session:
        assert (await service.own_contract(session, parent, contract.id)).id == contract.id
        for who, contract_id in ((other, contract.id), (parent, uuid4())):
            with pytest.raises(NotFound):
                await service.own_contract(session, who, contract_id)
            with pytest.raises(NotFound):
                await queries.contract_of_guardian(session, who.guardian_id, contract_id)
        assert (await queries.contract_of_institution(session, institution.id, contract.id)).id == contract.id
        assert await queries.contracts_of_guardian(session, other.guardian_id) == []


async def test_an_unknown_class_is_not_found(world: World, district: District) -> None:
    parent = await world.parent()
    child = await world.child(parent)
    async with district.transaction() as session:
        with pytest.raises(NotFound):
            await service.sign(session, parent, uuid4(), child.id)
        with pytest.raises(NotFound):
            await queries.offer(session, uuid4())


async def test_an_unpaid_contract_lapses_and_its_seat_is_free(world: World, district: District) -> None:
    training_class = await world.training_class(await world.institution(), seats=1)
    parent = await world.parent()
    contract = await world.sign(parent, training_class)
    assert await payment_jobs.lapse_contracts(district) == 0
    await world.wait_until(contract.lapses_at)
    assert await payment_jobs.lapse_contracts(district) == 1
    assert await payment_jobs.lapse_contracts(district) == 0
    async with district.reading() as session:
        view = await queries.contract_of_guardian(session, parent.guardian_id, contract.id)
    assert (view.status, {lesson.status for lesson in view.lessons}) == ("lapsed", {"lapsed"})
    again = await world.sign(await world.parent(), training_class)
    assert again.status == "created"


async def test_lists_go_by_pages(world: World, district: District) -> None:
    institution = await world.institution()
    parent = await world.parent()
    child = await world.child(parent)
    contracts = [await world.sign(parent, await world.training_class(institution, lessons=2), child) for _ in range(3)]
    async with district.reading() as session:
        first = await queries.contracts_of_guardian(session, parent.guardian_id, limit=2)
        rest = await queries.contracts_of_institution(session, institution.id, (first[-1].created_at, first[-1].id), limit=2)
        assert [view.id for view in first + rest] == [contract.id for contract in reversed(contracts)]
        lessons = await queries.lessons_of_guardian(session, parent.guardian_id, limit=4)
        more = await queries.lessons_of_guardian(session, parent.guardian_id, ["reserved"], (lessons[-1].starts_at, lessons[-1].id))
        assert len({lesson.id for lesson in lessons + more}) == 6
        assert await queries.lessons_of_guardian(session, parent.guardian_id, ["delivered"]) == []
        classes = await queries.open_classes(session, institution.id, limit=2)
        assert len(classes + await queries.open_classes(session, institution.id, (classes[-1].created_at, classes[-1].id))) == 3
        offer = await queries.offer(session, classes[0].id)
        assert (offer.amount_fen, len(offer.lessons), offer.view.seats_left) == (40_000, 2, 19)


async def test_the_roster_holds_who_has_paid(world: World, district: District) -> None:
    institution, other = await world.institution(), await world.institution()
    training_class = await world.training_class(institution)
    parent = await world.parent()
    paid = await world.sign(parent, training_class)
    await world.pay(parent, paid)
    await world.sign(await world.parent(), training_class)
    lesson = (await world.lessons_of(paid))[0]
    async with district.reading() as session:
        assert [row.id for row in await queries.roster(session, institution.id, lesson.class_session_id)] == [lesson.id]
        assert await queries.roster(session, other.id, lesson.class_session_id) == []
