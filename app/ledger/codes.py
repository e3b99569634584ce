"""How ledger accounts of a book are named (design: one row per place money can be)."""

from uuid import UUID

PAYABLE = "payable"
SUSPENSE = "suspense"
SHORTFALL = "shortfall"


def cash(bank_account_id: UUID) -> str:
    """The mirror of one supervised account (监管账户)."""
    return f"cash:{bank_account_id}"


def outgoing(bank_account_id: UUID) -> str:
    """Reserved for instructions from that account, not known to be executed."""
    return f"outgoing:{bank_account_id}"


def escrow(payment_id: UUID) -> str:
    """Untaught, unconfirmed or disputed lessons of that charge (监管余额)."""
    return f"escrow:{payment_id}"
