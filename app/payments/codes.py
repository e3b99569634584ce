"""The signed text in a payment's QR code. It says which payment, never what is paid: that stands in the database."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from itsdangerous import BadSignature, Signer

from app import clock, ids
from app.errors import BadInput, Gone
from app.payments.models import Payment
from app.settings import settings

_CODE = re.compile(r"(?P<payment_no>P[0-9]{12}[0-9A-Z]{12})\.(?P<nonce>[0-9A-Za-z_-]{16})")


@dataclass(frozen=True, slots=True)
class PaymentCode:
    """What a genuine code says; the district is the one in the payment's number."""

    district: str
    payment_no: str
    nonce: str


def new_nonce() -> str:
    """96 random bits in 16 characters."""
    return secrets.token_urlsafe(12)


def code_for(payment: Payment) -> str:
    """The code of a payment, 86 characters that need no quoting in a URL."""
    return _signer().sign(f"{payment.payment_no}.{payment.nonce}").decode()


def url_for(payment: Payment) -> str:
    """The absolute address that the payment's QR code leads to."""
    return url_of(code_for(payment))


def url_of(code: str) -> str:
    """The same, from the code itself."""
    return f"{settings().base_url}/pay/{code}"


def district_url(district: str) -> str:
    """The absolute address that the district's one QR code (全区一码) leads to."""
    return f"{settings().base_url}/?district={district}"


def read_code(text: str) -> PaymentCode:
    """What a code says, once its signature holds. Raises BadInput("payments.code_invalid") for an altered or foreign one."""
    try:
        said = _CODE.fullmatch(_signer().unsign(text).decode())
    except (BadSignature, UnicodeError):
        raise _invalid() from None
    district = said and ids.district_of(said["payment_no"])
    if not said or not district:
        raise _invalid()
    return PaymentCode(district, said["payment_no"], said["nonce"])


def check_genuine(code: PaymentCode, payment: Payment | None) -> None:
    """Whether it is this payment's code, whatever has become of the payment. Raises BadInput("payments.code_invalid")."""
    if payment is None or not secrets.compare_digest(payment.nonce.encode(), code.nonce.encode()):
        raise _invalid()


def why_ended(status: str, expires_at: datetime, charge_status: str | None) -> Gone | None:
    """Why a code opens its payment no more, None while it does: "payments.code_used", `…_cancelled`, `…_expired`."""
    if "paid" in (status, charge_status):
        return Gone("payments.code_used", "这笔费用已经付款，付款码不再有效")
    if status == "created" and charge_status == "lapsed":
        return Gone("payments.code_cancelled", "这笔费用已取消，不用再付款")
    if status == "expired" or expires_at <= clock.now():
        return Gone("payments.code_expired", "这个付款码已过期，请回到合同重新生成")
    return None


def _signer() -> Signer:
    key = settings().secret_key.get_secret_value()
    assert key, "payment codes need ESCROW_SECRET_KEY"
    return Signer(key, salt="payment-code", key_derivation="hmac", digest_method=sha256)


def _invalid() -> BadInput:
    return BadInput("payments.code_invalid", "付款码无效，请重新扫描本平台出示的二维码")
