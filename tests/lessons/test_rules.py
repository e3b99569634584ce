"""What may happen to a lesson in each state, as pure decisions."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.contracts.models import LESSON_STATES
from app.db import District
from app.errors import Conflict
from app.lessons import rules
from app.policy.packs import pack_for

NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


async def test_only_a_delivered_lesson_is_confirmed_and_every_other_state_says_why_not(district: District) -> None:
    async with district.reading() as session:
        outcomes = {state: await session.scalar(text("SELECT lessons_outcome(:state)"), {"state": state}) for state in LESSON_STATES}
    assert outcomes == {
        "reserved": "not_delivered",
        "agreed": "not_delivered",
        "owed": "not_delivered",
        "contested": "not_delivered",
        "scheduled": "not_delivered",
        "missed": "not_delivered",
        "delivered": "confirmed",
        "lapsed": "not_delivered",
        "disputed": "disputed",
        "confirmed": "already_confirmed",
        "refunded": "refunded",
    }


def test_nationwide_a_release_is_final_at_once() -> None:
    assert rules.final_at(pack_for("510112", NOON.date()), NOON) == NOON


@pytest.mark.parametrize(("status", "final_at"), [("owed", None), ("delivered", None), ("confirmed", LATER)])
def test_what_can_still_be_disputed(status: str, final_at: datetime | None) -> None:
    rules.check_disputable(status, final_at, NOON)


@pytest.mark.parametrize(
    ("status", "final_at", "code"),
    [
        ("confirmed", NOON, "lessons.final"),
        ("disputed", None, "lessons.already_disputed"),
        ("contested", None, "lessons.already_disputed"),
        *((state, None, "lessons.not_delivered") for state in ("reserved", "agreed", "scheduled", "missed", "refunded", "lapsed")),
    ],
)
def test_what_cannot_be_disputed(status: str, final_at: datetime | None, code: str) -> None:
    with pytest.raises(Conflict, match=code):
        rules.check_disputable(status, final_at, NOON)
