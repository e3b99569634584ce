"""Who looks for a class finds those that may be joined, by any part of a name, by place, kind, price and hours."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from app import clock
from app.contracts.search import Searches, Wanted
from app.ids import uuid7
from app.registry.models import Campus, ClassSession, Institution, TrainingClass
from app.registry.search import keep_up
from tests.upgrading import brought_up
from tests.world import World

TUESDAY = frozenset({1})


async def found(world: World, wanted: Wanted) -> list[UUID]:
    """Ids of the classes that a search finds now."""
    while await keep_up(world.district):
        pass
    return [each.id for each in await Searches().classes(world.district, wanted)]


async def change(world: World, row: Institution, **columns: object) -> None:
    async with world.district.transaction() as session:
        stored = await session.get_one(type(row), row.id)
        for name, value in columns.items():
            setattr(stored, name, value)


async def test_a_class_is_found_by_any_part_of_its_names(world: World) -> None:
    offered = await world.training_class(await world.institution("晨光·艺术培训学校"))
    for words in ("创意", "意美", "术", "晨光艺", "李老师", "驿都大道", "晨光 李老 美术", "晨光·", ""):
        assert await found(world, Wanted(words=words)) == [offered.id], words
    for words in ("光晨", "校创", "美术班", "晨光 王老师", "术术"):
        assert await found(world, Wanted(words=words)) == [], words


async def test_pairs_in_another_order_are_not_the_name(world: World) -> None:
    offered = await world.training_class(await world.institution("海上海棠"))
    assert await found(world, Wanted(words="海上海棠")) == [offered.id]
    assert await found(world, Wanted(words="上海上海")) == []


async def test_place_kind_mode_and_price_narrow_it_down(world: World) -> None:
    arts, sports = await world.institution("晨光", "arts"), await world.institution("星火", "sports")
    painting = await world.training_class(arts, price_fen=40_000)
    football = await world.training_class(sports, price_fen=30_000)
    assert await found(world, Wanted()) == [football.id, painting.id], "the newest first"
    assert await found(world, Wanted(kind="sports")) == [football.id]
    assert await found(world, Wanted(area="驿都大道")) == [football.id, painting.id]
    assert await found(world, Wanted(area="晨光")) == [], "a name is no place"
    assert await found(world, Wanted(least_fen=30_001)) == [painting.id]
    assert await found(world, Wanted(least_fen=30_000, most_fen=39_999)) == [football.id]
    assert await found(world, Wanted(mode="onsite")) == [football.id, painting.id]
    assert await found(world, Wanted(mode="online")) == []
    assert await found(world, Wanted(words="创意", area="龙泉", kind="arts", most_fen=40_000)) == [painting.id]


async def test_hours_are_those_in_which_a_class_usually_meets(world: World) -> None:
    institution = await world.institution()
    once = await world.training_class(institution, lessons=1)
    for wanted, fits in (
        (Wanted(weekdays=TUESDAY), True),
        (Wanted(weekdays=TUESDAY, parts=frozenset({"morning"})), True),
        (Wanted(parts=frozenset({"morning"})), True),
        (Wanted(parts=frozenset({"afternoon", "evening"})), False),
        (Wanted(weekdays=frozenset(range(7)) - TUESDAY), False),
    ):
        assert (once.id in await found(world, wanted)) is fits, wanted


async def test_one_meeting_among_many_at_another_hour_is_not_usual(world: World) -> None:
    for lessons, usual in ((8, True), (9, False)):
        daily = await world.training_class(await world.institution(), lessons)
        async with world.district.transaction() as session:
            last = (
                await session.scalars(select(ClassSession).where(ClassSession.class_id == daily.id, ClassSession.number == lessons))
            ).one()
            last.starts_at, last.ends_at = last.starts_at + timedelta(hours=9), last.ends_at + timedelta(hours=9)
        assert (daily.id in await found(world, Wanted(parts=frozenset({"evening"})))) is usual
        assert daily.id in await found(world, Wanted(parts=frozenset({"morning"})))


async def meets(world: World, training_class: TrainingClass, day_of: Callable[[int], int]) -> None:
    """Move each class session of a daily class that begins on a Tuesday to a day, counted from that Tuesday."""
    of_class = select(ClassSession).where(ClassSession.class_id == training_class.id).order_by(ClassSession.number.desc())
    async with world.district.transaction() as session:
        for each in await session.scalars(of_class):
            later = timedelta(days=day_of(each.number) - (each.number - 1))
            each.starts_at, each.ends_at = each.starts_at + later, each.ends_at + later
            await session.flush()


@pytest.mark.parametrize(("every", "lessons", "weekdays"), [(3, 7, range(7)), (4, 10, range(7)), (7, 6, [1]), (1, 4, range(1, 5))])
async def test_a_class_without_a_weekly_pattern_is_found_on_each_of_its_days(
    world: World, every: int, lessons: int, weekdays: Sequence[int]
) -> None:
    rotating = await world.training_class(await world.institution(), lessons)
    await meets(world, rotating, lambda number: every * (number - 1))
    for weekday in range(7):
        assert (rotating.id in await found(world, Wanted(weekdays=frozenset({weekday})))) is (weekday in weekdays), weekday


async def test_the_make_up_lesson_of_a_weekly_class_is_not_usual(world: World) -> None:
    weekly = await world.training_class(await world.institution(), 6)
    await meets(world, weekly, lambda number: 7 * (number - 1) + (2 if number == 6 else 0))
    assert await found(world, Wanted(weekdays=TUESDAY)) == [weekly.id]
    assert await found(world, Wanted(weekdays=frozenset({3}))) == []


@pytest.mark.parametrize(
    ("column", "closed", "opened", "warned"),
    [
        ("status", "suspended", "approved", ["paused"]),
        ("status", "closed", "approved", ["closed"]),
        ("listing", "black", None, ["blacklisted"]),
    ],
)
async def test_an_institution_that_is_not_open_is_found_by_its_name_without_its_classes(
    world: World, column: str, closed: str, opened: str | None, warned: list[str]
) -> None:
    institution = await world.institution()
    offered = await world.training_class(institution)
    for value, classes, warnings in ((closed, [], warned), (opened, [offered.id], [])):
        await change(world, institution, **{column: value})
        assert await found(world, Wanted(words="晨光")) == classes
        [view] = await Searches().institutions(world.district, Wanted(words="晨光"))
        assert (view.id, view.open_classes, view.warnings) == (institution.id, len(classes), warnings)


async def test_an_institution_whose_sales_pause_is_found_without_its_classes(world: World) -> None:
    institution = await world.institution()
    await world.training_class(institution)
    await change(world, institution, sales_paused_at=clock.now(), sales_pause_reason="法定代表人变更")
    assert await found(world, Wanted()) == []
    assert [(each.open_classes, each.warnings) for each in await Searches().institutions(world.district, Wanted())] == [(0, ["paused"])]


async def test_institutions_that_no_search_found_before_are_found_after_the_upgrade(owner_url: str) -> None:
    """Those that may enrol stand among what is searched already; the upgrade notes the others only."""
    of_before = """
        INSERT INTO book (id, opened_at) SELECT gen_random_uuid(), now() FROM generate_series(1, 4);
        INSERT INTO institution (id, credit_code, name, kind, address, status, listing, created_at)
            SELECT id, n, '晨光' || n, 'arts', '驿都大道 1 号', (ARRAY['approved', 'suspended', 'closed', 'approved'])[n],
                (ARRAY[NULL, NULL, NULL, 'black'])[n], now()
            FROM (SELECT id, CAST(row_number() OVER () AS int) AS n FROM book) AS numbered;
        DELETE FROM search_due
    """
    asked = text("SELECT i.name FROM search_due d JOIN institution i ON i.id = d.institution_id ORDER BY i.name")
    [names] = await brought_up(owner_url, "d510196", "0018", of_before, asked)
    assert [name for (name,) in names] == ["晨光2", "晨光3", "晨光4"]


async def test_what_was_searched_before_the_upgrade_is_found_after_it(owner_url: str) -> None:
    of_before = """
        INSERT INTO book (id, opened_at) VALUES (gen_random_uuid(), now());
        INSERT INTO institution (id, credit_code, name, kind, address, status, created_at)
            SELECT id, '52510112MJQ0000010', '晨光', 'arts', '驿都大道 1 号', 'approved', now() FROM book;
        INSERT INTO teacher (id, institution_id, name, certificate_no, subject, created_at)
            SELECT gen_random_uuid(), id, '李老师', 'C-1', '美术', now() FROM institution;
        INSERT INTO training_class (id, institution_id, teacher_id, name, subject, price_fen, listed_price_fen, lesson_count,
            lesson_minutes, seats, starts_on, ends_on, status, created_at, decided_at, decision_reason)
            SELECT gen_random_uuid(), institution_id, id, '“素描”', '素描', 20000, 20000, 2, 45, 5, '2026-03-09', '2026-03-10', 'opened',
                now(), now(), '齐全' FROM teacher;
        INSERT INTO class_search (class_id, institution_id, price_fen, hours, open_until, names, places, marks)
            SELECT id, institution_id, price_fen, 3, now() + interval '1 day', '素描', '驿都大道1号', '{7}' FROM training_class
    """
    asked = text("SELECT entry FROM search_classes('{7}', '{素描}', '驿都', 1, 20000, 1, now(), NULL, 5)")
    ids = text("SELECT id, institution_id FROM training_class")
    [[(entry,)], [(class_id, institution_id)]] = await brought_up(owner_url, "d510195", "0021", of_before, asked, ids)
    shown = {"id": str(class_id), "institution_id": str(institution_id), "institution_name": "晨光", "kind": "arts", "mode": "onsite"}
    shown |= {"name": "“素描”", "subject": "素描", "teacher_name": "李老师", "price_fen": 20_000, "lesson_count": 2, "seats": 5}
    assert json.loads(entry) == shown | {"starts_on": "2026-03-09", "ends_on": "2026-03-10", "hours": 3}


async def test_a_class_is_found_until_its_last_meeting_starts(world: World) -> None:
    institution = await world.institution()
    offered = await world.training_class(institution, lessons=2)
    await world.wait(timedelta(hours=2))
    assert await found(world, Wanted()) == [offered.id]
    await world.wait(timedelta(days=1))
    assert [each.id for each in await Searches().classes(world.district, Wanted())] == [], "also before the row is gone"
    assert await found(world, Wanted()) == []


async def test_a_closed_class_and_one_whose_meetings_are_all_cancelled_are_not_found(world: World) -> None:
    institution = await world.institution()
    closed, cancelled = [await world.training_class(institution) for _ in range(2)]
    assert await found(world, Wanted()) == [cancelled.id, closed.id]
    async with world.district.transaction() as session:
        await session.execute(update(TrainingClass).where(TrainingClass.id == closed.id).values(status="closed"))
        await session.execute(update(ClassSession).where(ClassSession.class_id == cancelled.id).values(status="cancelled"))
    assert await found(world, Wanted()) == []


async def test_seats_are_counted_when_somebody_looks(world: World) -> None:
    offered = await world.training_class(await world.institution(), seats=2)
    assert await found(world, Wanted()) == [offered.id]
    await world.sign(await world.parent(), offered)
    (view,) = await Searches().classes(world.district, Wanted())
    assert (view.seats, view.seats_left, view.teacher_name, view.institution_id) == (2, 1, "李老师", offered.institution_id)


async def test_a_list_shows_what_the_registers_say(world: World) -> None:
    institution = await world.institution("晨光“艺术”\\培训")
    offered = await world.training_class(institution, lessons=3)
    assert await found(world, Wanted()) == [offered.id]
    (view,) = await Searches().classes(world.district, Wanted())
    assert view == (
        offered.id, institution.id, institution.name, institution.kind, offered.mode, offered.name, offered.subject, "李老师",
        offered.price_fen, 3, offered.seats, offered.starts_on, offered.ends_on, view.hours, offered.seats,
    )  # fmt: skip


async def test_who_asks_at_the_same_time_gets_what_they_asked_for(world: World) -> None:
    arts, sports = await world.institution("晨光", "arts"), await world.institution("星火", "sports")
    painting, football = await world.training_class(arts, price_fen=40_000), await world.training_class(sports, price_fen=30_000)
    both = [football.id, painting.id]
    asked = (
        (Wanted(), both),
        (Wanted(kind="sports"), [football.id]),
        (Wanted(words="晨光 创意 美术"), [painting.id]),
        (Wanted(words="没有的班"), []),
        (Wanted(words="创意美术班 晨光", area="驿都大道", most_fen=40_000), []),
        (Wanted(area="驿都大道", least_fen=30_001), [painting.id]),
        (Wanted(weekdays=TUESDAY | {2}), both),
    )
    assert await found(world, Wanted()) == both
    searches = Searches()
    for times in (1, 7):
        answers = await asyncio.gather(*(searches.classes(world.district, wanted) for wanted, _ in asked * times))
        assert [[each.id for each in answer] for answer in answers] == [expected for _, expected in asked * times]


async def test_pages_follow_one_another(world: World) -> None:
    institution = await world.institution()
    ids = [(await world.training_class(institution)).id for _ in range(5)]
    assert await found(world, Wanted(words="美术")) == ids[::-1]
    first = await Searches().classes(world.district, Wanted(words="美术"), limit=2)
    second = await Searches().classes(world.district, Wanted(words="美术"), before=first[-1].id, limit=10)
    assert [each.id for each in first + second] == ids[::-1]


async def test_institutions_are_found_by_name_kind_and_every_open_campus(world: World) -> None:
    arts, sports = await world.institution("晨光艺术", "arts"), await world.institution("星火体育", "sports")
    async with world.district.transaction() as session:
        session.add(Campus(id=uuid7(), institution_id=sports.id, name="大面校区", address="大面街道洪河北路 9 号", created_at=clock.now()))
    await found(world, Wanted())
    for wanted, expected in (
        (Wanted(), [arts.id, sports.id]),
        (Wanted(words="光艺"), [arts.id]),
        (Wanted(words="洪河"), [sports.id]),
        (Wanted(area="大面街道"), [sports.id]),
        (Wanted(area="星火"), []),
        (Wanted(kind="sports"), [sports.id]),
        (Wanted(words="驿都", kind="arts"), [arts.id]),
        (Wanted(words="晨光", mode="online", least_fen=1, weekdays=TUESDAY, parts=frozenset({"evening"})), [arts.id]),
    ):
        assert [each.id for each in await Searches().institutions(world.district, wanted)] == expected, wanted
    (second,) = await Searches().institutions(world.district, Wanted(), after=arts.id)
    assert (second.id, second.open_classes) == (sports.id, 0)


async def test_two_workers_do_not_work_off_the_same_changes(world: World) -> None:
    for _ in range(3):
        await world.training_class(await world.institution())
    done = await asyncio.gather(*(keep_up(world.district) for _ in range(4)))
    assert sum(bool(each) for each in done) == 1
    assert len(await Searches().classes(world.district, Wanted())) == 3


async def test_a_lost_connection_is_known_for_one_and_replaced(world: World) -> None:
    offered = await world.training_class(await world.institution("晨光"))
    with pytest.raises(DBAPIError) as lost:
        await world.district.fetch("SELECT pg_terminate_backend(pg_backend_pid())")
    assert lost.value.connection_invalidated
    assert await found(world, Wanted()) == [offered.id]
