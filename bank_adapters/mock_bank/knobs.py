"""Faults to order: each knob waits for a matching call or notice, fires its number of times and is spent."""

import asyncio
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bank_adapters.mock_bank.store import Store

CallKnob = Literal["down", "timeout_before", "timeout_after", "error_after", "late", "late_unseen", "reject", "return_after_success"]
NoticeKnob = Literal["notice_duplicate", "notice_delay", "notice_lost", "notice_reorder"]
KnobKind = CallKnob | NoticeKnob
Operation = Literal["any", "collect", "close", "refund", "transfer", "query", "balance", "check_holder", "statement"]
NOTICE_KNOBS: tuple[str, ...] = get_args(NoticeKnob)


@dataclass(frozen=True, slots=True)
class Call:
    """What a knob can match: the operation, and the reference and account that it concerns."""

    operation: str
    reference: str | None
    account_no: str | None


@dataclass(frozen=True, slots=True)
class Knob:
    """A knob that has just fired."""

    kind: str
    seconds: float | None
    code: str
    after_accept: bool
    drop_connection: bool


class Knobs:
    """The knobs in the data file, and whoever waits for one to fire."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: set[asyncio.Event] = set()

    def set(self, knob: dict[str, Any]) -> int:
        """Add a knob; its id."""
        cursor = self._store.db.execute(
            "INSERT INTO knob (kind, operation, reference, account_no, times_left, seconds, code, after_accept, drop_connection)"
            " VALUES (:kind, :operation, :reference, :account_no, :times, :seconds, :code, :after_accept, :drop_connection)",
            knob,
        )
        return cursor.lastrowid or 0

    def clear(self, knob_id: int | None) -> None:
        """Forget one knob, or all."""
        self._store.db.execute("DELETE FROM knob WHERE :knob_id IS NULL OR knob_id = :knob_id", {"knob_id": knob_id})

    def take(self, kind: KnobKind, call: Call, *, after_accept: bool = False) -> Knob | None:
        """Fire the oldest knob of a kind that matches the call."""
        row = self._store.db.execute(
            "SELECT * FROM knob WHERE kind = ? AND after_accept = ? AND operation IN ('any', ?) AND (times_left IS NULL OR times_left > 0)"
            " AND (reference IS NULL OR reference = ?) AND (account_no IS NULL OR account_no = ?) ORDER BY knob_id LIMIT 1",
            (kind, after_accept, call.operation, call.reference, call.account_no),
        ).fetchone()
        if row is None:
            return None
        self._store.db.execute("UPDATE knob SET fired = fired + 1, times_left = times_left - 1 WHERE knob_id = ?", (row["knob_id"],))
        for event in self._waiting:
            event.set()
        return Knob(row["kind"], row["seconds"], row["code"], bool(row["after_accept"]), bool(row["drop_connection"]))

    def fired(self, knob_id: int) -> int:
        """How often a knob has fired; 0 for one that is unknown or cleared."""
        row = self._store.db.execute("SELECT fired FROM knob WHERE knob_id = ?", (knob_id,)).fetchone()
        return int(row[0]) if row else 0

    async def wait_until_fired(self, knob_id: int, times: int, timeout_seconds: float) -> int:
        """Wait until a knob has fired that often; how often it has, also when the time is over."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(timeout_seconds):
                while self.fired(knob_id) < times:
                    event.clear()
                    await event.wait()
        except TimeoutError:
            return self.fired(knob_id)
        finally:
            self._waiting.discard(event)
        return self.fired(knob_id)
