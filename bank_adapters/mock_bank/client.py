"""A connection to the mock bank, behind the port."""

import json
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import httpx

from bank_adapters import webhooks
from bank_adapters.port import (
    AccountStatement,
    Balance,
    Bank,
    BankRefused,
    BankUnknown,
    CollectionRequest,
    HolderCheck,
    Instruction,
    Movement,
    Notice,
    NoticeRefused,
    Order,
    RefundRequest,
    Statement,
    TransferRequest,
)

T = TypeVar("T")

UNKNOWN_REFERENCE = "reference_unknown"
UNKNOWN_ACCOUNT = "account_unknown"
_NOT_ABOUT_THE_REQUEST = (401, 403, 408, 429)
"""A wrong key or too many calls: no decision about an instruction, so none is rejected for it."""


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """Whom TLS trusts; connections share it, for reading a hundred and more certificates takes long."""
    return httpx.create_ssl_context(trust_env=False)


class MockBank(Bank):
    """One client's connection, over one pool of sockets. `timeout_seconds` bounds each call."""

    deduplicates = True

    def __init__(
        self,
        base_url: str,
        api_key: str,
        notice_secret: str,
        timeout_seconds: float = 10.0,
        max_latency: timedelta = timedelta(seconds=30),
    ) -> None:
        self.max_latency = max_latency
        self._notice_secret = notice_secret
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + "/api",
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=timeout_seconds,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=20),
            trust_env=False,
            verify=_trusted(),
        )

    async def collect(self, request: CollectionRequest) -> Order:
        """Create the cashier order or return the one of the same reference. Raises BankRefused, BankUnknown."""
        body = {
            "reference": request.reference,
            "account_no": request.account_no,
            "amount_fen": request.amount_fen,
            "subject": request.subject,
            "expires_at": request.expires_at.astimezone(UTC).isoformat(),
            "return_url": request.return_url,
        }
        return await self._ask(_order, "POST", "/collections", body=body)

    async def close(self, reference: str) -> Order | None:
        """Close an open order; its status then, None when unknown. Raises BankUnknown."""
        return await self._find(_order, "POST", "/collections/close", body={"reference": reference})

    async def refund(self, request: RefundRequest) -> Instruction:
        """Instruct a refund. Raises BankRefused, BankUnknown."""
        body = {
            "reference": request.reference,
            "account_no": request.account_no,
            "original_movement_id": request.original_movement_id,
            "amount_fen": request.amount_fen,
        }
        return await self._ask(_instruction, "POST", "/refunds", body=body)

    async def transfer(self, request: TransferRequest) -> Instruction:
        """Instruct a transfer. Raises BankRefused, BankUnknown."""
        body = {
            "reference": request.reference,
            "account_no": request.account_no,
            "payee_account_no": request.payee_account_no,
            "payee_name": request.payee_name,
            "amount_fen": request.amount_fen,
        }
        return await self._ask(_instruction, "POST", "/transfers", body=body)

    async def query(self, reference: str) -> Order | Instruction | None:
        """What the bank knows under a reference; None when it has never heard of it. Raises BankUnknown."""
        return await self._find(_order_or_instruction, "GET", "/references", params={"reference": reference})

    async def balance(self, account_no: str) -> Balance:
        """The account's balance as of now. Raises BankRefused `account_unknown`, BankUnknown."""
        return await self._ask(_balance, "GET", "/balance", params={"account_no": account_no})

    async def check_holder(self, account_no: str, holder_name: str) -> HolderCheck | None:
        """Whether an account bears a name; None where there is no such account. Raises BankRefused, BankUnknown."""
        try:
            return await self._ask(_holder_check, "POST", "/holders/check", body={"account_no": account_no, "holder_name": holder_name})
        except BankRefused as refused:
            if refused.code == UNKNOWN_ACCOUNT:
                return None
            raise

    async def statement(self, value_on: date) -> Statement:
        """All accounts of the connection for one value day. Raises BankUnknown."""
        try:
            return await self._ask(_statement, "GET", "/statement", params={"value_on": value_on.isoformat()})
        except BankRefused as refused:
            raise BankUnknown(refused.code) from refused

    def verify_notice(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """Check the signature over the raw bytes and the time stamp (±5 minutes). Raises NoticeRefused."""
        try:
            notice_id = webhooks.verify(self._notice_secret, headers, body, now)
        except webhooks.WebhookRefused as error:
            raise NoticeRefused(str(error)) from error
        try:
            message = json.loads(body)
            data = message["data"]
            return Notice(
                notice_id=notice_id,
                event=_text(message["type"]),
                reference=None if data["reference"] is None else _text(data["reference"]),
                account_no=None if data["account_no"] is None else _text(data["account_no"]),
                value_on=None if data["value_on"] is None else date.fromisoformat(data["value_on"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise NoticeRefused("body") from error

    async def aclose(self) -> None:
        """Give the connection's sockets back."""
        await self._http.aclose()

    async def _find(self, parse: Callable[[Any], T], method: str, path: str, **sent: Any) -> T | None:
        try:
            return await self._ask(parse, method, path, **sent)
        except BankRefused as refused:
            if refused.code == UNKNOWN_REFERENCE:
                return None
            raise BankUnknown(refused.code) from refused

    async def _ask(
        self,
        parse: Callable[[Any], T],
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
    ) -> T:
        """One call. Only a refusal with the bank's own code says that nothing happened; all else is unknown."""
        try:
            answer = await self._http.request(method, path, json=body, params=params)
            content = answer.json()
            if answer.is_success:
                return parse(content)
            code = _text(content["code"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise BankUnknown(type(error).__name__) from error
        if answer.is_client_error and answer.status_code not in _NOT_ABOUT_THE_REQUEST:
            raise BankRefused(code)
        raise BankUnknown(f"status {answer.status_code}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _fen(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("whole fen expected")
    return value


def _one_of(value: Any, *allowed: str) -> Any:
    if value not in allowed:
        raise ValueError("unknown value")
    return value


def _movement(found: Any) -> Movement:
    return Movement(
        account_no=_text(found["account_no"]),
        direction=_one_of(found["direction"], "in", "out"),
        movement_id=_text(found["movement_id"]),
        amount_fen=_fen(found["amount_fen"]),
        balance_after_fen=_fen(found["balance_after_fen"]),
        occurred_at=datetime.fromisoformat(found["occurred_at"]),
        value_on=date.fromisoformat(found["value_on"]),
        reference=None if found["reference"] is None else _text(found["reference"]),
        returns=found["returns"] is True,
        counterparty_no=_text(found["counterparty_no"]),
        counterparty_name=_text(found["counterparty_name"]),
    )


def _order(found: Any) -> Order:
    return Order(
        reference=_text(found["reference"]),
        status=_one_of(found["status"], "open", "paid", "closed"),
        cashier_url=_text(found["cashier_url"]),
        movements=tuple(_movement(item) for item in found["movements"]),
    )


def _instruction(found: Any) -> Instruction:
    return Instruction(
        reference=_text(found["reference"]),
        status=_one_of(found["status"], "accepted", "executed", "rejected", "returned"),
        reject_code=None if found["reject_code"] is None else _text(found["reject_code"]),
        movements=tuple(_movement(item) for item in found["movements"]),
    )


def _order_or_instruction(found: Any) -> Order | Instruction:
    return _order(found) if _one_of(found["kind"], "order", "instruction") == "order" else _instruction(found)


def _balance(found: Any) -> Balance:
    return Balance(_text(found["account_no"]), _fen(found["balance_fen"]), datetime.fromisoformat(found["as_of"]))


def _holder_check(found: Any) -> HolderCheck:
    return HolderCheck(_text(found["account_no"]), found["name_matches"] is True, found["instructable"] is True)


def _statement(found: Any) -> Statement:
    accounts = tuple(
        AccountStatement(
            account_no=_text(account["account_no"]),
            opening_fen=_fen(account["opening_fen"]),
            closing_fen=_fen(account["closing_fen"]),
            movements=tuple(_movement(item) for item in account["movements"]),
        )
        for account in found["accounts"]
    )
    return Statement(date.fromisoformat(found["value_on"]), accounts)
