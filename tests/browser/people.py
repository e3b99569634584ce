"""People at a browser: each has cookies of their own, and every page they see is looked at."""

import io
import os
from pathlib import Path
from typing import Any

import httpx
import zxingcpp
from PIL import Image
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response, ViewportSize

PICTURES = os.environ.get("ESCROW_TEST_PICTURES")
"""A folder to keep a picture of every page in."""


class Screen:
    """One size of window. Pages that overflow it, log an error or answer 5xx are complained about."""

    def __init__(self, browser: Browser, demo: dict[str, Any], viewport: ViewportSize) -> None:
        self.demo = demo
        self.base_url: str = demo["base_url"]
        self.complaints: list[str] = []
        self.viewport = viewport
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._pictures = 0

    async def person(self) -> Page:
        """Somebody new, with no cookie."""
        context = await self._browser.new_context(viewport=self.viewport, locale="zh-CN", base_url=self.base_url)
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        page = await context.new_page()
        page.on("console", self._heard)
        page.on("response", self._answered)
        page.on("dialog", lambda dialog: dialog.accept())
        return page

    async def staff(self, end: str) -> Page:
        """A member of staff, signed in at their end."""
        page = await self.person()
        await page.goto(f"/{end}")
        await page.get_by_label("用户名").fill(self.demo["staff"][end]["username"])
        await page.get_by_label("密码").fill(self.demo["staff"][end]["password"])
        await page.get_by_role("button", name="登录").click()
        await page.wait_for_url(f"**/{end}")
        await self.look(page)
        return page

    async def sign_in_as_parent(self, page: Page) -> None:
        """From the sign-in page that they were led to, by phone and code."""
        await page.get_by_label("手机号码").fill(self.demo["parent"]["phone"])
        await page.get_by_role("button", name="获取验证码").click()
        await page.get_by_label("6 位验证码").fill(self.demo["parent"]["code"])
        await page.get_by_role("button", name="登录").click()
        await page.wait_for_load_state()

    async def look(self, page: Page) -> None:
        """Whatever is shown must fit the window's width."""
        await page.wait_for_load_state()
        wide, window = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        if wide > window:
            self.complaints.append(f"{page.url} is {wide} wide in a window of {window}")
        if PICTURES:
            self._pictures += 1
            path = page.url.split("/", 3)[3].split("?")[0].replace("/", "_")[:40] or "home"
            name = f"{self.viewport['width']}-{self._pictures:02d}-{path}"
            await page.screenshot(path=Path(PICTURES) / f"{name}.png")

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()

    def _heard(self, message: ConsoleMessage) -> None:
        # A used code's page is a 410, and a browser says so.
        if message.type in ("error", "warning") and "410 (Gone)" not in message.text:
            self.complaints.append(f"{message.type}: {message.text}")

    def _answered(self, answer: Response) -> None:
        if answer.status >= 500:
            self.complaints.append(f"{answer.status} {answer.url}")


async def decoded(url: str) -> str:
    """What a phone reads from a QR picture at an address."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(url)
    assert answer.headers["content-type"] == "image/png"
    [code] = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.content)))
    return str(code.text)
