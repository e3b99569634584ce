"""How long a campus is leased: shorter at once, longer once an officer has confirmed it, and no pause of sales for it."""

import asyncio
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from app import clock
from app.audit import AuditEntry
from app.contracts import judging
from app.db import District
from app.errors import BadInput, Conflict, NotFound, Refused
from app.ids import uuid7
from app.policy.packs import pack_for
from app.registry import changes, institutions
from app.registry.changes import ChangeDraft
from app.registry.models import Campus, Institution, InstitutionChange, TrainingClass
from app.supervision.coverage import confirm_coverage
from app.supervision.queries import waiting
from tests.registry.test_institutions import now, propose, waiting_change
from tests.world import World

DAY = timedelta(days=1)
END = clock.today() + 200 * DAY


@pytest.fixture
async def institution(world: World) -> Institution:
    return await world.institution()


async def leased(world: World, institution: Institution, ends_on: date | None = END, name: str = "东校区") -> Campus:
    campus = Campus(
        id=uuid7(), institution_id=institution.id, name=name, address="东路 1 号", lease_ends_on=ends_on, created_at=clock.now()
    )
    async with world.district.transaction() as session:
        session.add(campus)
    return campus


async def say(world: World, campus: Campus, ends_on: date | None, reason: str = "") -> InstitutionChange | None:
    async with world.district.transaction() as session:
        institution = await session.get_one(Institution, campus.institution_id)
        return await changes.change_lease(session, world.staff(institution), campus.id, ends_on, reason)


async def end_of(world: World, campus: Campus) -> date | None:
    async with world.district.reading() as session:
        return (await session.get_one(Campus, campus.id)).lease_ends_on


async def test_what_ends_sooner_or_is_said_for_the_first_time_holds_at_once(world: World, institution: Institution) -> None:
    known, unknown = await leased(world, institution), await leased(world, institution, None, "西校区")
    assert await say(world, known, END - DAY) is None
    assert await say(world, unknown, END) is None
    assert (await end_of(world, known), await end_of(world, unknown)) == (END - DAY, END)
    assert await say(world, unknown, END - DAY) is None
    assert await end_of(world, unknown) == END - DAY


@pytest.mark.parametrize(("later", "told"), [(END + DAY, (END + DAY).isoformat()), (None, "自有房屋")])
async def test_a_later_end_or_none_holds_once_an_officer_confirms_it(
    world: World, district: District, institution: Institution, later: date | None, told: str
) -> None:
    campus, officer = await leased(world, institution), world.officer()
    await say(world, campus, later, "续租三年")
    change = await waiting_change(world, institution)
    assert (change.kind, change.campus_name, change.old_value, change.new_value) == ("lease", "东校区", END.isoformat(), told)
    assert change.reason == "续租三年"
    assert await end_of(world, campus) == END
    async with district.transaction() as session:
        await changes.confirm(session, officer, change.id, "租赁合同属实")
    assert await end_of(world, campus) == later
    async with district.reading() as session:
        trail = select(AuditEntry.action, AuditEntry.subject, AuditEntry.reason).where(AuditEntry.actor == officer.actor)
        entries = {tuple(row) for row in await session.execute(trail)}
    assert entries == {
        ("registry.change_confirmed", f"institution:{institution.id}", "租赁合同属实"),
        ("registry.lease_changed", f"campus:{campus.id}", "租赁合同属实"),
    }


async def test_a_longer_lease_that_is_refused_changes_nothing(world: World, district: District, institution: Institution) -> None:
    campus, officer = await leased(world, institution), world.officer()
    await say(world, campus, END + DAY, "续租")
    change = await waiting_change(world, institution)
    async with district.transaction() as session:
        await changes.refuse(session, officer, change.id, "没有新的租赁合同")
    assert (await end_of(world, campus), (await now(world, institution)).sales_paused_at) == (END, None)
    with pytest.raises(Conflict):
        async with district.transaction() as session:
            await changes.confirm(session, officer, change.id, "改主意")
    assert await say(world, campus, END + DAY, "再次申请") is not None


