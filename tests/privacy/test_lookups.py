"""Officers' look-ups: reasoned, logged, limited, and seen by the family."""

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from app.audit import AuditEntry
from app.db import District
from app.errors import DomainError
from app.privacy import lookups
from app.privacy.lookups import Disclosed, LookupDraft
from app.privacy.models import PersonalLookup
from app.security import SupervisionStaff
from tests.school import Family, School, found_school
from tests.world import World

REASON = "家长投诉孩子被代签到，核实身份"


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


@pytest.fixture
async def family(school: School) -> Family:
    return await school.sign()


@pytest.fixture
def officer(world: World) -> SupervisionStaff:
    return world.officer()


def draft(family: Family, **changed: str) -> LookupDraft:
    asked = {"shown": "both", "case_kind": "complaint", "case_no": "投诉 2026-17", "reason": REASON}
    return LookupDraft(**({"contract_no": family.contract.contract_no} | asked | changed))


async def look_up(district: District, officer: SupervisionStaff, asked: LookupDraft) -> Disclosed:
    async with district.transaction() as session:
        return await lookups.look_up(session, officer, asked)


async def refusal_of(district: District, officer: SupervisionStaff, asked: LookupDraft) -> tuple[str, object]:
    with pytest.raises(DomainError) as refusal:
        await look_up(district, officer, asked)
    return refusal.value.code, refusal.value.facts.get("field")


async def logged(district: District) -> int:
    async with district.reading() as session:
        return await session.scalar(select(func.count()).select_from(PersonalLookup)) or 0


async def test_what_was_asked_for_is_shown_and_logged(
    district: District, school: School, family: Family, officer: SupervisionStaff
) -> None:
    other = await school.second_guardian(family)
    both = await look_up(district, officer, draft(family))
    assert (both.student_name, both.birth_month, len(both.guardians)) == ("王小明", "2017-05", 2)
    named = await look_up(district, officer, draft(family, shown="student"))
    called = await look_up(district, officer, draft(family, shown="guardians", contract_no=f" {family.contract.contract_no.lower()} "))
    assert (named.student_name, named.guardians, called.student_name, called.birth_month) == ("王小明", [], "", "")
    assert called.guardians == both.guardians
    async with district.reading() as session:
        seen = [await lookups.lookups_of_guardian(session, each.guardian_id) for each in (family.parent, other)]
        assert seen[0] == seen[1] == await lookups.lookups(session)
        facts = list(await session.scalars(select(AuditEntry.facts).where(AuditEntry.action == "privacy.looked_up")))
    newest, *_, first = seen[0]
    assert (newest.shown, first.shown, first.case_kind, first.case_no, first.reason) == (
        "guardians",
        "both",
        "complaint",
        "投诉 2026-17",
        REASON,
    )
    assert first.student_name_masked == "王*明"
    assert "王小明" not in str(facts) + str(seen)
    assert len(facts) == 3


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"reason": ""}, ("reason.invalid", "reason")),
        ({"reason": "看看"}, ("reason.invalid", "reason")),
        ({"reason": "\u200b" * 9}, ("reason.invalid", "reason")),
        ({"case_no": " "}, ("privacy.case_no", "case_no")),
        ({"case_no": "x" * 41}, ("privacy.case_no", "case_no")),
        ({"case_kind": "curiosity"}, ("privacy.case", "case_kind")),
        ({"shown": "everything"}, ("privacy.shown", "shown")),
        ({"contract_no": "C510112260101AAAAAAAAAAAA"}, ("contracts.not_found", "contract_no")),
    ],
)
async def test_without_a_case_and_a_reason_nothing_is_shown(
    district: District, family: Family, officer: SupervisionStaff, changed: dict[str, str], expected: tuple[str, str]
) -> None:
    assert await refusal_of(district, officer, draft(family, **changed)) == expected
    assert await logged(district) == 0


async def test_a_curious_officer_is_stopped(
    district: District, world: World, family: Family, officer: SupervisionStaff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "MOST_A_DAY", 2)
    for _ in range(2):
        await look_up(district, officer, draft(family))
    assert (await refusal_of(district, officer, draft(family)))[0] == "privacy.too_many_lookups"
    await look_up(district, world.officer(), draft(family))
    assert await logged(district) == 3


async def test_another_family_sees_nothing_of_it(district: District, world: World, family: Family, officer: SupervisionStaff) -> None:
    await look_up(district, officer, draft(family))
    async with district.reading() as session:
        assert await lookups.lookups_of_guardian(session, (await world.parent()).guardian_id) == []


@pytest.mark.parametrize("change", ["UPDATE personal_lookup SET reason = 'x'", "DELETE FROM personal_lookup", "TRUNCATE personal_lookup"])
async def test_not_even_the_owner_changes_the_log(
    district: District, owner: District, family: Family, officer: SupervisionStaff, change: str
) -> None:
    await look_up(district, officer, draft(family))
    with pytest.raises(DBAPIError):
        async with owner.transaction() as session:
            await session.execute(text(change))
    assert await logged(district) == 1
