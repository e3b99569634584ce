"""Entering institutions, teachers, classes and children."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from app import clock
from app.db import District
from app.errors import BadInput, Conflict, NotFound, Refused
from app.ids import uuid7
from app.registry import classes, courses, families, family_queries, institutions, queries, teachers
from app.registry.models import Guardian, Institution, Student
from app.registry.rules import ClassDraft, InstitutionDraft
from app.security import InstitutionStaff
from tests.world import World, credit_code


def class_draft(teacher_id: object, count: int = 3) -> ClassDraft:
    first = clock.now() + timedelta(days=1)
    sessions = [(first + timedelta(days=n), first + timedelta(days=n, hours=1)) for n in range(count)]
    return ClassDraft(teacher_id, "周末素描", "素描", 30_000, count, 5, sessions)  # type: ignore[arg-type]


async def test_an_institution_stands_once(world: World, district: District) -> None:
    first = await world.institution()
    again = InstitutionDraft(first.credit_code, "另一家", "arts", "某路 2 号", "mock", "6228000099999901", "6228000099999902")
    with pytest.raises(Conflict) as refusal:
        async with district.transaction() as session:
            await institutions.create_institution(session, again)
    assert refusal.value.code == "registry.institution_known"
    async with district.reading() as session:
        assert [row.id for row in await queries.institutions(session)] == [first.id]
        assert (await queries.institution(session, first.id)).status == "approved"
        with pytest.raises(NotFound):
            await queries.institution(session, uuid4())


async def test_two_institutions_cannot_share_a_bank_account(world: World, district: District) -> None:
    await world.institution()
    taken = (await world.account(await world.institution())).account_no
    draft = InstitutionDraft(credit_code(900_001), "第三家", "sports", "某路 3 号", "mock", taken, "6228000099999903")
    with pytest.raises(Conflict) as refusal:
        async with district.transaction() as session:
            await institutions.create_institution(session, draft)
    assert refusal.value.code == "banking.account_taken"
    async with district.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Institution)) == 2


async def test_a_teachers_certificate_stands_once_in_an_institution(world: World, district: District) -> None:
    here, there = await world.institution(), await world.institution()
    async with district.transaction() as session:
        await teachers.create_teacher(session, here.id, "李老师", "CERT-1", "美术")
        await teachers.create_teacher(session, there.id, "李老师", "CERT-1", "美术")
    with pytest.raises(Conflict):
        async with district.transaction() as session:
            await teachers.create_teacher(session, here.id, "张老师", "CERT-1", "美术")
    async with district.reading() as session:
        assert [row.name for row in await queries.teachers(session, here.id)] == ["李老师"]


async def test_a_class_is_opened_by_its_own_institution_with_its_own_teacher(world: World, district: District) -> None:
    here, there = await world.institution(), await world.institution()
    async with district.transaction() as session:
        teacher = await teachers.create_teacher(session, here.id, "李老师", "CERT-1", "美术")
        course = await classes.open_class(session, here.id, class_draft(teacher.id))
    assert [row.number for row in course.sessions] == [1, 2, 3]
    with pytest.raises(NotFound) as refusal:
        async with district.transaction() as session:
            await classes.open_class(session, there.id, class_draft(teacher.id))
    assert refusal.value.code == "registry.teacher_not_found"

    def staff(institution: Institution) -> InstitutionStaff:
        return InstitutionStaff(district.code, uuid7(), uuid7(), institution.id)

    async with district.reading() as session:
        assert (await courses.own_class(session, staff(here), course.training_class.id)).name == "周末素描"
        for who, class_id in ((staff(there), course.training_class.id), (staff(here), uuid4())):
            with pytest.raises(NotFound) as refusal:
                await courses.own_class(session, who, class_id)
            assert refusal.value.code == "registry.class_not_found"


async def test_a_suspended_institution_opens_no_class(world: World, district: District) -> None:
    institution = await world.institution()
    async with district.transaction() as session:
        teacher = await teachers.create_teacher(session, institution.id, "李老师", "CERT-1", "美术")
        (await session.get_one(Institution, institution.id)).status = "suspended"
    with pytest.raises(Refused) as refusal:
        async with district.transaction() as session:
            await classes.open_class(session, institution.id, class_draft(teacher.id))
    assert refusal.value.code == "registry.institution_not_open"


async def test_an_institution_sees_its_own_calendar_by_pages(world: World, district: District) -> None:
    here, there = await world.institution(), await world.institution()
    training_class = await world.training_class(here, lessons=5)
    await world.training_class(there, lessons=2)
    async with district.reading() as session:
        first = await queries.class_sessions(session, here.id, limit=3)
        rest = await queries.class_sessions(session, here.id, training_class.id, "scheduled", (first[-1].starts_at, first[-1].id), 3)
        assert [row.number for row in first + rest] == [1, 2, 3, 4, 5]
        assert await queries.class_sessions(session, here.id, status="delivered") == []
        assert (await queries.class_session(session, here.id, first[0].id)).class_name == training_class.name
        with pytest.raises(NotFound):
            await queries.class_session(session, there.id, first[0].id)


async def test_a_phone_is_one_guardian_however_it_is_written(district: District) -> None:
    found = []
    for phone in ("13800001111", "+86 138 0000 1111", "138-0000-1111"):
        async with district.transaction() as session:
            found.append(await families.guardian_for_phone(session, phone))
    assert len({guardian.id for guardian in found}) == 1
    assert families.phone_of(found[0]) == "+8613800001111"
    assert b"13800001111" not in found[0].phone_enc
    with pytest.raises(BadInput):
        async with district.transaction() as session:
            await families.guardian_for_phone(session, "12345")


async def test_eight_sign_ins_at_once_make_one_guardian(district: District) -> None:
    async def enter() -> Guardian:
        async with district.transaction() as session:
            return await families.guardian_for_phone(session, "13800001111")

    assert len({guardian.id for guardian in await asyncio.gather(*(enter() for _ in range(8)))}) == 1


async def test_a_child_is_sealed_at_rest_and_masked_on_screen(world: World, district: District) -> None:
    parent = await world.parent()
    child = await world.child(parent, " 王小明 ")
    assert "王小明".encode() not in child.name_enc
    assert families.name_of(child) == "王小明"
    async with district.reading() as session:
        shown = await family_queries.students(session, parent.guardian_id)
    assert [(row.id, row.name_masked, row.birth_month) for row in shown] == [(child.id, "王*明", "2017-05")]


async def test_the_same_child_again_is_the_same_child_also_at_once(world: World, district: District) -> None:
    parent = await world.parent()
    children = await asyncio.gather(*(world.child(parent) for _ in range(8)))
    assert len({child.id for child in children}) == 1
    async with district.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Student)) == 1


async def test_somebody_elses_child_and_no_child_are_the_same(world: World, district: District) -> None:
    parent, other = await world.parent(), await world.parent()
    child = await world.child(parent)
    async with district.reading() as session:
        await families.guard_all(session, [(parent.guardian_id, child.id)])
        refusals = []
        for guardian_id, student_id in ((other.guardian_id, child.id), (other.guardian_id, uuid4())):
            with pytest.raises(NotFound) as refusal:
                await families.guard_all(session, [(parent.guardian_id, child.id), (guardian_id, student_id)])
            refusals.append((refusal.value.code, refusal.value.message_zh))
    assert len(set(refusals)) == 1


async def test_a_guardian_has_twenty_children_at_most(world: World) -> None:
    parent = await world.parent()
    for number in range(families.MAX_CHILDREN):
        await world.child(parent, f"王小{chr(0x4E00 + number)}")
    with pytest.raises(Refused) as refusal:
        await world.child(parent, "王小多")
    assert refusal.value.code == "registry.too_many_children"
