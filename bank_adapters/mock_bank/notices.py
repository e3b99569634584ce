"""Signed notices to clients: queued with the money they speak of, delivered in the background, retried until they are taken."""

import asyncio
import json
import sqlite3
import time
import uuid
from contextlib import suppress
from datetime import date, datetime
from typing import Any

import httpx

from bank_adapters import webhooks
from bank_adapters.mock_bank.knobs import Call, Knobs
from bank_adapters.mock_bank.store import Refusal, Store, to_text

MAX_ATTEMPTS = 50
MAX_PAUSE_SECONDS = 60.0
DELIVERY_TIMEOUT_SECONDS = 5.0


class Notices:
    """The queue in the data file and one delivery task per client, so that a dead receiver delays only itself."""

    def __init__(self, store: Store, knobs: Knobs) -> None:
        self._store = store
        self._knobs = knobs
        self._http = httpx.AsyncClient(timeout=DELIVERY_TIMEOUT_SECONDS, trust_env=False)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wakers: dict[str, asyncio.Event] = {}
        self._waiting: set[asyncio.Event] = set()

    def start(self) -> None:
        """Go on with what an earlier process left in the queue. Needs a running event loop."""
        for row in self._store.db.execute("SELECT slug FROM client").fetchall():
            self._wake(row["slug"])

    async def stop(self) -> None:
        """Stop delivering; the queue stays."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._http.aclose()

    def queue(self, event: str, client: str, reference: str | None, account_no: str, amount_fen: int, value_on: date) -> None:
        """Write a notice in the same transaction as what it speaks of."""
        row = self._store.db.execute("SELECT notice_url FROM client WHERE slug = ?", (client,)).fetchone()
        if row is None or row["notice_url"] is None or self._store.setting("notices_enabled", "1") != "1":
            return
        data = {
            "reference": reference,
            "account_no": account_no,
            "amount_fen": amount_fen,
            "value_on": value_on.isoformat(),
        }
        body = json.dumps({"type": event, "timestamp": to_text(self._store.now()), "data": data}, separators=(",", ":")).encode()
        call = Call(event, reference, account_no)
        delay = self._knobs.take("notice_delay", call)
        lost, held = self._knobs.take("notice_lost", call), self._knobs.take("notice_reorder", call)
        twice = self._knobs.take("notice_duplicate", call)
        self._store.db.execute(
            "INSERT INTO notice (notice_id, client, event, reference, account_no, body, state, copies_left, attempts, next_try_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
            (
                f"msg_{uuid.uuid4().hex}",
                client,
                event,
                reference,
                account_no,
                body,
                "lost" if lost else "held" if held else "queued",
                2 if twice else 1,
                time.time() + ((delay.seconds or 0.0) if delay else 0.0),
            ),
        )
        self._wake(client)

    def all(self, client: str | None) -> list[dict[str, Any]]:
        """Every notice ever written, in order, with what became of it."""
        rows = self._store.db.execute("SELECT * FROM notice WHERE ? IS NULL OR client = ? ORDER BY seq", (client, client))
        shown = ("notice_id", "client", "event", "reference", "account_no", "state", "attempts")
        return [{name: row[name] for name in shown} for row in rows]

    def resend(self, notice_id: str) -> None:
        """Deliver a notice again under its own id, whatever became of it. Raises Refusal `notice_unknown`."""
        row = self._store.db.execute("SELECT client FROM notice WHERE notice_id = ?", (notice_id,)).fetchone()
        if row is None:
            raise Refusal("notice_unknown", 404)
        self._store.db.execute(
            "UPDATE notice SET copies_left = CASE WHEN state IN ('queued', 'delivered') THEN copies_left + 1 ELSE 1 END,"
            " state = 'queued', next_try_at = ? WHERE notice_id = ?",
            (time.time(), notice_id),
        )
        self._wake(row["client"])

    def release(self) -> None:
        """Deliver now what is delayed, held back or waiting for its next attempt."""
        self._store.db.execute("UPDATE notice SET state = 'queued', next_try_at = ? WHERE state IN ('queued', 'held')", (time.time(),))
        for slug in list(self._wakers):
            self._wake(slug)

    async def settle(self, timeout_seconds: float) -> bool:
        """Wait until nothing is queued; False when the time is over first."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(timeout_seconds):
                while self._store.db.execute("SELECT 1 FROM notice WHERE state = 'queued' LIMIT 1").fetchone():
                    event.clear()
                    await event.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(event)
        return True

    def _wake(self, slug: str) -> None:
        if slug not in self._tasks:
            self._wakers[slug] = asyncio.Event()
            self._tasks[slug] = asyncio.create_task(self._deliver_to(slug))
        self._wakers[slug].set()

    async def _deliver_to(self, slug: str) -> None:
        waker = self._wakers[slug]
        while True:
            waker.clear()
            row = self._store.db.execute(
                "SELECT * FROM notice WHERE client = ? AND state = 'queued' AND next_try_at <= ? ORDER BY seq LIMIT 1",
                (slug, time.time()),
            ).fetchone()
            if row is not None:
                taken = await self._attempt(row)
                self._record(row, taken)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(waker.wait(), self._pause(slug))

    def _pause(self, slug: str) -> float | None:
        row = self._store.db.execute("SELECT min(next_try_at) FROM notice WHERE client = ? AND state = 'queued'", (slug,)).fetchone()
        return None if row[0] is None else max(0.0, float(row[0]) - time.time())

    async def _attempt(self, row: sqlite3.Row) -> bool:
        client = self._store.db.execute("SELECT * FROM client WHERE slug = ?", (row["client"],)).fetchone()
        if client is None or client["notice_url"] is None:
            return False
        sent_at: datetime = self._store.now()
        headers = webhooks.sign(client["notice_secret"], row["notice_id"], sent_at, row["body"])
        try:
            answer = await self._http.post(
                client["notice_url"], content=row["body"], headers=headers | {"content-type": "application/json"}
            )
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _record(self, row: sqlite3.Row, taken: bool) -> None:
        db = self._store.db
        attempts = row["attempts"] + 1
        if taken:
            # As it stands now: one more copy may have been asked for while this one was under way.
            left = db.execute("SELECT copies_left FROM notice WHERE notice_id = ?", (row["notice_id"],)).fetchone()["copies_left"]
            state = "queued" if left > 1 else "delivered"
            next_try_at = time.time()
            # What was held back to come out of order may follow now.
            db.execute(
                "UPDATE notice SET state = 'queued', next_try_at = ? WHERE client = ? AND state = 'held' AND seq < ?",
                (next_try_at, row["client"], row["seq"]),
            )
        else:
            base = float(self._store.setting("notice_retry_base_seconds", "0.5"))
            state = "failed" if attempts >= MAX_ATTEMPTS else "queued"
            next_try_at = time.time() + min(base * 2 ** min(attempts - 1, 20), MAX_PAUSE_SECONDS)
        db.execute(
            "UPDATE notice SET state = ?, copies_left = copies_left - ?, attempts = ?, next_try_at = ? WHERE notice_id = ?",
            (state, taken, attempts, next_try_at, row["notice_id"]),
        )
        for event in self._waiting:
            event.set()
