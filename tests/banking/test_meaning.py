"""What a bank's line means, decided without a database."""

from datetime import UTC, date, datetime

import pytest

from app.banking.facts import meaning
from app.banking.models import Instruction
from bank_adapters.port import Direction, Movement


def line(direction: Direction = "out", amount_fen: int = 100, returns: bool = False) -> Movement:
    noon = datetime(2026, 11, 2, 4, tzinfo=UTC)
    return Movement("6228", direction, "1", amount_fen, 0, noon, date(2026, 11, 2), "R1", returns, "", "")


def instruction(status: str = "submitted", attempts: int = 1, given_back: bool = False) -> Instruction:
    ended = datetime(2026, 11, 2, tzinfo=UTC) if given_back else None
    return Instruction(status=status, attempts=attempts, amount_fen=100, unreserved_at=ended)


def test_money_that_arrives_is_received() -> None:
    assert meaning(line("in"), None).booked_as == "received"


@pytest.mark.parametrize("status", ["cleared", "submitted", "unknown", "rejected"])
def test_a_debit_under_a_sent_instruction_settles_it(status: str) -> None:
    row = instruction(status)
    assert meaning(line(), row) == meaning(line(), row)
    assert (meaning(line(), row).booked_as, meaning(line(), row).instruction) == ("settled", row)


@pytest.mark.parametrize(
    "row",
    [None, instruction("settled"), instruction("returned"), instruction("held", attempts=0), instruction("rejected", given_back=True)],
    ids=["nobody instructed it", "executed a second time", "executed after its return", "never sent", "given back already"],
)
def test_any_other_debit_was_taken(row: Instruction | None) -> None:
    assert meaning(line(), row).booked_as == "taken"


def test_a_debit_of_another_amount_was_taken() -> None:
    assert meaning(line(amount_fen=101), instruction()).booked_as == "taken"


def test_money_that_comes_back_after_its_debit_is_returned() -> None:
    assert meaning(line("in", returns=True), instruction("settled")).booked_as == "returned"


@pytest.mark.parametrize("status", ["submitted", "returned", "rejected"])
def test_money_that_comes_back_without_its_debit_waits_in_suspense(status: str) -> None:
    assert meaning(line("in", returns=True), instruction(status)).booked_as == "received"
