"""One mock bank process for all tests here; each test is a client of its own, with its own accounts and notices."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from bank_adapters import webhooks
from bank_adapters.mock_bank.client import MockBank
from bank_adapters.port import CollectionRequest, Instruction, Movement, Order, RefundRequest, TransferRequest
from tests.bank_adapters.scripted_server import ScriptedServer
from tests.bank_process import BankProcess

numbers = itertools.count(1)
SCHOOL = "龙泉星火艺术培训学校"


@dataclass(frozen=True, slots=True)
class Customer:
    """A client of the bank with a supervised and a settlement account, and the requests that it makes."""

    slug: str
    api_key: str
    notice_secret: str
    bank: MockBank
    supervised_no: str
    settlement_no: str

    def order(self, amount_fen: int = 500_00, minutes: float = 15, reference: str = "") -> CollectionRequest:
        return CollectionRequest(
            reference=reference or new_reference(),
            account_no=self.supervised_no,
            amount_fen=amount_fen,
            subject="课程费用",
            expires_at=datetime.now(UTC) + timedelta(minutes=minutes),
            return_url="http://school.test/paid",
        )

    def payout(self, amount_fen: int = 100_00, reference: str = "") -> TransferRequest:
        return TransferRequest(reference or new_reference(), self.supervised_no, self.settlement_no, SCHOOL, amount_fen)

    def refund_of(self, movement: Movement, amount_fen: int, reference: str = "") -> RefundRequest:
        return RefundRequest(reference or new_reference(), self.supervised_no, movement.movement_id, amount_fen)

    async def order_at_bank(self, reference: str) -> Order:
        found = await self.bank.query(reference)
        assert isinstance(found, Order)
        return found

    async def instruction_at_bank(self, reference: str) -> Instruction:
        found = await self.bank.query(reference)
        assert isinstance(found, Instruction)
        return found


def new_reference() -> str:
    return f"510112T{next(numbers):08d}"


async def new_customer(bank: BankProcess, opening_fen: int = 1_000_00, notice_url: str | None = None) -> Customer:
    number = next(numbers)
    slug, api_key, secret = f"client-{number}", f"api-key-{number}", webhooks.new_secret()
    await bank.register_client(slug, api_key, secret, notice_url)
    supervised_no, settlement_no = f"510112{number:010d}1", f"510112{number:010d}2"
    await bank.open_account(supervised_no, f"{SCHOOL}监管户", slug, opening_fen)
    await bank.open_account(settlement_no, SCHOOL, slug)
    return Customer(slug, api_key, secret, MockBank(bank.url, api_key, secret), supervised_no, settlement_no)


@pytest.fixture(scope="session")
async def bank_process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BankProcess]:
    async with BankProcess.running(tmp_path_factory.mktemp("bank")) as bank:
        yield bank


@pytest.fixture
async def bank(bank_process: BankProcess) -> AsyncIterator[BankProcess]:
    """A bank without faults and with the real time; whatever a test did, the bank's own books hold afterwards."""
    yield bank_process
    await bank_process.clear_knobs()
    await bank_process.set_clock()
    await bank_process.set_notices()
    assert (await bank_process.books()).broken == []


@pytest.fixture
async def customer(bank: BankProcess) -> AsyncIterator[Customer]:
    """A client with ¥1,000 on its supervised account that gets no notices."""
    made = await new_customer(bank)
    yield made
    await made.bank.aclose()


@pytest.fixture
async def receiver() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer.running() as server:
        yield server


@pytest.fixture
async def notified(bank: BankProcess, receiver: ScriptedServer) -> AsyncIterator[Customer]:
    """A client whose notices go to the receiver, soon tried again."""
    await bank.set_notices(retry_base_seconds=0.01)
    made = await new_customer(bank, notice_url=receiver.url + "/notices")
    yield made
    await bank.register_client(made.slug, made.api_key, made.notice_secret)
    await made.bank.aclose()
