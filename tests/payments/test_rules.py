"""What an arrival is, and when money goes back."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.payments import rules
from app.payments.rules import Arrival, Charge

HERE, THERE = UUID(int=1), UUID(int=2)
EXPIRES = datetime(2026, 3, 2, 1, 15, tzinfo=UTC)
PAID = ("paid", "closed")

arrivals = st.builds(
    Arrival,
    institution_id=st.sampled_from([HERE, THERE]),
    amount_fen=st.sampled_from([1, 40_000, 40_001]),
    occurred_at=st.sampled_from([EXPIRES + timedelta(seconds=s) for s in (-900, -1, 0, 1, 86_400)]),
)
charges = st.builds(
    Charge,
    institution_id=st.sampled_from([HERE, THERE]),
    amount_fen=st.sampled_from([1, 40_000, 40_001]),
    expires_at=st.just(EXPIRES),
    status=st.sampled_from(["created", "paid", "expired"]),
    contract_status=st.sampled_from(["created", "paid", "closed", "lapsed"]),
)


@given(arrivals, st.none() | charges)
def test_every_arrival_is_exactly_one_thing(arrival: Arrival, charge: Charge | None) -> None:
    outcome = rules.judge(arrival, charge)
    ours = charge is not None and charge.institution_id == arrival.institution_id
    if not ours or charge is None:
        assert outcome == "unknown_payer"
        return
    exact = arrival.amount_fen == charge.amount_fen
    in_time = arrival.occurred_at <= charge.expires_at
    taken = charge.status == "paid" or charge.contract_status in PAID
    seat = charge.contract_status == "created"
    assert (outcome == "matched") == (exact and in_time and seat and not taken)
    assert (outcome == "second") == taken
    assert (outcome == "wrong_amount") == (not exact and not taken)
    assert (outcome == "late") == (exact and not taken and not (in_time and seat))


@pytest.mark.parametrize(
    ("seconds", "status", "contract_status", "outcome"),
    [
        (0, "created", "created", "matched"),
        (1, "created", "created", "late"),
        (0, "expired", "created", "matched"),
        (0, "expired", "lapsed", "late"),
        (0, "expired", "paid", "second"),
        (-1, "paid", "paid", "second"),
        (-1, "paid", "closed", "second"),
    ],
)
def test_the_banks_clock_decides_what_is_in_time(seconds: int, status: str, contract_status: str, outcome: str) -> None:
    arrival = Arrival(HERE, 40_000, EXPIRES + timedelta(seconds=seconds))
    assert rules.judge(arrival, Charge(HERE, 40_000, EXPIRES, status, contract_status)) == outcome


@pytest.mark.parametrize(
    ("attempts", "minutes", "due"),
    [(0, 0, True), (1, 59, False), (1, 60, True), (2, 119, False), (2, 120, True), (3, 10_000, False)],
)
def test_money_goes_back_at_once_then_hourly_then_waits(attempts: int, minutes: int, due: bool) -> None:
    until = rules.returns_due(EXPIRES + timedelta(minutes=minutes)).get(attempts)
    assert (until is not None and until >= EXPIRES) is due
