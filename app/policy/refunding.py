"""What is given back when some lessons have been used: how the used ones are priced."""

from typing import Literal

from app.policy.packs import Rule

Cause = Literal["provider", "neither", "own_reason"]
"""Whose doing the end of the contract is: the provider's, nobody's, or the consumer's own reason."""


def refund_fen(rule: Rule, *, paid_fen: int, bought: int, used: int, list_fen: int, cause: Cause, contract_fen: int = 0) -> int:
    """What the consumer gets back of `paid_fen`, in fen, rounded in the consumer's favour and never below zero (法释〔2025〕4号, 18–20).

    `bought` and `used` are lessons, or whatever the charge is measured in, with what was given on top; one of them is posted at
    `list_fen`. Not the consumer's fault: the used ones cost their share of what was paid. The consumer's own reason: as the rule
    `refund.price` says, their share or the posted price. `contract_fen` is what the contract promises: the better of the two counts.
    """
    assert paid_fen >= 0
    assert 0 <= used <= bought
    assert bought >= 1
    at_list = cause == "own_reason" and rule.choices["own_reason"] == "list_price"
    spent_fen = used * list_fen if at_list else paid_fen * used // bought
    return max(paid_fen - spent_fen, 0, min(contract_fen, paid_fen))
