"""Finding a class or an institution by its name, place, kind, price and hours: JSON and pages."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, cast, get_args
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup, escape
from pydantic import BaseModel, Field, StringConstraints
from pydantic_core import to_json

from app import clock
from app.contracts.search import LONGEST_QUERY, PARTS, FoundClass, FoundInstitution, Part, Searches, Wanted
from app.errors import BadInput
from app.money import MAX_FEN
from app.portals.edge import Named
from app.portals.fields import Listed, PageById, Paging, listed
from app.portals.hours import PARTS_ZH, WEEKDAYS
from app.portals.pages import Frames, environment, render
from app.portals.staff import typed_fen
from app.portals.words import word

api = APIRouter(prefix="/api/v1/public/search", tags=["public"])
pages = APIRouter(include_in_schema=False)

Words = Annotated[str, StringConstraints(max_length=LONGEST_QUERY)]
Typed = Annotated[str, StringConstraints(max_length=20)]
Kind = Literal["subject", "arts", "sports", "science", "other"]
Mode = Literal["onsite", "online"]
_KINDS = [("", "不限类别"), *((kind, word(kind, "institution_kind")) for kind in get_args(Kind))]
_MODES = [("", "线下和线上"), *((mode, word(mode, "class_mode")) for mode in get_args(Mode))]
_WEEKDAYS = [(str(number), f"周{day}") for number, day in enumerate(WEEKDAYS, start=1)]
_PAGE = "public/search.html"
_CONDITIONS_KEPT = 256
_LINES_KEPT = 4096
_frames = Frames()
Found = TypeVar("Found", FoundClass, FoundInstitution)


class FoundClassItem(BaseModel):
    """A class that may be joined now."""

    id: UUID
    institution_id: UUID
    institution_name: str
    kind: str = Field(description="Of the institution: subject, arts, sports, science or other")
    mode: str = Field(description="onsite or online")
    name: str
    subject: str
    teacher_name: str
    price_fen: int = Field(description="Of the whole class")
    lesson_count: int
    seats: int
    starts_on: date
    ends_on: date
    hours: int = Field(description="When it usually meets: bit 3 × weekday (Monday is 0) + part of the day (morning, afternoon, evening)")
    seats_left: int


class FoundInstitutionItem(BaseModel):
    """An institution; also one that may not enrol, which says so."""

    id: UUID
    name: str
    kind: str
    address: str
    status: str = Field(description="approved, suspended or closed; only an approved one enrols")
    listing: str | None = Field(description="white or black: one on the black list sells nothing new")
    sales_paused: bool
    open_classes: int


class SearchQuery(BaseModel):
    """What both searches take."""

    q: Words = Field("", description="Parts of names or addresses, all of which must be found; at most five, apart by spaces")
    area: Words = Field("", description="Part of an address")
    kind: Kind | None = None


class ClassQuery(SearchQuery):
    """What a search for classes takes besides."""

    mode: Mode | None = None
    price_from_fen: Annotated[int | None, Field(ge=0, le=MAX_FEN)] = None
    price_to_fen: Annotated[int | None, Field(ge=0, le=MAX_FEN)] = None
    weekday: Annotated[list[Annotated[int, Field(ge=1, le=7)]], Field(max_length=7, description="Monday is 1")] = []
    part: Annotated[list[Part], Field(max_length=3)] = []

    def wanted(self) -> Wanted:
        """The search's form of it."""
        return Wanted(
            words=self.q,
            area=self.area,
            kind=self.kind,
            mode=self.mode,
            least_fen=self.price_from_fen,
            most_fen=self.price_to_fen,
            weekdays=frozenset(day - 1 for day in self.weekday),
            parts=frozenset(self.part),
        )


class Conditions(NamedTuple):
    """What a form asks for besides words, as it was typed."""

    area: str
    kind: str
    mode: str
    price_from: str
    price_to: str
    weekday: tuple[str, ...]
    part: tuple[str, ...]

    @property
    def detailed(self) -> bool:
        """Whether there is anything."""
        return any(self)


class SearchForm(BaseModel):
    """The form of both pages as it was sent; what was not filled in is empty, and prices are yuan as people type them."""

    q: Words = ""
    area: Words = ""
    kind: Typed = ""
    mode: Typed = ""
    price_from: Typed = ""
    price_to: Typed = ""
    weekday: Annotated[list[Typed], Field(max_length=7)] = []
    part: Annotated[list[Typed], Field(max_length=3)] = []

    def wanted(self) -> Wanted:
        """What is asked for; choices that there are not count as none. Raises BadInput naming a price that is none."""
        return Wanted(
            words=self.q,
            area=self.area,
            kind=self.kind if self.kind in get_args(Kind) else None,
            mode=self.mode if self.mode in get_args(Mode) else None,
            least_fen=typed_fen(self.price_from, "price_from") if self.price_from.strip() else None,
            most_fen=typed_fen(self.price_to, "price_to") if self.price_to.strip() else None,
            weekdays=frozenset(int(day) - 1 for day in self.weekday if day in set("1234567")),
            parts=frozenset(part for part in PARTS if part in self.part),
        )

    @property
    def conditions(self) -> Conditions:
        """What is asked for besides words."""
        return Conditions(self.area, self.kind, self.mode, self.price_from, self.price_to, tuple(self.weekday), tuple(self.part))

    def query(self, district: str) -> str:
        """The same search in the address of its next page."""
        asked = [(name, each) for name, value in self for each in (value if isinstance(value, list) else [value]) if each]
        return urlencode([*asked, ("district", district)])


