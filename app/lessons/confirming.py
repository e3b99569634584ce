"""Confirmations that arrive together are committed together: one set of statements per district and process, each with its own answer.

Whoever comes while batches are under way waits for the next one, so the busier it is the more share one commit.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import DBAPIError

from app import idempotency
from app.db import District
from app.errors import DomainError
from app.idempotency import Answer, Attempt
from app.lessons import service
from app.lessons.service import Consent, Outcome

MOST_LESSONS = 500
"""Lessons in one batch; the books take 1,000 postings at once."""
AT_ONCE = 2
"""Batches under way: one is put together and read while the other waits for its commit."""
TRIES = 3
_MAY_BE_REPEATED = ("40P01", "40001")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wish:
    """A consent under its idempotency key, and how its outcomes are written as an answer."""

    consent: Consent
    attempt: Attempt
    written: Callable[[list[Outcome]], Answer]


@dataclass(frozen=True, slots=True)
class Result:
    """The answer, and whether it is a stored one that goes out again."""

    answer: Answer
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Waiting:
    wish: Wish
    result: asyncio.Future[Result] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Confirmer:
    """One district's queue in this process."""

    def __init__(self, district: District) -> None:
        self._district = district
        self._queue: list[_Waiting] = []
        self._workers: set[asyncio.Task[None]] = set()

    async def confirm(self, wish: Wish) -> Result:
        """Confirm with whoever else is waiting; returns after the commit.

        Raises Conflict `idempotency.running`, Refused `idempotency.other_request`.
        """
        waiting = _Waiting(wish)
        self._queue.append(waiting)
        if len(self._workers) < AT_ONCE:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await waiting.result

    async def _work(self) -> None:
        while batch := self._next():
            try:
                await self._answer(batch)
            except Exception as error:
                await self._one_by_one(batch, error)

    def _next(self) -> list[_Waiting]:
        """As many from the front of the queue as fit a batch, and at least one."""
        size = lessons = 0
        for waiting in self._queue:
            lessons += len(waiting.wish.consent.lesson_ids)
            if size and lessons > MOST_LESSONS:
                break
            size += 1
        batch, self._queue = self._queue[:size], self._queue[size:]
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        for tries_left in reversed(range(TRIES)):
            try:
                results = await _commit(self._district, [waiting.wish for waiting in batch])
                break
            except DBAPIError as error:
                # After a deadlock or a lost connection nothing of the batch stands, or all of it does and the keys tell.
                if not tries_left or not (error.connection_invalidated or getattr(error.orig, "sqlstate", "") in _MAY_BE_REPEATED):
                    raise
        for waiting, result in zip(batch, results, strict=True):
            if waiting.result.done():
                continue
            if isinstance(result, DomainError):
                waiting.result.set_exception(result)
            else:
                waiting.result.set_result(result)

    async def _one_by_one(self, batch: list[_Waiting], error: Exception) -> None:
        """One of them is poison: it shall fail alone."""
        if len(batch) == 1:
            if not batch[0].result.done():
                batch[0].result.set_exception(error)
            return
        _log.warning("lessons.batch_failed", district=self._district.code, wishes=len(batch), error=type(error).__name__)
        for waiting in batch:
            try:
                await self._answer([waiting])
            except Exception as own:
                await self._one_by_one([waiting], own)


class Confirmers:
    """The queues of this process, one for each district."""

    def __init__(self) -> None:
        self._known: dict[str, Confirmer] = {}

    def of(self, district: District) -> Confirmer:
        """The district's queue."""
        return self._known.setdefault(district.code, Confirmer(district))


async def _commit(district: District, wishes: list[Wish]) -> list[Result | DomainError]:
    async with district.transaction() as session:
        claims = await idempotency.claim_all(session, [wish.attempt for wish in wishes])
        fresh = [wish for wish, claim in zip(wishes, claims, strict=True) if claim is None]
        outcomes = iter(await service.confirm_all(session, [wish.consent for wish in fresh]) if fresh else [])
        results: list[Result | DomainError] = []
        answered = []
        for wish, claim in zip(wishes, claims, strict=True):
            if claim is None:
                answer = wish.written(next(outcomes))
                answered.append((wish.attempt, answer))
                results.append(Result(answer, replayed=False))
            else:
                results.append(claim if isinstance(claim, DomainError) else Result(claim, replayed=True))
        if answered:
            await idempotency.keep_all(session, answered)
        return results
