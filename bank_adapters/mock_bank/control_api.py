"""The outside world behind a key: clients and accounts, payers, courts, faults, the clock, and the oracles that see everything."""

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from bank_adapters.mock_bank import books, instructions, later, orders
from bank_adapters.mock_bank.forms import (
    AccountForm,
    ClientForm,
    ClockForm,
    DebitForm,
    DepositForm,
    InstructionForm,
    KnobForm,
    NoticeSettingsForm,
    OrderPaymentForm,
    OrderPaymentsForm,
    ReleaseForm,
    WalkInForm,
)
from bank_adapters.mock_bank.office import Office
from bank_adapters.mock_bank.store import Refusal, to_text

WaitSeconds = Annotated[float, Query(ge=0, le=120)]


router = APIRouter(prefix="/control")


async def controlled(request: Request) -> Office:
    """The bank, for who has the control key. Raises Refusal `unauthorized`."""
    offered, expected = request.headers.get("x-control-key", ""), request.app.state.control_key
    if not hmac.compare_digest(offered.encode(), expected.encode()):
        raise Refusal("unauthorized", 401)
    office: Office = request.app.state.office
    later.run_due(office)
    return office


Controlled = Annotated[Office, Depends(controlled)]


@router.post("/clients")
async def register_client(form: ClientForm, office: Controlled) -> dict[str, Any]:
    """Let a connection exist or change it."""
    taken = office.store.db.execute("SELECT 1 FROM client WHERE api_key = ? AND slug <> ?", (form.api_key, form.slug)).fetchone()
    if taken:
        raise Refusal("api_key_taken")
    office.store.db.execute(
        "INSERT INTO client (slug, api_key, notice_url, notice_secret) VALUES (:slug, :api_key, :notice_url, :notice_secret)"
        " ON CONFLICT (slug) DO UPDATE SET"
        " api_key = excluded.api_key, notice_url = excluded.notice_url, notice_secret = excluded.notice_secret",
        form.model_dump(),
    )
    return {"slug": form.slug}


@router.post("/accounts")
async def open_account(form: AccountForm, office: Controlled) -> dict[str, Any]:
    """Open an account with money out of the vault."""
    books.open_account(office.store, form.account_no, form.holder_name, form.client, form.opening_fen)
    return {"account_no": form.account_no}


@router.post("/reset")
async def reset(office: Controlled) -> dict[str, Any]:
    """Forget everything."""
    office.store.reset()
    return {}


@router.put("/clock")
async def set_clock(form: ClockForm, office: Controlled) -> dict[str, Any]:
    """Set the bank's clock."""
    office.store.set_clock(form.fixed_at, form.offset_seconds)
    return {"now": to_text(office.store.now())}


@router.put("/notices")
async def set_notices(form: NoticeSettingsForm, office: Controlled) -> dict[str, Any]:
    """Write notices or none, and how soon they are tried again."""
    with office.store.transaction():
        office.store.keep("notices_enabled", "1" if form.enabled else "0")
        office.store.keep("notice_retry_base_seconds", str(form.retry_base_seconds))
    return {}


@router.put("/walk-in")
async def set_walk_in(form: WalkInForm, office: Controlled) -> dict[str, Any]:
    """Open unknown accounts for whom asks about them, or not."""
    office.store.keep("walk_in", "1" if form.enabled else "0")
    return {}


@router.post("/payments")
async def pay_order(form: OrderPaymentForm, office: Controlled) -> dict[str, Any]:
    """Pay an order, whatever its state."""
    with office.store.transaction():
        return {"status": _pay_order(office, form)}


@router.post("/payments/all")
async def pay_orders(form: OrderPaymentsForm, office: Controlled) -> dict[str, Any]:
    """Pay many orders at once, all or none."""
    with office.store.transaction():
        return {"statuses": [_pay_order(office, each) for each in form.items]}


