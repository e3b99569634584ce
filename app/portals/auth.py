"""Signing in: the JSON routes, and the verbs that the sign-in pages share with them."""

from typing import Annotated, Literal, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from app import security
from app.crypto import normal_phone
from app.db import District
from app.errors import SignInRequired
from app.portals.edge import Anyone, Modes, Named, Write
from app.portals.fields import Secret, Text
from app.registry import families
from app.security import Role, StaffRole
from app.settings import Settings
from app.sms import Sms

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])


class PhoneInput(BaseModel):
    """Whose phone is to get a code."""

    phone: Annotated[Text, Field(max_length=32, examples=["13800138000"])]


class CodeInput(PhoneInput):
    """The code that the phone got."""

    code: Annotated[Text, Field(max_length=16, examples=["123456"])]


class PasswordInput(BaseModel):
    """User name and password of a member of staff."""

    username: Annotated[Text, Field(max_length=64)]
    password: Secret


class SignedIn(BaseModel):
    """A session: send the token as `Authorization: Bearer …`."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  # the scheme's name
    expires_in: int
    role: Role
    district: str


async def send_code(request: Request, district: District, phone: str) -> None:
    """Send a code to a phone; a sample phone has its fixed one already.

    Raises BadInput `phone.invalid`, TooManyAttempts `auth.code_too_soon`, Unavailable `sms.unavailable`.
    """
    number = normal_phone(phone)
    if await _fixed_code(request, district, number) is not None:
        return
    async with district.transaction() as session:
        code = await security.new_code(session, number)
    await cast(Sms, request.app.state.sms).send_code(number, code)


async def sign_in_parent(request: Request, district: District, phone: str, code: str) -> SignedIn:
    """Open a guardian's session. Raises SignInRequired `auth.wrong_code`, TooManyAttempts `auth.locked`."""
    number = normal_phone(phone)
    fixed = await _fixed_code(request, district, number)
    token = None
    async with district.transaction() as session:
        if await security.spend_code(session, number, code, fixed):
            guardian = await families.guardian_for_phone(session, number)
            token = await security.open_session(session, "parent", guardian_id=guardian.id)
    if token is None:
        raise SignInRequired("auth.wrong_code", "验证码不正确或已过期")
    return _signed_in(district, token, "parent")


async def sign_in_staff(district: District, username: str, password: str, role: StaffRole | None = None) -> SignedIn:
    """Open a session of a member of staff, of this role if one is asked for.

    Raises SignInRequired `auth.wrong_password`, TooManyAttempts `auth.locked`.
    """
    opened = await security.sign_in_staff(district, username, password, role)
    if opened is None:
        raise SignInRequired("auth.wrong_password", "用户名或密码不正确")
    token, found = opened
    return _signed_in(district, token, found)


@router.post("/parent/code", status_code=204, summary="Send a sign-in code to a parent's phone")
async def parent_code(request: Request, body: PhoneInput, district: Named) -> None:
    """The answer is the same for a known and an unknown phone."""
    await send_code(request, district, body.phone)


@router.post("/parent/session", summary="Sign a parent in")
async def parent_session(request: Request, body: CodeInput, district: Named) -> SignedIn:
    """The first sign-in enters the guardian."""
    return await sign_in_parent(request, district, body.phone, body.code)


@router.post("/staff/session", summary="Sign a member of staff in")
async def staff_session(body: PasswordInput, district: Named) -> SignedIn:
    """An unknown user name and a wrong password get the same answer."""
    return await sign_in_staff(district, body.username, body.password)


@router.delete("/session", status_code=204, summary="Sign out")
async def sign_out(caller: Anyone, session: Write) -> None:
    """The token counts no more."""
    await security.end_session(session, caller.session_id)


async def _fixed_code(request: Request, district: District, number: str) -> str | None:
    """A sample phone's code. A drill or a restored copy holds real families, so only a sample district has any."""
    if await cast(Modes, request.app.state.modes).of(district.code) != "sample":
        return None
    settings = cast(Settings, request.app.state.settings)
    return {normal_phone(phone): code for phone, code in settings.sample_sign_in.items()}.get(number)


def _signed_in(district: District, token: str, role: Role) -> SignedIn:
    seconds = int(security.SESSION_LASTS[role].total_seconds())
    return SignedIn(access_token=token, expires_in=seconds, role=role, district=district.code)
