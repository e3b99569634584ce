"""The cashier page, as a payer sees it."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from tests.bank_adapters.conftest import SCHOOL, Customer
from tests.bank_process import BankProcess

PAYER = {"payer_account_no": "6222020000000000017", "payer_name": "示例家长"}


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as made:
        yield made


async def open_page(customer: Customer, return_url: str = "http://school.test/paid") -> tuple[str, str]:
    request = replace(customer.order(1_234_50), return_url=return_url)
    return request.reference, (await customer.bank.collect(request)).cashier_url


async def test_a_payer_sees_payee_and_amount_pays_and_goes_back(customer: Customer, browser: httpx.AsyncClient) -> None:
    reference, url = await open_page(customer)
    page = (await browser.get(url)).text
    for shown in ("¥1,234.50", f"{SCHOOL}监管户", customer.supervised_no, reference, "请在此前支付", PAYER["payer_account_no"]):
        assert shown in page

    paid = await browser.post(url, data=PAYER)

    assert paid.status_code == 200
    assert "支付成功" in paid.text
    assert 'href="http://school.test/paid"' in paid.text
    assert "<form" not in paid.text
    assert (await customer.order_at_bank(reference)).status == "paid"


async def test_a_second_submit_says_so_and_pays_nothing(bank: BankProcess, customer: Customer, browser: httpx.AsyncClient) -> None:
    reference, url = await open_page(customer)
    await browser.post(url, data=PAYER)
    again = await browser.post(url, data=PAYER)
    assert again.status_code == 409
    assert "该订单已支付" in again.text
    assert len((await customer.order_at_bank(reference)).movements) == 1
    assert await bank.balance_of(customer.supervised_no) == 1_000_00 + 1_234_50


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_closed_order_cannot_be_paid(customer: Customer, browser: httpx.AsyncClient, method: str) -> None:
    reference, url = await open_page(customer)
    await customer.bank.close(reference)
    page = await browser.request(method, url, data=PAYER if method == "POST" else None)
    assert "订单已关闭" in page.text
    assert "<form" not in page.text
    assert (await customer.order_at_bank(reference)).movements == ()


async def test_an_expired_order_cannot_be_paid(bank: BankProcess, customer: Customer, browser: httpx.AsyncClient) -> None:
    reference, url = await open_page(customer)
    await bank.set_clock(offset_seconds=16 * 60)
    assert "订单已关闭" in (await browser.post(url, data=PAYER)).text
    assert (await customer.order_at_bank(reference)).movements == ()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_order_has_a_clear_page(bank: BankProcess, browser: httpx.AsyncClient, method: str) -> None:
    page = await browser.request(method, f"{bank.url}/cashier/nothing", data=PAYER if method == "POST" else None)
    assert "订单不存在" in page.text
    assert page.status_code in (404, 409)


@pytest.mark.parametrize("entered", [{}, {"payer_account_no": "", "payer_name": "王"}, {"payer_account_no": "62<b>", "payer_name": ""}])
async def test_a_payer_who_enters_nonsense_is_asked_again(customer: Customer, browser: httpx.AsyncClient, entered: dict[str, str]) -> None:
    reference, url = await open_page(customer)
    page = await browser.post(url, data=entered)
    assert page.status_code == 422
    assert "请填写付款账号" in page.text
    assert "<b>" not in page.text
    assert (await customer.order_at_bank(reference)).status == "open"


async def test_a_supervised_account_cannot_pay_at_the_cashier(customer: Customer, browser: httpx.AsyncClient) -> None:
    reference, url = await open_page(customer)
    page = await browser.post(url, data=PAYER | {"payer_account_no": customer.supervised_no})
    assert page.status_code == 409
    assert "该账号不能用于付款" in page.text
    assert (await customer.order_at_bank(reference)).status == "open"


@pytest.mark.parametrize("return_url", ["javascript:alert(1)", "data:text/html,x", "", "//evil.test"])
async def test_only_a_web_address_becomes_a_link(customer: Customer, browser: httpx.AsyncClient, return_url: str) -> None:
    _, url = await open_page(customer, return_url)
    assert "返回商户" not in (await browser.get(url)).text


async def test_pages_run_no_scripts_and_leak_nothing(bank: BankProcess, customer: Customer, browser: httpx.AsyncClient) -> None:
    _, url = await open_page(customer)
    page = await browser.get(url)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text
    assert "style=" not in page.text
    style = await browser.get(f"{bank.url}/static/cashier.css")
    assert style.headers["content-type"].startswith("text/css")
