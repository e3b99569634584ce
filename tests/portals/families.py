"""A guardian at home: signed in, with a client for JSON and a browser for pages."""

import re
from html import unescape
from io import BytesIO

import httpx
import zxingcpp
from PIL import Image

from app import security
from app.portals.edge import cookie_name
from app.security import Parent
from tests.portals.desks import Desk, Desks


async def at_home(desks: Desks, parent: Parent) -> Desk:
    """A parent, signed in."""
    async with desks.world.district.transaction() as session:
        token = await security.open_session(session, "parent", guardian_id=parent.guardian_id)
    api, browser = await desks.anybody(), await desks.anybody()
    api.headers["Authorization"] = f"Bearer {token}"
    browser.cookies.set(cookie_name("parent"), token)
    return Desk("parent", token, api, browser)


async def accepting(home: Desk, class_id: object) -> dict[str, str]:
    """What a parent sends along who has read the contract on the enrolment page and agrees."""
    return accepted(await home.page(f"/classes/{class_id}/enrol"))


def accepted(page: str) -> dict[str, str]:
    """The same for the page that stands open."""
    (document,) = re.findall(r'name="document" value="([0-9a-f]{64})"', page)
    return {"document": document, "agreed": "yes"}


def terms_in(form: str) -> str:
    """The terms that a form carries."""
    [terms] = [part.partition('"')[0] for part in form.split('name="terms" value="')[1:]]
    return unescape(terms)


async def document(home: Desk, class_id: object) -> dict[str, str]:
    """What a program sends along whose guardian has read the contract."""
    answer = await home.post(f"/classes/{class_id}/document", {})
    return {"document": answer.json()["sha256"]}


def link(page: str, label: str) -> str:
    """Where a link of a page leads, by the text it shows."""
    for address, text in re.findall(r'<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>', page, re.S):
        if label in re.sub(r"<[^>]+>", "", text):
            return unescape(address)
    raise AssertionError(f"no link says {label}")


def links(page: str, pattern: str) -> list[str]:
    """The addresses on a page that look like this."""
    return re.findall(rf'href="({pattern})"', page)


def shown(page: str) -> str:
    """What a page says, without its markup."""
    body = page.partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error in JSON."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text[:300]
    return answer.status_code, answer.json()["code"]


def scanned(png: bytes) -> str:
    """What a phone reads out of a picture of a QR code."""
    (found,) = zxingcpp.read_barcodes(Image.open(BytesIO(png)), formats=zxingcpp.BarcodeFormat.QRCode)
    return str(found.text)
