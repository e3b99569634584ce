"""Every fault that the bank can have, at every turn of the money: it arrives exactly once, or waits where everybody sees it."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, get_args

import pytest

from app import clock
from app.db import Database
from app.refunds import service as refunds
from app.settlement import service as settlement
from bank_adapters.mock_bank.knobs import KnobKind, Operation
from tests.faults.scene import FEE_FEN, HOLD_UPS, LESSON_FEN, Arrival, End, Scene, staged
from tests.world import World


@dataclass(frozen=True)
class Flow:
    """One turn of the money: what has happened before, what is done now, and the call to the bank that it makes."""

    call: Operation
    before: Callable[[Scene], Awaitable[None]]
    act: Callable[[Scene], Awaitable[None]]


async def ordered_and_open(scene: Scene) -> None:
    await scene.order()
    await scene.world.work()


async def nobody_pays(scene: Scene) -> None:
    await scene.world.wait(timedelta(minutes=16))


async def ask_for_a_refund(scene: Scene) -> None:
    assert scene.contract is not None
    async with scene.world.district.transaction() as session:
        await refunds.request(session, scene.parent, scene.contract.id, "搬家")


async def one_lesson_confirmed(scene: Scene) -> None:
    await scene.pay(starts_in=timedelta(hours=1))
    assert scene.contract is not None
    lesson = (await scene.world.lessons_of(scene.contract))[0]
    await scene.world.deliver(scene.institution, lesson)
    await scene.world.confirm(scene.parent, lesson)


async def run_settlement(scene: Scene) -> None:
    async with scene.world.district.transaction() as session:
        await settlement.run(session, scene.institution.id, clock.today(), 1, "test")


async def paid_twice(scene: Scene) -> None:
    await scene.pay()
    await scene.grandmother_pays()
    await scene.world.bank.wait_until_notices_settled()


async def the_worker_finds_it(scene: Scene) -> None:
    await scene.world.work()


FLOWS = {
    "payment": Flow("collect", Scene.order, Scene.pay_when_it_can),
    "expiry": Flow("close", ordered_and_open, nobody_pays),
    "refund": Flow("refund", Scene.pay, ask_for_a_refund),
    "payout": Flow("transfer", one_lesson_confirmed, run_settlement),
    "return": Flow("refund", paid_twice, the_worker_finds_it),
}

IN_ESCROW = End(
    payment="paid",
    contract="paid",
    lessons=("scheduled",) * 4,
    lines=("in",),
    at_bank={"supervised": FEE_FEN, "family": -FEE_FEN},
    books={"cash": FEE_FEN, "escrow": FEE_FEN},
)
REFUNDED = replace(
    IN_ESCROW, contract="closed", lessons=("refunded",) * 4, instructions=("settled",), lines=("in", "out"), at_bank={}, books={}
)
OWED = replace(
    IN_ESCROW,
    lessons=("confirmed", "scheduled", "scheduled", "scheduled"),
    books={"cash": FEE_FEN, "escrow": FEE_FEN - LESSON_FEN, "payable": LESSON_FEN},
    alerts=("instruction_failed",),
)
PAID_OUT = replace(
    OWED,
    instructions=("settled",),
    lines=("in", "out"),
    at_bank={"supervised": FEE_FEN - LESSON_FEN, "settlement": LESSON_FEN, "family": -FEE_FEN},
    books={"cash": FEE_FEN - LESSON_FEN, "escrow": FEE_FEN - LESSON_FEN},
    alerts=(),
)
SENT_BACK = replace(IN_ESCROW, instructions=("settled",), lines=("in", "in", "out"), alerts=("unassigned_money",))
TRIED_AGAIN = ("instruction_failed", "unassigned_money")

ENDS = {
    "in escrow": IN_ESCROW,
    "lapsed": End(payment="expired", contract="lapsed", lessons=("lapsed",) * 4),
    "refunded": REFUNDED,
    "kept": replace(IN_ESCROW, instructions=("rejected",), alerts=("instruction_failed",)),
    "kept again": replace(IN_ESCROW, instructions=("returned",), lines=("in", "out", "back"), alerts=("instruction_failed",)),
    "paid out": PAID_OUT,
    "owed": replace(OWED, instructions=("rejected",)),
    "owed again": replace(OWED, instructions=("returned",), lines=("in", "out", "back")),
    "sent back": SENT_BACK,
    "sent twice": replace(SENT_BACK, instructions=("rejected", "settled"), alerts=TRIED_AGAIN),
    "sent anew": replace(SENT_BACK, instructions=("returned", "settled"), lines=("in", "in", "out", "back", "out"), alerts=TRIED_AGAIN),
    "in sight": replace(
        SENT_BACK,
        instructions=("rejected",) * 3,
        lines=("in", "in"),
        at_bank={"supervised": 2 * FEE_FEN, "family": -FEE_FEN, "grandmother": -FEE_FEN},
        books={"cash": 2 * FEE_FEN, "escrow": FEE_FEN, "suspense": FEE_FEN},
        in_sight_fen=FEE_FEN,
        alerts=("instruction_failed",) * 3 + ("unassigned_money",),
    ),
}

FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "no answer, no effect": {"kind": "timeout_before"},
    "no answer": {"kind": "timeout_after"},
    "500 after it": {"kind": "error_after"},
    "late": {"kind": "late"},
    "late and unseen": {"kind": "late_unseen"},
    "rejected": {"kind": "reject"},
    "rejected later": {"kind": "reject", "after_accept": True},
    "rejected always": {"kind": "reject", "times": None},
    "comes back": {"kind": "return_after_success"},
    "down": {"kind": "down", "operation": "any", "times": 3},
    "disconnected": {"kind": "down", "operation": "any", "times": 3, "drop_connection": True},
    "asked: no answer": {"kind": "timeout_before", "operation": "query", "times": 2},
    "asked: 500": {"kind": "error_after", "operation": "query", "times": 2},
    "asked: rejected": {"kind": "reject", "operation": "query", "times": 2},
    "asked: down": {"kind": "down", "operation": "query", "times": 2},
}

NEVER = ""
"""An order has no second step that could fail."""

MATRIX = {
    #                         payment      expiry    refund        payout        return
    "none":                 ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
    "no answer, no effect": ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
    "no answer":            ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
    "500 after it":         ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
    "late":                 (NEVER,       NEVER,    "refunded",   "paid out",   "sent back"),
    "late and unseen":      ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
    "rejected":             ("lapsed",    "lapsed", "kept",       "owed",       "sent twice"),
    "rejected later":       (NEVER,       NEVER,    "kept",       "owed",       "sent twice"),
    "rejected always":      ("lapsed",    "lapsed", "kept",       "owed",       "in sight"),
    "comes back":           (NEVER,       NEVER,    "kept again", "owed again", "sent anew"),
    "down":                 ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
    "disconnected":         ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
    "asked: no answer":     ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
    "asked: 500":           ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
    "asked: rejected":      ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
    "asked: down":          ("in escrow", "lapsed", "refunded",   "paid out",   "sent back"),
}  # fmt: skip


def cells() -> Iterator[Any]:
    for fault, row in MATRIX.items():
        for (name, flow), end in zip(FLOWS.items(), row, strict=True):
            arrivals = get_args(Arrival) if fault == "none" else ("in order", "out of order")
            # The bank sends no notice of an order that nobody has paid.
            for arrival in arrivals[:1] if name == "expiry" else arrivals:
                if end != NEVER:
                    yield pytest.param(flow, fault, arrival, end, id=f"{name}, {fault}, {arrival}: {end}")


@pytest.mark.parametrize(("flow", "fault", "arrival", "end"), list(cells()))
async def test_the_money_ends_where_it_belongs(
    world: World, database: Database, flow: Flow, fault: str, arrival: Arrival, end: str
) -> None:
    async with staged(world, database) as scene:
        await flow.before(scene)
        held_up = await scene.hold_up(arrival)
        ordered = await order_fault(scene, flow, fault)
        await flow.act(scene)
        await scene.come_to_rest()
        for knob in filter(None, (held_up, ordered)):
            await world.bank.wait_until_fired(knob, timeout_seconds=0)
        await world.bank.clear_knobs()
        await scene.held_up_notices_arrive()
        await scene.night()
        assert await scene.seen() == ENDS[end]
        await scene.assert_all_is_told()


async def order_fault(scene: Scene, flow: Flow, fault: str) -> int | None:
    """Let the bank have the fault at the flow's call; the knob."""
    knob = {"operation": flow.call, **FAULTS[fault]}
    if "kind" not in knob:
        return None
    about = None if knob["operation"] == "any" else scene.supervised_no
    return await scene.world.bank.knob(account_no=about, **knob)


def test_every_knob_is_in_the_matrix() -> None:
    tried = {fault["kind"] for fault in FAULTS.values() if fault} | set(HOLD_UPS.values())
    assert tried == {kind for each in get_args(KnobKind) for kind in get_args(each) or (each,)}
    assert MATRIX.keys() == FAULTS.keys()
