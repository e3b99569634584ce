"""Lessons are most of a district's rows and change often: their states are in no index."""

from collections.abc import Awaitable, Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.lessons import service as lessons
from app.lessons.service import Consent
from tests.school import found_school
from tests.world import World

UPDATED = text("SELECT n_tup_upd AS rows, n_tup_hot_upd AS in_place FROM pg_stat_xact_user_tables WHERE relid = to_regclass('lesson')")


async def updated(world: World, act: Callable[[AsyncSession], Awaitable[object]]) -> tuple[int, int]:
    """How many lessons an act changes, and how many of these without writing an index."""
    async with world.district.transaction() as session:
        before = (await session.execute(UPDATED)).one()
        await act(session)
        after = (await session.execute(UPDATED)).one()
    return after.rows - before.rows, after.in_place - before.in_place


async def test_teaching_and_confirming_write_no_index(world: World) -> None:
    school = await found_school(world)
    families = [await school.enrol() for _ in range(3)]
    await school.end_of(1)
    taught = [family.student.id for family in families]
    consents = [Consent(family.parent, family.lesson_ids[:1]) for family in families]
    assert await updated(world, lambda session: lessons.deliver(session, school.staff, school.sessions[0].id, taught)) == (3, 3)
    assert await updated(world, lambda session: lessons.confirm_all(session, consents)) == (3, 3)
