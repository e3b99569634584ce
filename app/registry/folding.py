"""How names are compared in a search: folded to letters and digits, cut into overlapping pairs, so that any part of a name finds it."""

import unicodedata
from collections.abc import Iterable
from itertools import pairwise

MAX_TERMS = 5
"""As many as `search_classes` and `search_institutions` look at."""
_KEPT = ("L", "N", "M")
_BETWEEN_FIELDS = "\n"
_SIGNED = 1 << 31


def folded(text: str) -> str:
    """Letters, marks and digits only, in compatibility form and without case: `Ａ·晨光（东）` is `a晨光东`."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(char for char in plain if unicodedata.category(char).startswith(_KEPT))


def lines_of(fields: Iterable[str]) -> str:
    """Folded fields, one a line, so that no match runs over the end of one."""
    return _BETWEEN_FIELDS.join(filter(None, map(folded, fields)))


def grams_of(lines: str) -> set[int]:
    """Every single character and every pair of neighbours in a line, as numbers of 32 bits.

    A gram is exact: characters count as their UTF-16 units, a pair as the first unit × 65,536 + the second.
    """
    grams: set[int] = set()
    for line in lines.split(_BETWEEN_FIELDS):
        units = _units(line)
        grams.update(units, _pairs(units))
    return grams


def terms_of(query: str) -> list[str]:
    """What a row must contain, all of it: the folded words of a query, the first five."""
    return list(dict.fromkeys(filter(None, map(folded, query.split()))))[:MAX_TERMS]


def grams_for(term: str) -> set[int]:
    """Grams that every row with this folded term has: pairs that cover it, or itself where it is a single unit.

    Pairs that overlap would say the same thing twice, and make the planner expect far too few rows.
    """
    units = _units(term)
    pairs = _pairs(units)
    return {*pairs[::2], pairs[-1]} if pairs else set(units)


def is_a_gram(term: str) -> bool:
    """Whether the term is one gram, so that a row with its gram holds it and need not be compared."""
    return len(_units(term)) <= 2


def _units(text: str) -> list[int]:
    return memoryview(text.encode("utf-16-le")).cast("H").tolist()


def _pairs(units: list[int]) -> list[int]:
    return [((first << 16 | second) ^ _SIGNED) - _SIGNED for first, second in pairwise(units)]
