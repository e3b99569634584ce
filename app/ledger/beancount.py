"""The books as a Beancount file, for auditors who would rather trust a program that is not ours.

Debits are positive. Every ledger account stands in front with its opening and closing balance, which are not sums of the transfers
that follow: a file that was cut short, or in which an amount is not what it was, does not pass `bean-check`.
"""

import re
from collections.abc import AsyncGenerator
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.db import district_of
from app.ledger import journal
from app.ledger.journal import Frame, Glossary, Line, Scope, Seal
from app.money import plain

_ROOTS = {"asset": "Assets", "liability": "Liabilities"}
_PLAIN_PART = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_DAY = timedelta(days=1)


async def export(session: AsyncSession, scope: Scope, glossary: Glossary) -> AsyncGenerator[bytes]:
    """The file in parts of at most some hundred kilobytes, out of a fresh session's one snapshot.

    What the sealer has not numbered yet is left out, also of the balances; the head says where the log stands.
    """
    await journal.begin(session)
    closed_on = await journal.last_day(session, scope) + _DAY
    yield head(district_of(session), scope, await journal.seal(session, scope)).encode()
    book_id = None
    async for frames in journal.frames(session, scope):
        part = []
        for frame in frames:
            if frame.book_id != book_id:
                book_id = frame.book_id
                part.append(book(book_id, scope, glossary))
            part.append(account(frame, scope, closed_on))
        yield "".join(part).encode()
    async for lines in journal.lines(session, scope):
        yield "".join(transaction(line, glossary) for line in lines).encode()


def head(district: str, scope: Scope, seal: Seal) -> str:
    """What the file holds, and where the log stood."""
    which = f"book {scope.book_id}" if scope.book_id else "every book"
    return (
        f'option "title" "{district}"\noption "operating_currency" "CNY"\n\n'
        f"; District {district}, {which}, {scope.from_on or 'beginning'} to {scope.to_on or 'end'};"
        " a transfer's day is that of its entry into the books, in Asia/Shanghai.\n"
        f"; The log is sealed up to voucher {seal.seq}, leaf {seal.leaf_hash.hex() or 'none'}.\n"
        f"; {seal.waiting} transfers of these days wait for their voucher number and are left out.\n"
    )


def book(book_id: UUID, scope: Scope, glossary: Glossary) -> str:
    """A book's name; in a range also the account that its opening balances are taken from, which they must leave empty."""
    lines = f"\n; {' '.join(glossary.books.get(book_id, str(book_id)).split())}\n"
    if scope.from_on:
        lines += f"{scope.from_on - _DAY} open {_opening(book_id)} CNY\n{_balance(scope.from_on, _opening(book_id), 0)}"
    return lines


def account(frame: Frame, scope: Scope, closed_on: date) -> str:
    """A ledger account: opened on the day it first moved, its balance before the range, its balance after it."""
    name = account_name(frame.book_id, frame.code, frame.side)
    lines = f"{clock.business_date(frame.first_at)} open {name} CNY\n  code: {_quoted(frame.code)}\n"
    if scope.from_on and frame.opening_fen is not None:
        if frame.opening_fen:
            lines += f'{scope.from_on - _DAY} * "opening"\n'
            lines += _posting(name, frame.opening_fen) + _posting(_opening(frame.book_id), -frame.opening_fen)
        lines += _balance(scope.from_on, name, frame.opening_fen)
    return lines + _balance(closed_on, name, frame.closing_fen)


def transaction(line: Line, glossary: Glossary) -> str:
    """A transfer, on the day of its entry into the books."""
    facts = {
        "voucher": str(line.seq),
        "reference": _quoted(line.reference),
        "transfer": _quoted(str(line.transfer_id)),
        "reverses": _quoted(str(line.reverses)) if line.reverses else None,
        "posted-by": _quoted(line.posted_by),
        "occurred-at": _quoted(journal.local(line.occurred_at)),
        "value-on": str(line.value_on),
        "recorded-at": _quoted(journal.local(line.recorded_at)),
        "evidence": _quoted(line.evidence_sha256.hex()) if line.evidence_sha256 else None,
        "leaf": _quoted(line.leaf_hash.hex()),
    }
    return (
        f"\n{line.recorded_on} * {_quoted(line.kind)} {_quoted(glossary.word(line.kind, 'transfer'))}\n"
        + "".join(f"  {name}: {fact}\n" for name, fact in facts.items() if fact)
        + _posting(account_name(line.book_id, line.debit, line.debit_side), line.amount_fen)
        + _posting(account_name(line.book_id, line.credit, line.credit_side), -line.amount_fen)
    )


def account_name(book_id: UUID, code: str, side: str) -> str:
    """The same name for the same ledger account in every file, and never for another: Assets:<book>:Cash:<bank account>."""
    return ":".join((_ROOTS[side], *(_part(part) for part in (str(book_id), *code.split(":", 1)))))


def _part(text: str) -> str:
    """A part begins with a digit or a capital; what needs more than that is spelt in hexadecimal, behind a mark that no plain part has."""
    return text[0].upper() + text[1:] if _PLAIN_PART.fullmatch(text) else f"X--{text.encode().hex().upper()}"


def _opening(book_id: UUID) -> str:
    return f"Equity:{_part(str(book_id))}:Opening"


def _posting(name: str, fen: int) -> str:
    return f"  {name}  {plain(fen)} CNY\n"


def _balance(on: date, name: str, fen: int) -> str:
    # Without a tolerance of its own, an assertion lets a difference of one fen pass.
    return f"{on} balance {name}  {plain(fen)} ~ 0 CNY\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
