"""What the bank does by itself, after a while or when it is released: late effects, rejections and returns."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bank_adapters.mock_bank import instructions, orders
from bank_adapters.mock_bank.forms import CollectionForm, RefundForm, TransferForm
from bank_adapters.mock_bank.office import Office
from bank_adapters.mock_bank.store import Refusal

Action = Callable[[Office, str, str, dict[str, Any]], object]

ACTIONS: dict[str, Action] = {
    "execute": lambda office, client, reference, body: instructions.execute(office, client, reference),
    "reject": lambda office, client, reference, body: instructions.reject(office, client, reference, body["code"]),
    "send_back": lambda office, client, reference, body: instructions.send_back(office, client, reference),
    "collect": lambda office, client, reference, body: orders.collect(office, client, CollectionForm.model_validate(body)),
    "close": lambda office, client, reference, body: orders.close(office, client, reference),
    "refund": lambda office, client, reference, body: instructions.refund(office, client, RefundForm.model_validate(body)),
    "transfer": lambda office, client, reference, body: instructions.transfer(office, client, TransferForm.model_validate(body)),
}


def run_due(office: Office) -> None:
    """Do everything whose time has come, in order."""
    _run(office, office.store.db.execute("SELECT * FROM pending WHERE due_at <= ? ORDER BY due_at, seq", (time.time(),)))


def release(office: Office, reference: str | None) -> int:
    """Do now what waits, all of it or one reference's; how many."""
    sql = "SELECT * FROM pending WHERE :reference IS NULL OR reference = :reference ORDER BY seq"
    return _run(office, office.store.db.execute(sql, {"reference": reference}))


async def keep_running(office: Office) -> None:
    """Do what is due when it is due, for as long as the bank runs."""
    while True:
        office.deferred.clear()
        run_due(office)
        due_at = office.store.db.execute("SELECT min(due_at) FROM pending").fetchone()[0]
        with suppress(TimeoutError):
            await asyncio.wait_for(office.deferred.wait(), None if due_at is None else max(0.0, due_at - time.time()))


def _run(office: Office, cursor: sqlite3.Cursor) -> int:
    rows = cursor.fetchall()
    for row in rows:
        with office.store.transaction():
            office.store.db.execute("DELETE FROM pending WHERE seq = ?", (row["seq"],))
            # A refusal is an answer that nobody waits for any more.
            with suppress(Refusal):
                ACTIONS[row["action"]](office, row["client"], row["reference"], json.loads(row["body"]))
    return len(rows)
