"""The bank's interface for its clients: each call passes the faults that were ordered for it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from bank_adapters.mock_bank import books, instructions, later, orders
from bank_adapters.mock_bank.forms import CloseForm, CollectionForm, Form, HolderForm, RefundForm, TransferForm
from bank_adapters.mock_bank.knobs import Call
from bank_adapters.mock_bank.office import Office
from bank_adapters.mock_bank.store import Refusal, to_text

Effect = Callable[[], dict[str, Any]]

router = APIRouter(prefix="/api")


class Broken(Response):
    """An answer that never comes: the server closes the connection because the promised body is missing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})


def refusal_response(refusal: Refusal) -> JSONResponse:
    """A refusal with its stable code."""
    return JSONResponse({"code": refusal.code}, refusal.status)


@dataclass(frozen=True, slots=True)
class Visit:
    """One call of an authenticated client, at the address that it called."""

    office: Office
    client: str
    base_url: str


async def visit(request: Request) -> Visit:
    """Whose call it is, by the bearer key. Raises Refusal `unauthorized`."""
    office: Office = request.app.state.office
    scheme, _, api_key = request.headers.get("authorization", "").partition(" ")
    row = office.store.db.execute("SELECT slug FROM client WHERE api_key = ?", (api_key,)).fetchone()
    if scheme.lower() != "bearer" or row is None:
        raise Refusal("unauthorized", 401)
    return Visit(office, row["slug"], str(request.base_url))


Visiting = Annotated[Visit, Depends(visit)]


@router.post("/collections")
async def collect(form: CollectionForm, visit: Visiting) -> Response:
    """Create a cashier order."""

    def effect() -> dict[str, Any]:
        return orders.order_json(visit.office, orders.collect(visit.office, visit.client, form), visit.base_url)

    return await _serve(visit, Call("collect", form.reference, form.account_no), effect, form)


@router.post("/collections/close")
async def close(form: CloseForm, visit: Visiting) -> Response:
    """Close a cashier order."""

    def effect() -> dict[str, Any]:
        return orders.order_json(visit.office, orders.close(visit.office, visit.client, form.reference), visit.base_url)

    return await _serve(visit, Call("close", form.reference, _account_under(visit, form.reference)), effect, form)


@router.post("/refunds")
async def refund(form: RefundForm, visit: Visiting) -> Response:
    """Instruct a refund."""

    def effect() -> dict[str, Any]:
        return instructions.instruction_json(visit.office, instructions.refund(visit.office, visit.client, form))

    return await _serve(visit, Call("refund", form.reference, form.account_no), effect, form)


@router.post("/transfers")
async def transfer(form: TransferForm, visit: Visiting) -> Response:
    """Instruct a transfer."""

    def effect() -> dict[str, Any]:
        return instructions.instruction_json(visit.office, instructions.transfer(visit.office, visit.client, form))

    return await _serve(visit, Call("transfer", form.reference, form.account_no), effect, form)


@router.get("/references")
async def query(reference: str, visit: Visiting) -> Response:
    """What is known under a reference."""

    def effect() -> dict[str, Any]:
        if (instruction := instructions.find(visit.office, visit.client, reference)) is not None:
            return instructions.instruction_json(visit.office, instruction)
        return orders.order_json(visit.office, orders.require(visit.office, visit.client, reference), visit.base_url)

    return await _serve(visit, Call("query", reference, _account_under(visit, reference)), effect)


@router.get("/balance")
async def balance(account_no: str, visit: Visiting) -> Response:
    """What an account holds now."""

    def effect() -> dict[str, Any]:
        row = books.clients_account(visit.office.store, visit.client, account_no)
        return {"account_no": account_no, "balance_fen": row["balance_fen"], "as_of": to_text(visit.office.store.now())}

    return await _serve(visit, Call("balance", None, account_no), effect)


@router.post("/holders/check")
async def check_holder(form: HolderForm, visit: Visiting) -> Response:
    """Whether an account, whoever has it, bears a name."""

    def effect() -> dict[str, Any]:
        return books.check_holder(visit.office.store, visit.client, form.account_no, form.holder_name)

    return await _serve(visit, Call("check_holder", None, form.account_no), effect)


@router.get("/statement")
async def statement(value_on: date, visit: Visiting) -> Response:
    """All of the client's accounts for one value day."""
    return await _serve(visit, Call("statement", None, None), lambda: books.statement(visit.office.store, visit.client, value_on))


def _account_under(visit: Visit, reference: str) -> str | None:
    known = instructions.find(visit.office, visit.client, reference) or orders.find(visit.office, visit.client, reference)
    return known["account_no"] if known else None


async def _serve(visit: Visit, call: Call, effect: Effect, form: Form | None = None) -> Response:
    """Have the effect and answer, as far as the knobs let it. `form` is the call itself, where it can come true later."""
    office, knobs = visit.office, visit.office.knobs
    later.run_due(office)
    if knob := knobs.take("down", call):
        return Broken() if knob.drop_connection else JSONResponse({"code": "down"}, 503)
    if knob := knobs.take("timeout_before", call):
        return await _break_off(knob.seconds)
    if form is not None and call.reference is not None and (knob := knobs.take("late_unseen", call)):
        office.defer(call.operation, visit.client, call.reference, form.model_dump(mode="json"), knob.seconds)
        return await _break_off(None)
    if knob := knobs.take("reject", call):
        return refusal_response(Refusal(knob.code))
    try:
        with office.store.transaction():
            answer = JSONResponse(effect())
    except Refusal as refusal:
        answer = refusal_response(refusal)
    if knob := knobs.take("timeout_after", call):
        return await _break_off(knob.seconds)
    if knobs.take("error_after", call):
        return JSONResponse({"code": "internal_error"}, 500)
    return answer


async def _break_off(seconds: float | None) -> Response:
    """Keep the caller waiting, then close the connection without an answer."""
    await asyncio.sleep(seconds or 0.0)
    return Broken()
