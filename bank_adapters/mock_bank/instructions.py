"""Refunds and transfers: one reference pays once, and may be late, rejected, or come back after success."""

import sqlite3
from datetime import date
from typing import Any

from bank_adapters.mock_bank import books
from bank_adapters.mock_bank.forms import RefundForm, TransferForm
from bank_adapters.mock_bank.knobs import Call
from bank_adapters.mock_bank.office import Office
from bank_adapters.mock_bank.store import Refusal, value_day

FACTS = ("kind", "account_no", "amount_fen", "payee_account_no", "payee_name", "original_movement_id")


def refund(office: Office, client: str, form: RefundForm) -> sqlite3.Row:
    """Send (part of) a movement back to whoever paid it.

    Raises Refusal `account_unknown`, `movement_unknown`, `reference_conflict`, `refund_exceeds_original`, `insufficient_funds`.
    """
    account = books.clients_account(office.store, client, form.account_no)
    original = office.store.db.execute(
        "SELECT * FROM movement WHERE account_no = ? AND movement_id = ? AND direction = 'in'",
        (form.account_no, form.original_movement_id),
    ).fetchone()
    if original is None:
        raise Refusal("movement_unknown", 404)
    payee = books.find_account(office.store, original["other_account_no"])
    assert payee is not None
    facts = ("refund", form.account_no, form.amount_fen, payee["account_no"], payee["holder_name"], form.original_movement_id)
    if known := _known(office, client, form.reference, facts):
        return known
    refunded_fen = office.store.db.execute(
        "SELECT coalesce(sum(amount_fen), 0) FROM instruction"
        " WHERE account_no = ? AND original_movement_id = ? AND status IN ('accepted', 'executed')",
        (form.account_no, form.original_movement_id),
    ).fetchone()[0]
    if refunded_fen + form.amount_fen > original["amount_fen"]:
        raise Refusal("refund_exceeds_original")
    return _accept(office, client, form.reference, facts, account)


def transfer(office: Office, client: str, form: TransferForm) -> sqlite3.Row:
    """Send money to an account that the bank knows under exactly that name.

    Raises Refusal `account_unknown`, `reference_conflict`, `payee_unknown`, `payee_name_mismatch`, `same_account`,
    `insufficient_funds`.
    """
    account = books.clients_account(office.store, client, form.account_no)
    facts = ("transfer", form.account_no, form.amount_fen, form.payee_account_no, form.payee_name, None)
    if known := _known(office, client, form.reference, facts):
        return known
    payee = books.find_account(office.store, form.payee_account_no)
    if payee is None:
        raise Refusal("payee_unknown", 404)
    if payee["holder_name"] != form.payee_name:
        raise Refusal("payee_name_mismatch")
    if form.payee_account_no == form.account_no:
        raise Refusal("same_account")
    return _accept(office, client, form.reference, facts, account)


def execute(office: Office, client: str, reference: str) -> None:
    """Move the money of an accepted instruction, or reject it where the account no longer holds enough."""
    row = require(office, client, reference)
    if row["status"] != "accepted":
        return
    if books.clients_account(office.store, client, row["account_no"])["balance_fen"] < row["amount_fen"]:
        reject(office, client, reference, "insufficient_funds")
        return
    value_on = office.pay(books.Payment(row["account_no"], row["payee_account_no"], row["amount_fen"], client, reference))
    _move_on(office, row, "executed", value_on)
    if knob := office.knobs.take("return_after_success", Call(row["kind"], reference, row["account_no"])):
        office.defer("send_back", client, reference, {}, knob.seconds or 0.0)


def reject(office: Office, client: str, reference: str, code: str) -> None:
    """Reject an accepted instruction; no money moves."""
    row = require(office, client, reference)
    if row["status"] == "accepted":
        _move_on(office, row, "rejected", value_day(office.store.now()), code)


def send_back(office: Office, client: str, reference: str) -> None:
    """Return the money of an executed instruction. Raises Refusal `reference_unknown` and `not_executed`."""
    row = require(office, client, reference)
    if row["status"] != "executed":
        raise Refusal("not_executed")
    payment = books.Payment(row["payee_account_no"], row["account_no"], row["amount_fen"], client, reference, returns=True)
    _move_on(office, row, "returned", office.pay(payment))


def find(office: Office, client: str, reference: str) -> sqlite3.Row | None:
    """The client's instruction under a reference."""
    row: sqlite3.Row | None = office.store.db.execute(
        "SELECT * FROM instruction WHERE client = ? AND reference = ?", (client, reference)
    ).fetchone()
    return row


def require(office: Office, client: str, reference: str) -> sqlite3.Row:
    """The client's instruction. Raises Refusal `reference_unknown`."""
    row = find(office, client, reference)
    if row is None:
        raise Refusal("reference_unknown", 404)
    return row


def instruction_json(office: Office, row: sqlite3.Row) -> dict[str, Any]:
    """The instruction as its client sees it, with every movement that it caused on the client's account."""
    return {
        "kind": "instruction",
        "reference": row["reference"],
        "status": row["status"],
        "reject_code": row["reject_code"],
        "movements": books.movements_under(office.store, row["client"], row["reference"], row["account_no"]),
    }


def _known(office: Office, client: str, reference: str, facts: tuple[Any, ...]) -> sqlite3.Row | None:
    row = find(office, client, reference)
    if row is not None and tuple(row[name] for name in FACTS) == facts:
        return row
    sql = "SELECT 1 FROM cashier_order WHERE client = ? AND reference = ?"
    if row is not None or office.store.db.execute(sql, (client, reference)).fetchone():
        raise Refusal("reference_conflict")
    return None


def _accept(office: Office, client: str, reference: str, facts: tuple[Any, ...], account: sqlite3.Row) -> sqlite3.Row:
    kind, account_no, amount_fen = facts[:3]
    if account["balance_fen"] < amount_fen:
        raise Refusal("insufficient_funds")
    office.store.db.execute(
        "INSERT INTO instruction (client, reference, status, kind, account_no, amount_fen, payee_account_no, payee_name,"
        " original_movement_id) VALUES (?, ?, 'accepted', ?, ?, ?, ?, ?, ?)",
        (client, reference, *facts),
    )
    call = Call(kind, reference, account_no)
    if knob := office.knobs.take("late", call):
        office.defer("execute", client, reference, {}, knob.seconds)
    elif knob := office.knobs.take("reject", call, after_accept=True):
        office.defer("reject", client, reference, {"code": knob.code}, knob.seconds or 0.0)
    else:
        execute(office, client, reference)
    return require(office, client, reference)


def _move_on(office: Office, row: sqlite3.Row, status: str, value_on: date, reject_code: str | None = None) -> None:
    office.store.db.execute(
        "UPDATE instruction SET status = ?, reject_code = ? WHERE client = ? AND reference = ?",
        (status, reject_code, row["client"], row["reference"]),
    )
    event = f"instruction.{status}"
    office.notices.queue(event, row["client"], row["reference"], row["account_no"], row["amount_fen"], value_on)
