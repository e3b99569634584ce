"""Signing in by password and by code: what is refused, how often, and what stays counted."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from app import clock, security
from app.db import District
from app.errors import TooManyAttempts
from app.security import SignInCode
from tests.conftest import FULL_HASHER

PASSWORD = "correct horse battery"
PHONE = "+8613800138000"


@pytest.fixture
async def staff(district: District) -> security.Staff:
    async with district.transaction() as session:
        return await security.create_staff(session, "supervision", "zhang.san", PASSWORD, "张三")


async def send_code(district: District, phone: str = PHONE) -> str:
    async with district.transaction() as session:
        return await security.new_code(session, phone)


async def spend(district: District, code: str, fixed: str | None = None) -> bool:
    async with district.transaction() as session:
        return await security.spend_code(session, PHONE, code, fixed)


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


async def test_the_right_password_opens_a_session(district: District, staff: security.Staff) -> None:
    opened = await security.sign_in_staff(district, " Zhang.San", PASSWORD)
    assert opened is not None
    token, role = opened
    assert role == "supervision"
    [caller] = await security.principals_of(district, [token])
    assert isinstance(caller, security.SupervisionStaff)
    assert caller.staff_id == staff.id


async def test_passwords_are_kept_at_the_full_cost_of_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "_hasher", FULL_HASHER)
    hashed = await security.hash_password(PASSWORD)
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert [security._verify(tried, hashed) for tried in (PASSWORD, "wrong password")] == [True, False]


@pytest.mark.parametrize(("name", "password"), [("zhang.san", "wrong password"), ("nobody", PASSWORD), ("", ""), ("zhang.san", "")])
async def test_a_wrong_password_and_an_unknown_name_are_alike(district: District, staff: security.Staff, name: str, password: str) -> None:
    assert await security.sign_in_staff(district, name, password) is None


async def test_another_ends_sign_in_does_not_know_this_name(district: District, staff: security.Staff) -> None:
    assert await security.sign_in_staff(district, "zhang.san", PASSWORD, "settlement") is None


async def test_a_disabled_member_of_staff_does_not_get_in(district: District, staff: security.Staff) -> None:
    async with district.transaction() as session:
        await security.disable_staff(session, staff.id)
    assert await security.sign_in_staff(district, "zhang.san", PASSWORD) is None


@pytest.mark.parametrize("name", ["zhang.san", "nobody"])
async def test_five_failures_lock_known_and_unknown_names_for_a_quarter_of_an_hour(
    district: District, staff: security.Staff, name: str
) -> None:
    for _ in range(5):
        assert await security.sign_in_staff(district, name, "wrong") is None
    with pytest.raises(TooManyAttempts) as locked:
        await security.sign_in_staff(district, name, PASSWORD)
    assert locked.value.code == "auth.locked"
    with clock.at(clock.now() + timedelta(minutes=16)):
        assert (await security.sign_in_staff(district, name, PASSWORD) is not None) == (name == "zhang.san")


async def test_success_sets_the_count_back(district: District, staff: security.Staff) -> None:
    for _ in range(4):
        assert await security.sign_in_staff(district, "zhang.san", "wrong") is None
    assert await security.sign_in_staff(district, "zhang.san", PASSWORD) is not None
    assert await security.sign_in_staff(district, "zhang.san", "wrong") is None
    assert await security.sign_in_staff(district, "zhang.san", PASSWORD) is not None


async def test_guesses_at_the_same_time_do_not_slip_in_under_the_limit(district: District, staff: security.Staff) -> None:
    tries = [security.sign_in_staff(district, "zhang.san", "wrong") for _ in range(12)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 5
    assert sum(isinstance(outcome, TooManyAttempts) for outcome in outcomes) == 7


async def test_a_code_signs_in_once(district: District) -> None:
    code = await send_code(district)
    assert len(code) == 6
    assert await spend(district, code)
    assert not await spend(district, code)


async def test_a_wrong_code_and_an_expired_one_do_not(district: District) -> None:
    code = await send_code(district)
    assert not await spend(district, other_than(code))
    with clock.at(clock.now() + timedelta(minutes=5, seconds=1)):
        assert not await spend(district, code)
    assert await spend(district, code)


async def test_five_wrong_codes_lock_the_phone_even_for_a_new_code(district: District) -> None:
    code = await send_code(district)
    for _ in range(5):
        assert not await spend(district, other_than(code))
    with pytest.raises(TooManyAttempts):
        await spend(district, code)
    with clock.at(clock.now() + timedelta(minutes=2)):
        fresh = await send_code(district)
        with pytest.raises(TooManyAttempts):
            await spend(district, fresh)
    with clock.at(clock.now() + timedelta(minutes=17)):
        assert await spend(district, await send_code(district))


async def test_a_phone_gets_one_message_a_minute_and_only_the_last_code_counts(district: District) -> None:
    first = await send_code(district)
    with pytest.raises(TooManyAttempts) as refused:
        await send_code(district)
    assert refused.value.code == "auth.code_too_soon"
    with clock.at(clock.now() + timedelta(seconds=61)):
        second = await send_code(district)
        assert first == second or not await spend(district, first)
        assert await spend(district, second)


async def test_nobodys_phone_is_flooded_with_messages(district: District) -> None:
    now = clock.now()
    for minute in range(5):
        with clock.at(now + timedelta(minutes=minute)):
            await send_code(district)
    with clock.at(now + timedelta(minutes=5)), pytest.raises(TooManyAttempts) as refused:
        await send_code(district)
    assert refused.value.code == "auth.locked"
    with clock.at(now + timedelta(minutes=19)):
        assert await spend(district, await send_code(district))


async def test_who_signs_in_may_ask_again(district: District) -> None:
    now = clock.now()
    for minute in range(8):
        with clock.at(now + timedelta(minutes=minute)):
            assert await spend(district, await send_code(district))


async def test_many_phones_together_get_no_more_codes_than_the_district_can_bear(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "CODES_AT_ONCE", 3)
    for number in range(3):
        await send_code(district, f"+861380013800{number}")
    with pytest.raises(TooManyAttempts) as refused:
        await send_code(district, "+8613800138009")
    assert refused.value.code == "auth.too_many_codes"
    with clock.at(clock.now() + timedelta(minutes=5, seconds=1)):
        await send_code(district, "+8613800138009")


async def test_a_sample_phones_fixed_code_needs_no_message_and_is_limited_too(district: District) -> None:
    assert await spend(district, "246810", fixed="246810")
    assert await spend(district, "246810", fixed="246810")
    for _ in range(5):
        assert not await spend(district, "000000", fixed="246810")
    with pytest.raises(TooManyAttempts):
        await spend(district, "246810", fixed="246810")


async def test_neither_phone_nor_code_is_stored_in_the_open(district: District) -> None:
    code = await send_code(district)
    async with district.reading() as session:
        row = (await session.scalars(select(SignInCode))).one()
    assert PHONE.encode() not in row.phone_index
    assert code.encode() not in row.code_hash
