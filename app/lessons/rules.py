"""Decisions about one lesson, as pure functions of its state."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from app.errors import BadInput, Conflict
from app.policy.packs import Pack

MOST_AT_ONCE = 100


def not_deliverable(status: str) -> Conflict:
    """Why a class session that is over, and was in this state a moment ago, cannot be marked delivered; to be raised."""
    if status == "cancelled":
        return Conflict("lessons.session_cancelled", "该课次已取消，不能登记上课")
    return Conflict("lessons.already_delivered", "该课次已登记过上课，或刚刚改期")


def how_many(lesson_ids: Sequence[UUID]) -> list[UUID]:
    """The lessons to confirm, each once. Raises BadInput "lessons.how_many" for none or more than 100."""
    wanted = list(dict.fromkeys(lesson_ids))
    if not 1 <= len(wanted) <= MOST_AT_ONCE:
        raise BadInput("lessons.how_many", f"一次可确认 1 至 {MOST_AT_ONCE} 个课时", field="lesson_ids")
    return wanted


def final_at(pack: Pack, released_at: datetime) -> datetime:
    """The instant from which a release may be paid out and no longer disputed."""
    return released_at + timedelta(hours=pack.rule("release.final_after_hours").limits["hour"])


def check_disputable(status: str, final_at: datetime | None, now: datetime) -> None:
    """Let a guardian dispute a lesson that was taught, paid or not, and a confirmed one until its release (`final_at`) is final.

    Raises Conflict "lessons.already_disputed", "lessons.final" or "lessons.not_delivered".
    """
    if status in ("contested", "disputed"):
        raise Conflict("lessons.already_disputed", "该课时已在异议处理中")
    if status == "confirmed" and (final_at is None or now >= final_at):
        raise Conflict("lessons.final", "该课时已确认且划拨已生效，不能再提异议")
    if status not in ("owed", "delivered", "confirmed"):
        raise Conflict("lessons.not_delivered", "只能对已上课的课时提出异议")
