"""What can be wrong, in the domain's words. The edge turns each kind into an HTTP status; slices never do."""

from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal that changed nothing: a stable code for programs, a Chinese sentence for people, facts without personal data."""

    status: ClassVar[int] = 500

    def __init__(self, code: str, message_zh: str, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.message_zh = message_zh
        self.facts = facts


class BadInput(DomainError):
    """The request cannot be understood."""

    status = 400


class SignInRequired(DomainError):
    """Nobody is known to be calling."""

    status = 401


class Forbidden(DomainError):
    """The caller's role may not do this at all."""

    status = 403


class NotFound(DomainError):
    """Absent, or somebody else's: the caller cannot tell which."""

    status = 404


class Conflict(DomainError):
    """The state of things does not allow it (any more)."""

    status = 409


class Gone(DomainError):
    """It was there and has ended: an expired or used code."""

    status = 410


class Refused(DomainError):
    """Understood, and a rule says no."""

    status = 422


class TooManyAttempts(DomainError):
    """Locked for a while."""

    status = 429


class Unavailable(DomainError):
    """Something outside (a bank, a database) does not answer; nothing is lost, try again."""

    status = 503
