"""Field types that routes share: what may come in, and how lists go out."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints

from app.errors import BadInput
from app.money import MAX_FEN

T = TypeVar("T")
K = TypeVar("K")

NOBODY = UUID(int=0)
"""An id that nothing has."""
MAX_PAGE = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a text has no NUL")
    return text


def _written_date(text: object) -> object:
    if isinstance(text, date) or (isinstance(text, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)):
        return text
    raise ValueError("a date is written as 2026-09-01")


def _id_or_nobody(text: object) -> object:
    try:
        return UUID(str(text))
    except ValueError:
        return NOBODY


def _number_or_none(text: object) -> object:
    written = str(text)
    return written if written.isascii() and written.isalnum() else "-"


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(_storable)]
"""What a person wrote: 1 to 500 characters that the database can store. Narrow it with `Field(max_length=…)`."""

Secret = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
"""A password or code, taken as it is."""

Fen = Annotated[int, Field(strict=True, ge=1, le=MAX_FEN)]
"""Money that moves: whole fen, from 0.01 yuan to 100 billion. No float, no text, no boolean."""

CalendarDate = Annotated[date, BeforeValidator(_written_date)]
"""A date as people write it; a number is none, and is not taken for seconds since 1970."""

PathId = Annotated[UUID, BeforeValidator(_id_or_nobody)]
"""An id in a path. A malformed one is one that nobody has, so it gets the same 404 from the slice as an absent one."""

PathNo = Annotated[str, BeforeValidator(_number_or_none)]
"""A human number in a path, under the same rule."""


Moment = tuple[datetime, UUID]
"""A place in a list that goes by time: a row's instant and its id."""


@dataclass(frozen=True, slots=True)
class Paging(Generic[K]):
    """Which part of a list is asked for: what follows the row at `after`, at most `limit` rows.

    A query is asked for `more` rows, one beyond the page where it may, so that `listed` knows whether the list goes on.
    """

    after: K | None
    limit: int

    @property
    def more(self) -> int:
        """How many rows to fetch; queries give no more than a hundred."""
        return min(self.limit + 1, MAX_PAGE)


def _paging(read: Callable[[str], K]) -> Callable[..., Awaitable[Paging[K]]]:
    async def paging(
        cursor: Annotated[str | None, Query(max_length=64, description="next_cursor of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    ) -> Paging[K]:
        try:
            return Paging(read(cursor) if cursor else None, limit)
        except (ValueError, OverflowError) as cause:
            raise BadInput("request.cursor", "分页参数无效") from cause

    return paging


def _moment(cursor: str) -> Moment:
    microseconds, _, row_id = cursor.partition("~")
    return _EPOCH + timedelta(microseconds=int(microseconds)), UUID(row_id)


def _serial(cursor: str) -> int:
    number = int(cursor)
    if not 0 <= number < 2**63:
        raise ValueError("beyond any row's number")
    return number


PageByTime = Annotated[Paging[Moment], Depends(_paging(_moment))]
PageById = Annotated[Paging[UUID], Depends(_paging(UUID))]
PageByNumber = Annotated[Paging[int], Depends(_paging(_serial))]


class Listed(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    next_cursor: str | None


def listed(rows: Sequence[T], places: Sequence[Moment] | Sequence[UUID] | Sequence[int], paging: Paging[Any]) -> Listed[T]:
    """A page out of up to `paging.more` rows and the place of each in the list."""
    shown = min(len(rows), paging.limit)
    goes_on = shown > 0 and len(rows) == paging.more
    return Listed[T](items=list(rows[:shown]), next_cursor=_cursor(places[shown - 1]) if goes_on else None)


def _cursor(place: Moment | UUID | int) -> str:
    if isinstance(place, tuple):
        return f"{(place[0] - _EPOCH) // timedelta(microseconds=1)}~{place[1]}"
    return str(place)
