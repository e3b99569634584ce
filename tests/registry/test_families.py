"""Children as their guardians enter and correct them, and the consent that stands before it."""

from datetime import date, timedelta

import pytest
from sqlalchemy import func, select

from app import clock, sealing
from app.db import District
from app.errors import BadInput, Conflict, DomainError, NotFound, Refused
from app.registry import consenting, families, family_queries, queries, rules
from app.registry.families import ChildDraft, Correction
from app.registry.models import Consent, Student
from app.security import Parent
from tests.world import World


@pytest.fixture
async def parent(world: World) -> Parent:
    return await world.parent()


async def enter(district: District, parent: Parent, name: str = "王小明", month: str = "2017-05", stage: str | None = None) -> Student:
    async with district.transaction() as session:
        return await families.add_student(session, parent.guardian_id, name, month, stage, consent=consenting.CURRENT)


async def refused(district: District, *args: object, kind: type[DomainError]) -> tuple[str, object]:
    with pytest.raises(kind) as refusal:
        await enter(district, *args)  # type: ignore[arg-type]
    return refusal.value.code, refusal.value.facts.get("field")


async def count(district: District, table: type) -> int:
    async with district.reading() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_nothing_is_kept_of_a_child_without_its_guardians_consent(district: District, parent: Parent) -> None:
    for version in (None, "", "0"):
        with pytest.raises(Refused) as refusal:
            async with district.transaction() as session:
                await families.add_student(session, parent.guardian_id, "王小明", "2017-05", consent=version)
        assert (refusal.value.code, refusal.value.facts["field"]) == ("registry.consent_needed", "consent")
    assert await count(district, Student) == 0


async def test_consent_is_kept_with_its_text_and_time(district: District, parent: Parent) -> None:
    at = clock.now() - timedelta(days=1)
    with clock.at(at):
        child = await enter(district, parent)
    await enter(district, parent)
    async with district.reading() as session:
        [consent] = await session.scalars(select(Consent))
    said = consenting.consent_text("1")
    assert (consent.guardian_id, consent.student_id, consent.act) == (parent.guardian_id, child.id, "given")
    assert (consent.version, consent.text_sha256, consent.at) == ("1", said.sha256, at)


def test_a_text_that_was_agreed_to_never_changes() -> None:
    shipped = {"1": "5ac0649bb40c1ba42acd7e50463c0a227e35f05bd1b09b769bebdee9b3c9e894"}
    assert {version: consenting.consent_text(version).sha256.hex() for version in shipped} == shipped


@pytest.mark.parametrize("name", ["王小明", " 王 小明", "王小明　", "王小 明"])
async def test_the_same_child_however_it_is_spaced_stands_once(district: District, parent: Parent, name: str) -> None:
    assert (await enter(district, parent, name)).id == (await enter(district, parent)).id
    assert await count(district, Student) == 1


async def test_the_same_name_with_another_month_is_refused_by_field(district: District, parent: Parent) -> None:
    await enter(district, parent)
    assert await refused(district, parent, "王小明", "2017-06", kind=Conflict) == ("registry.student_known", "birth_month")
    assert await count(district, Student) == 1


@pytest.mark.parametrize(
    ("name", "month", "stage", "field"),
    [
        ("", "2017-05", None, "name"),
        ("王" * 41, "2017-05", None, "name"),
        ("<b>小明</b>", "2017-05", None, "name"),
        ("王小明", "2017-13", None, "birth_month"),
        ("王小明", "2999-01", None, "birth_month"),
        ("王小明", "1990-01", None, "birth_month"),
        ("王小明", "2017-05", "college", "stage"),
    ],
)
async def test_impossible_data_is_refused_by_field(
    district: District, parent: Parent, name: str, month: str, stage: str, field: str
) -> None:
    assert (await refused(district, parent, name, month, stage, kind=BadInput))[1] == field


@pytest.mark.parametrize(
    ("month", "on", "stage"),
    [
        ("2020-08", date(2026, 8, 31), "preschool"),
        ("2020-08", date(2026, 9, 1), "primary"),
        ("2020-09", date(2026, 9, 1), "preschool"),
        ("2014-08", date(2026, 8, 31), "primary"),
        ("2014-08", date(2026, 9, 1), "middle"),
        ("2011-08", date(2026, 8, 31), "middle"),
        ("2011-08", date(2026, 9, 1), "high"),
        ("2026-01", date(2026, 1, 1), "preschool"),
    ],
)
def test_a_stage_follows_from_the_month_of_birth(month: str, on: date, stage: str) -> None:
    assert rules.stage_at(month, on) == stage


