"""The bank as a process: killed and started again it has lost nothing that it answered for."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from bank_adapters.port import BankUnknown
from tests.bank_adapters.conftest import new_customer
from tests.bank_adapters.scripted_server import ScriptedServer
from tests.bank_process import ROOT, BankProcess


async def test_a_killed_bank_keeps_what_it_answered_for(tmp_path: Path) -> None:
    async with BankProcess.running(tmp_path) as bank:
        customer = await new_customer(bank, opening_fen=10_000_00)
        order = customer.order(500_00)
        opened = await customer.bank.collect(order)
        await bank.knob("late", "transfer")
        late = customer.payout(1_00)
        await customer.bank.transfer(late)
        answered: list[str] = []

        async def instruct() -> None:
            while True:
                request = customer.payout(1_00)
                await customer.bank.transfer(request)
                answered.append(request.reference)
                if len(answered) == 50:
                    await bank.kill()

        results = await asyncio.gather(*(instruct() for _ in range(4)), return_exceptions=True)
        assert all(isinstance(result, BankUnknown) for result in results)
        with pytest.raises(BankUnknown):
            await customer.bank.query(order.reference)

        await bank.restart()

        assert await customer.bank.collect(order) == opened
        for reference in answered:
            assert (await customer.instruction_at_bank(reference)).status == "executed"
        assert (await customer.instruction_at_bank(late.reference)).status == "accepted"
        await bank.release_late()
        assert (await customer.instruction_at_bank(late.reference)).status == "executed"
        assert (await bank.books()).broken == []
        await customer.bank.aclose()


async def test_notices_and_faults_survive_a_kill(tmp_path: Path, receiver: ScriptedServer) -> None:
    async with BankProcess.running(tmp_path) as bank:
        await bank.set_notices(retry_base_seconds=600)
        await bank.set_clock(fixed_at=datetime(2036, 1, 1, tzinfo=UTC))
        knob = await bank.knob("timeout_before", "balance")
        receiver.answers.append((503, b""))
        customer = await new_customer(bank, notice_url=receiver.url)
        await customer.bank.transfer(customer.payout())
        first = await receiver.next()
        await bank.restart()
        assert await bank.set_clock(fixed_at=datetime(2036, 1, 1, tzinfo=UTC)) == datetime(2036, 1, 1, tzinfo=UTC)
        with pytest.raises(BankUnknown):
            await customer.bank.balance(customer.supervised_no)
        assert await bank.wait_until_fired(knob) == 1
        await bank.release_notices()
        second = await receiver.next()
        assert (second.body, second.headers["webhook-id"]) == (first.body, first.headers["webhook-id"])
        await customer.bank.aclose()


async def test_a_restarted_bank_goes_on_delivering_by_itself(tmp_path: Path, receiver: ScriptedServer) -> None:
    async with BankProcess.running(tmp_path) as bank:
        await bank.set_notices(retry_base_seconds=0.01)
        receiver.answers.append((503, b""))
        customer = await new_customer(bank, notice_url=receiver.url)
        await customer.bank.transfer(customer.payout())
        first = await receiver.next()
        await bank.restart()
        assert (await receiver.next()).body == first.body
        await bank.wait_until_notices_settled()
        await customer.bank.aclose()


async def test_reset_forgets_everything(tmp_path: Path) -> None:
    async with BankProcess.running(tmp_path) as bank:
        customer = await new_customer(bank)
        await customer.bank.transfer(customer.payout())
        await bank.reset()
        books = await bank.books()
        assert (books.holds, books.accounts, books.movements) == (True, 1, 0)
        await bank.restart()
        assert await bank.balance_of(customer.supervised_no) == 0
        await customer.bank.aclose()


async def test_a_second_bank_cannot_open_the_same_books(tmp_path: Path) -> None:
    async with BankProcess.running(tmp_path) as bank:
        await new_customer(bank)
        second = await asyncio.to_thread(run, "--data", str(bank.data))
        assert second.returncode != 0
        assert "database is locked" in second.stderr


def test_it_does_not_start_without_a_control_key(tmp_path: Path) -> None:
    refused = run("--data", str(tmp_path / "bank.sqlite"), control_key="")
    assert refused.returncode != 0
    assert "MOCK_BANK_CONTROL_KEY" in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_its_port_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    port_file = tmp_path / "bank.port"
    arguments = ["--data", str(tmp_path / "bank.sqlite"), "--port-file", str(port_file), "--public-url", "http://bank.test"]
    with subprocess.Popen(command(*arguments), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url == f"http://127.0.0.1:{port_file.read_text().strip()}"
        assert httpx.get(f"{url}/health", trust_env=False).text == "ok"
        process.send_signal(number)
        assert process.wait(15) == 0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bank_adapters.mock_bank", *arguments]


def environment(control_key: str = "control-key-of-the-test") -> dict[str, str]:
    return os.environ | {"MOCK_BANK_CONTROL_KEY": control_key}


def run(*arguments: str, control_key: str = "control-key-of-the-test") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, env=environment(control_key), capture_output=True, text=True, timeout=30)
