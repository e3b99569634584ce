"""Identifiers: uuid7 for machines, numbers that carry their district for people and banks."""

import re
import secrets
import uuid
from typing import Literal

import uuid_utils

from app import clock

Letter = Literal["A", "C", "P", "R", "T", "S"]
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NUMBER = re.compile(rf"[ACPRTS]\d{{12}}[{_ALPHABET}]{{12}}")


def uuid7() -> uuid.UUID:
    """A new identifier, ordered by time of creation."""
    return uuid.UUID(bytes=uuid_utils.uuid7().bytes)


def number(letter: Letter, district: str) -> str:
    """A new number of 25 characters: letter, district, business date, 60 random bits.

    A application, C contract, P payment, R refund, T payout, S return of unassigned money. It is also the reference
    at the bank, so it is unique at a bank that several districts share.
    """
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    return f"{letter}{district}{clock.today():%y%m%d}{tail}"


def district_of(human_number: str) -> str | None:
    """The district code in a number of ours, None where the text is no such number."""
    return human_number[1:7] if _NUMBER.fullmatch(human_number) else None
