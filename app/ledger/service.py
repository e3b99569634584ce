"""The one door to the books."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from asyncpg import PostgresError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.errors import BadInput, Conflict, DomainError, Refused
from app.ids import uuid7
from app.money import MAX_FEN

_POST = text("""
    SELECT item, transfer_id, repeated FROM ledger_post(
        CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:refs AS text[]), CAST(:books AS uuid[]), CAST(:debits AS text[]),
        CAST(:credits AS text[]), CAST(:amounts AS bigint[]), CAST(:occurred AS timestamptz[]), CAST(:valued AS date[]),
        CAST(:business AS date[]), CAST(:reverses AS uuid[]), CAST(:evidence AS bytea[]),
        CAST(:posted_by AS text[]), :batch, :clock)
""")


MOST_AT_ONCE = 1_000
"""Items of one call of the books' own function."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One transfer to be posted. `debit` and `credit` are codes of ledger accounts, which open on first use.

    `reference` is the row that caused it; `occurred_at` (UTC) is the bank's time for facts, by default now;
    `value_on` the bank's value date, by default the business date of `occurred_at`; `posted_by` whoever caused this one,
    where a list stands for several.
    """

    kind: str
    reference: UUID
    book_id: UUID
    debit: str
    credit: str
    amount_fen: int
    occurred_at: datetime | None = None
    value_on: date | None = None
    reverses: UUID | None = None
    evidence_sha256: bytes | None = None
    posted_by: str | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of one posting; `repeated` where the same one had been posted before, and `transfer_id` is that one's."""

    transfer_id: UUID
    repeated: bool


async def open_book(session: AsyncSession, book_id: UUID) -> None:
    """Open an institution's book; opening it again changes nothing."""
    await session.execute(text("SELECT ledger_open_book(:book, :clock)"), {"book": book_id, "clock": clock.now()})


async def post(session: AsyncSession, postings: Sequence[Posting], *, posted_by: str, batch: UUID | None = None) -> list[Posted]:
    """Post a list in its order, all or nothing; at most 1,000 items, once per transaction.

    A posting whose (kind, reference) was posted before with the same facts is answered as repeated and changes nothing.
    Raises Refused `ledger.insufficient_funds`, Conflict `ledger.other_facts`, BadInput `ledger.bad_posting`; each with
    `item`, the position in the list. The transaction cannot go on after any of them.
    """
    if not postings:
        return []
    with posting_once(session):
        return await _post(session, postings, posted_by, batch)


async def post_openings(session: AsyncSession, postings: Sequence[Posting], *, posted_by: str) -> None:
    """Post a list of any length, all or nothing, in which every posting credits a new ledger account out of the same one.

    It is posted in parts, which take their locks in order all the same: who holds the one that all share waits for nobody, as nobody
    else knows the others yet. Once per transaction; raises what `post` raises.
    """
    assert len({(posting.book_id, posting.debit) for posting in postings}) <= 1
    with posting_once(session):
        for first in range(0, len(postings), MOST_AT_ONCE):
            try:
                await _post(session, postings[first : first + MOST_AT_ONCE], posted_by, None)
            except DomainError as refused:
                refused.facts["item"] += first
                raise


async def _post(session: AsyncSession, postings: Sequence[Posting], posted_by: str, batch: UUID | None) -> list[Posted]:
    for item, posting in enumerate(postings):
        if type(posting.amount_fen) is not int or not 1 <= posting.amount_fen <= MAX_FEN:
            raise BadInput("ledger.bad_posting", "金额不正确", item=item)
    occurred = [posting.occurred_at or clock.now() for posting in postings]
    values = {
        "ids": [uuid7() for _ in postings],
        "kinds": [posting.kind for posting in postings],
        "refs": [str(posting.reference) for posting in postings],
        "books": [posting.book_id for posting in postings],
        "debits": [posting.debit for posting in postings],
        "credits": [posting.credit for posting in postings],
        "amounts": [posting.amount_fen for posting in postings],
        "occurred": occurred,
        "valued": [posting.value_on or clock.business_date(at) for posting, at in zip(postings, occurred, strict=True)],
        "business": [clock.today()] * len(postings),
        "reverses": [posting.reverses for posting in postings],
        "evidence": [posting.evidence_sha256 for posting in postings],
        "posted_by": [posting.posted_by or posted_by for posting in postings],
        "batch": batch,
        "clock": clock.simulated(),
    }
    with refusals():
        return [Posted(row.transfer_id, row.repeated) for row in await session.execute(_POST, values)]


@contextmanager
def posting_once(session: AsyncSession) -> Iterator[None]:
    """Around a statement that posts: one per transaction, with its refusals raised as `post` raises them."""
    assert not session.info.get("posted"), "one ledger.post per transaction: two take their locks in no order"
    session.info["posted"] = True
    with refusals():
        yield


@contextmanager
def refusals() -> Iterator[None]:
    """Raise what the books refuse to a statement as `post` raises it."""
    try:
        yield
    except DBAPIError as error:
        raise (_as_domain_error(error) or error) from error


def _as_domain_error(error: DBAPIError) -> DomainError | None:
    cause = error.orig.__cause__ if error.orig else None
    if not isinstance(cause, PostgresError) or not (cause.sqlstate or "").startswith("EL"):
        return None
    item = int(cause.detail or 0)
    match cause.sqlstate:
        case "EL002":
            return Conflict("ledger.other_facts", "同一凭证号已记入不同内容", item=item)
        case "EL003":
            return Refused("ledger.insufficient_funds", "账户余额不足", item=item)
        case _:
            return BadInput("ledger.bad_posting", "记账内容不正确", item=item)
