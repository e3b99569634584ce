"""What an arrival is, and when money goes back."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.payments import rules
from app.payments.rules import Arrival, Awaited

HERE, THERE = UUID(int=1), UUID(int=2)
EXPIRES = datetime(2026, 3, 2, 1, 15, tzinfo=UTC)

arrivals = st.builds(
    Arrival,
    institution_id=st.sampled_from([HERE, THERE]),
    amount_fen=st.sampled_from([1, 40_000, 40_001]),
    occurred_at=st.sampled_from([EXPIRES + timedelta(seconds=s) for s in (-900, -1, 0, 1, 86_400)]),
)
awaited_payments = st.builds(
    Awaited,
    institution_id=st.sampled_from([HERE, THERE]),
    amount_fen=st.sampled_from([1, 40_000, 40_001]),
    expires_at=st.just(EXPIRES),
    status=st.sampled_from(["created", "paid", "expired"]),
    charge_status=st.sampled_from(["planned", "paid", "lapsed"]),
)


@given(arrivals, st.none() | awaited_payments)
def test_every_arrival_is_exactly_one_thing(arrival: Arrival, awaited: Awaited | None) -> None:
    outcome = rules.judge(arrival, awaited)
    ours = awaited is not None and awaited.institution_id == arrival.institution_id
    if not ours or awaited is None:
        assert outcome == "unknown_payer"
        return
    exact = arrival.amount_fen == awaited.amount_fen
    in_time = arrival.occurred_at <= awaited.expires_at
    taken = "paid" in (awaited.status, awaited.charge_status)
    due = awaited.charge_status == "planned"
    assert (outcome == "matched") == (exact and in_time and due and not taken)
    assert (outcome == "second") == taken
    assert (outcome == "wrong_amount") == (not exact and not taken)
    assert (outcome == "late") == (exact and not taken and not (in_time and due))


@pytest.mark.parametrize(
    ("seconds", "status", "charge_status", "outcome"),
    [
        (0, "created", "planned", "matched"),
        (1, "created", "planned", "late"),
        (0, "expired", "planned", "matched"),
        (0, "expired", "lapsed", "late"),
        (0, "created", "lapsed", "late"),
        (0, "expired", "paid", "second"),
        (-1, "paid", "paid", "second"),
    ],
)
def test_the_banks_clock_decides_what_is_in_time(seconds: int, status: str, charge_status: str, outcome: str) -> None:
    arrival = Arrival(HERE, 40_000, EXPIRES + timedelta(seconds=seconds))
    assert rules.judge(arrival, Awaited(HERE, 40_000, EXPIRES, status, charge_status)) == outcome


@pytest.mark.parametrize(
    ("attempts", "minutes", "due"),
    [(0, 0, True), (1, 59, False), (1, 60, True), (2, 119, False), (2, 120, True), (3, 10_000, False)],
)
def test_money_goes_back_at_once_then_hourly_then_waits(attempts: int, minutes: int, due: bool) -> None:
    until = rules.returns_due(EXPIRES + timedelta(minutes=minutes)).get(attempts)
    assert (until is not None and until >= EXPIRES) is due
