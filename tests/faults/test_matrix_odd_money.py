"""Money that comes otherwise than expected, or is taken, however the bank tells of it: none is lost, none counts twice, all is seen."""

from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest

from app.db import Database
from app.payments.rules import CODE_VALID
from app.refunds import service as refunds
from tests.faults.scene import FEE_FEN, LESSON_FEN, Arrival, Day, End, Scene, begun
from tests.world import World

pytestmark = pytest.mark.timeout(240)

Scenes = dict[str, Scene]
TAKEN_FEN = 3 * LESSON_FEN

IN_ESCROW = End(
    payment="paid",
    contract="paid",
    lessons=("scheduled",) * 4,
    lines=("in",),
    at_bank={"supervised": FEE_FEN, "family": -FEE_FEN},
    books={"cash": FEE_FEN, "escrow": FEE_FEN},
)
SENT_BACK = End(instructions=("settled",), lines=("in", "out"), alerts=("unassigned_money",))
NOT_PAID = replace(SENT_BACK, payment="expired", contract="lapsed", lessons=("lapsed",) * 4)
PAID_ONCE = replace(IN_ESCROW, instructions=("settled",), lines=("in", "in", "out"), alerts=("unassigned_money",))

ENDS = {
    "another amount": NOT_PAID,
    "late": NOT_PAID,
    "after the seat is free": NOT_PAID,
    "both parents at once": PAID_ONCE,
    "grandmother too": PAID_ONCE,
    "a stranger": SENT_BACK,
    "an unnamed stranger": SENT_BACK,
    "a court takes some": replace(
        IN_ESCROW,
        lines=("in", "out"),
        at_bank={"supervised": FEE_FEN - TAKEN_FEN, "family": -FEE_FEN, "court": TAKEN_FEN},
        books={"cash": FEE_FEN - TAKEN_FEN, "shortfall": TAKEN_FEN, "escrow": FEE_FEN},
        alerts=("uninstructed_debit",),
        breaks=("uninstructed_debit",),
    ),
    "a court is faster than a refund": replace(
        IN_ESCROW,
        instructions=("rejected",),
        lines=("in", "out"),
        at_bank={"family": -FEE_FEN, "court": FEE_FEN},
        books={"shortfall": FEE_FEN, "escrow": FEE_FEN},
        alerts=("instruction_failed", "uninstructed_debit"),
        breaks=("uninstructed_debit",),
    ),
    "a stranger fills what a court took": End(
        payment="paid",
        contract="closed",
        lessons=("refunded",) * 4,
        instructions=("settled",),
        lines=("in", "out", "in", "out"),
        at_bank={"stranger": -TAKEN_FEN, "court": TAKEN_FEN},
        books={"shortfall": TAKEN_FEN, "suspense": TAKEN_FEN},
        in_sight_fen=TAKEN_FEN,
        alerts=("unassigned_money", "uninstructed_debit"),
        breaks=("uninstructed_debit",),
    ),
}
"""The last one's refund went out of the stranger's money, who gets it back as soon as somebody makes good what the court took."""


@pytest.mark.parametrize("arrival", get_args(Arrival))
async def test_odd_money_is_in_its_place(world: World, database: Database, arrival: Arrival) -> None:
    async with begun(world, database) as day:
        scenes = {oddity: await day.scene(arrival) for oddity in ENDS}
        await morning(day, scenes)
        await day.hold_up_notices()
        await noon(day, scenes)
        await day.notices_arrive()
        await day.world.wait(CODE_VALID + timedelta(minutes=1))
        await scenes["late"].grandmother_pays(late=True)
        await day.come_to_rest()
        await scenes["after the seat is free"].grandmother_pays(late=True)
        await day.come_to_rest()
        await day.held_up_notices_arrive()
        await day.night()
        assert {oddity: await scene.seen() for oddity, scene in scenes.items()} == ENDS
        await day.assert_all_is_told()


async def morning(day: Day, scenes: Scenes) -> None:
    """Some families have paid, the others have a cashier's page before them."""
    paid = ("grandmother too", "a court takes some", "a court is faster than a refund", "a stranger fills what a court took")
    await day.enrol(*(scenes[oddity] for oddity in paid))
    for oddity in ("another amount", "late", "after the seat is free", "both parents at once"):
        await scenes[oddity].sign()
        await scenes[oddity].order()
    await day.world.work()


async def noon(day: Day, scenes: Scenes) -> None:
    """All of it happens at the bank before the worker sees any."""
    await scenes["another amount"].grandmother_pays(FEE_FEN - 1)
    await scenes["both parents at once"].pay()
    await scenes["both parents at once"].grandmother_pays()
    await scenes["grandmother too"].grandmother_pays()
    await deposit(scenes["a stranger"])
    await deposit(scenes["an unnamed stranger"], anonymous=True)
    await take(scenes["a court takes some"], TAKEN_FEN)
    await ask_back(scenes["a court is faster than a refund"])
    await take(scenes["a court is faster than a refund"], FEE_FEN)
    await ask_back(scenes["a stranger fills what a court took"])
    await take(scenes["a stranger fills what a court took"], TAKEN_FEN)
    await deposit(scenes["a stranger fills what a court took"])


async def deposit(scene: Scene, anonymous: bool = False) -> None:
    await scene.world.bank.deposit_from_stranger(scene.supervised_no, TAKEN_FEN, scene.person("stranger"), "路人", anonymous)


async def take(scene: Scene, amount_fen: int) -> None:
    await scene.world.bank.debit_uninstructed(scene.supervised_no, amount_fen, scene.person("court"))


async def ask_back(scene: Scene) -> None:
    async with scene.world.district.transaction() as session:
        await refunds.request(session, scene.parent, scene.signed.id, "搬家")
