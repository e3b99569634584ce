"""Every fault that the bank can have, at every turn of the money: it arrives exactly once, or waits where everybody sees it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest

from app import clock, worker
from app.db import Database
from app.payments.rules import CODE_VALID
from app.reconciliation.queries import account_days
from app.refunds import service as refunds
from app.settlement import service as settlement
from bank_adapters.mock_bank.knobs import KnobKind, Operation
from tests.faults.scene import FEE_FEN, HOLD_UPS, LESSON_FEN, NINE_ON_A_MONDAY, Arrival, Day, End, Scene, begun
from tests.world import World

pytestmark = pytest.mark.timeout(240)

Scenes = dict[str, list[Scene]]
CALLS: dict[str, Operation] = {"payout": "transfer", "refund": "refund", "payment": "collect", "expiry": "close", "return": "refund"}
"""Every turn of the money, and the call to the bank that it makes."""
A_MOMENT = timedelta(seconds=5)

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
    "asked: no answer": {"kind": "timeout_before", "operation": "query", "times": 2},
    "asked: 500": {"kind": "error_after", "operation": "query", "times": 2},
    "asked: rejected": {"kind": "reject", "operation": "query", "times": 2},
    "asked: down": {"kind": "down", "operation": "query", "times": 2},
}

OUTAGES: dict[str, dict[str, Any]] = {"down": {}, "disconnected": {"drop_connection": True}}

WELL = ("paid out", "refunded", "in escrow", "lapsed", "sent back")
MATRIX = {
    #                        payout        refund        payment      expiry    return
    "none":                 WELL,
    "no answer, no effect": WELL,
    "no answer":            WELL,
    "500 after it":         WELL,
    "late":                 WELL,
    "late and unseen":      WELL,
    "rejected":             ("owed",       "kept",       "lapsed",    "lapsed", "sent twice"),
    "rejected later":       ("owed",       "kept",       "in escrow", "lapsed", "sent twice"),
    "rejected always":      ("owed",       "kept",       "lapsed",    "lapsed", "in sight"),
    "comes back":           ("owed again", "kept again", "in escrow", "lapsed", "sent anew"),
    "down":                 WELL,
    "disconnected":         WELL,
    "asked: no answer":     WELL,
    "asked: 500":           WELL,
    "asked: rejected":      WELL,
    "asked: down":          WELL,
}  # fmt: skip
ROWS: list[tuple[str, tuple[Arrival, ...]]] = [(fault, ("in order", "out of order")) for fault in MATRIX]
ROWS += [("none", (arrival,)) for arrival in ("twice", "delayed", "never")]


@pytest.mark.parametrize(("fault", "arrivals"), ROWS, ids=lambda each: each if isinstance(each, str) else " and ".join(each))
async def test_the_money_ends_where_it_belongs(world: World, database: Database, fault: str, arrivals: tuple[Arrival, ...]) -> None:
    async with begun(world, database) as day:
        scenes = {turn: [await day.scene(arrival) for arrival in arrivals] for turn in CALLS}
        await morning(day, scenes)
        await day.hold_up_notices()
        knobs = await strike(scenes, FAULTS[fault]) if fault in FAULTS else []
        await noon(day, scenes)
        if fault in OUTAGES:
            await sit_out(day, OUTAGES[fault])
        await day.come_to_rest()
        await day.held_up_notices_arrive()
        await day.night()
        for knob in knobs:
            await world.bank.wait_until_fired(knob, timeout_seconds=0)
        expected = {turn: [ENDS[end]] * len(arrivals) for turn, end in zip(CALLS, MATRIX[fault], strict=True)}
        assert {turn: [await scene.seen() for scene in scenes[turn]] for turn in CALLS} == expected
        await day.assert_all_is_told()


async def morning(day: Day, scenes: Scenes) -> None:
    """Some have paid, one lesson is confirmed, a code is about to expire, and somebody has been paid for twice."""
    await day.enrol(*scenes["payout"], *scenes["refund"], *scenes["return"])
    for scene in scenes["payout"]:
        first, *_ = await day.world.lessons_of(scene.signed)
        await day.world.deliver(scene.institution, first)
        await day.world.confirm(scene.parent, first)
    for scene in (*scenes["payment"], *scenes["expiry"]):
        await scene.sign()
    for scene in scenes["expiry"]:
        await scene.order()
    await day.world.work()
    # The bank is asked just before, and so not again before the time is over.
    await day.world.wait(CODE_VALID - A_MOMENT)
    await day.world.work()
    for scene in scenes["return"]:
        await scene.grandmother_pays()
    await day.notices_arrive()


async def noon(day: Day, scenes: Scenes) -> None:
    """All is asked for that needs the bank; the code expires; what was paid twice is for the worker to find."""
    for scene in scenes["payout"]:
        async with day.world.district.transaction() as session:
            await settlement.run(session, scene.institution.id, clock.today(), 1, "test")
    for scene in scenes["refund"]:
        async with day.world.district.transaction() as session:
            await refunds.request(session, scene.parent, scene.signed.id, "搬家")
    for scene in scenes["payment"]:
        await scene.order()
        scene.wants_to_pay = True
    await day.world.wait(A_MOMENT)


async def strike(scenes: Scenes, fault: dict[str, Any]) -> list[int]:
    """Order the fault for the call of each turn that it can befall; the bank's knobs."""
    knobs = []
    for turn, call in CALLS.items():
        for scene in scenes[turn]:
            if fault and befalls(call, fault):
                ordered = {"operation": call, "account_no": scene.supervised_no} | fault
                knobs.append(await scene.world.bank.knob(**ordered))
    return knobs


def befalls(call: Operation, fault: dict[str, Any]) -> bool:
    """An order has no second step that could fail, and nobody asks about one that is being closed."""
    second_step = fault["kind"] in ("late", "return_after_success") or fault.get("after_accept", False)
    return not (second_step and call in ("collect", "close")) and not (call == "close" and fault.get("operation") == "query")


async def sit_out(day: Day, outage: dict[str, Any]) -> None:
    """For a while the bank answers nothing at all, however often it is tried."""
    knob = await day.world.bank.knob("down", times=None, **outage)
    for seconds in (0, 5, 40):
        await day.go_on(timedelta(seconds=seconds))
    await day.world.bank.wait_until_fired(knob, times=len(day.scenes), timeout_seconds=0)
    await day.world.bank.clear_knobs(knob)


async def test_a_day_is_proved_as_soon_as_the_bank_states_it(world: World) -> None:
    await world.wait_until(NINE_ON_A_MONDAY)
    institution = await world.institution()
    await world.paid_contract(institution)
    await world.wait(timedelta(days=1))
    for kind in ("timeout_before", "timeout_after", "error_after", "reject", "down"):
        await world.bank.knob(kind, "statement")  # type: ignore[arg-type]
        assert (await worker.one_pass(world.district, world.banks)).failed == ("reconciliation.reconcile_due",)
    await world.work()
    async with world.district.reading() as session:
        [day] = await account_days(session, clock.today() - timedelta(days=1))
    assert (day.status, day.statement_fen, day.cash_fen) == ("matched", FEE_FEN, FEE_FEN)


def test_every_knob_is_in_the_matrix() -> None:
    tried = {fault["kind"] for fault in FAULTS.values() if fault} | set(HOLD_UPS.values())
    assert tried == {kind for each in get_args(KnobKind) for kind in get_args(each) or (each,)}
    assert MATRIX.keys() == FAULTS.keys() | OUTAGES.keys()
