"""What banks push to us: believed only with their signature, stored before the answer, acted on only after asking them."""

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app import clock
from app.banking.models import BankMovement, BankNotice
from app.db import District
from app.payments.models import Payment
from bank_adapters import webhooks
from tests.conftest import API_KEY, CONNECTION, NOTICE_SECRET
from tests.portals.desks import Desks
from tests.portals.port import served
from tests.world import World

PATH = f"/api/v1/settlement/notices/{CONNECTION}"


@pytest.fixture
async def door(desks: Desks) -> httpx.AsyncClient:
    """A stranger on the network: no token, no cookie."""
    return await desks.anybody()


def body_of(reference: str | None, *, event: str = "order.paid", account_no: str = "", amount_fen: int = 40_000) -> bytes:
    data: dict[str, Any] = {"reference": reference, "account_no": account_no, "amount_fen": amount_fen, "value_on": None}
    return json.dumps({"type": event, "timestamp": clock.now().isoformat(), "data": data}).encode()


async def push(
    door: httpx.AsyncClient, body: bytes, *, notice_id: str = "msg_1", at: datetime | None = None, secret: str = NOTICE_SECRET
) -> httpx.Response:
    return await door.post(PATH, content=body, headers=webhooks.sign(secret, notice_id, at or clock.now(), body))


async def inbox(district: District) -> list[BankNotice]:
    async with district.reading() as session:
        return list(await session.scalars(select(BankNotice)))


async def booked(district: District) -> list[int]:
    async with district.reading() as session:
        return list(await session.scalars(select(BankMovement.amount_fen)))


async def status_of(world: World, payment: Payment) -> str:
    async with world.district.reading() as session:
        return (await session.get_one(Payment, payment.id)).status


async def test_the_banks_own_notice_brings_a_payment_in(desks: Desks, world: World) -> None:
    institution = await world.institution()
    parent = await world.parent()
    contract = await world.sign(parent, await world.training_class(institution))
    payment = await world.order(parent, contract)
    async with served(desks) as base:
        await world.bank.register_client(CONNECTION, API_KEY, NOTICE_SECRET, base + PATH)
        await world.bank.pay(payment.payment_no)
        await world.bank.wait_until_notices_settled()
    [notice] = await inbox(world.district)
    assert (notice.reference, notice.status) == (payment.payment_no, "received")
    assert await booked(world.district) == [], "a notice is no fact"
    await world.work()
    assert await status_of(world, payment) == "paid"
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}


async def test_a_replayed_notice_changes_nothing(door: httpx.AsyncClient, world: World) -> None:
    institution = await world.institution()
    parent = await world.parent()
    contract = await world.sign(parent, await world.training_class(institution))
    payment = await world.order(parent, contract)
    await world.bank.pay(payment.payment_no)
    body = body_of(payment.payment_no)
    assert [(await push(door, body)).status_code for _ in range(2)] == [200, 200]
    await world.work()
    assert (await push(door, body)).status_code == 200
    await world.work()
    [notice] = await inbox(world.district)
    assert notice.status == "processed"
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}


async def test_forged_stale_and_altered_notices_are_refused_and_not_kept(door: httpx.AsyncClient, world: World) -> None:
    body = body_of("P510112250901ABCDEFGHJKMN")
    signed = webhooks.sign(NOTICE_SECRET, "msg_1", clock.now(), body)
    answers = [
        await push(door, body, secret=webhooks.new_secret()),
        await push(door, body, at=clock.now() - timedelta(minutes=6)),
        await push(door, body, at=clock.now() + timedelta(minutes=6)),
        await door.post(PATH, content=body + b" ", headers=signed),
        await door.post(PATH, content=body, headers=signed | {"webhook-id": "msg_2"}),
        await door.post(PATH, content=body),
        await push(door, b"not json"),
        await push(door, b'{"type":"order.paid"}'),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(401, "banking.notice_refused")}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert await inbox(world.district) == []


async def test_a_notice_about_nothing_we_know_is_stored_and_ignored(door: httpx.AsyncClient, world: World) -> None:
    institution = await world.institution()
    for reference in ("P510112250901ABCDEFGHJKMN", "T510112250901ABCDEFGHJKMN", "nonsense", None):
        assert (await push(door, body_of(reference), notice_id=f"msg_{reference}")).status_code == 200
    await world.work()
    assert [notice.status for notice in await inbox(world.district)] == ["ignored"] * 4
    assert await world.totals(institution) == {}


async def test_what_a_notice_says_of_amount_and_account_counts_for_nothing(door: httpx.AsyncClient, world: World) -> None:
    institution, other = await world.institution(), await world.institution("新苗语言艺术中心")
    parent = await world.parent()
    contract = await world.sign(parent, await world.training_class(institution))
    payment = await world.order(parent, contract)
    lie = body_of(payment.payment_no, account_no=(await world.account(other)).account_no, amount_fen=99_999_999)
    assert (await push(door, lie)).status_code == 200
    await world.work()
    assert await status_of(world, payment) == "created", "the bank itself says that nothing was paid"
    await world.bank.pay(payment.payment_no)
    assert (await push(door, lie, notice_id="msg_2")).status_code == 200
    await world.work()
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}
    assert await world.totals(other) == {}


async def test_a_connection_that_is_not_ours_is_not_there(door: httpx.AsyncClient) -> None:
    body = body_of("P510112250901ABCDEFGHJKMN")
    answer = await door.post("/api/v1/settlement/notices/elsewhere", content=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "banking.connection_not_found")


async def test_a_huge_notice_is_not_read(door: httpx.AsyncClient, world: World) -> None:
    assert (await push(door, b" " * 70_000)).status_code == 413
    assert await inbox(world.district) == []
