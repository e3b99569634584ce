"""Every entry of the menus leads somewhere, and says where one is."""

import re
from collections.abc import Iterator

from app.portals.pages import NAVIGATION, Link
from tests.portals.desks import Desk, Desks
from tests.portals.families import at_home
from tests.world import World


async def test_every_entry_opens_and_is_marked_there(desks: Desks, world: World) -> None:
    people = [await at_home(desks, await world.parent()), await desks.clerk(), await desks.officer()]
    people.append(await desks.institution(await world.institution()))
    assert {desk.end for desk in people} == set(NAVIGATION)
    for desk in people:
        for link in entries(NAVIGATION[desk.end]):
            page = await desk.page(link.path.removeprefix(f"/{desk.end}"))
            assert marked(page) == [link.path], f"{link.label} of {desk.end}"


async def test_a_menu_is_marked_on_the_pages_below_its_entries(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk: Desk = await desks.officer()
    page = await desk.page(f"/institutions/{institution.id}/entry")
    assert marked(page) == ["/supervision/institutions"]
    assert re.findall(r'<summary aria-current="page">.*?<span>(\w+)</span>', page) == ["登记"]


def entries(links: tuple[Link, ...]) -> Iterator[Link]:
    for link in links:
        yield from link.links or (link,)


def marked(page: str) -> list[str]:
    """Where the marked entries of the menu lead."""
    menu = page.partition('<nav class="topnav"')[2].partition("</nav>")[0]
    return re.findall(r'<a href="([^"]+)" aria-current="page"', menu)
