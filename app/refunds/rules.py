"""Decisions about giving money back, as pure functions."""

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from app.policy.packs import Pack


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a refund was approved, ready to be stored as JSON: the rule, the pack or the dispute it stands in, and the source.

    An officer's ruling is no rule of a pack, so it has no grade.
    """

    rule: str
    judged_by: str
    source: str
    grade: str | None
    message_zh: str


def untaught(pack: Pack, lesson_count: int) -> dict[str, Any]:
    """The finding that gives untaught lessons back at their full allocated price, at once."""
    rule = pack.rule("refund.untaught")
    assert rule.limits["bps"] == 10_000, "a pack that refunds a part needs a rule for the rest"
    return asdict(Finding("refund.untaught", pack.edition, rule.source, rule.grade, f"{rule.title_zh}，共 {lesson_count} 课时"))


def ruled(dispute_id: UUID) -> dict[str, Any]:
    """The finding that gives one disputed lesson back because an officer ruled so."""
    return asdict(Finding("refund.ruling", str(dispute_id), "监管部门对课时异议的裁决", None, "裁决退还本课时费用"))


def status_after_return(status_before: str, reopened: bool) -> str:
    """What a lesson becomes when the bank did not pay its refund out and the fee is back in escrow.

    A disputed lesson was ruled untaught, and a contract that stays closed is taught no more: the guardian may ask for these again.
    """
    return "scheduled" if status_before == "scheduled" and reopened else "missed"
