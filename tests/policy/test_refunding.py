"""What used lessons cost when the rest is given back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.refunding import Cause, refund_fen
from tests.policy.sales import LONGQUANYI

PRO_RATA = LONGQUANYI.rule("refund.price")
AT_LIST = PRO_RATA.model_copy(update={"choices": {"own_reason": "list_price"}})
FORTY = {"paid_fen": 400_000, "bought": 40, "list_fen": 15_000}


@pytest.mark.parametrize(
    ("used", "cause", "pro_rata_fen", "at_list_fen"),
    [
        (10, "provider", 300_000, 300_000),
        (10, "neither", 300_000, 300_000),
        (10, "own_reason", 300_000, 250_000),
        (28, "provider", 120_000, 120_000),
        (28, "own_reason", 120_000, 0),
        (40, "own_reason", 0, 0),
        (0, "own_reason", 400_000, 400_000),
    ],
)
def test_forty_lessons_for_4000_yuan_posted_at_150_each(used: int, cause: Cause, pro_rata_fen: int, at_list_fen: int) -> None:
    assert refund_fen(PRO_RATA, **FORTY, used=used, cause=cause) == pro_rata_fen
    assert refund_fen(AT_LIST, **FORTY, used=used, cause=cause) == at_list_fen


def test_a_gift_makes_every_lesson_cheaper() -> None:
    in_yuan = {"paid_fen": 400_000, "bought": 4_000 + 1_000, "used": 1_500, "list_fen": 100}
    assert refund_fen(PRO_RATA, **in_yuan, cause="provider") == 280_000


def test_a_better_term_of_the_contract_wins() -> None:
    assert refund_fen(AT_LIST, **FORTY, used=28, cause="own_reason", contract_fen=50_000) == 50_000
    assert refund_fen(AT_LIST, **FORTY, used=28, cause="provider", contract_fen=50_000) == 120_000
    assert refund_fen(AT_LIST, **FORTY, used=28, cause="own_reason", contract_fen=900_000) == 400_000, "never more than was paid"


def test_local_rules_are_better_for_the_consumer_and_are_the_default() -> None:
    assert PRO_RATA.choices == {"own_reason": "pro_rata"}


@given(
    paid=st.integers(1, 10**7),
    bought=st.integers(1, 500),
    used=st.integers(0, 500),
    above=st.integers(0, 10**5),
    cause=st.sampled_from(["provider", "neither", "own_reason"]),
)
def test_nobody_gets_more_than_was_paid_or_less_than_nothing(paid: int, bought: int, used: int, above: int, cause: Cause) -> None:
    used = min(used, bought)
    facts = {"paid_fen": paid, "bought": bought, "used": used, "list_fen": -(-paid // bought) + above}
    pro_rata = refund_fen(PRO_RATA, **facts, cause=cause)
    assert 0 <= refund_fen(AT_LIST, **facts, cause=cause) <= pro_rata <= paid
    assert 0 <= pro_rata * bought - paid * (bought - used) < bought, "less than a fen is rounded, and not to the consumer's loss"
