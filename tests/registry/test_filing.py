"""A class is filed, judged and decided on before it enrols; nobody teaches, and no room is used, twice at once."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from app.audit import AuditEntry
from app.contracts import queries as contracts
from app.db import District
from app.errors import BadInput, Conflict, DomainError, NotFound, Refused
from app.policy.packs import Pack, pack_for
from app.registry import classes, institutions, judging, teachers
from app.registry.models import Institution, TrainingClass
from tests.locality import stating
from tests.registry.office import MONDAY, Office, at, found_office
from tests.world import World

SATURDAY = MONDAY + timedelta(days=5)
TOMB_SWEEPING = date(2026, 4, 6)
"""The Monday that makes up for Qingming on a Sunday."""
ON_DUTY = date(2026, 2, 28)
"""A Saturday on which everybody works for a day off in the spring festival."""


@pytest.fixture
async def office(world: World) -> Office:
    return await found_office(world)


@pytest.fixture
async def subject_office(world: World) -> Office:
    return await found_office(world, "subject", "middle")


async def refused(office: Office, **changed: object) -> DomainError:
    with pytest.raises(DomainError) as refusal:
        await office.file(**changed)
    async with office.world.district.reading() as session:
        assert (await session.scalars(select(TrainingClass.name).where(TrainingClass.institution_id == office.institution.id))).all() == []
    return refusal.value


async def broken_rules(office: Office, **changed: object) -> list[tuple[str, Any, Any]]:
    """The rules that forbid such a class, each with what was found and what is allowed; nothing was entered."""
    refusal = await refused(office, **changed)
    assert (type(refusal), refusal.code) == (Refused, "registry.rule")
    assert all(finding["source"] and finding["message_zh"] in refusal.message_zh for finding in refusal.facts["findings"])
    return [(finding["rule"], finding["value"], finding["limit"]) for finding in refusal.facts["findings"]]


async def test_a_filed_class_enrols_once_an_officer_has_approved_it(office: Office, world: World, district: District) -> None:
    course = await office.file(materials=["思维训练（上册）", " 思维训练（上册） ", "练习册"], listed_price_fen=25_000)
    filed = course.training_class
    assert (filed.status, filed.decided_at, filed.listed_price_fen) == ("filed", None, 25_000)
    assert filed.materials == ["思维训练（上册）", "练习册"]
    assert filed.judged_by is not None
    assert [(finding["rule"], finding["binding"]) for finding in filed.findings if not finding["passed"]] == [("inst.kind", False)]
    assert filed.lesson_minutes == 60
    parent = await world.parent()
    with pytest.raises(Refused) as refusal:
        await world.sign(parent, filed)
    assert refusal.value.code == "registry.class_not_open"
    async with district.reading() as session:
        assert await contracts.open_classes(session) == []
        with pytest.raises(NotFound):
            await contracts.public_offer(session, filed.id)

    decided = await office.approve(course, "材料齐全，教师持证")
    assert (decided.status, decided.decision_reason) == ("opened", "材料齐全，教师持证")
    async with district.reading() as session:
        assert [view.id for view in await contracts.open_classes(session)] == [filed.id]
        entries = (await session.scalars(select(AuditEntry).where(AuditEntry.subject == f"class:{filed.id}").order_by(AuditEntry.id))).all()
    assert [(entry.action, entry.reason) for entry in entries] == [
        ("registry.class_filed", None),
        ("registry.class_opened", "材料齐全，教师持证"),
    ]
    await world.sign(parent, filed)


async def test_a_filing_is_decided_once_and_with_a_reason(office: Office, district: District) -> None:
    course = await office.file()
    with pytest.raises(BadInput) as unreasoned:
        await office.approve(course, "  ")
    assert unreasoned.value.facts["field"] == "reason"
    outcomes = await asyncio.gather(*(office.approve(course) for _ in range(3)), office.refuse(course), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "Conflict", "Conflict", "TrainingClass"]
    with pytest.raises(NotFound):
        async with district.transaction() as session:
            await classes.approve_class(session, office.world.officer(), uuid4(), "材料齐全")


async def test_a_refused_class_gives_its_teacher_and_room_back(office: Office, world: World) -> None:
    course = await office.file(room="201")
    assert (await office.refuse(course)).status == "refused"
    assert {row.status for row in await office.sessions(course.training_class.id)} == {"cancelled"}
    with pytest.raises(Refused):
        await world.sign(await world.parent(), course.training_class)
    await office.file(room="201")


async def test_a_suspended_institution_neither_files_nor_is_approved(office: Office, district: District) -> None:
    course = await office.file()
    async with district.transaction() as session:
        (await session.get_one(Institution, office.institution.id)).status = "suspended"
    for act in (office.approve(course), office.file(sessions=[at(MONDAY, "15:00", "16:00")])):
        with pytest.raises(Refused) as refusal:
            await act
        assert refusal.value.code == "registry.institution_not_open"


async def test_a_closed_class_sells_no_more(office: Office, world: World, district: District) -> None:
    course = await office.open()
    async with district.transaction() as session:
        await classes.close_class(session, office.staff, course.training_class.id)
    with pytest.raises(Refused):
        await world.sign(await world.parent(), course.training_class)
    other = world.staff(await world.institution())
    for staff, code in ((office.staff, "registry.class_not_opened"), (other, "registry.class_not_found")):
        with pytest.raises(DomainError) as refusal:
            async with district.transaction() as session:
                await classes.close_class(session, staff, course.training_class.id)
        assert refusal.value.code == code


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("listed_price_fen", {"listed_price_fen": 19_999}),
        ("mode", {"mode": "by post"}),
        ("room", {"mode": "online", "room": "201"}),
        ("room", {"room": "教室" * 21}),
        ("lesson_minutes", {"lesson_minutes": 61}),
        ("lesson_minutes", {"lesson_minutes": 0}),
        ("materials", {"materials": [""]}),
        ("materials", {"materials": [f"第{n}册" for n in range(51)]}),
        ("sessions", {"sessions": [at(date(2026, 3, 3), "08:00", "08:45")]}),
        ("sessions", {"sessions": [at(date(2031, 3, 3), "10:00", "11:00")]}),
        ("sessions", {"sessions": [at(MONDAY, "10:00", "11:00"), at(MONDAY, "10:59", "11:30")]}),
        ("sessions", {"sessions": [(at(MONDAY, "20:00", "20:10")[0], at(MONDAY + timedelta(days=1), "00:10", "00:20")[0])]}),
    ],
)
async def test_an_unsound_filing_names_its_field(office: Office, field: str, changed: dict[str, object]) -> None:
    refusal = await refused(office, **changed)
    assert isinstance(refusal, BadInput)
    assert refusal.facts["field"] == field


async def test_on_site_is_at_a_campus_where_the_institution_has_any(office: Office, district: District) -> None:
    refusal = await refused(office, campus_id=None)
    assert (refusal.code, refusal.facts["field"]) == ("registry.campus_id_invalid", "campus_id")
    await office.file(mode="online", sessions=[at(MONDAY, "19:00", "19:30")])
    async with district.transaction() as session:
        await institutions.close_campus(session, office.staff, office.campus_id)
    await office.file(campus_id=None)


async def test_teacher_and_campus_are_the_institutions_own(office: Office, world: World) -> None:
    neighbour = await found_office(world)
    theirs = await neighbour.campus("东校区")
    for field, changed in (("teacher_id", {"teacher_id": neighbour.teacher.id}), ("campus_id", {"campus_id": theirs.id})):
        refusal = await refused(office, **changed)
        assert (type(refusal), refusal.facts["field"]) == (NotFound, field)


async def test_teaching_ends_by_half_past_eight_and_online_by_nine(office: Office) -> None:
    assert await broken_rules(office, sessions=[at(MONDAY, "19:31", "20:31")]) == [("time.end", "20:31", "20:30")]
    assert await broken_rules(office, mode="online", sessions=[at(MONDAY, "20:31", "21:01")]) == [("time.end", "21:01", "21:00")]
    await office.file(sessions=[at(MONDAY, "19:30", "20:30")])
    await office.file(mode="online", sessions=[at(MONDAY, "20:30", "21:00")])


async def test_online_lessons_are_short_and_apart(office: Office) -> None:
    assert await broken_rules(office, mode="online", sessions=[at(MONDAY, "19:00", "19:31")]) == [("time.online", 31, 30)]
    close = [at(MONDAY, "19:00", "19:30"), at(MONDAY, "19:39", "20:09")]
    assert await broken_rules(office, mode="online", sessions=close) == [("time.online", 9, 10)]
    await office.file(mode="online", sessions=[at(MONDAY, "19:00", "19:30"), at(MONDAY, "19:40", "20:10")])


async def test_school_subjects_are_not_taught_on_days_off(subject_office: Office, office: Office) -> None:
    for day, kind in ((SATURDAY, "rest"), (TOMB_SWEEPING, "holiday")):
        [(rule, value, _)] = await broken_rules(subject_office, sessions=[at(day, "10:00", "11:00")])
        assert (rule, value) == ("time.subject", str(day)), kind
        await office.file(sessions=[at(day, "10:00", "11:00")])
    await subject_office.file()


async def test_a_saturday_on_which_everybody_works_is_no_day_off(subject_office: Office, world: World) -> None:
    await world.wait_until(at(ON_DUTY - timedelta(days=1), "09:00", "10:00")[0])
    await subject_office.file(sessions=[at(ON_DUTY, "10:00", "11:00")])


async def test_a_subject_is_taught_by_who_is_certified_for_it(subject_office: Office, office: Office, district: District) -> None:
    assert [rule for rule, *_ in await broken_rules(subject_office, subject="英语")] == ["staff.cert"]
    await office.file(subject="英语")
    async with district.transaction() as session:
        await teachers.mark_serving(session, subject_office.world.officer(), subject_office.teacher.id, True, "举报属实")
    assert [rule for rule, *_ in await broken_rules(subject_office)] == ["staff.cert"]


async def test_what_has_become_unlawful_since_it_was_filed_is_not_approved(
    subject_office: Office, office: Office, district: District
) -> None:
    course, leaving = await subject_office.file(), await office.file()
    async with district.transaction() as session:
        await teachers.mark_serving(session, subject_office.world.officer(), subject_office.teacher.id, True, "举报属实")
        await teachers.leave(session, office.staff, office.teacher.id, MONDAY)
    for at_school, filed, code in ((subject_office, course, "registry.rule"), (office, leaving, "registry.teacher_left")):
        with pytest.raises(Refused) as refusal:
            await at_school.approve(filed)
        assert refusal.value.code == code
        by_rule = filed.training_class.judged_by if code == "registry.rule" else None
        assert refusal.value.facts.get("judged_by") == by_rule, "a refusal by rule names the rules of its day"
        async with district.reading() as session:
            assert (await session.get_one(TrainingClass, filed.training_class.id)).status == "filed"
    async with district.transaction() as session:
        await teachers.mark_serving(session, subject_office.world.officer(), subject_office.teacher.id, False, "核实无误")
    approved = await subject_office.approve(course)
    assert (approved.status, approved.judged_by) == ("opened", course.training_class.judged_by)


async def test_a_subject_is_not_taught_by_a_foreigner_who_is_abroad(subject_office: Office, office: Office, district: District) -> None:
    for at_school in (subject_office, office):
        async with district.transaction() as session:
            await teachers.mark_abroad(session, at_school.world.officer(), at_school.teacher.id, True, "出入境记录")
    assert await broken_rules(subject_office) == [("staff.cert", "abroad", "not_abroad")]
    await office.file()


async def test_nobody_files_with_a_teacher_who_will_have_left(office: Office, district: District) -> None:
    async with district.transaction() as session:
        await teachers.leave(session, office.staff, office.teacher.id, MONDAY)
    assert (await refused(office)).code == "registry.teacher_left"
    await office.file(sessions=[at(MONDAY, "10:00", "11:00")])


async def test_a_subjects_price_stays_under_the_guide_price_of_its_class_size(
    subject_office: Office, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """35 yuan for 45 minutes in a small class, and a tenth more at most: 51.33 yuan for an hour."""
    prices = {"small_fen": 3500, "medium_fen": 2500, "large_fen": 1500}

    def priced(code: str, on: date) -> Pack:
        shipped = pack_for(code, on)
        return stating(shipped, "price.guide", limits={**shipped.rules["price.guide"].limits, **prices})

    monkeypatch.setattr(judging, "pack_for", priced)
    assert await broken_rules(subject_office, price_fen=2 * 5133 + 1, seats=9) == [("price.guide", 2 * 5133 + 1, 2 * 5133)]
    assert await broken_rules(subject_office, price_fen=2 * 5133, seats=10) == [("price.guide", 2 * 5133, 2 * 3667)]
    await subject_office.file(price_fen=2 * 5133, seats=9)
    high_school = await found_office(world, "subject", "high")
    await high_school.file(price_fen=400_000, seats=9)


async def test_a_teacher_is_in_one_place_at_a_time(office: Office) -> None:
    await office.file(sessions=[at(MONDAY, "10:00", "11:00")])
    for starts, ends in (("10:00", "11:00"), ("09:30", "10:01"), ("10:20", "10:40"), ("10:59", "12:00"), ("09:00", "12:00")):
        with pytest.raises(Conflict) as refusal:
            await office.file(sessions=[at(MONDAY, starts, ends)])
        assert (refusal.value.code, refusal.value.facts["field"]) == ("registry.teacher_taken", "teacher_id")
        assert "教师李老师在 3月9日 10:00 已有“数学思维”第 1 次课" in refusal.value.message_zh
    await office.file(sessions=[at(MONDAY, "11:00", "12:00")])
    await office.file(sessions=[at(MONDAY, "09:00", "10:00")])


async def test_a_room_holds_one_class_at_a_time(office: Office) -> None:
    east, west = await office.campus("东校区"), await office.campus("西校区")
    await office.file(room="201", campus_id=east.id)
    with pytest.raises(Conflict) as refusal:
        await office.file(room=" 201 ", campus_id=east.id, teacher_id=(await office.hire()).id)
    assert (refusal.value.code, refusal.value.facts["field"]) == ("registry.room_taken", "room")
    for place in ({"room": "202", "campus_id": east.id}, {"room": "201", "campus_id": west.id}, {"room": "201"}, {}):
        await office.file(**place, teacher_id=(await office.hire()).id)


async def test_of_many_filings_at_once_one_gets_the_teacher_and_the_room(office: Office) -> None:
    assistants = [await office.hire() for _ in range(4)]
    same_teacher = [office.file(room=f"{n}") for n in range(4)]
    same_room = [office.file(room="礼堂", teacher_id=teacher.id) for teacher in assistants]
    outcomes = await asyncio.gather(*same_teacher, *same_room, return_exceptions=True)
    codes = sorted(outcome.code if isinstance(outcome, DomainError) else "filed" for outcome in outcomes)  # type: ignore[attr-defined]
    assert codes == ["filed"] * 2 + ["registry.room_taken"] * 3 + ["registry.teacher_taken"] * 3


@pytest.mark.parametrize("constraint", ["teacher", "room"])
async def test_the_database_itself_keeps_class_sessions_apart(office: Office, owner: District, constraint: str) -> None:
    course = await office.file(room="201", sessions=[at(MONDAY, "10:00", "11:00"), at(MONDAY, "11:00", "12:00")])
    other_teacher = ", teacher_id = NULL" if constraint == "room" else ", room = NULL"
    with pytest.raises(IntegrityError, match=f"ex_class_session_{constraint}"):
        async with owner.transaction() as session:
            await session.execute(
                text(f"UPDATE class_session SET starts_at = starts_at - interval '1 minute'{other_teacher} WHERE id = :id"),
                {"id": course.sessions[1].id},
            )
