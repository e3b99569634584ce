"""Short messages, as a port. A live district needs a carrier's adapter; the console is for samples."""

import sys
from typing import Protocol

from app.crypto import mask_phone
from app.errors import Unavailable


class Sms(Protocol):
    """Something that can send a short message."""

    async def send_code(self, phone: str, code: str) -> None:
        """Send a sign-in code to a phone (E.164). Raises Unavailable."""
        ...


class ConsoleSms:
    """Prints codes for the person who runs the sample; start-up refuses it in a live district."""

    async def send_code(self, phone: str, code: str) -> None:
        """Print the code, with the phone masked."""
        print(f"SMS {mask_phone(phone)}: {code}", file=sys.stderr, flush=True)


class NoSms:
    """Where no carrier is configured, nothing can be sent."""

    async def send_code(self, phone: str, code: str) -> None:
        """Always refuses."""
        raise Unavailable("sms.unavailable", "短信服务尚未开通，请联系管理员")


def from_settings(kind: str) -> Sms:
    """The port that the settings name."""
    return ConsoleSms() if kind == "console" else NoSms()