@router.post("/deposits")
async def deposit(form: DepositForm, office: Controlled) -> dict[str, Any]:
    """Let money arrive without a reference."""
    with office.store.transaction():
        _require_account(office, form.account_no)
        books.meet_outsider(office.store, form.payer_account_no, form.payer_name)
        if form.payer_account_no == form.account_no:
            raise Refusal("same_account")
        office.pay(books.Payment(form.payer_account_no, form.account_no, form.amount_fen, anonymous=form.anonymous))
    return {}


@router.post("/debits")
async def debit(form: DebitForm, office: Controlled) -> dict[str, Any]:
    """Take money that nobody instructed."""
    with office.store.transaction():
        account = _require_account(office, form.account_no)
        books.meet_outsider(office.store, form.taker_account_no, form.taker_name)
        if account["balance_fen"] < form.amount_fen:
            raise Refusal("insufficient_funds")
        office.pay(books.Payment(form.account_no, form.taker_account_no, form.amount_fen))
    return {}


@router.post("/returns")
async def send_back(form: InstructionForm, office: Controlled) -> dict[str, Any]:
    """Return an executed instruction's money."""
    with office.store.transaction():
        instructions.send_back(office, form.client, form.reference)
    return {}


@router.post("/knobs")
async def set_knob(form: KnobForm, office: Controlled) -> dict[str, Any]:
    """Order a fault."""
    return {"knob_id": office.knobs.set(form.model_dump())}


@router.delete("/knobs")
async def clear_knobs(office: Controlled, knob_id: int | None = None) -> dict[str, Any]:
    """Forget one fault, or all."""
    office.knobs.clear(knob_id)
    return {}


@router.get("/knobs/{knob_id}/fired")
async def wait_until_fired(knob_id: int, office: Controlled, times: int = 0, timeout: WaitSeconds = 0) -> dict[str, Any]:  # noqa: ASYNC109
    """Wait until a fault has fired that often."""
    return {"fired": await office.knobs.wait_until_fired(knob_id, times, timeout)}


@router.post("/late/release")
async def release_late(form: ReleaseForm, office: Controlled) -> dict[str, Any]:
    """Let late effects happen now."""
    return {"released": later.release(office, form.reference)}


@router.get("/notices")
async def list_notices(office: Controlled, client: str | None = None) -> dict[str, Any]:
    """Every notice and what became of it."""
    return {"items": office.notices.all(client)}


@router.post("/notices/release")
async def release_notices(office: Controlled) -> dict[str, Any]:
    """Deliver now what is delayed or held back."""
    office.notices.release()
    return {}


@router.post("/notices/{notice_id}/resend")
async def resend_notice(notice_id: str, office: Controlled) -> dict[str, Any]:
    """Deliver a notice once more."""
    office.notices.resend(notice_id)
    return {}


@router.get("/notices/settled")
async def wait_until_settled(office: Controlled, timeout: WaitSeconds = 0) -> dict[str, Any]:  # noqa: ASYNC109
    """Wait until no notice is queued."""
    return {"settled": await office.notices.settle(timeout)}


@router.get("/balance")
async def balance(account_no: str, office: Controlled) -> dict[str, Any]:
    """What any account holds."""
    account = books.find_account(office.store, account_no)
    return {"balance_fen": account["balance_fen"] if account else 0, "known": account is not None}


@router.get("/movements")
async def movements(office: Controlled, account_no: str | None = None, reference: str | None = None) -> dict[str, Any]:
    """Every movement on an account or under a reference."""
    return {"items": books.all_movements(office.store, account_no, reference)}


@router.get("/books")
async def prove(office: Controlled) -> dict[str, Any]:
    """The proof over the books."""
    return books.prove(office.store)


def _pay_order(office: Office, form: OrderPaymentForm) -> str:
    order = orders.whose(office, form.client, form.reference)
    if form.late:
        order = orders.close(office, order["client"], form.reference)
    orders.receive(office, order, form, order["amount_fen"] if form.amount_fen is None else form.amount_fen)
    return str(orders.require(office, order["client"], form.reference)["status"])


def _require_account(office: Office, account_no: str) -> Any:
    account = books.find_account(office.store, account_no)
    if account is None:
        raise Refusal("account_unknown", 404)
    return account
