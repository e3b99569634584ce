"""The connection: a refusal only where the bank gave a code, everything else is unknown; and keys are needed."""

import json
from datetime import date

import httpx
import pytest

from bank_adapters import webhooks
from bank_adapters.mock_bank.client import MockBank
from bank_adapters.mock_bank.control import ControlRefused, MockBankControl
from bank_adapters.port import BankRefused, BankUnknown
from tests.bank_adapters.conftest import Customer
from tests.bank_adapters.scripted_server import ScriptedServer
from tests.bank_process import BankProcess

BALANCE = {"account_no": "1", "balance_fen": 5, "as_of": "2025-09-01T00:00:00+00:00"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (0, b""),
        (500, b'{"code": "internal_error"}'),
        (503, b"<html>maintenance</html>"),
        (404, b"<html>no such page</html>"),
        (409, b'{"detail": "no code"}'),
        (409, b'{"code": 5}'),
        (302, b'{"code": "elsewhere"}'),
        (200, b""),
        (200, b"null"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b"[" * 100_000),
        (200, json.dumps(BALANCE | {"balance_fen": 5.0}).encode()),
        (200, json.dumps(BALANCE | {"balance_fen": "5"}).encode()),
        (200, json.dumps(BALANCE | {"balance_fen": True}).encode()),
        (200, json.dumps(BALANCE | {"account_no": None}).encode()),
        (200, json.dumps(BALANCE | {"as_of": "yesterday"}).encode()),
    ],
)
async def test_an_answer_that_says_nothing_is_unknown(receiver: ScriptedServer, status: int, body: bytes) -> None:
    bank = MockBank(receiver.url, "api-key-x", webhooks.new_secret())
    receiver.answers.append((status, body))
    with pytest.raises(BankUnknown):
        await bank.balance("1")
    await bank.aclose()


async def test_a_good_answer_and_a_refusal(receiver: ScriptedServer) -> None:
    bank = MockBank(receiver.url, "api-key-x", webhooks.new_secret())
    receiver.answers.extend([(200, json.dumps(BALANCE).encode()), (404, b'{"code": "account_unknown"}')])
    assert (await bank.balance("1")).balance_fen == 5
    with pytest.raises(BankRefused, match="account_unknown"):
        await bank.balance("1")
    assert (await receiver.next()).headers["authorization"] == "Bearer api-key-x"
    await bank.aclose()


async def test_a_question_is_answered_or_unknown_but_never_refused(receiver: ScriptedServer) -> None:
    bank = MockBank(receiver.url, "api-key-x", webhooks.new_secret())
    for question in (bank.query("A1"), bank.close("A1"), bank.statement(date(2025, 9, 1))):
        receiver.answers.append((400, b'{"code": "moved_to_another_version"}'))
        with pytest.raises(BankUnknown):
            await question
    await bank.aclose()


async def test_a_bank_that_is_not_there_is_unknown(receiver: ScriptedServer) -> None:
    bank = MockBank("http://127.0.0.1:1", "api-key-x", webhooks.new_secret())
    with pytest.raises(BankUnknown):
        await bank.query("A1")
    await bank.aclose()


async def test_a_wrong_api_key_decides_nothing(bank: BankProcess, customer: Customer) -> None:
    wrong = MockBank(bank.url, "some-other-key", customer.notice_secret)
    for call in (wrong.balance(customer.supervised_no), wrong.collect(customer.order()), wrong.query("A1"), wrong.close("A1")):
        with pytest.raises(BankUnknown):
            await call
    await wrong.aclose()


@pytest.mark.parametrize("path", ["/api/balance?account_no=1", "/control/books", "/control/movements"])
async def test_nothing_opens_without_a_key(bank: BankProcess, path: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as anonymous:
        assert (await anonymous.get(bank.url + path)).status_code == 401


async def test_a_clients_key_is_no_control_key(bank: BankProcess, customer: Customer) -> None:
    control = MockBankControl(bank.url, customer.api_key)
    with pytest.raises(ControlRefused, match="401"):
        await control.reset()
    await control.aclose()


async def test_malformed_json_is_refused(bank: BankProcess, customer: Customer) -> None:
    headers = {"Authorization": f"Bearer {customer.api_key}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as raw:
        for body in (b"", b"{", b"null", b"[]", b"\xff", b'{"reference": "A1"}', b'{"amount_fen": 1e999}'):
            answer = await raw.post(f"{bank.url}/api/transfers", content=body)
            assert answer.is_client_error
            assert answer.json()["code"] == "invalid_request"


async def test_two_clients_cannot_share_a_key(bank: BankProcess, customer: Customer) -> None:
    with pytest.raises(ControlRefused, match="api_key_taken"):
        await bank.register_client("someone-else", customer.api_key, webhooks.new_secret())
    with pytest.raises(ControlRefused, match="invalid_request"):
        await bank.register_client("someone-else", "another-api-key", "whsec_c2hvcnQ=")


async def test_opening_an_account_again_changes_nothing(bank: BankProcess, customer: Customer) -> None:
    await bank.open_account("OPENED-TWICE", "某人", customer.slug, 5)
    await bank.open_account("OPENED-TWICE", "某人", customer.slug, 5)
    assert await bank.balance_of("OPENED-TWICE") == 5
    with pytest.raises(ControlRefused, match="account_conflict"):
        await bank.open_account("OPENED-TWICE", "某人", customer.slug, 6)
    with pytest.raises(ControlRefused, match="client_unknown"):
        await bank.open_account("OPENED-ELSEWHERE", "某人", "nobody", 5)
