"""The cashier page: anybody who has the link sees the payee and the amount and may pay once."""

from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader
from pydantic import ValidationError

from bank_adapters.mock_bank import books, orders
from bank_adapters.mock_bank.control import PAYER_NAME, PAYER_NO
from bank_adapters.mock_bank.forms import PayerForm
from bank_adapters.mock_bank.office import Office
from bank_adapters.mock_bank.store import SHANGHAI, Refusal

CSP = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
SAMPLE_PAYER = {"payer_account_no": PAYER_NO, "payer_name": PAYER_NAME}
PAYER_NOT_ALLOWED = "该账号不能用于付款，请换一个付款账号。"
PAYER_INVALID = "请填写付款账号（1 至 34 位数字或字母）和付款人姓名。"


router = APIRouter(prefix="/cashier")
templates = Environment(loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True)


@router.get("/{token}")
async def show(request: Request, token: str) -> Response:
    """The order as it stands."""
    return _page(request.app.state.office, token)


@router.post("/{token}")
async def pay(request: Request, token: str) -> Response:
    """Pay an open order; a second submission pays nothing."""
    office: Office = request.app.state.office
    async with request.form() as form:
        entered = {name: str(form.get(name, "")) for name in SAMPLE_PAYER}
    order = orders.find_by_token(office, token)
    if order is None or order["status"] == "closed":
        return _page(office, token, 409)
    if order["status"] == "paid":
        return _page(office, token, 409, again=True)
    try:
        payer = PayerForm.model_validate(entered)
        with office.store.transaction():
            orders.receive(office, order, payer, order["amount_fen"])
    except ValidationError:
        return _page(office, token, 422, error=PAYER_INVALID, payer=entered)
    except Refusal:
        return _page(office, token, 409, error=PAYER_NOT_ALLOWED, payer=entered)
    return RedirectResponse(f"/cashier/{token}", 303)


def yuan(amount_fen: int) -> str:
    """Fen as ¥1,234.50."""
    return f"¥{amount_fen // 100:,}.{amount_fen % 100:02d}"


def web_address(address: str) -> str | None:
    """The address if a browser may follow it as a link; nothing that runs as a script."""
    return address if urlsplit(address).scheme in ("http", "https") else None


def _page(office: Office, token: str, status: int = 200, **shown: Any) -> Response:
    order = orders.find_by_token(office, token)
    if order is None:
        return _html(templates.get_template("unknown.html").render(), 404)
    account = books.find_account(office.store, order["account_no"])
    assert account is not None
    context = {
        "order": order,
        "payee_name": account["holder_name"],
        "amount": yuan(order["amount_fen"]),
        "expires_at": datetime.fromisoformat(order["expires_at"]).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M"),
        "return_url": web_address(order["return_url"]),
        "payer": SAMPLE_PAYER,
    }
    return _html(templates.get_template(f"{order['status']}.html").render(context | shown), status)


def _html(content: str, status: int) -> Response:
    headers = {
        "Content-Security-Policy": CSP,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(content, status, headers)
