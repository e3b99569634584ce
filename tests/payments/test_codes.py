"""Payment codes are signed, and QR codes decode to addresses of this service."""

import re
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer
from PIL import Image, ImageDraw

from app import clock
from app.errors import BadInput
from app.ids import number
from app.payments import codes, qr
from app.payments.codes import PaymentCode
from app.payments.models import Payment

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def payment(status: str = "created") -> Payment:
    return Payment(
        payment_no=number("P", "510112"), nonce=codes.new_nonce(), status=status, created_at=NOW, expires_at=NOW + timedelta(minutes=15)
    )


def test_a_code_says_which_payment_and_nothing_else() -> None:
    paid = payment()
    text = codes.code_for(paid)
    assert codes.read_code(text) == PaymentCode("510112", paid.payment_no, paid.nonce)
    assert re.fullmatch(r"[0-9A-Za-z._-]+", text)
    assert codes.url_for(paid) == f"http://escrow.test/pay/{text}"


@given(st.data())
def test_an_altered_code_is_refused(data: st.DataObject) -> None:
    text = codes.code_for(payment())
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii", min_codepoint=33).filter(lambda char: char != text[at]))
    altered = text[:at] + other + text[at + 1 :]
    # The last of 43 base64 characters carries two bits that mean nothing: the signature may still be the same bytes.
    if at == len(text) - 1 and codes_agree(text, altered):
        return
    with pytest.raises(BadInput) as refusal:
        codes.read_code(altered)
    assert refusal.value.code == "payments.code_invalid"


def codes_agree(text: str, altered: str) -> bool:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return altered[-1] in alphabet and alphabet.index(text[-1]) >> 2 == alphabet.index(altered[-1]) >> 2


@given(st.text(max_size=120))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        codes.read_code(text)


def test_a_foreign_code_is_refused() -> None:
    ours = payment()
    foreign = Signer("another installation's key", salt="payment-code", key_derivation="hmac").sign(f"{ours.payment_no}.{ours.nonce}")
    with pytest.raises(BadInput):
        codes.read_code(foreign.decode())


@pytest.mark.parametrize(
    ("status", "charge_status", "minutes", "refusal"),
    [
        ("created", "planned", 14, None),
        ("created", "planned", 15, "payments.code_expired"),
        ("expired", "planned", 1, "payments.code_expired"),
        ("created", "lapsed", 1, "payments.code_cancelled"),
        ("expired", "lapsed", 60, "payments.code_expired"),
        ("paid", "paid", 1, "payments.code_used"),
        ("paid", "paid", 60, "payments.code_used"),
        ("created", "paid", 1, "payments.code_used"),
    ],
)
def test_use_and_expiry_are_judged_by_the_rows(status: str, charge_status: str, minutes: int, refusal: str | None) -> None:
    opened = payment(status)
    code = codes.read_code(codes.code_for(opened))
    codes.check_genuine(code, opened)
    with clock.at(NOW + timedelta(minutes=minutes)):
        ended = codes.why_ended(opened.status, opened.expires_at, charge_status)
    assert (ended and ended.code) == refusal


def test_a_code_opens_no_other_payment() -> None:
    opened, other = payment(), payment()
    code = codes.read_code(codes.code_for(opened))
    for found in (other, None):
        with pytest.raises(BadInput):
            codes.check_genuine(code, found)


def test_png_codes_decode_to_absolute_addresses() -> None:
    for url in (codes.url_for(payment()), codes.district_url("510112")):
        drawn = qr.png(url)
        assert len(drawn) < 2_000
        assert decoded(Image.open(BytesIO(drawn))) == url
        assert url.startswith("http://escrow.test/")


def test_svg_codes_decode_too() -> None:
    url = codes.district_url("510112")
    assert url == "http://escrow.test/?district=510112"
    assert decoded(rasterized(qr.svg(url).decode())) == url


def decoded(image: Image.Image) -> str:
    (found,) = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
    assert found.format == zxingcpp.BarcodeFormat.QRCode
    assert found.ec_level == "M"
    return found.text


def rasterized(svg: str) -> Image.Image:
    """The squares of the drawing's one path, as black pixels on white."""
    side = float(re.search(r'width="([\d.]+)mm"', svg)[1])  # type: ignore[index]
    image = Image.new("1", (round(side * 10), round(side * 10)), 1)
    pen = ImageDraw.Draw(image)
    for left, top, right, bottom in re.findall(r"M([\d.]+),([\d.]+)H([\d.]+)V([\d.]+)H", svg):
        corners = [round(float(edge) * 10) for edge in (left, top, right, bottom)]
        pen.rectangle((corners[0], corners[1], corners[2] - 1, corners[3] - 1), fill=0)
    return image
