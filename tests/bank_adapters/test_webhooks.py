"""Standard Webhooks: what is signed is believed, anything else is not."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from bank_adapters import webhooks

SECRET = webhooks.new_secret()
NOW = datetime(2025, 9, 1, 8, 0, 0, tzinfo=UTC)
BODY = b'{"type":"order.paid","data":{"reference":"A1"}}'


def signed(secret: str = SECRET, at: datetime = NOW, body: bytes = BODY) -> dict[str, str]:
    return webhooks.sign(secret, "msg_1", at, body)


def refused(headers: dict[str, str], body: bytes = BODY) -> str:
    with pytest.raises(webhooks.WebhookRefused) as caught:
        webhooks.verify(SECRET, headers, body, NOW)
    return str(caught.value)


def test_an_authentic_message_tells_its_id() -> None:
    assert webhooks.verify(SECRET, signed(), BODY, NOW) == "msg_1"


def test_header_names_may_be_written_in_any_case() -> None:
    assert webhooks.verify(SECRET, {name.title(): value for name, value in signed().items()}, BODY, NOW) == "msg_1"


def test_the_signature_is_the_one_of_the_standard() -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = hmac.new(key, b"msg_1.%d." % NOW.timestamp() + BODY, hashlib.sha256).digest()
    assert signed()["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


def test_a_forged_signature_is_refused() -> None:
    assert refused(signed(secret=webhooks.new_secret())) == "webhook-signature"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(name: str) -> None:
    assert refused({key: value for key, value in signed().items() if key != name}) == name


@pytest.mark.parametrize("body", [BODY.replace(b"A1", b"A2"), BODY + b" ", b""])
def test_an_altered_body_is_refused(body: bytes) -> None:
    assert refused(signed(), body) == "webhook-signature"


@pytest.mark.parametrize("changed", [{"webhook-id": "msg_2"}, {"webhook-timestamp": str(int(NOW.timestamp()) + 1)}])
def test_an_altered_header_is_refused(changed: dict[str, str]) -> None:
    assert refused(signed() | changed) == "webhook-signature"


@pytest.mark.parametrize("minutes", [-5, 5])
def test_five_minutes_off_is_still_fresh(minutes: int) -> None:
    assert webhooks.verify(SECRET, signed(at=NOW + timedelta(minutes=minutes)), BODY, NOW) == "msg_1"


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_stale_or_future_message_is_refused(seconds: int) -> None:
    assert refused(signed(at=NOW + timedelta(seconds=seconds))) == "webhook-timestamp"


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1.5", "١٢٣", "9" * 12, "99999999999999999999"])
def test_a_malformed_time_is_refused(timestamp: str) -> None:
    assert refused(signed() | {"webhook-timestamp": timestamp}) == "webhook-timestamp"


@pytest.mark.parametrize("message_id", ["", "a.b", "x" * 129, "消息"])
def test_a_malformed_id_is_refused(message_id: str) -> None:
    headers = webhooks.sign(SECRET, message_id, NOW, BODY)
    assert refused(headers) == "webhook-id"


def test_one_good_signature_among_several_is_enough() -> None:
    old, new = signed(secret=webhooks.new_secret()), signed()
    both = f"{old['webhook-signature']} v1a,other {new['webhook-signature']}"
    assert webhooks.verify(SECRET, new | {"webhook-signature": both}, BODY, NOW) == "msg_1"


def test_several_bad_signatures_are_refused() -> None:
    bad = " ".join(signed(secret=webhooks.new_secret())["webhook-signature"] for _ in range(3))
    assert refused(signed() | {"webhook-signature": bad}) == "webhook-signature"


def test_a_flood_of_signatures_is_refused_unread() -> None:
    good = signed()["webhook-signature"]
    assert refused(signed() | {"webhook-signature": " ".join([good] * 17)}) == "webhook-signature"


@pytest.mark.parametrize("offered", ["", "v1", "v1,", "v2,AAAA", "签名"])
def test_a_malformed_signature_is_refused(offered: str) -> None:
    assert refused(signed() | {"webhook-signature": offered}) == "webhook-signature"


@pytest.mark.parametrize("secret", ["", "secret", "whsec_***", "whsec_", "whsec_c2hvcnQ="])
def test_a_malformed_secret_is_a_mistake_of_ours(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        webhooks.sign(secret, "msg_1", NOW, BODY)
