"""The background process as a whole: it comes to rest, survives a failing job, and forgets what has expired."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app import clock, security, worker
from app.banking.banks import Banks
from app.db import District
from app.security import PrincipalSession
from tests.world import World


async def test_a_job_that_fails_is_named_and_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    async def broken(district: District, banks: Banks) -> int:
        raise RuntimeError("broken")

    async def sound(district: District, banks: Banks) -> int:
        ran.append(district.code)
        return 3

    monkeypatch.setattr(worker, "JOBS", (broken, sound))
    latest = await worker.one_pass(world.district, world.banks)
    assert (latest.done, len(latest.failed), ran) == (3, 1, ["510112"])


async def test_an_empty_district_gives_no_work(world: World) -> None:
    assert await worker.one_pass(world.district, world.banks) == worker.Pass(0, ())


async def test_expired_sign_ins_are_forgotten(world: World) -> None:
    parent = await world.parent()
    async with world.district.transaction() as session:
        await security.open_session(session, "parent", guardian_id=parent.guardian_id)
    await worker.tidy(world.district)
    assert await sign_ins(world) == 1
    with clock.at(clock.now() + timedelta(days=31)):
        await worker.tidy(world.district)
    assert await sign_ins(world) == 0


async def sign_ins(world: World) -> int:
    async with world.district.reading() as session:
        return await session.scalar(select(func.count()).select_from(PrincipalSession)) or 0
