"""When an alert fires: pure decisions over amounts in fen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from app.policy.packs import Grade

Rule = Literal[
    "large_transfer",
    "large_day",
    "minimum_balance",
    "uninstructed_debit",
    "unassigned_money",
    "instruction_failed",
    "instruction_in_doubt",
    "break",
]
Hold = Rule | Literal["named_payee"]
"""Why money that was drafted waits for an officer."""
Level = Literal["yellow", "red"]

LEVELS: dict[Rule, Level] = {
    "large_transfer": "yellow",
    "large_day": "yellow",
    "minimum_balance": "red",
    "uninstructed_debit": "red",
    "unassigned_money": "yellow",
    "instruction_failed": "yellow",
    "instruction_in_doubt": "yellow",
    "break": "red",
}

IN_DOUBT_AFTER = timedelta(hours=1)
"""How long a bank may leave an instruction without an end before a person should ask there."""


@dataclass(frozen=True, slots=True)
class Lines:
    """An institution's alarm lines, in fen."""

    large_transfer_fen: int
    large_day_fen: int
    minimum_balance_fen: int


DEFAULT_LINES = Lines(large_transfer_fen=30_000_000, large_day_fen=30_000_000, minimum_balance_fen=10_000_000)
"""Until an officer sets others: Hangzhou's of 2020 for institutions under a year old, ¥300,000 a day and ¥100,000 to stay (grade C).

No measure found gives a line for one movement, so it is the day's.
"""
MINIMUM_BALANCE_SOURCE: tuple[str, Grade] = ("杭州市 2020 年办法，办学不满一年的机构", "C")
"""Where the default minimum balance stands written, as screens name it, and the source's grade. No rule pack states one for here yet."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A line that an outflow went over."""

    rule: Rule
    amount_fen: int
    line_fen: int


def crossings(amount_fen: int, day_fen: int, lines: Lines) -> list[Crossing]:
    """The lines that an outflow crosses, by itself and with its business day (`day_fen` includes it). Exactly on a line is not over it."""
    crossed = []
    if amount_fen > lines.large_transfer_fen:
        crossed.append(Crossing("large_transfer", amount_fen, lines.large_transfer_fen))
    if day_fen > lines.large_day_fen:
        crossed.append(Crossing("large_day", day_fen, lines.large_day_fen))
    return crossed


def held_by(to_named_payee: bool, crossed: Sequence[Crossing]) -> Hold | None:
    """Why an instruction waits for an officer; None where a rule lets it go.

    One to an account that somebody typed waits whatever its amount: institutions enter old contracts alone, so an invented one would
    otherwise be a way out of custody.
    """
    if to_named_payee:
        return "named_payee"
    return crossed[0].rule if crossed else None


def below_minimum(balance_fen: int, escrow_fen: int, lines: Lines) -> Crossing | None:
    """Whether a balance that the bank reported is under the line; exactly on it is not.

    The minimum stands behind what families have prepaid (rule balance.min): who holds nothing and owes no lesson is under no line.
    """
    if balance_fen >= lines.minimum_balance_fen or balance_fen == escrow_fen == 0:
        return None
    return Crossing("minimum_balance", balance_fen, lines.minimum_balance_fen)


def coverage_bps(reported_fen: int, incoming_fen: int, unresolved_fen: int, escrow_fen: int) -> int | None:
    """What covers the escrow, in basis points rounded down: the bank's balance, money on its way to it, less what may still leave.

    None where there is nothing to cover.
    """
    if escrow_fen == 0:
        return None
    return (reported_fen + incoming_fen - unresolved_fen) * 10_000 // escrow_fen


def unfunded_old_stock(shortfall_fen: int, debits_fen: int, old_escrow_fen: int) -> int:
    """What of a book's escrow is old stock (存量) that never brought its cash, in fen: no bank can be asked to hold it.

    What debits took is missing from everybody and stays due. Nor is it ever more than old stock still has in escrow: a shortfall beyond
    that stands against confirmed fees, and leaving it out would leave out other families' money.
    """
    return min(max(shortfall_fen - debits_fen, 0), old_escrow_fen)
