"""The sign-in and sign-out pages of the four ends. Where to go afterwards stays in the address, as `?next=`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from app import security
from app.crypto import mask_phone, normal_phone
from app.errors import DomainError
from app.portals import auth, words
from app.portals.auth import SignedIn
from app.portals.edge import Anyone, Named, Write, cookie_name, local_path, refuse_other_sites
from app.portals.pages import render, see_other, set_session_cookie
from app.security import Role, StaffRole

router = APIRouter(include_in_schema=False)

OwnForm = Depends(refuse_other_sites)
Typed = Annotated[str, Form(max_length=200)]


@router.get("/parent/sign-in")
async def parent_sign_in(request: Request, district: Named) -> Response:
    """Ask for the phone."""
    return _parent_page(request)


@router.post("/parent/sign-in", dependencies=[OwnForm])
async def parent_phone(request: Request, district: Named, phone: Typed = "") -> Response:
    """Send the code and ask for it. The phone stays in the form: it does not belong into an address."""
    try:
        await auth.send_code(request, district, phone)
    except DomainError as error:
        return _parent_page(request, error, phone=phone, code_sent=error.code == "auth.code_too_soon")
    return _parent_page(request, phone=phone, code_sent=True)


@router.post("/parent/sign-in/code", dependencies=[OwnForm])
async def parent_code(request: Request, district: Named, phone: Typed = "", code: Typed = "", next: str = "") -> Response:
    """Check the code."""
    try:
        signed_in = await auth.sign_in_parent(request, district, phone, code.strip())
    except DomainError as error:
        return _parent_page(request, error, phone=phone, code_sent=error.code != "phone.invalid")
    return _enter(signed_in, next)


@router.get("/{end}/sign-in")
async def staff_sign_in(request: Request, end: StaffRole, district: Named) -> Response:
    """Ask for user name and password."""
    return _staff_page(request, end)


@router.post("/{end}/sign-in", dependencies=[OwnForm])
async def staff_password(
    request: Request, end: StaffRole, district: Named, username: Typed = "", password: Typed = "", next: str = ""
) -> Response:
    """Check them, for this end's staff only."""
    try:
        signed_in = await auth.sign_in_staff(district, username.replace("\0", ""), password, end)
    except DomainError as error:
        return _staff_page(request, end, error, username=username)
    return _enter(signed_in, next)


@router.post("/{end}/sign-out")
async def sign_out(end: Role, caller: Anyone, session: Write) -> Response:
    """End the session and forget its cookie."""
    await security.end_session(session, caller.session_id)
    answer = see_other(f"/{end}/sign-in", "您已退出登录")
    answer.delete_cookie(cookie_name(end))
    return answer


def _parent_page(request: Request, error: DomainError | None = None, phone: str = "", code_sent: bool = False) -> Response:
    return render(
        request,
        "sign_in_parent.html",
        status=error.status if error else 200,
        error=error,
        phone=phone,
        code_sent_to=mask_phone(normal_phone(phone)) if code_sent else "",
        query=_query(request),
    )


def _staff_page(request: Request, end: StaffRole, error: DomainError | None = None, username: str = "") -> Response:
    return render(
        request,
        "sign_in_staff.html",
        status=error.status if error else 200,
        error=error,
        username=username,
        query=_query(request),
        name=words.ENDS[end],
    )


def _query(request: Request) -> str:
    return f"?{request.url.query}" if request.url.query else ""


def _enter(signed_in: SignedIn, wanted: str) -> Response:
    answer = see_other(local_path(wanted, f"/{signed_in.role}"))
    set_session_cookie(answer, cookie_name(signed_in.role), signed_in.access_token, signed_in.expires_in)
    return answer
