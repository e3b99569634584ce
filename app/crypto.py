"""Personal data at rest: sealed with AES-256-GCM, found again by a keyed index, masked on screen.

One key seals and indexes; former keys still open and find, until `app.cli rotate-keys` has sealed everything anew.
"""

import base64
import hashlib
import hmac
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from app.errors import BadInput
from app.settings import Settings, settings

_VERSION = 1
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = 1 + _KEY_ID_BYTES


class Unreadable(Exception):
    """A sealed value was altered, moved to another place, or sealed with another key."""


@dataclass(frozen=True, slots=True)
class _Ring:
    """The key that seals, and every key that opens, each by the id that stands in the envelope."""

    sealing_id: bytes
    ciphers: Mapping[bytes, AESGCM]


def seal(plain: str, where: str) -> bytes:
    """Encrypt a text for one place, e.g. `student.name:<id>`: moved anywhere else it cannot be read.

    The result is version (1 byte), key id (4), nonce (12), ciphertext with its tag.
    """
    return _seal(settings(), plain, where)


def unseal(sealed: bytes, where: str) -> str:
    """The text that was sealed for this place, with the present or a former key. Raises Unreadable."""
    return _unseal(settings(), sealed, where)


def resealed(sealed: bytes, where: str) -> bytes:
    """The same text under the present key; what is sealed with it already comes back as it is. Raises Unreadable."""
    return sealed if key_id_of(sealed) == sealing_key_id() else seal(unseal(sealed, where), where)


def opens(configured: Settings, sealed: bytes, where: str) -> bool:
    """Whether these settings open what was sealed for a place."""
    try:
        _unseal(configured, sealed, where)
    except Unreadable:
        return False
    return True


def finds(configured: Settings, index: bytes, sealed: bytes, where: str) -> bool:
    """Whether these settings find a phone, that they open, by the index that is stored beside it."""
    return index in _phone_indexes(configured, _unseal(configured, sealed, where))


def key_id_of(sealed: bytes) -> bytes:
    """The id of the key that something was sealed with."""
    return sealed[1:_HEAD_BYTES]


def sealing_key_id() -> bytes:
    """The id of the present data key."""
    return _ring(settings()).sealing_id


def index_key_id() -> bytes:
    """The id of the present index key."""
    return _key_id(_key("ESCROW_INDEX_KEY", settings().index_key.get_secret_value()))


def misfits(configured: Settings) -> list[str]:
    """Names of the keys in these settings that are no 32 bytes in base64."""
    found = []
    for name, keys in (
        ("ESCROW_DATA_KEY", (configured.data_key,)),
        ("ESCROW_INDEX_KEY", (configured.index_key,)),
        ("ESCROW_FORMER_DATA_KEYS", configured.former_data_keys),
        ("ESCROW_FORMER_INDEX_KEYS", configured.former_index_keys),
    ):
        try:
            for key in keys:
                _key(name, key.get_secret_value())
        except RuntimeError:
            found.append(name)
    return found


def phone_index(phone: str) -> bytes:
    """The blind index of a normalised phone: equal phones have equal indexes, and without the key nobody can tell whose."""
    return keyed_hash("phone", phone)


def phone_indexes(phone: str) -> list[bytes]:
    """Every blind index that a normalised phone may be stored under: the present key's first, then those of former keys."""
    return _phone_indexes(settings(), phone)


def has_former_indexes() -> bool:
    """Whether a phone may still be stored under another index than the present one."""
    return bool(settings().former_index_keys)


def keyed_hash(purpose: str, text: str) -> bytes:
    """HMAC-SHA256 with the index key, apart for each purpose: for secrets too short to hash in the open."""
    return _hmac(_key("ESCROW_INDEX_KEY", settings().index_key.get_secret_value()), purpose, text)


def normal_phone(text: str) -> str:
    """A mainland mobile number in E.164: +8613800138000. Raises BadInput `phone.invalid`."""
    plain = unicodedata.normalize("NFKC", text).strip()
    try:
        number = phonenumbers.parse(plain, "CN")
    except phonenumbers.NumberParseException:
        number = phonenumbers.PhoneNumber()
    mobile = number.country_code == 86 and phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
    if not mobile or number.extension:
        raise BadInput("phone.invalid", "请输入正确的手机号码", field="phone")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def mask_phone(phone: str) -> str:
    """138****1234, from E.164 or a national number."""
    national = phone.removeprefix("+86")
    return f"{national[:3]}****{national[-4:]}"


def mask_name(name: str) -> str:
    """王*明, 王*: the first and, from three characters on, the last one stay."""
    if len(name) < 3:
        return name[:1] + "*"
    return name[0] + "*" * (len(name) - 2) + name[-1]


def mask_account(account_no: str) -> str:
    """6228****0001: enough of a bank account's number to know it by."""
    return f"{account_no[:4]}****{account_no[-4:]}"


def _seal(configured: Settings, plain: str, where: str) -> bytes:
    ring = _ring(configured)
    head = bytes([_VERSION]) + ring.sealing_id
    nonce = os.urandom(_NONCE_BYTES)
    return head + nonce + ring.ciphers[ring.sealing_id].encrypt(nonce, plain.encode(), head + where.encode())


def _unseal(configured: Settings, sealed: bytes, where: str) -> str:
    head, nonce = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
    cipher = _ring(configured).ciphers.get(key_id_of(sealed))
    if sealed[:1] != bytes([_VERSION]) or cipher is None:
        raise Unreadable("sealed by another version or with another key")
    try:
        return cipher.decrypt(nonce, sealed[_HEAD_BYTES + _NONCE_BYTES :], head + where.encode()).decode()
    except (InvalidTag, ValueError) as cause:
        raise Unreadable("altered, or sealed for another place") from cause


def _phone_indexes(configured: Settings, phone: str) -> list[bytes]:
    former = (_key("ESCROW_FORMER_INDEX_KEYS", key.get_secret_value()) for key in configured.former_index_keys)
    keys = [_key("ESCROW_INDEX_KEY", configured.index_key.get_secret_value()), *former]
    return [_hmac(key, "phone", phone) for key in keys]


def _hmac(key: bytes, purpose: str, text: str) -> bytes:
    return hmac.new(key, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()


def _ring(configured: Settings) -> _Ring:
    return _ring_of(configured.data_key, configured.former_data_keys)


@lru_cache(maxsize=8)
def _ring_of(present: SecretStr, former: tuple[SecretStr, ...]) -> _Ring:
    key = _key("ESCROW_DATA_KEY", present.get_secret_value())
    keys = [key, *(_key("ESCROW_FORMER_DATA_KEYS", each.get_secret_value()) for each in former)]
    return _Ring(_key_id(key), {_key_id(each): AESGCM(each) for each in keys})


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"key id\0" + key).digest()[:_KEY_ID_BYTES]


@lru_cache(maxsize=8)
def _key(name: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise RuntimeError(f"{name} must be 32 bytes in base64")
    return key
