"""Cashier orders: anybody may pay them until they expire; what arrives later or again is booked all the same."""

import secrets
import sqlite3
from typing import Any

from bank_adapters.mock_bank import books
from bank_adapters.mock_bank.forms import CollectionForm, PayerForm
from bank_adapters.mock_bank.office import Office
from bank_adapters.mock_bank.store import Refusal, to_text


def collect(office: Office, client: str, form: CollectionForm) -> sqlite3.Row:
    """Create the order, or find the one of the same reference.

    Raises Refusal `reference_conflict` where the reference stands for something else, and `account_unknown`.
    """
    books.clients_account(office.store, client, form.account_no)
    facts = {
        "account_no": form.account_no,
        "amount_fen": form.amount_fen,
        "subject": form.subject,
        "expires_at": to_text(form.expires_at),
        "return_url": form.return_url,
    }
    known = find(office, client, form.reference)
    if known is not None:
        if any(known[name] != value for name, value in facts.items()):
            raise Refusal("reference_conflict")
        return known
    if is_instruction(office, client, form.reference):
        raise Refusal("reference_conflict")
    office.store.db.execute(
        "INSERT INTO cashier_order (client, reference, account_no, amount_fen, subject, expires_at, return_url, token, status)"
        " VALUES (:client, :reference, :account_no, :amount_fen, :subject, :expires_at, :return_url, :token, 'open')",
        {**facts, "client": client, "reference": form.reference, "token": secrets.token_urlsafe(18)},
    )
    return require(office, client, form.reference)


def close(office: Office, client: str, reference: str) -> sqlite3.Row:
    """Close the order where it is still open. Raises Refusal `reference_unknown`."""
    order = require(office, client, reference)
    if order["status"] == "open":
        _set_status(office, order, "closed")
    return require(office, client, reference)


def find(office: Office, client: str, reference: str) -> sqlite3.Row | None:
    """The client's order under a reference; one whose time is over is closed by now."""
    return _current(
        office,
        office.store.db.execute("SELECT * FROM cashier_order WHERE client = ? AND reference = ?", (client, reference)).fetchone(),
    )


def find_by_token(office: Office, token: str) -> sqlite3.Row | None:
    """The order behind a cashier page."""
    return _current(office, office.store.db.execute("SELECT * FROM cashier_order WHERE token = ?", (token,)).fetchone())


def require(office: Office, client: str, reference: str) -> sqlite3.Row:
    """The client's order. Raises Refusal `reference_unknown`."""
    order = find(office, client, reference)
    if order is None:
        raise Refusal("reference_unknown", 404)
    return order


def whose(office: Office, client: str | None, reference: str) -> sqlite3.Row:
    """The only order under a reference, whoever's. Raises Refusal `reference_unknown` and `reference_ambiguous`."""
    rows = office.store.db.execute(
        "SELECT client FROM cashier_order WHERE reference = ? AND (? IS NULL OR client = ?)", (reference, client, client)
    ).fetchall()
    if not rows:
        raise Refusal("reference_unknown", 404)
    if len(rows) > 1:
        raise Refusal("reference_ambiguous")
    return require(office, rows[0]["client"], reference)


def receive(office: Office, order: sqlite3.Row, payer: PayerForm, amount_fen: int) -> None:
    """Book a payment for an order whatever its state. Only the exact amount, in time, makes it paid.

    Raises Refusal `payer_not_allowed`.
    """
    books.meet_outsider(office.store, payer.payer_account_no, payer.payer_name)
    client, reference, account_no = order["client"], order["reference"], order["account_no"]
    value_on = office.pay(books.Payment(payer.payer_account_no, account_no, amount_fen, client, reference))
    if order["status"] == "open" and amount_fen == order["amount_fen"]:
        _set_status(office, order, "paid")
    office.notices.queue("order.paid", client, reference, account_no, amount_fen, value_on)


def order_json(office: Office, order: sqlite3.Row, base_url: str) -> dict[str, Any]:
    """The order as its client sees it, with every movement that it received."""
    return {
        "kind": "order",
        "reference": order["reference"],
        "status": order["status"],
        "cashier_url": f"{(office.public_url or base_url).rstrip('/')}/cashier/{order['token']}",
        "movements": books.movements_under(office.store, order["client"], order["reference"], order["account_no"]),
    }


def is_instruction(office: Office, client: str, reference: str) -> bool:
    """Whether the reference stands for a refund or a transfer."""
    sql = "SELECT 1 FROM instruction WHERE client = ? AND reference = ?"
    return office.store.db.execute(sql, (client, reference)).fetchone() is not None


def _current(office: Office, order: sqlite3.Row | None) -> sqlite3.Row | None:
    if order is None or order["status"] != "open" or to_text(office.store.now()) < order["expires_at"]:
        return order
    _set_status(office, order, "closed")
    closed: sqlite3.Row = office.store.db.execute("SELECT * FROM cashier_order WHERE token = ?", (order["token"],)).fetchone()
    return closed


def _set_status(office: Office, order: sqlite3.Row, status: str) -> None:
    office.store.db.execute("UPDATE cashier_order SET status = ? WHERE token = ?", (status, order["token"]))
