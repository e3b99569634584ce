"""Where the pack says so, old stock is paid out in tranches: at a third, at two thirds, at the end of the lessons."""

from datetime import date

import pytest

from app.policy.packs import Pack, Rule, pack_for
from app.settlement import tranches
from app.settlement.rules import reached_fen
from tests.old_families import deposit, old_family, rule_on, settle, taught
from tests.school import School, found_school
from tests.world import World

BINHAI = "120116"


@pytest.fixture
def in_binhai(monkeypatch: pytest.MonkeyPatch) -> None:
    def pack(district: str, on: date) -> Pack:
        return pack_for(BINHAI, on)

    monkeypatch.setattr(tranches, "pack_for", pack)


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world, lesson_count=6)


def binhai() -> Rule:
    return pack_for(BINHAI, date(2026, 3, 3)).rule("custody.old")


@pytest.mark.parametrize(
    ("confirmed", "reached"),
    [(0, 0), (1, 0), (2, 180_00), (3, 180_00), (4, 360_00), (5, 360_00), (6, 600_00)],
)
def test_thirds_of_the_lessons_reach_tranches_of_the_money(confirmed: int, reached: int) -> None:
    assert reached_fen(binhai(), 600_00, 6, confirmed) == reached


def test_a_tranche_is_rounded_down() -> None:
    assert reached_fen(binhai(), 1_01, 3, 1) == 30


async def funded(school: School) -> None:
    """The institution pays its shortfall in."""
    await rule_on(school, await deposit(school, 600_00), "made_good")


async def paid(school: School, run_no: int) -> int:
    payout = await settle(school, run_no)
    return payout.amount_fen if payout else 0


@pytest.mark.usefixtures("in_binhai")
async def test_confirmed_fees_wait_for_their_tranche_and_leave_whole(school: School) -> None:
    old = await old_family(school, lesson_count=6)
    await funded(school)
    amounts = []
    for number in range(1, 7):
        await taught(school, number, old)
        amounts.append(await paid(school, number))
    assert amounts == [0, 100_00, 0, 200_00, 0, 300_00]
    assert await school.totals() == {"cash": 600_00, "outgoing": 600_00}


@pytest.mark.usefixtures("in_binhai")
async def test_other_families_fees_wait_for_nothing(school: School) -> None:
    old, new = await old_family(school, lesson_count=6), await school.enrol()
    await funded(school)
    await taught(school, 1, old, new)
    assert await paid(school, 1) == 100_00
    assert (await school.totals())["payable"] == 100_00


@pytest.mark.usefixtures("in_binhai")
async def test_a_lesson_that_was_missed_holds_up_nothing_at_the_end(school: School) -> None:
    old = await old_family(school, lesson_count=6)
    await funded(school)
    for number in range(1, 6):
        await taught(school, number, old)
    await school.deliver(6)
    assert await paid(school, 1) == 500_00


@pytest.mark.usefixtures("in_binhai")
async def test_what_waits_for_its_tranche_makes_the_shortfall_good(school: School) -> None:
    old = await old_family(school, lesson_count=6)
    await taught(school, 1, old)
    assert await paid(school, 1) == 0
    assert await school.totals() == {"escrow": 500_00, "shortfall": 500_00}


async def test_a_pack_without_tranches_pays_lesson_by_lesson(school: School) -> None:
    old = await old_family(school, lesson_count=6)
    await funded(school)
    await taught(school, 1, old)
    assert await paid(school, 1) == 100_00
