"""The page that a payment code opens: for whoever scans it, before, at and after the bank."""

from datetime import timedelta

import httpx
import pytest

from app import ids
from app.contracts.models import Contract
from app.payments import codes, jobs
from app.payments.models import Payment
from app.registry.models import Institution
from app.security import Parent
from tests.portals.desks import Desks
from tests.portals.families import link, links, shown
from tests.world import World

WAITS = '<meta http-equiv="refresh"'


@pytest.fixture
async def payer(desks: Desks) -> httpx.AsyncClient:
    """A grandparent with a phone and no account here."""
    return await desks.anybody()


async def signed(world: World) -> tuple[Institution, Parent, Contract]:
    institution, parent = await world.institution(), await world.parent()
    return institution, parent, await world.sign(parent, await world.training_class(institution, starts_in=timedelta(days=1)))


async def ordered(world: World) -> tuple[Institution, Contract, Payment]:
    institution, parent, contract = await signed(world)
    return institution, contract, await world.order(parent, contract)


def path_of(payment: Payment) -> str:
    return f"/pay/{codes.code_for(payment)}"


async def test_a_code_shows_who_is_paid_for_whom_and_leads_to_the_bank(world: World, payer: httpx.AsyncClient) -> None:
    institution, _, payment = await ordered(world)
    answer = await payer.get(path_of(payment))
    assert answer.status_code == 200
    for fact in (institution.name, "创意美术", "王*明", "¥400.00", payment.payment_no):
        assert fact in shown(answer.text)
    assert "王小明" not in answer.text
    assert link(answer.text, "去银行付款").startswith(world.bank.url)
    assert WAITS not in answer.text


async def test_coming_back_from_the_bank_the_money_is_in_escrow(world: World, payer: httpx.AsyncClient) -> None:
    institution, _, payment = await ordered(world)
    cashier = link((await payer.get(path_of(payment))).text, "去银行付款")
    async with httpx.AsyncClient(trust_env=False) as phone:
        form = {"payer_account_no": "6222020000000000017", "payer_name": "示例家长"}
        paid = await phone.post(cashier, data=form, follow_redirects=True)
    back = link(paid.text, "返回商户").removeprefix("http://escrow.test")
    assert back == path_of(payment)
    answer = await payer.get(back)
    assert answer.status_code == 200
    assert "付款成功" in shown(answer.text)
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}


async def test_a_used_code_pays_no_second_time(world: World, payer: httpx.AsyncClient) -> None:
    _, parent, contract = await signed(world)
    payment = await world.pay(parent, contract)
    answer = await payer.get(path_of(payment))
    assert answer.status_code == 410
    assert "付款码已使用" in shown(answer.text)
    assert not links(answer.text, f"{world.bank.url}.*")


async def test_while_the_bank_is_away_the_page_says_so_and_looks_again(world: World, payer: httpx.AsyncClient) -> None:
    _, parent, contract = await signed(world)
    await world.bank.knob("down", times=None)
    payment = await world.order(parent, contract)
    away = await payer.get(path_of(payment))
    assert away.status_code == 200
    assert "正在连接银行" in shown(away.text)
    assert WAITS in away.text
    await world.bank.clear_knobs()
    assert link((await payer.get(path_of(payment))).text, "去银行付款").startswith(world.bank.url)


async def test_an_expired_code_leads_back_to_the_contract(world: World, payer: httpx.AsyncClient) -> None:
    _, contract, payment = await ordered(world)
    await world.wait_until(payment.expires_at)
    for _ in range(2):
        answer = await payer.get(path_of(payment))
        assert answer.status_code == 410
        assert "付款码已过期" in shown(answer.text)
        assert link(answer.text, "回到合同") == f"/parent/contracts/{contract.id}"
        await jobs.expire_payments(world.district, world.banks)


async def test_money_paid_in_time_counts_also_when_the_payer_comes_back_late(world: World, payer: httpx.AsyncClient) -> None:
    institution, _, payment = await ordered(world)
    await world.bank.pay(payment.payment_no)
    await world.wait_until(payment.expires_at + timedelta(minutes=1))
    answer = await payer.get(path_of(payment))
    assert answer.status_code == 200
    assert "付款成功" in shown(answer.text)
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 40_000}


async def test_an_older_code_of_a_paid_contract_is_used_up(world: World, payer: httpx.AsyncClient) -> None:
    _, parent, contract = await signed(world)
    older = await world.order(parent, contract)
    await world.wait_until(older.expires_at)
    assert await jobs.expire_payments(world.district, world.banks) == 1
    await world.pay(parent, contract)
    answer = await payer.get(path_of(older))
    assert answer.status_code == 410
    assert "这笔费用已经付款" in shown(answer.text)


async def test_another_amount_is_sent_back_and_the_page_says_so(world: World, payer: httpx.AsyncClient) -> None:
    institution, _, payment = await ordered(world)
    await world.bank.pay(payment.payment_no, amount_fen=39_999)
    said = shown((await payer.get(path_of(payment))).text)
    assert "金额不符： ¥399.99" in said
    assert "正在原路退回" in said
    assert "去银行付款" in said, "the bank still takes the right amount"
    await world.work()
    await world.wait(timedelta(minutes=1))
    await world.work()
    assert "原路退回付款账户。" in shown((await payer.get(path_of(payment))).text)
    assert await world.totals(institution) == {}


async def test_altered_and_foreign_codes_get_a_warning(world: World, payer: httpx.AsyncClient) -> None:
    _, _, payment = await ordered(world)
    code = codes.code_for(payment)
    elsewhere = Payment(payment_no=ids.number("P", "510112"), nonce=codes.new_nonce())
    abroad = Payment(payment_no=ids.number("P", "110101"), nonce=codes.new_nonce())
    stolen = Payment(payment_no=payment.payment_no, nonce=codes.new_nonce())
    for text in ("x", code[:-2], code.replace("P", "Q", 1), *(codes.code_for(each) for each in (elsewhere, abroad, stolen))):
        answer = await payer.get(f"/pay/{text}")
        assert answer.status_code == 400
        assert "付款码无效" in shown(answer.text)
        assert "创意美术" not in answer.text
