"""Confirmations that arrive together are committed together: one transaction per district and process, each with its own answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import idempotency
from app.db import District
from app.errors import DomainError
from app.gathering import Gathering
from app.idempotency import Answer, Attempt
from app.ledger import service as ledger
from app.lessons import service
from app.lessons.service import Consent

MOST_LESSONS = 500
"""Lessons in one batch; the books take 1,000 postings at once."""
AT_ONCE = 2
"""Batches under way: the fewer, the larger they are and the less each confirmation costs; one that waits for a lock must not stop all."""
TRIES = 3
_MAY_BE_REPEATED = ("40P01", "40001")

_CONFIRM_ONCE = text("""
    SELECT claim, status, body FROM lessons_confirm_once(
        CAST(:locks AS bigint[]), CAST(:principals AS text[]), CAST(:keys AS text[]), CAST(:routes AS text[]), CAST(:bodies AS bytea[]),
        CAST(:wishes AS int[]), CAST(:guardians AS uuid[]), CAST(:lessons AS uuid[]), CAST(:releases AS uuid[]),
        CAST(:transfers AS uuid[]), :now, :final_at, :business_on, :clock)
""")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wish:
    """A consent under its idempotency key."""

    consent: Consent
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Result:
    """The answer, and whether it is a stored one that goes out again."""

    answer: Answer
    replayed: bool


class Confirmer:
    """One district's queue in this process."""

    def __init__(self, district: District) -> None:
        self._district = district
        self._gathering = Gathering(self._answers, AT_ONCE, MOST_LESSONS, lambda wish: len(wish.consent.lesson_ids))

    async def confirm(self, wish: Wish) -> Result:
        """Confirm with whoever else is waiting; returns after the commit.

        Raises Conflict `idempotency.running`, Refused `idempotency.other_request`.
        """
        return await self._gathering.ask(wish)

    async def _answers(self, wishes: list[Wish]) -> Sequence[Result | Exception]:
        try:
            return await self._committed(wishes)
        except Exception as error:
            if len(wishes) == 1:
                return [error]
            # One of them is poison: it shall fail alone.
            _log.warning("lessons.batch_failed", district=self._district.code, wishes=len(wishes), error=type(error).__name__)
            return [answer for wish in wishes for answer in await self._answers([wish])]

    async def _committed(self, wishes: list[Wish]) -> Sequence[Result | DomainError]:
        tries = 1
        while True:
            try:
                return await _commit(self._district, wishes)
            except DBAPIError as error:
                # After a deadlock or a lost connection nothing of the batch stands, or all of it does and the keys tell.
                if tries == TRIES or not (error.connection_invalidated or getattr(error.orig, "sqlstate", "") in _MAY_BE_REPEATED):
                    raise
                tries += 1


class Confirmers:
    """The queues of this process, one for each district."""

    def __init__(self) -> None:
        self._known: dict[str, Confirmer] = {}

    def of(self, district: District) -> Confirmer:
        """The district's queue."""
        if district.code not in self._known:
            self._known[district.code] = Confirmer(district)
        return self._known[district.code]


async def _commit(district: District, wishes: list[Wish]) -> list[Result | DomainError]:
    values = idempotency.named(district.code, [wish.attempt for wish in wishes])
    values |= service.asked(district.code, [wish.consent for wish in wishes])
    values["wishes"] = [place for place, wish in enumerate(wishes, 1) for _ in wish.consent.lesson_ids]
    with ledger.refusals():
        rows = await district.at_once(_CONFIRM_ONCE, values)
    answers = [(idempotency.answer_of(row), row.claim == "stored") for row in rows]
    return [answer if isinstance(answer, DomainError) else Result(answer, replayed) for answer, replayed in answers]
