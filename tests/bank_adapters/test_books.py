"""The bank's books: whatever is done to it, no money is made or lost; and a broken row is named."""

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bank_adapters import webhooks
from bank_adapters.mock_bank import books, instructions, later, orders
from bank_adapters.mock_bank.forms import CollectionForm, KnobForm, PayerForm, RefundForm, TransferForm
from bank_adapters.mock_bank.knobs import Knobs
from bank_adapters.mock_bank.notices import Notices
from bank_adapters.mock_bank.office import Office
from bank_adapters.mock_bank.store import Refusal, Store

ACCOUNTS = ("SUPERVISED-1", "SUPERVISED-2", "SETTLEMENT")
references = st.sampled_from([f"R{number}" for number in range(12)])
amounts = st.integers(1, 2_000)
accounts = st.sampled_from(ACCOUNTS)
payers = st.sampled_from(["PAYER-1", "PAYER-2"])


def open_office(folder: Path) -> Office:
    store = Store(folder / "bank.sqlite")
    store.db.execute("INSERT INTO client VALUES ('c', 'api-key-c', NULL, ?)", (webhooks.new_secret(),))
    knobs = Knobs(store)
    for account_no in ACCOUNTS:
        books.open_account(store, account_no, "某校", "c", 1_000)
    return Office(store, knobs, Notices(store, knobs), "")


class AnyDay(RuleBasedStateMachine):
    """Orders, payments, refunds, transfers, strangers, faults and returns in any order, many of them refused."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.office = open_office(Path(self.folder.name))

    def attempt(self, act: Callable[..., object], *arguments: object) -> None:
        with suppress(Refusal), self.office.store.transaction():
            act(*arguments)

    @rule(reference=references, account_no=accounts, amount_fen=amounts)
    def collect(self, reference: str, account_no: str, amount_fen: int) -> None:
        form = CollectionForm(
            reference=reference,
            account_no=account_no,
            amount_fen=amount_fen,
            subject="",
            expires_at=datetime(2100, 1, 1, tzinfo=UTC),
            return_url="",
        )
        self.attempt(orders.collect, self.office, "c", form)

    @rule(reference=references, payer_no=payers, amount_fen=amounts)
    def pay(self, reference: str, payer_no: str, amount_fen: int) -> None:
        order = orders.find(self.office, "c", reference)
        if order is not None:
            self.attempt(orders.receive, self.office, order, PayerForm(payer_account_no=payer_no, payer_name="某人"), amount_fen)

    @rule(reference=references, source_no=accounts, target_no=accounts, amount_fen=amounts)
    def transfer(self, reference: str, source_no: str, target_no: str, amount_fen: int) -> None:
        form = TransferForm(reference=reference, account_no=source_no, payee_account_no=target_no, payee_name="某校", amount_fen=amount_fen)
        self.attempt(instructions.transfer, self.office, "c", form)

    @rule(reference=references, account_no=accounts, nth=st.integers(0, 9), amount_fen=amounts)
    def refund(self, reference: str, account_no: str, nth: int, amount_fen: int) -> None:
        received = [row for row in books.all_movements(self.office.store, account_no, None) if row["direction"] == "in"]
        if received:
            movement_id = received[nth % len(received)]["movement_id"]
            form = RefundForm(reference=reference, account_no=account_no, original_movement_id=movement_id, amount_fen=amount_fen)
            self.attempt(instructions.refund, self.office, "c", form)

    @rule(account_no=accounts, payer_no=payers, amount_fen=amounts)
    def deposit(self, account_no: str, payer_no: str, amount_fen: int) -> None:
        books.meet_outsider(self.office.store, payer_no, "某人")
        self.attempt(self.office.pay, books.Payment(payer_no, account_no, amount_fen))

    @rule(reference=references)
    def send_back(self, reference: str) -> None:
        self.attempt(instructions.send_back, self.office, "c", reference)

    @rule(kind=st.sampled_from(["late", "reject", "return_after_success"]))
    def knob(self, kind: str) -> None:
        self.office.knobs.set(KnobForm.model_validate({"kind": kind, "after_accept": kind == "reject"}).model_dump())

    @rule()
    def release(self) -> None:
        later.release(self.office, None)

    @invariant()
    def no_money_is_made_or_lost(self) -> None:
        if hasattr(self, "office"):
            assert books.prove(self.office.store)["broken"] == []

    @invariant()
    def no_receipt_is_refunded_beyond_its_amount(self) -> None:
        if hasattr(self, "office"):
            sql = """SELECT i.original_movement_id FROM instruction i
                JOIN movement m ON m.account_no = i.account_no AND m.movement_id = i.original_movement_id AND m.direction = 'in'
                WHERE i.status = 'executed' GROUP BY m.seq HAVING sum(i.amount_fen) > m.amount_fen"""
            assert self.office.store.db.execute(sql).fetchall() == []

    def teardown(self) -> None:
        if hasattr(self, "office"):
            self.office.store.close()
            self.folder.cleanup()


AnyDay.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestAnyDay = AnyDay.TestCase


@pytest.mark.parametrize(
    ("tampering", "rule_broken"),
    [
        ("UPDATE account SET balance_fen = balance_fen + 1 WHERE account_no = 'SETTLEMENT'", "all balances add up to zero"),
        ("UPDATE account SET opening_fen = 7 WHERE account_no = 'SETTLEMENT'", "every balance is its opening and its movements"),
        ("UPDATE movement SET balance_after_fen = 7 WHERE seq = 1", "every running balance follows from the one before"),
        ("UPDATE movement SET amount_fen = 7 WHERE seq = 1", "every payment has two equal sides"),
        ("DELETE FROM movement WHERE seq = 1", "every payment has two equal sides"),
        ("UPDATE instruction SET status = 'rejected'", "an executed instruction moved once"),
        ("UPDATE movement SET reference = 'R9'", "an executed instruction moved once"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, tampering: str, rule_broken: str) -> None:
    office = open_office(tmp_path)
    form = TransferForm(reference="R1", account_no="SUPERVISED-1", payee_account_no="SETTLEMENT", payee_name="某校", amount_fen=100)
    with office.store.transaction():
        instructions.transfer(office, "c", form)
    assert books.prove(office.store)["holds"]
    office.store.db.execute(tampering)
    assert any(line.startswith(rule_broken) for line in books.prove(office.store)["broken"])
    office.store.close()


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    office = open_office(tmp_path)
    good, bad = (books.Payment("SUPERVISED-1", "SETTLEMENT", amount_fen) for amount_fen in (100, 0))

    def pay_both() -> None:
        with office.store.transaction():
            office.pay(good)
            office.pay(bad)

    with pytest.raises(sqlite3.IntegrityError):
        pay_both()
    assert books.prove(office.store)["movements"] == 0
    office.store.close()
