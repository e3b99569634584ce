"""An officer decides about a disputed lesson: its fee goes to the institution, or back to the payer."""

import pytest
from sqlalchemy import select

from app.audit import AuditEntry
from app.contracts.models import Lesson
from app.errors import Conflict, NotFound
from app.ids import uuid7
from app.lessons import service as lessons
from app.registry.models import Institution
from app.supervision import queries
from app.supervision.service import rule_on_dispute
from tests.world import World, in_utc


@pytest.fixture
async def school(world: World) -> Institution:
    await world.wait_until(in_utc(2025, 3, 3, 1))
    return await world.institution()


@pytest.fixture
async def disputed(world: World, school: Institution) -> Lesson:
    """The first of four lessons at ¥100, delivered, and disputed by the guardian."""
    parent, contract = await world.paid_contract(school, price_fen=400_00)
    lesson = (await world.lessons_of(contract))[0]
    await world.deliver(school, lesson)
    async with world.district.transaction() as session:
        await lessons.dispute(session, parent, lesson.id, "老师没有来")
    return lesson


async def test_an_open_dispute_is_listed_until_it_is_ruled_on(world: World, school: Institution, disputed: Lesson) -> None:
    async with world.district.reading() as session:
        (waiting,) = await queries.open_disputes(session)
        assert await queries.open_disputes(session, after=(waiting.opened_at, waiting.lesson_id)) == []
    assert (waiting.lesson_id, waiting.institution_name, waiting.class_name) == (disputed.id, school.name, "创意美术")
    assert (waiting.price_fen, waiting.reason) == (100_00, "老师没有来")

    async with world.district.transaction() as session:
        await rule_on_dispute(session, world.officer(), disputed.id, "release", "有签到记录")

    async with world.district.reading() as session:
        assert await queries.open_disputes(session) == []


async def test_release_pays_the_lessons_fee_to_the_institution(world: World, school: Institution, disputed: Lesson) -> None:
    officer = world.officer()
    async with world.district.transaction() as session:
        await rule_on_dispute(session, officer, disputed.id, "release", "有签到记录")
    assert await world.totals(school) == {"cash": 400_00, "escrow": 300_00, "payable": 100_00}
    async with world.district.reading() as session:
        entry = (await session.scalars(select(AuditEntry).where(AuditEntry.action == "supervision.dispute_ruled"))).one()
    assert (entry.actor, entry.subject, entry.reason) == (officer.actor, f"lesson:{disputed.id}", "有签到记录")
    assert entry.facts == {"ruling": "release"}


async def test_return_gives_the_lessons_fee_back_to_its_payer(world: World, school: Institution, disputed: Lesson) -> None:
    async with world.district.transaction() as session:
        await rule_on_dispute(session, world.officer(), disputed.id, "return", "确未上课")
    await world.work()
    assert await world.totals(school) == {"cash": 300_00, "escrow": 300_00}
    assert await world.at_bank(school) == 300_00


async def test_a_dispute_is_ruled_on_once(world: World, school: Institution, disputed: Lesson) -> None:
    async with world.district.transaction() as session:
        await rule_on_dispute(session, world.officer(), disputed.id, "return", "确未上课")
    for ruling in ("release", "return"):
        with pytest.raises(Conflict):
            async with world.district.transaction() as session:
                await rule_on_dispute(session, world.officer(), disputed.id, ruling, "再看")  # type: ignore[arg-type]


async def test_an_unknown_lesson_has_nothing_to_rule_on(world: World) -> None:
    with pytest.raises(NotFound, match=r"lessons\.not_found"):
        async with world.district.transaction() as session:
            await rule_on_dispute(session, world.officer(), uuid7(), "release", "再看")
