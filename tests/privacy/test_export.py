"""Everything about a family as a file, and nothing of anybody else's."""

import csv
import io
import json
from typing import Any

import pytest

from app import clock
from app.db import District
from app.portals.parent.takeaway import CSV
from app.privacy import export, lookups
from app.privacy.export import JSON, Form
from app.privacy.lookups import LookupDraft
from app.refunds import service as refunds
from app.registry import queries
from app.registry.models import TrainingClass
from app.security import Parent
from tests.school import School, found_school
from tests.world import World


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


async def taken(district: District, parent: Parent, form: Form) -> str:
    return b"".join([part async for part in export.stream(district, parent.guardian_id, form)]).decode()


async def everything(district: District, parent: Parent) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await taken(district, parent, JSON))
    return found


async def test_a_family_takes_everything_along(world: World, district: District, school: School) -> None:
    family = await school.enrol()
    other = await school.second_guardian(family)
    await school.deliver(1, family)
    await school.dispute(family, 1)
    asked = LookupDraft(family.contract.contract_no, "both", "dispute", "异议 1", "核实上课的孩子是谁")
    async with district.transaction() as session:
        await refunds.request(session, family.parent, family.contract.id, "搬家")
        await lookups.look_up(session, world.officer(), asked)
    found = await everything(district, family.parent)
    assert found["guardian"]["phone"].startswith("+86138")
    [child] = found["children"]
    assert (child["name"], child["birth_month"], child["stage"]) == ("王小明", "2017-05", child["stage"])
    assert [(each["act"], each["version"]) for each in child["consents"]] == [("given", "1")]
    assert ["****" in each["phone_masked"] for each in child["guardians"]] == [True, True]
    [contract] = found["contracts"]
    assert (contract["contract_no"], len(contract["lessons"]), contract["disputes"][0]["reason"]) == (
        family.contract.contract_no,
        4,
        "孩子说老师没有来",
    )
    assert "学员：王小明" in contract["document"]["text"]
    assert [each["amount_fen"] for each in found["payments"]] == [40_000]
    assert [each["amount_fen"] for each in found["refunds"]] == [30_000]
    assert [each["reason"] for each in found["lookups"]] == ["核实上课的孩子是谁"]
    assert "code" not in found["payments"][0]
    assert [each["contract_no"] for each in (await everything(district, other))["contracts"]] == [family.contract.contract_no]


async def test_another_familys_rows_are_not_in_it(world: World, district: District, school: School) -> None:
    await school.enrol()
    stranger = await world.parent()
    found = await everything(district, stranger)
    assert {name: found[name] for name in ("children", "contracts", "payments", "refunds", "lookups", "trials")} == {
        "children": [],
        "contracts": [],
        "payments": [],
        "refunds": [],
        "lookups": [],
        "trials": [],
    }


async def test_a_long_history_is_complete(world: World, district: District, school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """More contracts than a page of the list holds."""
    parent, now = await world.parent(), clock.now()
    child = await world.child(parent)
    monkeypatch.setattr(queries, "PAGE", 2)
    monkeypatch.setattr("app.contracts.queries.PAGE", 2)
    for _ in range(5):
        await world.sign(parent, await world.training_class(school.institution, lessons=1), child)
    found = await everything(district, parent)
    assert len({each["id"] for each in found["contracts"]}) == 5
    assert found["made_at"] >= now.isoformat()[:19]


async def test_the_sheet_names_the_child_and_computes_nothing(world: World, district: District, school: School) -> None:
    family = await school.enrol()
    parent = family.parent
    async with district.transaction() as session:
        (await session.get_one(TrainingClass, family.contract.class_id)).name = "=1+1"
    rows = list(csv.reader(io.StringIO((await taken(district, parent, CSV)).removeprefix("\ufeff"))))
    assert rows[0][3] == "孩子"
    assert {(row[2], row[3]) for row in rows[1:]} == {("'=1+1", "王小明")}
    assert [row[4] for row in rows[1:]] == ["1", "2", "3", "4"]
    assert {(row[6], row[7]) for row in rows[1:]} == {("100.00", "待上课")}
