"""Somebody who uses the running service through its JSON alone, and a browser at the bank's cashier."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from html import unescape
from typing import Any, Self
from urllib.parse import urljoin

import httpx

PATIENCE_SECONDS = 30.0
_EVERY_SECONDS = 0.2

Json = dict[str, Any]


class Unexpected(Exception):
    """Something is not as the story has it."""


class Person:
    """A signed-in principal."""

    def __init__(self, base_url: str, role: str, token: str) -> None:
        self.role = role
        self._http = httpx.AsyncClient(
            base_url=f"{base_url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS, trust_env=False
        )

    @classmethod
    async def signed_in(cls, base_url: str, district: str, path: str, credentials: Json) -> Self:
        """Sign in at `/auth/<path>/session`. Raises Unexpected."""
        async with httpx.AsyncClient(base_url=f"{base_url}/api/v1/auth", timeout=PATIENCE_SECONDS, trust_env=False) as http:
            if path == "parent":
                _content(await http.post("/parent/code", params={"district": district}, json={"phone": credentials["phone"]}))
            answer = _content(await http.post(f"/{path}/session", params={"district": district}, json=credentials))
        return cls(base_url, answer["role"], answer["access_token"])

    async def get(self, path: str, **params: Any) -> Json:
        """Read. Raises Unexpected for any refusal."""
        return _content(await self._http.get(path, params=params))

    async def post(self, path: str, body: Json | None = None, key: str | None = None) -> Json:
        """Act, under an idempotency key of its own unless one is given. Raises Unexpected for any refusal."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return _content(await self._http.post(path, json={} if body is None else body, headers=headers))

    async def put(self, path: str, body: Json) -> Json:
        """Set. Raises Unexpected for any refusal."""
        return _content(await self._http.put(path, json=body))

    async def wait_for(self, path: str, what: str, arrived: Callable[[Json], bool]) -> tuple[Json, float]:
        """Read again and again until it is so; what it is then, and the seconds it took. Raises Unexpected when it takes too long."""
        began = time.perf_counter()
        while True:
            found = await self.get(path)
            waited = time.perf_counter() - began
            if arrived(found):
                return found, waited
            if waited > PATIENCE_SECONDS:
                raise Unexpected(f"等了 {PATIENCE_SECONDS:.0f} 秒，仍未{what}：{found.get('status', '')}")
            await asyncio.sleep(_EVERY_SECONDS)

    async def events(self, path: str) -> AsyncIterator[Json]:
        """What a stream of events says, as it says it."""
        async with self._http.stream("GET", path, timeout=None) as answer:
            if not answer.is_success:
                raise Unexpected(f"GET {path} → {answer.status_code}")
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    async def aclose(self) -> None:
        """Give the sockets back."""
        await self._http.aclose()


async def pay_like_a_browser(pay_url: str) -> None:
    """Open the page of a payment code, follow it to the bank, fill the cashier's form in and send it. Raises Unexpected."""
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False, follow_redirects=True) as browser:
        page = await browser.get(pay_url)
        link = re.search(r'href="([^"]*/cashier/[^"]*)"', page.text)
        if not page.is_success or link is None:
            raise Unexpected(f"付款页没有通往银行收银台的链接（{page.status_code}）")
        cashier_url = urljoin(pay_url, unescape(link[1]))
        cashier = await browser.get(cashier_url)
        fields = {name: unescape(value) for name, value in re.findall(r'<input name="([^"]+)" value="([^"]*)"', cashier.text)}
        paid = await browser.post(cashier_url, data=fields)
        if not fields or not paid.is_success:
            raise Unexpected(f"银行收银台没有受理付款（{paid.status_code}）")


async def get_image(url: str) -> int:
    """Fetch a picture; its bytes. Raises Unexpected where it is none."""
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False) as browser:
        answer = await browser.get(url)
    if not answer.is_success or answer.headers["content-type"] != "image/png":
        raise Unexpected(f"{url} 不是二维码图片（{answer.status_code}）")
    return len(answer.content)


def _content(answer: httpx.Response) -> Json:
    if answer.is_success:
        content: Json = answer.json() if answer.content else {}
        return content
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    said = f"{problem.get('detail', '')}（{problem.get('code', '')}）"
    raise Unexpected(f"{answer.request.method} {answer.request.url.path} → {answer.status_code} {said}")
