"""What a refund stands on, and what becomes of a lesson whose refund was not paid, as pure decisions."""

from datetime import date

import pytest

from app.ids import uuid7
from app.policy.packs import pack_for
from app.refunds import rules
from tests.locality import stating


def test_the_finding_names_the_rule_its_pack_and_its_source() -> None:
    pack = pack_for("510112", date(2026, 3, 2))
    finding = rules.untaught(pack, 3)
    assert (finding["rule"], finding["judged_by"]) == ("refund.untaught", pack.edition)
    assert finding["source"]
    assert "3 课时" in finding["message_zh"]


def test_a_pack_that_gives_back_a_part_is_not_applied_in_silence() -> None:
    halved = stating(pack_for("510112", date(2026, 3, 2)), "refund.untaught", limits={"bps": 9_000, "hour": 0})
    with pytest.raises(AssertionError):
        rules.untaught(halved, 3)


def test_the_finding_of_a_ruling_names_its_dispute() -> None:
    dispute_id = uuid7()
    assert rules.ruled(dispute_id)["judged_by"] == str(dispute_id)


@pytest.mark.parametrize(
    ("before", "reopened", "after"),
    [
        ("scheduled", True, "scheduled"),
        ("scheduled", False, "missed"),
        ("missed", True, "missed"),
        ("disputed", True, "missed"),
        ("disputed", False, "missed"),
    ],
)
def test_an_unpaid_refund_gives_the_lesson_back(before: str, reopened: bool, after: str) -> None:
    assert rules.status_after_return(before, reopened) == after
