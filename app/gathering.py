"""Work that is done together for those who ask at the same time: whoever comes while it is under way waits for the next round.

When it is quiet nobody waits; the busier it is, the more share one statement and one commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

Asked = TypeVar("Asked")
Given = TypeVar("Given")


class Gathering(Generic[Asked, Given]):
    """A queue in front of `work`, which answers a list in its order; an exception in an answer's place is raised to that one asker.

    At most `at_once` lists are under way, each of a total `size` of `most`, or of one that is larger by itself.
    """

    def __init__(
        self,
        work: Callable[[list[Asked]], Awaitable[Sequence[Given | Exception]]],
        at_once: int,
        most: int,
        size: Callable[[Asked], int] = lambda _: 1,
    ) -> None:
        self._work = work
        self._at_once = at_once
        self._most = most
        self._size = size
        self._queue: list[tuple[Asked, asyncio.Future[Given]]] = []
        self._rounds: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked) -> Given:
        """The answer to this; raises what `work` puts in its place, and to everybody in the list what `work` raises."""
        answer: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        self._queue.append((asked, answer))
        if len(self._rounds) < self._at_once:
            self._rounds.add(asyncio.create_task(self._go_round()))
        return await answer

    async def _go_round(self) -> None:
        try:
            await self._answer_all()
        finally:
            # In the same step as the last look at the queue: whoever asks later must not take this round for one that goes on.
            self._rounds.discard(cast(asyncio.Task[None], asyncio.current_task()))

    async def _answer_all(self) -> None:
        while batch := self._next():
            found: Sequence[Given | Exception]
            try:
                found = await self._work([asked for asked, _ in batch])
            except Exception as error:
                found = [error] * len(batch)
            for (_, answer), result in zip(batch, found, strict=True):
                if answer.done():
                    continue
                if isinstance(result, Exception):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)

    def _next(self) -> list[tuple[Asked, "asyncio.Future[Given]"]]:
        """As many from the front of the queue as fit, and at least one."""
        count = total = 0
        for asked, _ in self._queue:
            total += self._size(asked)
            if count and total > self._most:
                break
            count += 1
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch
