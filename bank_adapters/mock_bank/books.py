"""The bank's own books: accounts, movements in pairs, statements, and the proof that no money was made or lost."""

import sqlite3
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from bank_adapters.mock_bank.store import VAULT, Refusal, Store, to_text, value_day


@dataclass(frozen=True, slots=True)
class Payment:
    """Money out of one account and into another.

    `client` and `reference` say whose reference it carries, `returns` that it comes back after success,
    `anonymous` that neither statement names the other side.
    """

    source_no: str
    target_no: str
    amount_fen: int
    client: str | None = None
    reference: str | None = None
    returns: bool = False
    anonymous: bool = False


def open_account(store: Store, account_no: str, holder_name: str, client: str | None, opening_fen: int) -> None:
    """Open an account with money out of the vault; the same facts again change nothing.

    Raises Refusal `account_conflict` for other facts and `client_unknown`.
    """
    facts = (holder_name, client, opening_fen)
    with store.transaction():
        known = find_account(store, account_no)
        if known is not None:
            if (known["holder_name"], known["client"], known["opening_fen"]) != facts:
                raise Refusal("account_conflict")
            return
        if client is not None and not store.db.execute("SELECT 1 FROM client WHERE slug = ?", (client,)).fetchone():
            raise Refusal("client_unknown", 404)
        store.db.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?, NULL)", (account_no, *facts, opening_fen))
        store.db.execute(
            "UPDATE account SET opening_fen = opening_fen - :fen, balance_fen = balance_fen - :fen WHERE account_no = :vault",
            {"fen": opening_fen, "vault": VAULT},
        )


def meet_outsider(store: Store, account_no: str, holder_name: str) -> None:
    """Let an account of the outside world exist. Raises Refusal `payer_not_allowed` for a client's account or the vault."""
    known = find_account(store, account_no)
    if known is None:
        open_account(store, account_no, holder_name, None, 0)
    elif known["client"] is not None or account_no == VAULT:
        raise Refusal("payer_not_allowed")


def find_account(store: Store, account_no: str) -> sqlite3.Row | None:
    """The account, whoever has it."""
    row: sqlite3.Row | None = store.db.execute("SELECT * FROM account WHERE account_no = ?", (account_no,)).fetchone()
    return row


def clients_account(store: Store, client: str, account_no: str) -> sqlite3.Row:
    """The account, where it belongs to the client. Raises Refusal `account_unknown` for absent and for someone else's."""
    row = find_account(store, account_no)
    if row is None or row["client"] != client:
        raise Refusal("account_unknown", 404)
    return row


def check_holder(store: Store, client: str, account_no: str, holder_name: str) -> dict[str, Any]:
    """Whether an account bears a name, and belongs to the client; a walk-in bank opens it first. Raises Refusal `account_unknown`."""
    if store.setting("walk_in", "0") == "1" and find_account(store, account_no) is None:
        open_account(store, account_no, holder_name, client, 0)
    row = find_account(store, account_no)
    if row is None or account_no == VAULT:
        raise Refusal("account_unknown", 404)
    return {"account_no": account_no, "name_matches": row["holder_name"] == holder_name, "instructable": row["client"] == client}


def pay(store: Store, payment: Payment) -> date:
    """Move the money between two known accounts, inside a transaction; its value date. The balance is the caller's to check."""
    source, target = (find_account(store, no) for no in (payment.source_no, payment.target_no))
    assert source is not None
    assert target is not None
    assert payment.source_no != payment.target_no
    # A client's account never goes back in time, wherever the clock was set: statements depend on it.
    now = max([to_text(store.now())] + [row["last_moved_at"] for row in (source, target) if row["client"] and row["last_moved_at"]])
    pair: int = store.db.execute("SELECT coalesce(max(seq), 0) + 1 FROM movement").fetchone()[0]
    _book_side(store, pair, "out", now, payment, source, target)
    _book_side(store, pair, "in", now, payment, target, source)
    return value_day(datetime.fromisoformat(now))


def _book_side(store: Store, pair: int, direction: str, now: str, payment: Payment, account: sqlite3.Row, other: sqlite3.Row) -> None:
    value_on = value_day(datetime.fromisoformat(now))
    incoming = direction == "in"
    account_no, amount_fen = account["account_no"], payment.amount_fen
    balance_fen = account["balance_fen"] + (amount_fen if incoming else -amount_fen)
    day_no: int = store.db.execute(
        "SELECT coalesce(max(day_no), 0) + 1 FROM movement WHERE account_no = ? AND direction = ? AND value_on = ?",
        (account_no, direction, value_on.isoformat()),
    ).fetchone()[0]
    store.db.execute(
        "INSERT INTO movement VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            pair + incoming,
            pair,
            account_no,
            direction,
            value_on.isoformat(),
            day_no,
            f"{value_on:%Y%m%d}{day_no:06d}",
            amount_fen,
            balance_fen,
            now,
            payment.client,
            payment.reference,
            payment.returns,
            other["account_no"],
            "" if payment.anonymous else other["account_no"],
            "" if payment.anonymous else other["holder_name"],
        ),
    )
    store.db.execute("UPDATE account SET balance_fen = ?, last_moved_at = ? WHERE account_no = ?", (balance_fen, now, account_no))


def movement_json(row: sqlite3.Row, client: str | None) -> dict[str, Any]:
    """A movement as the client may see it: a reference only where it is the client's own. None is the oracle and sees all."""
    own = client is None or row["client"] == client
    return {
        "account_no": row["account_no"],
        "direction": row["direction"],
        "movement_id": row["movement_id"],
        "amount_fen": row["amount_fen"],
        "balance_after_fen": row["balance_after_fen"],
        "occurred_at": row["occurred_at"],
        "value_on": row["value_on"],
        "reference": row["reference"] if own else None,
        "returns": bool(row["returns"]) and own,
        "counterparty_no": row["counterparty_no"],
        "counterparty_name": row["counterparty_name"],
    }


def movements_under(store: Store, client: str, reference: str, account_no: str) -> list[dict[str, Any]]:
    """What one of the client's references moved on one account, in the bank's order."""
    rows = store.db.execute(
        "SELECT * FROM movement WHERE reference = ? AND client = ? AND account_no = ? ORDER BY seq", (reference, client, account_no)
    )
    return [movement_json(row, client) for row in rows]


def statement(store: Store, client: str, value_on: date) -> dict[str, Any]:
    """All of the client's accounts for one value day."""
    accounts = []
    for account in store.db.execute("SELECT * FROM account WHERE client = ? ORDER BY account_no", (client,)).fetchall():
        account_no = account["account_no"]
        before = store.db.execute(
            "SELECT balance_after_fen FROM movement WHERE account_no = ? AND value_on < ? ORDER BY value_on DESC, seq DESC LIMIT 1",
            (account_no, value_on.isoformat()),
        ).fetchone()
        rows = store.db.execute(
            "SELECT * FROM movement WHERE account_no = ? AND value_on = ? ORDER BY seq", (account_no, value_on.isoformat())
        ).fetchall()
        opening_fen = before[0] if before else account["opening_fen"]
        accounts.append(
            {
                "account_no": account_no,
                "opening_fen": opening_fen,
                "closing_fen": rows[-1]["balance_after_fen"] if rows else opening_fen,
                "movements": [movement_json(row, client) for row in rows],
            }
        )
    return {"value_on": value_on.isoformat(), "accounts": accounts}


def all_movements(store: Store, account_no: str | None, reference: str | None) -> list[dict[str, Any]]:
    """The oracle's view: every movement of any account or under any reference, both sides, in the bank's order."""
    chosen = {name: value for name, value in (("account_no", account_no), ("reference", reference)) if value is not None}
    condition = " AND ".join(f"{name} = :{name}" for name in chosen) or "true"
    rows = store.db.execute(f"SELECT * FROM movement WHERE {condition} ORDER BY seq", chosen)  # noqa: S608
    return [movement_json(row, None) for row in rows]


PROOFS = {
    "all balances add up to zero": "SELECT 'sum ' || sum(balance_fen) FROM account HAVING sum(balance_fen) <> 0",
    "every balance is its opening and its movements": """
        SELECT a.account_no FROM account a LEFT JOIN movement m USING (account_no) GROUP BY a.account_no
        HAVING a.balance_fen <> a.opening_fen + coalesce(sum(CASE m.direction WHEN 'in' THEN amount_fen ELSE -amount_fen END), 0)""",
    "every running balance follows from the one before": """
        SELECT account_no || ' ' || direction || ' ' || movement_id FROM (
            SELECT m.*, lag(balance_after_fen, 1, opening_fen) OVER (PARTITION BY account_no ORDER BY seq) AS before_fen
            FROM movement m JOIN account a USING (account_no))
        WHERE balance_after_fen <> before_fen + CASE direction WHEN 'in' THEN amount_fen ELSE -amount_fen END""",
    "every payment has two equal sides": """
        SELECT 'pair ' || pair FROM movement GROUP BY pair
        HAVING count(*) <> 2 OR count(DISTINCT direction) <> 2 OR count(DISTINCT amount_fen) <> 1""",
    "an executed instruction moved once, a returned one there and back, any other not at all": """
        SELECT i.client || ' ' || i.reference FROM instruction i
        LEFT JOIN movement m ON m.reference = i.reference AND m.client = i.client AND m.account_no = i.account_no
        GROUP BY i.client, i.reference
        HAVING coalesce(sum(m.direction = 'out' AND NOT m.returns), 0) <> (i.status IN ('executed', 'returned'))
            OR coalesce(sum(m.direction = 'in' AND m.returns), 0) <> (i.status = 'returned')
            OR coalesce(sum(m.amount_fen <> i.amount_fen), 0) <> 0""",
}


def prove(store: Store) -> dict[str, Any]:
    """Whether the books hold, every broken row by the rule that it breaks, and how much there is."""
    broken = [f"{rule}: {row[0]}" for rule, sql in PROOFS.items() for row in store.db.execute(sql)]
    counts = store.db.execute("SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM movement)").fetchone()
    return {"holds": not broken, "broken": broken, "accounts": counts[0], "movements": counts[1]}
