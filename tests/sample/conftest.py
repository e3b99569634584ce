"""Commands read the settings of their test, and no other test may find them."""

from collections.abc import Iterator

import pytest

from app.settings import settings


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    yield
    settings.cache_clear()
