"""Standard Webhooks: sign and verify a message with HMAC-SHA256 over `id.timestamp.body`.

A secret is `whsec_` and base64. The headers are `webhook-id`, `webhook-timestamp` (Unix seconds) and `webhook-signature`
(one or several `v1,<base64>` separated by spaces, so that a sender can change its secret without a gap).
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(minutes=5)
SECRET_PREFIX = "whsec_"  # noqa: S105
MIN_KEY_BYTES = 24
MAX_SIGNATURES = 16
MAX_ID_LENGTH = 128


class WebhookRefused(Exception):
    """The message is not authentic, not fresh or not well formed."""


def new_secret() -> str:
    """A fresh random secret of 32 bytes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def secret_key(secret: str) -> bytes:
    """The key behind a secret. Raises ValueError for a malformed secret, and for one that could be guessed."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError("a webhook secret starts with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is base64 after whsec_") from error
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"a webhook secret has at least {MIN_KEY_BYTES} bytes")
    return key


def sign(secret: str, message_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """The three headers that authenticate `body`, sent at the aware instant `sent_at`. Raises ValueError for a malformed secret."""
    timestamp = str(int(sent_at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": _signature(secret_key(secret), message_id, timestamp, body),
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The id of an authentic message no more than five minutes from `now`.

    Raises WebhookRefused otherwise, and ValueError for a malformed secret.
    """
    key = secret_key(secret)
    found = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp, offered = (found.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    # A dot in the id would let one signed text be cut into another id, time and body.
    if not 0 < len(message_id) <= MAX_ID_LENGTH or not message_id.isascii() or "." in message_id:
        raise WebhookRefused("webhook-id")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
        raise WebhookRefused("webhook-timestamp")
    if abs(datetime.fromtimestamp(int(timestamp), UTC) - now) > TOLERANCE:
        raise WebhookRefused("webhook-timestamp")
    expected = _signature(key, message_id, timestamp, body).encode()
    candidates = offered.encode().split(b" ")
    if len(candidates) > MAX_SIGNATURES:
        raise WebhookRefused("webhook-signature")
    matches = [hmac.compare_digest(expected, candidate) for candidate in candidates]
    if not any(matches):
        raise WebhookRefused("webhook-signature")
    return message_id


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
