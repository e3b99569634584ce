"""Integer fen: allocation without remainder, and how people read and write it."""

import re

MAX_FEN = 10**13


def allocate(total_fen: int, weights: list[int]) -> list[int]:
    """Split a total by weights so that the parts sum to it exactly (largest remainder; ties to the earlier part).

    Raises ValueError for a negative total, no weights, or weights that are not positive.
    """
    if total_fen < 0 or not weights or min(weights) <= 0:
        raise ValueError("allocate needs a total of at least 0 and positive weights")
    whole = sum(weights)
    parts = [total_fen * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total_fen * weights[i] % whole), i))
    for i in by_remainder[: total_fen - sum(parts)]:
        parts[i] += 1
    return parts


def yuan(fen: int) -> str:
    """Fen as people read them: ¥1,234.50, −¥0.01."""
    sign = "−" if fen < 0 else ""
    return f"{sign}¥{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def plain(fen: int) -> str:
    """Fen as programs read yuan: 1234.50, -0.01."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def typed(text: str) -> int:
    """Fen out of yuan as people type them: 1,234.5 or ¥1234.50. Raises ValueError for anything else, OverflowError beyond MAX_FEN."""
    bare = re.sub(r"[,，\s¥￥]", "", text)
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,2})?", bare):
        raise ValueError("no amount in yuan")
    whole, _, rest = bare.partition(".")
    fen = int(whole) * 100 + int(rest.ljust(2, "0"))
    if fen > MAX_FEN:
        raise OverflowError("more than an amount can be")
    return fen
