"""The running sample seen through headless Chromium, at the size of a phone and of a desk."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser.people import Screen
from tests.running_sample import RunningSample, running_sample

SIZES = {"phone": (390, 844), "desk": (1440, 900)}


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        missing = "no Chromium: apt-get install chromium fonts-noto-cjk"
        if "CI" in os.environ:
            pytest.fail(missing)
        pytest.skip(missing)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
async def sample(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningSample]:
    async with running_sample(tmp_path_factory.mktemp("browser") / "data") as started:
        yield started


@pytest.fixture(params=SIZES)
async def screen(request: pytest.FixtureRequest, chromium: Browser, sample: RunningSample) -> AsyncIterator[Screen]:
    """A browser of one size; when the test is over, no page has complained."""
    width, height = SIZES[request.param]
    opened = Screen(chromium, sample.demo, {"width": width, "height": height})
    yield opened
    await opened.close()
    assert opened.complaints == []