async def test_one_waits_for_each_campus_and_it_may_be_shortened_meanwhile(world: World, institution: Institution) -> None:
    east, west = await leased(world, institution), await leased(world, institution, name="西校区")
    await say(world, east, END + DAY, "续租")
    for later in (END + 2 * DAY, None):
        with pytest.raises(Conflict) as refusal:
            await say(world, east, later, "续租更久")
        assert refusal.value.code == "registry.change_waiting"
    assert await say(world, west, END + DAY, "续租") is not None
    assert await say(world, east, END - DAY) is None
    assert (await end_of(world, east), await end_of(world, west)) == (END - DAY, END)


async def test_two_at_once_are_held_against_each_other(world: World, district: District, institution: Institution) -> None:
    campus = await leased(world, institution)
    async with district.transaction() as session:
        await changes.change_lease(session, world.staff(institution), campus.id, END - 10 * DAY, "")
        other = asyncio.create_task(say(world, campus, END - 5 * DAY))
        await asyncio.sleep(0.1)
    with pytest.raises(BadInput):
        await other
    assert await end_of(world, campus) == END - 10 * DAY


async def test_bad_days_and_a_missing_reason_are_refused_by_field(world: World, institution: Institution) -> None:
    campus, closed, stranger = await leased(world, institution), await leased(world, institution), await world.institution()
    for ends_on, reason, field in (
        (clock.today() - DAY, "续租", "lease_ends_on"),
        (date(2199, 1, 1), "续租", "lease_ends_on"),
        (END + DAY, " ", "reason"),
        (None, "", "reason"),
    ):
        with pytest.raises(BadInput) as refusal:
            await say(world, campus, ends_on, reason)
        assert refusal.value.facts["field"] == field
    async with world.district.transaction() as session:
        await institutions.close_campus(session, world.staff(institution), closed.id)
    for who, which in ((stranger, campus), (institution, closed)):
        with pytest.raises(NotFound):
            async with world.district.transaction() as session:
                await changes.change_lease(session, world.staff(who), which.id, END - DAY, "")
    assert await end_of(world, campus) == END


async def test_a_longer_lease_waits_in_the_officers_counts_and_pauses_nothing(
    world: World, district: District, institution: Institution
) -> None:
    campus, officer = await leased(world, institution), world.officer()
    async with district.reading() as session:
        before = (await waiting(session)).changes
    await say(world, campus, END + DAY, "续租")
    async with district.reading() as session:
        assert (await waiting(session)).changes == before + 1
    assert (await now(world, institution)).sales_paused_at is None
    lease = await waiting_change(world, institution)
    await propose(world, institution, ChangeDraft("address", "新路 1 号", "搬迁"))
    assert (await now(world, institution)).sales_pause_reason == "变更地址，待监管部门核实"
    async with district.transaction() as session:
        [address] = await session.scalars(select(InstitutionChange.id).where(InstitutionChange.kind == "address"))
        await changes.confirm(session, officer, address, "登记一致")
        await confirm_coverage(session, officer, institution.id, "没有预收费")
    assert (await now(world, institution)).sales_paused_at is None
    async with district.transaction() as session:
        await changes.confirm(session, officer, lease.id, "租赁合同属实")
    assert (await now(world, institution)).sales_paused_at is None


async def test_sales_are_held_against_the_old_end_until_then(
    world: World, district: District, institution: Institution, monkeypatch: pytest.MonkeyPatch
) -> None:
    campus, parent = await leased(world, institution, clock.today() + 2 * DAY), await world.parent()
    sold = await world.training_class(institution, lessons=10, price_fen=100_000)
    async with district.transaction() as session:
        (await session.get_one(TrainingClass, sold.id)).campus_id = campus.id
    rule = pack_for("110105", clock.today()).rule("charge.lease").model_copy(update={"kinds": ["arts"]})
    pack = pack_for("510112", clock.today())
    edition = pack.editions[-1].model_copy(update={"rules": {**pack.editions[-1].rules, "charge.lease": rule}})
    monkeypatch.setattr(judging, "pack_for", lambda district, on: pack.under(edition))
    await say(world, campus, END, "续租")
    with pytest.raises(Refused) as refusal:
        await world.sign(parent, sold)
    assert [finding["rule"] for finding in refusal.value.facts["findings"]] == ["charge.lease"]
    change = await waiting_change(world, institution)
    async with district.transaction() as session:
        await changes.confirm(session, world.officer(), change.id, "租赁合同属实")
    assert (await world.sign(parent, sold)).amount_fen == 100_000
