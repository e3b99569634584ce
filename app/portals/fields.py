"""Field types that routes share: what may come in, and how lists go out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints

from app.errors import BadInput
from app.money import MAX_FEN

T = TypeVar("T")

NOBODY = UUID(int=0)
"""An id that nothing has."""
MAX_PAGE = 100


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a text has no NUL")
    return text


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

PathId = Annotated[UUID, BeforeValidator(_id_or_nobody)]
"""An id in a path. A malformed one is one that nobody has, so it gets the same 404 from the slice as an absent one."""

PathNo = Annotated[str, BeforeValidator(_number_or_none)]
"""A human number in a path, under the same rule."""


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list is asked for, newest first: rows with an id below `before`, at most `limit` of them.

    A query fetches `limit + 1` rows, ordered by id descending, so that `listed` knows whether there are more.
    """

    before: UUID | None
    limit: int


def _paging(
    cursor: Annotated[str | None, Query(max_length=64, description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
) -> Paging:
    try:
        return Paging(UUID(cursor) if cursor else None, limit)
    except ValueError as cause:
        raise BadInput("request.cursor", "分页参数无效") from cause


PageOf = Annotated[Paging, Depends(_paging)]


class Listed(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    next_cursor: str | None


def listed(rows: Sequence[T], ids: Sequence[UUID], paging: Paging) -> Listed[T]:
    """A page out of up to `limit + 1` rows and their ids."""
    more = len(rows) > paging.limit
    return Listed[T](items=list(rows[: paging.limit]), next_cursor=str(ids[paging.limit - 1]) if more else None)
