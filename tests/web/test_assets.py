"""Style sheets and scripts: small, compressed, cached for good, nothing from elsewhere."""

import re

import httpx
import pytest

from app.portals import assets

PHONE_PAGE_BYTES = 100_000


async def test_files_are_compressed_and_cached_under_their_hash(client: httpx.AsyncClient) -> None:
    answer = await client.get(assets.address("tabler.css"))
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert int(answer.headers["content-length"]) < 70_000
    plain = await client.get(assets.address("app.css"), headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


async def test_an_older_hash_gets_the_present_file_uncached(client: httpx.AsyncClient) -> None:
    answer = await client.get("/static/0123456789ab/app.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize("name", ["nothing.css", "..%2fapp.css", "app.py"])
async def test_nothing_else_is_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/static/0123456789ab/{name}")).status_code == 404


async def test_a_phones_page_weighs_less_than_a_hundred_kilobytes(client: httpx.AsyncClient) -> None:
    page = await client.get("/parent/sign-in")
    linked = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
    sizes = [int((await client.get(path)).headers["content-length"]) for path in linked]
    assert len(linked) >= 4
    assert len(page.content) + sum(sizes) < PHONE_PAGE_BYTES


async def test_pages_hold_no_script_or_style_of_their_own(client: httpx.AsyncClient) -> None:
    for path in ("/parent/sign-in", "/supervision/sign-in", "/nothing"):
        page = (await client.get(path)).text
        assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", page) == []
        assert re.findall(r'(?:href|src)="(?:https?:)?//', page) == []
