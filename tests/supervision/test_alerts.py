"""Alerts: one per subject while it stands, numbered without a gap, dealt with by officers."""

import asyncio

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from app.audit import AuditEntry
from app.db import District
from app.errors import BadInput, Conflict, NotFound
from app.ids import uuid7
from app.ledger.check import check_books
from app.registry.models import Institution
from app.supervision import queries
from app.supervision.models import Alert, AlertEvent, Clearance, Cursor
from app.supervision.service import Finding, acknowledge, raise_alerts, resolve
from tests.supervision.scenes import alerts
from tests.world import World


@pytest.fixture
async def school(world: World) -> Institution:
    return await world.institution()


async def fire(district: District, institution: Institution, subject: str = "account:1", balance_fen: int = 1) -> None:
    async with district.transaction() as session:
        await raise_alerts(session, [Finding(institution.id, "minimum_balance", subject, {"balance_fen": balance_fen})])


async def events(district: District) -> list[tuple[int, str]]:
    async with district.reading() as session:
        return [(change.seq, change.status) for change in await queries.alert_changes(session, 0)]


async def test_an_alert_is_one_row_while_it_stands_and_its_facts_follow(world: World, school: Institution) -> None:
    for balance_fen in (1, 1, 2):
        await fire(world.district, school, balance_fen=balance_fen)

    (alert,) = await alerts(world.district)
    assert (alert.rule, alert.level, alert.status, alert.facts) == ("minimum_balance", "red", "opened", {"balance_fen": 2})
    assert await events(world.district) == [(1, "opened"), (2, "opened")], "the same facts again are no event"


async def test_an_alert_is_acknowledged_and_resolved_with_a_note(world: World, school: Institution) -> None:
    await fire(world.district, school)
    (alert,) = await alerts(world.district)
    officer = world.officer()

    for decide, note in ((acknowledge, "已联系机构"), (resolve, "已补足")):
        async with world.district.transaction() as session:
            await decide(session, officer, alert.id, note)

    async with world.district.reading() as session:
        stands = await queries.alert(session, alert.id)
        trail = (await session.scalars(select(AuditEntry).where(AuditEntry.subject == f"alert:{alert.id}").order_by(AuditEntry.id))).all()
    assert (stands.status, stands.note) == ("resolved", "已补足")
    assert [(entry.actor, entry.action, entry.reason) for entry in trail] == [
        (officer.actor, "supervision.alert_acknowledged", "已联系机构"),
        (officer.actor, "supervision.alert_resolved", "已补足"),
    ]
    assert await events(world.district) == [(1, "opened"), (2, "acknowledged"), (3, "resolved")]


async def test_after_it_is_resolved_the_rule_fires_anew(world: World, school: Institution) -> None:
    await fire(world.district, school)
    (first,) = await alerts(world.district)
    async with world.district.transaction() as session:
        await resolve(session, world.officer(), first.id, "已补足")
    await fire(world.district, school)
    (second,) = await alerts(world.district)
    assert second.id != first.id
    assert len(await alerts(world.district, open_only=False)) == 2


async def test_a_resolved_alert_cannot_be_decided_again(world: World, school: Institution) -> None:
    await fire(world.district, school)
    (alert,) = await alerts(world.district)
    async with world.district.transaction() as session:
        await resolve(session, world.officer(), alert.id, "已补足")
    for decide in (acknowledge, resolve):
        async with world.district.reading() as session:
            with pytest.raises(Conflict, match=r"supervision\.alert_decided"):
                await decide(session, world.officer(), alert.id, "再看")


async def test_a_decision_needs_an_alert_and_a_note(world: World, school: Institution) -> None:
    async with world.district.reading() as session:
        with pytest.raises(NotFound, match=r"supervision\.alert_not_found"):
            await acknowledge(session, world.officer(), uuid7(), "已看")
        with pytest.raises(BadInput, match=r"reason\.invalid"):
            await resolve(session, world.officer(), uuid7(), "")


async def test_many_at_once_leave_one_alert_per_subject_and_no_gap(world: World, school: Institution) -> None:
    async def both_ways(turn: int) -> None:
        async with world.district.transaction() as session:
            for subject in sorted("abc", reverse=bool(turn % 2)):
                await raise_alerts(session, [Finding(school.id, "break", subject, {"turn": turn})])

    await asyncio.gather(*(both_ways(turn) for turn in range(12)))

    assert sorted(alert.subject for alert in await alerts(world.district)) == ["a", "b", "c"]
    assert [seq for seq, _ in await events(world.district)] == list(range(1, 37))


async def test_a_number_that_was_taken_in_vain_is_taken_again(world: World, school: Institution) -> None:
    async with world.district.reading() as session:
        await raise_alerts(session, [Finding(school.id, "break", "a", {})])
    await fire(world.district, school)
    assert await events(world.district) == [(1, "opened")]


async def test_alerts_page_newest_first_by_institution_and_state(world: World, school: Institution) -> None:
    other = await world.institution("第二学校")
    for institution in (school, other, school):
        await fire(world.district, institution, subject=f"account:{uuid7()}")
    async with world.district.reading() as session:
        newest = await queries.alerts(session, limit=2)
        oldest = await queries.alerts(session, before=newest[-1].id)
        of_other = await queries.alerts(session, institution_id=other.id)
    assert [alert.institution_id for alert in [*newest, *oldest]] == [school.id, other.id, school.id]
    assert [alert.institution_name for alert in of_other] == ["第二学校"]


@pytest.mark.parametrize("change", [update(AlertEvent).values(status="resolved"), delete(AlertEvent), delete(Clearance), delete(Alert)])
async def test_what_happened_cannot_be_changed_by_the_service(world: World, school: Institution, change: object) -> None:
    await fire(world.district, school)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with world.district.transaction() as session:
            await session.execute(change)  # type: ignore[call-overload]


@pytest.mark.broken_books
async def test_check_books_names_a_skipped_number_and_an_alert_changed_without_an_event(
    world: World, owner: District, school: Institution
) -> None:
    await fire(world.district, school)
    async with owner.transaction() as session:
        await session.execute(update(Cursor).where(Cursor.name == "alerts").values(seq=7))
        await session.execute(update(Cursor).where(Cursor.name == "ledger").values(seq=7))
        await session.execute(update(Alert).values(status="resolved"))
    async with world.district.reading() as session:
        findings = await check_books(session)
    assert {finding.name for finding in findings} == {
        "supervision.events_gapless",
        "supervision.log_read_in_order",
        "supervision.alert_is_its_last_event",
    }


async def test_an_alert_notifies_listeners_once_and_only_when_it_is_committed(world: World, school: Institution) -> None:
    heard: list[str] = []

    def hear(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        heard.append(payload)

    async with world.district.engine.connect() as pooled:
        connection = (await pooled.get_raw_connection()).driver_connection
        assert connection is not None
        await connection.add_listener("escrow_alerts", hear)
        async with world.district.reading() as session:
            await raise_alerts(session, [Finding(school.id, "break", "a", {})])
        for balance_fen in (1, 2):
            await fire(world.district, school, balance_fen=balance_fen)
        await connection.execute("SELECT 1")
        await connection.remove_listener("escrow_alerts", hear)
    assert heard == ["510112"]


async def test_the_counter_stands_where_the_newest_event_does(world: World, school: Institution) -> None:
    await fire(world.district, school)
    async with world.district.reading() as session:
        assert await session.scalar(select(Cursor.seq).where(Cursor.name == "alerts")) == 1
        assert await session.scalar(select(func.count()).select_from(AlertEvent)) == 1
        assert await session.scalar(text("SELECT count(*) FROM supervision_cursor")) == 2