@api.get("/classes", summary="Find a class", response_model=Listed[FoundClassItem])
async def find_classes(request: Request, district: Named, asked: Annotated[ClassQuery, Query()], paging: PageById) -> Response:
    """Only those that may be joined, the newest first; a class without seats left is found too."""
    return _json(_listed(await _searches(request).classes(district, asked.wanted(), paging.after, paging.more), paging))


@api.get("/institutions", summary="Find an institution", response_model=Listed[FoundInstitutionItem])
async def find_institutions(request: Request, district: Named, asked: Annotated[SearchQuery, Query()], paging: PageById) -> Response:
    """Of any standing, in the order of entry; classes of one that may not enrol are not counted."""
    wanted = Wanted(words=asked.q, area=asked.area, kind=asked.kind)
    return _json(_listed(await _searches(request).institutions(district, wanted, paging.after, paging.more), paging))


@pages.get("/search")
async def classes_page(request: Request, district: Named, form: Annotated[SearchForm, Query()], paging: PageById) -> Response:
    """Classes by name, place, kind, price and hours."""
    try:
        wanted = form.wanted()
    except BadInput as error:
        return _page(request, district.code, form, "classes", _listed([], paging), error)
    found = await _searches(request).classes(district, wanted, paging.after, paging.more)
    return _page(request, district.code, form, "classes", _listed(found, paging))


@pages.get("/search/institutions")
async def institutions_page(request: Request, district: Named, form: Annotated[SearchForm, Query()], paging: PageById) -> Response:
    """Institutions by name, place and kind."""
    try:
        wanted = form.wanted()
    except BadInput as error:
        return _page(request, district.code, form, "institutions", _listed([], paging), error)
    found = await _searches(request).institutions(district, wanted, paging.after, paging.more)
    return _page(request, district.code, form, "institutions", _listed(found, paging))


def _searches(request: Request) -> Searches:
    return cast(Searches, request.app.state.searches)


def _listed(found: Sequence[Found], paging: Paging[UUID]) -> Listed[Found]:
    return listed(found, [each.id for each in found], paging)


def _json(page: Listed[Found]) -> Response:
    """Rows as they are: they have the names and types of their models, and checking each again would take longer than finding it."""
    items = b",".join([_item(each) for each in page.items])
    return Response(b'{"items":[%b],"next_cursor":%b}' % (items, to_json(page.next_cursor)), media_type="application/json")


def _page(request: Request, district: str, form: SearchForm, sought: str, page: Listed[Found], error: BadInput | None = None) -> Response:
    here, query = f"?district={district}", form.query(district)
    today = clock.today()
    lines = [
        _class_line(each, here, each.starts_on < today) if isinstance(each, FoundClass) else _institution_line(each, here)
        for each in page.items
    ]
    found = Markup("".join(lines))  # noqa: S704
    is_first = "cursor" not in request.query_params
    parts = {
        "q": escape(form.q),
        "query": escape(query),
        "conditions": _conditions(form.conditions, sought, error) if error else _kept_conditions(form.conditions, sought),
        "results": _part("results", found, sought, error, is_first, request.url.path, page.next_cursor, query),
    }
    about: dict[str, Any] = {"sought": sought, "here": here}
    if error:
        return render(request, _PAGE, error.status, **about | parts)
    return _frames.render(request, SearchForm, (district, sought), _PAGE, parts, lambda: about)


def _conditions(asked: Conditions, sought: str, error: BadInput | None = None) -> Markup:
    return _part("conditions", asked, sought, error, _KINDS, _MODES, _WEEKDAYS, list(PARTS_ZH.items()))


_kept_conditions = lru_cache(_CONDITIONS_KEPT)(_conditions)


@lru_cache(_LINES_KEPT)
def _item(found: FoundClass | FoundInstitution) -> bytes:
    return to_json(found._asdict())


@lru_cache(_LINES_KEPT)
def _class_line(found: FoundClass, here: str, begun: bool) -> Markup:
    """It says what the row says and nothing else, so the same row gives the same line."""
    return _part("class_line", found, here, begun)


@lru_cache(_LINES_KEPT)
def _institution_line(found: FoundInstitution, here: str) -> Markup:
    return _part("institution_line", found, here)


def _part(name: str, *values: object) -> Markup:
    macro: Callable[..., Markup] = getattr(environment.get_template("public/found.html").module, name)
    return macro(*values)
