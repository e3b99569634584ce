"""Everything the bank's counters share: its books, its faults, its notices and what it will do later."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from bank_adapters.mock_bank import books
from bank_adapters.mock_bank.knobs import Knobs
from bank_adapters.mock_bank.notices import Notices
from bank_adapters.mock_bank.store import Store


@dataclass(frozen=True, slots=True)
class Office:
    """One running bank. `public_url` is where people reach its pages; empty, it is the address of the call."""

    store: Store
    knobs: Knobs
    notices: Notices
    public_url: str
    deferred: asyncio.Event = field(default_factory=asyncio.Event)

    def defer(self, action: str, client: str, reference: str, body: dict[str, Any], seconds: float | None) -> None:
        """Do `action` after real seconds; None waits for its release."""
        due_at = None if seconds is None else time.time() + seconds
        self.store.db.execute(
            "INSERT INTO pending (due_at, action, client, reference, body) VALUES (?, ?, ?, ?, ?)",
            (due_at, action, client, reference, json.dumps(body)),
        )
        self.deferred.set()

    def pay(self, payment: books.Payment) -> date:
        """Move the money; its value date. A client whose account moved under no reference of its own gets a notice."""
        value_on = books.pay(self.store, payment)
        for account_no in (payment.source_no, payment.target_no):
            account = books.find_account(self.store, account_no)
            if account is not None and account["client"] not in (None, payment.client):
                self.notices.queue("account.moved", account["client"], None, account_no, payment.amount_fen, value_on)
        return value_on
