"""The outside world of the mock bank for samples, simulations and tests: payers, courts, faults, the clock and the oracles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from bank_adapters.mock_bank.knobs import KnobKind, Operation

PAYER_NO = "6222020000000000017"
PAYER_NAME = "示例家长"


class ControlRefused(Exception):
    """The bank would not do it; `code` says why."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Books:
    """The bank's own proof: whether its books hold, and each broken row by the rule that it breaks."""

    holds: bool
    broken: list[str]
    accounts: int
    movements: int


@dataclass(frozen=True, slots=True)
class OrderPayment:
    """A payment of an order by somebody, of an amount in fen."""

    reference: str
    amount_fen: int
    payer_no: str
    payer_name: str


class MockBankControl:
    """The control interface of a running mock bank. Amounts are fen; every call raises ControlRefused where the bank refuses."""

    def __init__(self, url: str, control_key: str, timeout_seconds: float = 30.0) -> None:
        self.url = url
        self.control_key = control_key
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/control", headers={"X-Control-Key": control_key}, timeout=timeout_seconds, trust_env=False
        )

    async def aclose(self) -> None:
        """Give the sockets back."""
        await self._http.aclose()

    async def register_client(self, slug: str, api_key: str, notice_secret: str, notice_url: str | None = None) -> None:
        """Let a connection exist, or change its key, secret and address for notices (None: it gets none)."""
        body = {"slug": slug, "api_key": api_key, "notice_secret": notice_secret, "notice_url": notice_url}
        await self._ask("POST", "/clients", body)

    async def open_account(self, account_no: str, holder_name: str, client: str | None = None, opening_fen: int = 0) -> None:
        """Open an account of a client, or of the outside world; the same facts again change nothing."""
        body = {"account_no": account_no, "holder_name": holder_name, "client": client, "opening_fen": opening_fen}
        await self._ask("POST", "/accounts", body)

    async def reset(self) -> None:
        """Forget everything, also clients, faults and the clock."""
        await self._ask("POST", "/reset")

    async def set_clock(self, fixed_at: datetime | None = None, offset_seconds: float = 0.0) -> datetime:
        """Let the bank's clock stand at an instant, run beside the real one, or (neither) be real; its time now (UTC)."""
        body = {"fixed_at": fixed_at.isoformat() if fixed_at else None, "offset_seconds": offset_seconds}
        return datetime.fromisoformat((await self._ask("PUT", "/clock", body))["now"])

    async def set_notices(self, enabled: bool = True, retry_base_seconds: float = 0.5) -> None:
        """Write notices or none at all; the pause before the first retry, doubled for each further one."""
        await self._ask("PUT", "/notices", {"enabled": enabled, "retry_base_seconds": retry_base_seconds})

    async def set_walk_in(self, enabled: bool = True) -> None:
        """Open an account that nobody has for the client that asks whose it is, in the name that it asks about; or (as at first) not."""
        await self._ask("PUT", "/walk-in", {"enabled": enabled})

    async def pay(
        self,
        reference: str,
        amount_fen: int | None = None,
        payer_no: str = PAYER_NO,
        payer_name: str = PAYER_NAME,
        client: str | None = None,
    ) -> str:
        """Pay an order, whatever its state and also again: the exact amount by default. Answers the order's status afterwards."""
        return await self._pay(reference, amount_fen, payer_no, payer_name, client, late=False)

    async def pay_late(
        self,
        reference: str,
        amount_fen: int | None = None,
        payer_no: str = PAYER_NO,
        payer_name: str = PAYER_NAME,
        client: str | None = None,
    ) -> str:
        """Pay an order after it was closed; the bank closes it first where it is still open."""
        return await self._pay(reference, amount_fen, payer_no, payer_name, client, late=True)

    async def pay_all(self, payments: Sequence[OrderPayment], client: str | None = None, *, late: bool = False) -> None:
        """Pay up to 10,000 orders in one call, in this order, all or none; `late` closes each first."""
        items = [_payment_body(each.reference, each.amount_fen, each.payer_no, each.payer_name, client, late) for each in payments]
        await self._ask("POST", "/payments/all", {"items": items})

    async def deposit_from_stranger(
        self, account_no: str, amount_fen: int, payer_no: str = PAYER_NO, payer_name: str = PAYER_NAME, anonymous: bool = False
    ) -> None:
        """Money that arrives without a reference; `anonymous` leaves the payer out of the statement."""
        payer = {"payer_account_no": payer_no, "payer_name": payer_name}
        await self._ask("POST", "/deposits", {"account_no": account_no, "amount_fen": amount_fen, "anonymous": anonymous} | payer)

    async def debit_uninstructed(
        self, account_no: str, amount_fen: int, taker_no: str = "COURT-510112", taker_name: str = "龙泉驿区人民法院"
    ) -> None:
        """A debit that nobody here instructed, such as a fee or a court's order."""
        taker = {"taker_account_no": taker_no, "taker_name": taker_name}
        await self._ask("POST", "/debits", {"account_no": account_no, "amount_fen": amount_fen} | taker)

    async def return_instruction(self, client: str, reference: str) -> None:
        """Send the money of an executed instruction back (退汇)."""
        await self._ask("POST", "/returns", {"client": client, "reference": reference})

    async def knob(
        self,
        kind: KnobKind,
        operation: Operation = "any",
        *,
        reference: str | None = None,
        account_no: str | None = None,
        times: int | None = 1,
        seconds: float | None = None,
        code: str = "declined",
        after_accept: bool = False,
        drop_connection: bool = False,
    ) -> int:
        """Order a fault for the next matching calls or notices (`times` None: until cleared); the knob's id.

        `seconds`: how long a time-out keeps the caller waiting before the connection breaks (None: at once); after how long
        a late effect comes (None: when released), a rejection or return follows (None: at once), a delayed notice leaves.
        `reject` refuses with `code`, or `after_accept` rejects an accepted instruction. `drop_connection`: how `down` answers.
        `late_unseen` gives no answer, is unknown to queries, and takes effect later all the same.
        """
        body = {
            "kind": kind,
            "operation": operation,
            "reference": reference,
            "account_no": account_no,
            "times": times,
            "seconds": seconds,
            "code": code,
            "after_accept": after_accept,
            "drop_connection": drop_connection,
        }
        return int((await self._ask("POST", "/knobs", body))["knob_id"])

    async def clear_knobs(self, knob_id: int | None = None) -> None:
        """Forget one knob, or all."""
        await self._ask("DELETE", "/knobs", params={} if knob_id is None else {"knob_id": str(knob_id)})

    async def wait_until_fired(self, knob_id: int, times: int = 1, timeout_seconds: float = 15.0) -> int:
        """Wait until a knob has fired that often; how often it has. Raises TimeoutError."""
        params = {"times": str(times), "timeout": str(timeout_seconds)}
        fired = int((await self._ask("GET", f"/knobs/{knob_id}/fired", params=params))["fired"])
        if fired < times:
            raise TimeoutError(f"knob fired {fired} of {times} times")
        return fired

    async def release_late(self, reference: str | None = None) -> int:
        """Let late effects happen now, all or one reference's; how many there were."""
        return int((await self._ask("POST", "/late/release", {"reference": reference}))["released"])

    async def notices(self, client: str | None = None) -> list[dict[str, Any]]:
        """Every notice written, in order: notice_id, client, event, reference, account_no, state, attempts."""
        return list((await self._ask("GET", "/notices", params={} if client is None else {"client": client}))["items"])

    async def resend_notice(self, notice_id: str) -> None:
        """Deliver a notice once more, with the same id and body, whatever became of it."""
        await self._ask("POST", f"/notices/{notice_id}/resend")

    async def release_notices(self) -> None:
        """Deliver now what is delayed, held back or waiting for its next attempt."""
        await self._ask("POST", "/notices/release")

    async def wait_until_notices_settled(self, timeout_seconds: float = 15.0) -> None:
        """Wait until no notice is queued any more. Raises TimeoutError."""
        if not (await self._ask("GET", "/notices/settled", params={"timeout": str(timeout_seconds)}))["settled"]:
            raise TimeoutError("notices are still queued")

    async def balance_of(self, account_no: str) -> int:
        """What any account holds, in fen; 0 for one that never existed."""
        return int((await self._ask("GET", "/balance", params={"account_no": account_no}))["balance_fen"])

    async def movements(self, account_no: str | None = None, reference: str | None = None) -> list[dict[str, Any]]:
        """Every movement on an account or under a reference, both sides and whoever's, in the bank's order."""
        asked = {"account_no": account_no, "reference": reference}
        return list((await self._ask("GET", "/movements", params={name: value for name, value in asked.items() if value}))["items"])

    async def books(self) -> Books:
        """The bank's proof over its own books: no money made or lost, nothing executed twice."""
        return Books(**await self._ask("GET", "/books"))

    async def _pay(self, reference: str, amount_fen: int | None, payer_no: str, payer_name: str, client: str | None, *, late: bool) -> str:
        body = _payment_body(reference, amount_fen, payer_no, payer_name, client, late)
        return str((await self._ask("POST", "/payments", body))["status"])

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, params: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = await self._http.request(method, path, json=body, params=params)
        content: dict[str, Any] = answer.json()
        if not answer.is_success:
            raise ControlRefused(answer.status_code, str(content.get("code")))
        return content


def _payment_body(reference: str, amount_fen: int | None, payer_no: str, payer_name: str, client: str | None, late: bool) -> dict[str, Any]:
    return {
        "reference": reference,
        "amount_fen": amount_fen,
        "payer_account_no": payer_no,
        "payer_name": payer_name,
        "client": client,
        "late": late,
    }
