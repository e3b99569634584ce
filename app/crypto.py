"""Personal data at rest: sealed with AES-256-GCM, found again by a keyed index, masked on screen."""

import base64
import hashlib
import hmac
import os
import unicodedata
from functools import lru_cache
from uuid import UUID

import phonenumbers
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import BadInput
from app.settings import Settings, settings

_VERSION = 1
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = 1 + _KEY_ID_BYTES


class Unreadable(Exception):
    """A sealed value was altered, moved to another place, or sealed with another key."""


def seal(plain: str, where: str) -> bytes:
    """Encrypt a text for one place, e.g. `student.name:<id>`: moved anywhere else it cannot be read.

    The result is version (1 byte), key id (4), nonce (12), ciphertext with its tag.
    """
    key_id, cipher = _cipher(settings().data_key.get_secret_value())
    head = bytes([_VERSION]) + key_id
    nonce = os.urandom(_NONCE_BYTES)
    return head + nonce + cipher.encrypt(nonce, plain.encode(), head + where.encode())


def unseal(sealed: bytes, where: str) -> str:
    """The text that was sealed for this place. Raises Unreadable."""
    return _unseal(settings(), sealed, where)


def phone_place(guardian_id: UUID) -> str:
    """Where a guardian's phone is sealed for."""
    return f"guardian.phone:{guardian_id}"


def misfits(configured: Settings) -> list[str]:
    """Names of the keys in these settings that are no 32 bytes in base64."""
    found = []
    for name, key in (("ESCROW_DATA_KEY", configured.data_key), ("ESCROW_INDEX_KEY", configured.index_key)):
        try:
            _key(name, key.get_secret_value())
        except RuntimeError:
            found.append(name)
    return found


def opens(configured: Settings, guardian_id: UUID, phone_enc: bytes, index: bytes) -> bool:
    """Whether a stored phone was sealed, and is found, by the keys in these settings."""
    try:
        phone = _unseal(configured, phone_enc, phone_place(guardian_id))
    except Unreadable:
        return False
    return hmac.compare_digest(_keyed_hash(configured, "phone", phone), index)


def phone_index(phone: str) -> bytes:
    """The blind index of a normalised phone: equal phones have equal indexes, and without the key nobody can tell whose."""
    return keyed_hash("phone", phone)


def keyed_hash(purpose: str, text: str) -> bytes:
    """HMAC-SHA256 with the index key, apart for each purpose: for secrets too short to hash in the open."""
    return _keyed_hash(settings(), purpose, text)


def normal_phone(text: str) -> str:
    """A mainland mobile number in E.164: +8613800138000. Raises BadInput `phone.invalid`."""
    plain = unicodedata.normalize("NFKC", text).strip()
    try:
        number = phonenumbers.parse(plain, "CN")
    except phonenumbers.NumberParseException:
        number = phonenumbers.PhoneNumber()
    mobile = number.country_code == 86 and phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
    if not mobile or number.extension:
        raise BadInput("phone.invalid", "请输入正确的手机号码")
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


def _unseal(configured: Settings, sealed: bytes, where: str) -> str:
    key_id, cipher = _cipher(configured.data_key.get_secret_value())
    head, nonce = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
    if head != bytes([_VERSION]) + key_id:
        raise Unreadable("sealed by another version or with another key")
    try:
        return cipher.decrypt(nonce, sealed[_HEAD_BYTES + _NONCE_BYTES :], head + where.encode()).decode()
    except (InvalidTag, ValueError) as cause:
        raise Unreadable("altered, or sealed for another place") from cause


def _keyed_hash(configured: Settings, purpose: str, text: str) -> bytes:
    key = _key("ESCROW_INDEX_KEY", configured.index_key.get_secret_value())
    return hmac.new(key, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()


@lru_cache(maxsize=4)
def _cipher(encoded: str) -> tuple[bytes, AESGCM]:
    key = _key("ESCROW_DATA_KEY", encoded)
    return hashlib.sha256(b"key id\0" + key).digest()[:_KEY_ID_BYTES], AESGCM(key)


@lru_cache(maxsize=4)
def _key(name: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise RuntimeError(f"{name} must be 32 bytes in base64")
    return key
