"""Signing in with JSON."""

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app.registry.models import Guardian
from app.security import Staff
from tests.web.conftest import PASSWORD, PHONE, SAMPLE_PHONE, bearer

AUTH = "/api/v1/auth"


async def test_a_parent_signs_in_with_the_code_that_the_phone_got(app: FastAPI, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{AUTH}/parent/code", json={"phone": PHONE})
    assert (answer.status_code, answer.content) == (204, b"")
    ((phone, code),) = app.state.sms.sent
    assert phone == f"+86{PHONE}"
    signed_in = await client.post(f"{AUTH}/parent/session", json={"phone": PHONE, "code": code})
    assert signed_in.status_code == 200
    assert signed_in.json() | {"access_token": ""} == {
        "access_token": "",
        "token_type": "bearer",
        "expires_in": 30 * 86400,
        "role": "parent",
        "district": "510112",
    }
    headers = bearer(signed_in.json()["access_token"])
    assert (await client.get("/api/v1/supervision/probe/whose", headers=headers)).json() == {"role": "parent"}


async def test_the_same_parent_stays_the_same_guardian(app: FastAPI, client: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert (await client.post(f"{AUTH}/parent/session", json={"phone": SAMPLE_PHONE, "code": "246810"})).status_code == 200
    async with app.state.database.district("510112").reading() as session:
        assert len((await session.scalars(select(Guardian))).all()) == 1


@pytest.mark.parametrize(
    ("phone", "code", "status", "problem"),
    [(PHONE, "000000", 401, "auth.wrong_code"), (SAMPLE_PHONE, "000000", 401, "auth.wrong_code"), ("12", "0", 400, "phone.invalid")],
)
async def test_a_wrong_code_does_not_sign_in(client: httpx.AsyncClient, phone: str, code: str, status: int, problem: str) -> None:
    answer = await client.post(f"{AUTH}/parent/session", json={"phone": phone, "code": code})
    assert (answer.status_code, answer.json()["code"]) == (status, problem)


async def test_wrong_codes_lock_the_phone(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        await client.post(f"{AUTH}/parent/session", json={"phone": PHONE, "code": "x"})
    answer = await client.post(f"{AUTH}/parent/session", json={"phone": PHONE, "code": "x"})
    assert (answer.status_code, answer.json()["code"]) == (429, "auth.locked")


async def test_a_sample_phone_has_its_code_without_a_message(app: FastAPI, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await client.post(f"{AUTH}/parent/code", json={"phone": SAMPLE_PHONE})).status_code == 204
    assert app.state.sms.sent == []
    assert (await client.post(f"{AUTH}/parent/session", json={"phone": SAMPLE_PHONE, "code": "246810"})).status_code == 200


@pytest.mark.parametrize("mode", ["live", "drill", "restored"])
async def test_the_fixed_code_opens_nothing_where_families_are_real(
    app: FastAPI, client: httpx.AsyncClient, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mode_of(code: str) -> str:
        return mode

    monkeypatch.setattr(app.state.modes, "of", mode_of)
    answer = await client.post(f"{AUTH}/parent/session", json={"phone": SAMPLE_PHONE, "code": "246810"})
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.wrong_code")


async def test_codes_are_sent_once_a_minute_to_any_phone_alike(client: httpx.AsyncClient) -> None:
    assert (await client.post(f"{AUTH}/parent/code", json={"phone": PHONE})).status_code == 204
    answer = await client.post(f"{AUTH}/parent/code", json={"phone": PHONE})
    assert (answer.status_code, answer.json()["code"]) == (429, "auth.code_too_soon")


async def test_staff_sign_in_and_out(client: httpx.AsyncClient, officer: Staff) -> None:
    signed_in = await client.post(f"{AUTH}/staff/session", json={"username": "Zhang.San", "password": PASSWORD})
    assert (signed_in.status_code, signed_in.json()["role"]) == (200, "supervision")
    headers = bearer(signed_in.json()["access_token"])
    assert (await client.get("/api/v1/supervision/probe/me", headers=headers)).status_code == 200
    assert (await client.delete(f"{AUTH}/session", headers=headers)).status_code == 204
    assert (await client.get("/api/v1/supervision/probe/me", headers=headers)).status_code == 401


async def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(client: httpx.AsyncClient, officer: Staff) -> None:
    answers = [await client.post(f"{AUTH}/staff/session", json={"username": name, "password": "wrong"}) for name in ("zhang.san", "nobody")]
    seen = [{**answer.json(), "request_id": "", "status_code": answer.status_code} for answer in answers]
    assert seen[0] == seen[1]
    assert (seen[0]["status_code"], seen[0]["code"]) == (401, "auth.wrong_password")


@pytest.mark.parametrize("body", [{}, {"username": "a"}, {"username": "a\0", "password": "x"}, {"username": "x" * 100, "password": "x"}])
async def test_incomplete_credentials_are_invalid(client: httpx.AsyncClient, body: dict[str, str]) -> None:
    assert (await client.post(f"{AUTH}/staff/session", json=body)).status_code == 422


async def test_an_unknown_district_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{AUTH}/parent/code", params={"district": "999999"}, json={"phone": PHONE})
    assert (answer.status_code, answer.json()["code"]) == (404, "districts.unknown")