async def test_what_a_guardian_says_of_the_stage_counts(district: District, parent: Parent) -> None:
    said, unsaid = await enter(district, parent, stage="high"), await enter(district, parent, "李小红", "2017-05")
    on = date(2026, 3, 1)
    assert (families.stage_of(said, on), families.stage_of(unsaid, on)) == ("high", "primary")


async def test_a_guardian_puts_a_childs_data_right(district: District, parent: Parent) -> None:
    child, sibling = await enter(district, parent), await enter(district, parent, "李小红")
    async with district.transaction() as session:
        right = await families.correct_student(session, parent, child.id, Correction("王晓明", "2017-06", "middle"))
    assert (families.name_of(right), families.birth_month_of(right), right.stage) == ("王晓明", "2017-06", "middle")
    async with district.transaction() as session:
        right = await families.correct_student(session, parent, child.id, Correction())
    assert (families.name_of(right), families.birth_month_of(right), right.stage) == ("王晓明", "2017-06", None)
    with pytest.raises(Conflict) as refusal:
        async with district.transaction() as session:
            await families.correct_student(session, parent, sibling.id, Correction("王 晓明"))
    assert (refusal.value.code, refusal.value.facts["field"]) == ("registry.student_known", "name")


async def test_a_name_from_before_the_rule_stays_until_it_is_changed(district: District, parent: Parent) -> None:
    child = await enter(district, parent)
    async with district.transaction() as session:
        (await session.get_one(Student, child.id)).name_enc = sealing.seal("小明2", "student", "name_enc", child.id)
    async with district.transaction() as session:
        right = await families.correct_student(session, parent, child.id, Correction(birth_month="2017-06"))
    assert (families.name_of(right), families.birth_month_of(right)) == ("小明2", "2017-06")
    with pytest.raises(BadInput):
        async with district.transaction() as session:
            await families.correct_student(session, parent, child.id, Correction("小明3"))


async def test_nobody_touches_another_familys_child(world: World, district: District, parent: Parent) -> None:
    child, stranger = await enter(district, parent), await world.parent()
    async with district.transaction() as session:
        for act in (
            families.correct_student(session, stranger, child.id, Correction("李四")),
            families.agree(session, stranger, child.id, consenting.CURRENT),
            families.withdraw_consent(session, stranger, child.id),
            family_queries.student(session, stranger.guardian_id, child.id),
        ):
            with pytest.raises(NotFound):
                await act


async def test_a_child_entered_from_elsewhere_waits_for_its_guardian(world: World, district: District, parent: Parent) -> None:
    async with district.transaction() as session:
        [child] = await families.enter_students(session, [ChildDraft(parent.guardian_id, "王小明", "2017-05")])
    training_class = await world.training_class(await world.institution())
    with pytest.raises(Refused) as refusal:
        await world.sign(parent, training_class, child)
    assert refusal.value.code == "registry.consent_needed"
    async with district.transaction() as session:
        await families.agree(session, parent, child.id, consenting.CURRENT)
    assert (await world.sign(parent, training_class, child)).student_id == child.id


async def test_a_withdrawal_stops_what_is_new_and_hides_the_child(world: World, district: District, parent: Parent) -> None:
    institution = await world.institution()
    _, contract = await world.paid_contract(institution, parent)
    lesson, *_ = await world.lessons_of(contract)
    async with district.transaction() as session:
        await families.withdraw_consent(session, parent, contract.student_id)
        child = await session.get_one(Student, contract.student_id)
        [mine] = await family_queries.students(session, parent.guardian_id)
    assert (queries.masked_name(child), mine.name_masked, mine.consented) == ("已隐藏", "王*明", False)
    with pytest.raises(Refused) as refusal:
        await world.sign(parent, await world.training_class(institution), child)
    assert refusal.value.code == "registry.consent_needed"
    await world.deliver(institution, lesson)
    assert [each.outcome for each in await world.confirm(parent, lesson)] == ["confirmed"], "what was contracted goes on"
    async with district.transaction() as session:
        await families.agree(session, parent, child.id, consenting.CURRENT)
        assert queries.masked_name(await session.get_one(Student, child.id)) == "王*明"
        acts = [each.act for each in await family_queries.consents_of_child(session, child.id)]
    assert acts == ["given", "withdrawn", "given"]


async def test_an_older_text_is_not_enough(world: World, district: District, parent: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    child = await enter(district, parent)
    monkeypatch.setattr(consenting, "CURRENT", "2")
    training_class = await world.training_class(await world.institution())
    with pytest.raises(Refused) as refusal:
        await world.sign(parent, training_class, child)
    assert refusal.value.facts == {"field": "consent", "version": "2"}
