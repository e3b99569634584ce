"""Every state that a page can show has a Chinese word."""

import re
from typing import get_args

import pytest

from app.banking.models import INSTRUCTION_STATES
from app.payments.rules import Outcome
from app.portals.words import word
from app.reconciliation.rules import Kind
from app.supervision.rules import Level, Rule

SHOWN = {
    "instruction": INSTRUCTION_STATES,
    "receipt": sorted(set(get_args(Outcome)) - {"matched"}),
    "break": get_args(Kind),
    "rule": get_args(Rule),
    "level": get_args(Level),
}


@pytest.mark.parametrize(("subject", "value"), [(subject, value) for subject, values in SHOWN.items() for value in values])
def test_a_state_has_a_word(subject: str, value: str) -> None:
    assert re.fullmatch("[\u4e00-\u9fff]+", word(value, subject))
